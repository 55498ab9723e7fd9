"""Who takes part, on four daemons: admitted by votes, keys rotated while issuing, retired."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey

from node.ledger.invoices.operations import IssueInvoice, LapseResponse, RateGroup
from node.ledger.membership.keys import possession_message
from node.ledger.membership.operations import KeyKind, RevokeKey, RotateKey
from node.ledger.operations import Operation
from node.ledger.signing import public_key, secret_key, sign
from node.ledger.transaction import TransactionBody, encode_body, encode_wire, signed_bytes
from node.setup.network_files import new_participant_id
from tests.cluster.cluster import TRANSACTION, Cluster, Member, Reply, running_cluster, wait_until

pytestmark = pytest.mark.slow

NODES = ("tax-bureau", "tax-bureau-2", "issuer", "payer")
FIRST, SECOND = bytes([1]) * 32, bytes([2]) * 32


@pytest.fixture(scope="module")
def voting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two bureaus govern, and both must agree."""
    with running_cluster(tmp_path_factory.mktemp("members") / "net", NODES) as running:
        yield running


class Newcomer:
    """A participant without a node: it signs here and posts to anybody's node."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.id = new_participant_id("issuer")
        self.nonce = 0
        year = f"{datetime.datetime.now(datetime.UTC):%y}"
        self.first = int(f"{year}{51}1{'0' * 15}")

    def post(self, seed: bytes, member: Member, operation: Operation) -> Reply:
        """Sign one operation with a seed, and wait until it is final."""
        self.nonce += 1
        body = encode_body(
            TransactionBody(
                self.cluster.genesis.network_id,
                self.id,
                public_key(seed),
                self.nonce,
                member.status()["height"] + 5_000,
                (operation,),
            )
        )
        wire = encode_wire(body, sign(secret_key(seed), signed_bytes(body)))
        path = "/v1/transactions?wait=final&timeout_s=30"
        return member.ask("POST", path, wire, content_type=TRANSACTION)

    def invoice(self, serial: int) -> IssueInvoice:
        return IssueInvoice(
            number=f"{self.first + serial:020d}",
            special=False,
            buyer=self.cluster["payer"].participant,
            currency="CNY",
            issue_date="2026-11-01",
            groups=(RateGroup(1300, 10_000, 1_300, 1),),
            net=10_000,
            tax=1_300,
            gross=11_300,
            order=bytes([serial]) * 32,
            replaces=None,
            details=None,
            blobs=(),
        )


def command(member: Member, *words: str) -> Any:
    """What `piaolian … --json` prints; it must succeed."""
    path = member.local.folder / "node.toml"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "node", *words, "--config", str(path), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def decide(cluster: Cluster, **proposal: object) -> None:
    """The first bureau proposes, the second agrees."""
    made = cluster["tax-bureau"].write("/v1/proposals", proposal)
    path = f"/v1/proposals/{made['proposal']}"
    assert cluster["tax-bureau"].get(path)["state"] == "open"
    cluster["tax-bureau-2"].write(f"{path}/vote", {"approve": True})
    assert cluster["tax-bureau-2"].get(path)["state"] == "carried"
    cluster.wait_equal()


@pytest.fixture(scope="module")
def newcomer(voting: Cluster) -> Newcomer:
    """Admitted by two votes, with numbers and quota."""
    who = Newcomer(voting)
    decide(
        voting,
        action="admit",
        participant=who.id,
        name="Newcomer",
        roles=["issuer"],
        signing_key=public_key(FIRST).hex(),
        sealing_key=bytes(PrivateKey(FIRST).public_key).hex(),
    )
    bureau, now = voting["tax-bureau"], datetime.datetime.now(datetime.UTC)
    bureau.write("/v1/segments", {"issuer": who.id, "first": f"{who.first:020d}", "count": 50})
    for month in sorted({f"{now + datetime.timedelta(days=d):%Y-%m}" for d in (0, 1)}):
        quota = {
            "issuer": who.id,
            "month": month,
            "net": 10**9,
            "valid_from": f"{now - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "valid_to": f"{now + datetime.timedelta(days=40):%Y-%m-%dT%H:%M:%SZ}",
        }
        bureau.write("/v1/quotas", quota)
    return who


def test_who_was_admitted_acts_through_any_node_and_a_revoked_key_through_none(
    voting: Cluster, newcomer: Newcomer
) -> None:
    for serial, name in enumerate(NODES):
        reply = newcomer.post(FIRST, voting[name], newcomer.invoice(serial))
        assert reply.status in (200, 201, 202), reply
    voting.wait_equal()
    assert voting["payer"].get(f"/v1/invoices/{newcomer.first:020d}")["issuer"] == newcomer.id

    proof = sign(
        secret_key(SECOND),
        possession_message(voting.genesis.network_id, newcomer.id, public_key(SECOND)),
    )
    height = voting["payer"].status()["height"]
    rotation = RotateKey(
        KeyKind.SIGNING, public_key(FIRST), public_key(SECOND), height + 5_000, proof
    )
    newcomer.post(FIRST, voting["payer"], rotation)
    newcomer.post(SECOND, voting["issuer"], newcomer.invoice(10))
    newcomer.post(SECOND, voting["payer"], RevokeKey(KeyKind.SIGNING, public_key(FIRST)))
    voting.wait_equal()
    shown = voting["issuer"].get(f"/v1/participants/{newcomer.id}")["signing_keys"]
    assert [key["live"] for key in shown] == [False, True]
    for serial, name in enumerate(NODES, 20):
        refused = newcomer.post(FIRST, voting[name], newcomer.invoice(serial))
        assert (refused.status, refused.code) == (409, "UNKNOWN_AUTHOR")
    newcomer.post(SECOND, voting["tax-bureau"], newcomer.invoice(30))
    voting.wait_equal()
    assert voting["payer"].get(f"/v1/invoices/{newcomer.first + 30:020d}")["gross"] == 11_300


def waits_for_retired(member: Member) -> list[tuple[str, str, int]]:
    items = member.get("/v1/inbox")["items"]
    return [(i["kind"], i["for_issuer"], i["form"]) for i in items if "for_issuer" in i]


def expect_waiting(member: Member, expected: list[tuple[str, str, int]]) -> None:
    """The index follows the ledger within two seconds."""
    wait_until(f"{expected} waits", lambda: waits_for_retired(member) == expected)


def test_the_bureaus_node_issues_the_red_letter_of_who_has_retired(
    voting: Cluster, newcomer: Newcomer
) -> None:
    bureau = voting["tax-bureau"]
    newcomer.post(SECOND, voting["payer"], newcomer.invoice(40))
    segment = {"issuer": bureau.participant, "first": f"{newcomer.first + 500:020d}", "count": 9}
    bureau.write("/v1/segments", segment)
    decide(voting, action="retire", participant=newcomer.id)
    refused = newcomer.post(SECOND, voting["payer"], LapseResponse("0" * 20))
    assert refused.code == "AUTHOR_NOT_ACTIVE"

    path = f"/v1/invoices/{newcomer.first + 40:020d}"
    voting["payer"].write(f"{path}/red", {"amount": 11_300, "reason": "issuing_error"})
    expect_waiting(bureau, [("red_confirmation", newcomer.id, 0)])
    assert waits_for_retired(voting["payer"]) == []
    bureau.write(f"{path}/red/0/confirm", {})
    expect_waiting(bureau, [("red_issue", newcomer.id, 0)])
    sealed = {"order_id": "R-1", "details": {"remarks": "issuer retired"}}
    red = bureau.write(f"{path}/red/0/issue", sealed)
    expect_waiting(bureau, [])
    shown = voting["payer"].get(f"/v1/invoices/{red['number']}")

    assert red["number"] == segment["first"]
    assert (shown["issuer"], shown["original"]) == (newcomer.id, path.rsplit("/", maxsplit=1)[-1])


def test_a_node_rotates_its_key_while_it_issues(voting: Cluster) -> None:
    issuer = voting["issuer"]
    (old,) = [k["key"] for k in command(issuer, "key", "list")["keys"] if k["kind"] == "signing"]
    refused: list[Reply] = []
    issued = 0
    stop = threading.Event()

    def issue() -> None:
        nonlocal issued
        while not stop.is_set():
            body = {
                "order_id": f"while-{issued}",
                "buyer": voting["payer"].participant,
                "currency": "CNY",
                "groups": [{"rate": 1300, "net": 100}],
                "details": {"remarks": f"order {issued}"},
            }
            reply = issuer.ask("POST", "/v1/invoices?wait=final&timeout_s=30", body)
            if reply.status == 201:
                issued += 1
            else:
                refused.append(reply)

    thread = threading.Thread(target=issue)
    thread.start()
    try:
        signing = command(issuer, "key", "rotate")
        sealing = command(issuer, "key", "rotate", "--kind", "sealing", "--ends-after", "900000")
        command(issuer, "key", "revoke", old)
        command(issuer, "key", "revoke", sealing["old"], "--kind", "sealing")
    finally:
        before = issued
        stop.wait(1.0)
        stop.set()
        thread.join(60)

    assert (signing["old"], signing["state"]) == (old, "final")
    assert refused == []
    assert issued > before
    live = {
        key["key"]: key["kind"] for key in command(issuer, "key", "list")["keys"] if key["live"]
    }
    assert live == {signing["new"]: "signing", sealing["new"]: "sealing"}

    # What was sealed before the rotation and what is sealed after it opens, also after a restart.
    last = issuer.get("/v1/invoices?limit=500")["invoices"]
    numbers = [invoice["number"] for invoice in last if invoice["issuer"] == issuer.participant]
    voting.stop("issuer")
    voting.start("issuer")
    for number in (numbers[0], numbers[-1]):
        assert issuer.get(f"/v1/invoices/{number}")["details"]["remarks"].startswith("order ")
    voting.issue("after the restart")
    voting.wait_equal()
    assert voting.tracebacks() == []
