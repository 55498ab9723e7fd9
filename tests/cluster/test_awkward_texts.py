"""Signed transactions, field by field with every awkward text, through four real nodes.

Whatever a key of the network signs, the nodes stay equal, ready and alive, also after a restart.
`make test` sends a slice, `make soak-nodes` everything, signed by each of the four.
"""

from __future__ import annotations

import itertools
import random  # noqa: TID251 - seeded
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from node.ledger.execution.bykey import by_key_message
from node.ledger.operations import ByKey
from node.ledger.signing import public_key, secret_key, sign
from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.hand_signed import VALID_HEIGHTS, Author, outcome, send
from tests.cluster.wild import Wild
from tests.ledger.awkward import SIGNABLE, UNSIGNABLE, variants

pytestmark = pytest.mark.timeout(1_800)

SLICE = 3_000
IN_REQUEST = 100
SURROGATE = msgspec.Raw(b"\xa3\xed\xa0\x80")
BARE_SEED = bytes(range(32))

Place = tuple[int, ...]


def places(value: Any, at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text in nested lists, and where it is."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from places(item, (*at, position))


def replaced(value: Any, at: Place, new: object) -> Any:
    """A copy with another value in one place."""
    if not at:
        return new
    head, *rest = at
    return [
        replaced(item, tuple(rest), new) if position == head else item
        for position, item in enumerate(value)
    ]


def awkward(text: str) -> list[object]:
    """What to put in the place of a text."""
    return [*variants(text).values(), *UNSIGNABLE.values(), *SIGNABLE, SURROGATE, b"bytes", 7, None]


class Senders:
    """Signs bodies of any shape for each member in turn."""

    def __init__(self, cluster: Cluster, wild: Wild) -> None:
        self.cluster = cluster
        self.authors = [Author(cluster, member) for member in cluster.members.values()]
        self._wild = wild
        self._nonces = itertools.count(1_000_000)
        self.until = int(self.authors[0].member.status()["height"]) + VALID_HEIGHTS

    def cases(self) -> Iterator[tuple[Author, list[Any], Place, object]]:
        """Every author, operation, text of its transaction and awkward text: who, what, where."""
        for author, kind in itertools.product(self.authors, self._wild.operations):
            operation = self._wild.value(kind)
            if not isinstance(operation, ByKey):
                # A bare key signs what `wire` wraps.
                shape = msgspec.to_builtins(operation, builtin_types=(bytes,))
                for at, text in places(shape):
                    yield from ((author, shape, at, new) for new in awkward(text))

    def sound_cases(self, number: str) -> Iterator[tuple[Author, list[Any], Place, object]]:
        """As `cases`, of operations that would be applied: they get far into the rules."""
        _, issuer, payer, reimburser = self.authors
        soon = int(time.time() * 1_000) + 3_600_000  # noqa: TID251 - daemons use the real clock
        today = time.strftime("%Y-%m-%d", time.gmtime())
        issue = [10, f"{self.cluster.next_number:020d}", False, payer.member.participant, "CNY"]
        issue += [today, [[1300, 100, 13, 1]], 100, 13, 113, bytes(32), number, None, []]
        for author, shape in (
            (issuer, issue),
            (issuer, [51, number, 113, 2, None, []]),
            (payer, [11, number, 1, 0, "no reason"]),
            (payer, [20, number, issuer.member.participant, soon]),
            (payer, [20, number, "ab" * 32, soon]),
            (payer, [30, number, reimburser.member.participant, 100]),
            (payer, [40, number, "reference"]),
        ):
            for at, text in places(shape):
                yield from ((author, shape, at, new) for new in awkward(text))

    def wire(self, author: Author, shape: list[Any], at: Place, new: object, bare: bool) -> bytes:
        """The signed transaction; with `bare` a bare key signs the operation."""
        operation = replaced(shape, at, new)
        nonce = next(self._nonces)
        if bare:
            inner = msgspec.msgpack.encode(operation)[:8_192]
            message = by_key_message(
                self.cluster.genesis.network_id, author.member.participant, nonce, self.until, inner
            )
            signature = sign(secret_key(BARE_SEED), message)
            operation = [90, public_key(BARE_SEED), signature, inner]
        return author.sign_shape([nonce, self.until, [operation]])

    def wire_of_author(self, author: Author, name: object) -> bytes:
        """A transaction whose author is spelled so."""
        shape = msgspec.to_builtins(self._wild.operation(), builtin_types=(bytes,))
        return author.sign_shape([next(self._nonces), self.until, [shape]], name=name)


def post(member: Member, wires: Sequence[bytes]) -> list[dict[str, Any]]:
    """Post them; waits where the node asks for patience."""

    def ask() -> list[dict[str, Any]] | None:
        reply = member.submit(wires, timeout_s=30.0)
        assert reply.status in {202, 429}, (member.name, reply)
        return reply.body["transactions"] if reply.status == 202 else None

    return wait_until("room in the pool", ask, 60.0)


def check_well(cluster: Cluster) -> None:
    """Equal, ready, without a fault; and what is sent now is decided."""
    decided = 0
    for member in cluster.living:
        author = Author(cluster, member)
        until = int(member.status()["height"]) + VALID_HEIGHTS
        # The wild bureau may have suspended some: they are refused at once.
        txid, reply = send(
            member, author.sign_shape([time.monotonic_ns(), until, [[21, "1" * 20]]])
        )
        if reply.status == 202:
            assert outcome(member, txid)["code"] == "UNKNOWN_INVOICE"
            decided += 1
    assert decided, "nobody may author any more"
    cluster.wait_equal(60.0)
    for member in cluster.living:
        assert member.ask("GET", "/readyz").status == 200
        assert member.status()["rule_faults"] == 0
    assert cluster.tracebacks() == []


@pytest.mark.slow
def test_a_party_with_a_line_feed_at_its_end_stops_nobody(cluster: Cluster) -> None:
    number = cluster.issue("with a line feed")["number"]
    author = Author(cluster, cluster["payer"])
    expires = int(time.time() * 1_000) + 3_600_000  # noqa: TID251 - daemons use the real clock
    good = [20, number, cluster["issuer"].participant, expires]
    until = int(author.member.status()["height"]) + VALID_HEIGHTS
    for position, text in ((1, number), (2, good[2])):
        shape = replaced(good, (position,), f"{text}\n")
        txid, reply = send(author.member, author.sign_shape([position, until, [shape]]))
        assert (reply.status, reply.code) == (400, "MALFORMED"), reply
        seen = author.member.ask("GET", f"/v1/transactions/{txid}")
        assert seen.status == 404, seen
    txid, _ = send(author.member, author.sign_shape([9, until, [good]]))
    assert outcome(author.member, txid)["state"] == "final", "the same without it is applied"
    check_well(cluster)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(SLICE, marks=pytest.mark.slow, id="slice"),
        pytest.param(None, marks=pytest.mark.soak, id="everything"),
    ],
)
def test_awkward_texts_in_signed_transactions_stop_nobody(
    cluster: Cluster, count: int | None
) -> None:
    rng = random.Random(f"texts {count}")
    parties = [member.participant for member in cluster.members.values()]
    number = cluster.issue(f"to be talked about {count}")["number"]
    senders = Senders(cluster, Wild(rng, [number], parties))
    sound = list(senders.sound_cases(number))
    cases = list(senders.cases())
    rng.shuffle(sound)
    rng.shuffle(cases)
    cases = [*sound, *cases]
    wires = [senders.wire(*case, bare=rng.random() < 0.2) for case in cases[:count]]
    wires += [
        senders.wire_of_author(author, name)
        for author in senders.authors
        for name in awkward(author.member.participant)[:: 1 if count is None else 10]
    ]
    codes: Counter[str] = Counter()
    members = itertools.cycle(cluster.living)
    for start in range(0, len(wires), IN_REQUEST):
        for item in post(next(members), wires[start : start + IN_REQUEST]):
            codes[item.get("code", item["state"])] += 1
    print(len(wires), "of", len(cases), dict(codes))
    assert codes["MALFORMED"] > 0.6 * len(wires)
    assert codes["pending"] > 0.02 * len(wires), "some are good texts, and reach the rules"
    check_well(cluster)
    cluster.stop()
    cluster.start()
    check_well(cluster)
