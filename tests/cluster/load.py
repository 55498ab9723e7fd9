"""A client that keeps posting signed transactions and remembers what was acknowledged."""

from __future__ import annotations

import datetime
import random  # noqa: TID251 - seeded
import threading
from collections.abc import Iterator

from node.demo.bench.load import Issuer, Signed, sign_transactions
from tests.cluster.cluster import Cluster, Member, wait_until

IN_REQUEST = 5
PAUSE_S = 0.04
"""About 100 transactions a second: enough to be always in the middle of something."""


def signed_invoices(cluster: Cluster, count: int) -> list[Signed]:
    """Transactions that issue one invoice each, valid for a long time."""
    issuer = Issuer(
        network_id=cluster.genesis.network_id,
        participant=cluster["issuer"].participant,
        seed=cluster["issuer"].keys().signing,
        buyer=cluster["payer"].participant,
        first_number=cluster.next_number,
        issue_date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    )
    run = cluster.next_number % 1_000_000 + 1
    cluster.next_number += count
    return sign_transactions(issuer, count, 1, run, 1)


def start_rejoining(cluster: Cluster, member: Member, timeout_s: float = 120.0) -> None:
    """Start a node that may have lost its memory, and make blocks until it is ready.

    It signs again above a later certificate: without blocks it would wait for the empty ones.
    """
    member.local.start()
    member.alive = True
    others = [other for other in cluster.living if other is not member]
    transactions = iter(signed_invoices(cluster, 5_000))

    def ready() -> bool:
        others[0].submit([next(transactions).wire])
        return member.ask("GET", "/readyz", timeout_s=2.0).status == 200

    wait_until(f"{member.name} is ready", ready, timeout_s)


class Load:
    """A thread that posts to the living nodes in turn until it is stopped."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: dict[str, str] = {}
        """Transaction id to the node that acknowledged it."""
        self.refused: dict[str, int] = {}
        self.unanswered = 0

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        transactions = self._transactions()
        while not self._stop.wait(PAUSE_S):
            living = self._cluster.living
            if living:
                self._post(living[self._rng.randrange(len(living))].name, transactions)

    def _transactions(self) -> Iterator[Signed]:
        while True:
            yield from signed_invoices(self._cluster, 500)

    def _post(self, name: str, transactions: Iterator[Signed]) -> None:
        part = [next(transactions) for _ in range(IN_REQUEST)]
        reply = self._cluster[name].submit([t.wire for t in part])
        if reply.status == 0:
            self.unanswered += len(part)
        elif reply.status != 202:
            assert reply.status in {429, 503}, reply
            code = str(reply.code)
            self.refused[code] = self.refused.get(code, 0) + len(part)
        else:
            for item in reply.body["transactions"]:
                assert item["state"] != "refused", item
                self.acknowledged[item["id"]] = name
