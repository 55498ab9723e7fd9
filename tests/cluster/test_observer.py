"""Observers on live nodes: admitted later, they follow, serve, hand in; and nobody else gets in."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from node.setup.cards import NodeCard
from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.load import signed_invoices
from tests.cluster.observers import admit, make_observer, start, wait_level

pytestmark = pytest.mark.slow

Observer = tuple[Member, NodeCard]
BLOCKS = 60


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Observer]:
    """An observer whose participant the bureau admits after the network has made blocks."""
    member, card = make_observer(cluster, "bank")
    fill(cluster)
    start(member)
    try:
        yield member, card
    finally:
        member.local.send_signal(signal.SIGKILL)
        member.local.wait_stopped(10.0)


def fill(cluster: Cluster, blocks: int = BLOCKS) -> None:
    for _ in range(blocks):
        height = cluster["issuer"].status()["height"]
        wires = [transaction.wire for transaction in signed_invoices(cluster, 5)]
        assert cluster["issuer"].submit(wires).status == 202
        wait_until("a block", partial(is_above, cluster["issuer"], height))


def is_above(member: Member, height: int) -> bool:
    return int(member.status()["height"]) > height


def failing(member: Member) -> dict[str, str]:
    reply = member.ask("GET", "/readyz")
    return {each["name"]: each["detail"] for each in (reply.body or {}).get("failing", [])}


def test_who_was_not_admitted_is_not_let_in_and_says_why(cluster: Cluster, bank: Observer) -> None:
    member, card = bank
    wait_until("it serves", lambda: member.ask("GET", "/v1/status").status == 200)
    refusal = f"{card.participant} is no participant yet"
    wait_until("it says why", lambda: refusal in failing(member).get("linked", ""))
    assert member.status()["height"] == 0
    reply = member.ask(
        "POST", "/v1/proposals", {"action": "retire", "participant": card.participant}
    )
    assert (reply.status, reply.code) == (503, "NO_QUORUM")
    assert cluster["issuer"].status()["observers"] == []


def test_once_admitted_it_catches_up_and_is_equal(cluster: Cluster, bank: Observer) -> None:
    member, card = bank
    admit(cluster, card)
    status = wait_level(member, cluster)
    assert int(str(status["height"])) > BLOCKS
    assert status["roles"] == ["issuer"]
    assert status["raft"]["state"] == "observer"  # type: ignore[index]
    wait_until("it is ready", lambda: member.ask("GET", "/readyz").status == 200)
    wait_until("all know it", lambda: cluster["payer"].status()["observers"] == [card.participant])
    page = member.ask("GET", "/")
    assert page.status == 200
    assert b"<html" in page.body


def test_an_invoice_through_it_is_final_at_once_and_its_receipt_verifies(
    cluster: Cluster, bank: Observer
) -> None:
    member, card = bank
    bureau, month = cluster["tax-bureau"], time.strftime("%Y-%m", time.gmtime())
    first = f"{time.gmtime().tm_year % 100:02}44{'7' * 1}{'0' * 14}1"
    bureau.write("/v1/segments", {"issuer": card.participant, "first": first, "count": 1_000})
    quota = {"issuer": card.participant, "month": month, "net": 10**9}
    period = {"valid_from": "2020-01-01T00:00:00Z", "valid_to": "2099-01-01T00:00:00Z"}
    bureau.write("/v1/quotas", quota | period)
    wait_level(member, cluster)
    body = {
        "order_id": "through-an-observer",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 10_000}],
    }
    begun = time.monotonic()
    answer = member.write("/v1/invoices", body)
    assert time.monotonic() - begun < 10.0  # measured by the bench: under a second
    assert answer["state"] == "final"
    verdict = cluster.verify(member.receipt(answer["transaction"]))
    assert (verdict.valid, verdict.height) == (True, answer["height"])
    seen = wait_until(
        "the payer's node has it",
        lambda: cluster["payer"].ask("GET", f"/v1/invoices/{answer['number']}").body,
    )
    assert seen["issuer"] == card.participant
    again = member.write("/v1/invoices", body)
    assert (again["number"], again["issued_before"]) == (answer["number"], answer["height"])


def test_it_goes_on_after_a_kill_and_from_an_empty_folder(cluster: Cluster, bank: Observer) -> None:
    member, _ = bank
    member.kill()
    fill(cluster, 3)
    start(member)
    wait_level(member, cluster)
    member.kill()
    shutil.rmtree(member.data)
    start(member)
    wait_level(member, cluster)
    assert member.ask("GET", "/readyz").status == 200


def test_it_follows_while_a_voter_is_away_and_says_when_all_are(
    cluster: Cluster, bank: Observer
) -> None:
    member, _ = bank
    leader = cluster.leader()
    leader.kill()
    wait_until("another leads", lambda: cluster.leader() is not leader)
    fill_at = next(m for m in cluster.living if m is not leader)
    height = fill_at.status()["height"]
    wires = [transaction.wire for transaction in signed_invoices(cluster, 5)]
    assert fill_at.submit(wires).status == 202
    wait_until("a block", lambda: fill_at.status()["final_height"] > height)
    wait_level(member, cluster)
    others = [m.name for m in cluster.living]
    cluster.stop(*others)
    wait_until("it says so", lambda: "no voter is linked" in failing(member).get("linked", ""))
    assert member.ask("GET", "/v1/invoices?limit=1").status == 200
    cluster.start()
    wait_level(member, cluster)


def test_who_has_retired_is_shown_out_and_no_other_key_gets_in(
    cluster: Cluster, bank: Observer
) -> None:
    member, card = bank
    thief, _ = make_observer(cluster, "thief", participant=card.participant)
    start(thief)
    try:
        wait_until("it is refused", lambda: "no live key" in failing(thief).get("linked", ""))
        assert cluster["payer"].status()["observers"] == [card.participant]
    finally:
        thief.kill()
    body = {"action": "retire", "participant": card.participant, "reason": "closed"}
    cluster["tax-bureau"].write("/v1/proposals", body)
    wait_until("it is shown out", lambda: "has retired" in failing(member).get("linked", ""))
    assert cluster["payer"].status()["observers"] == []
