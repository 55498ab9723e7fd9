"""What stops when nodes stop: nothing with one, writes with two, and all goes on afterwards."""

from __future__ import annotations

import pytest

from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.load import signed_invoices

pytestmark = pytest.mark.slow


def listed(member: Member) -> set[str]:
    return {each["number"] for each in member.get("/v1/invoices?limit=100")["invoices"]}


def test_writes_go_on_without_one_node_and_stop_without_two(cluster: Cluster) -> None:
    before = cluster.issue("before")["number"]
    cluster.stop("payer")
    wait_until("a leader is known", lambda: cluster["issuer"].status()["raft"]["leader"])
    during = cluster.issue("during")["number"]

    cluster.stop("reimburser")
    left = [cluster["issuer"], cluster["tax-bureau"]]
    wait_until(
        "the two know that they have no quorum",
        lambda: all(m.ask("GET", "/readyz").status == 503 for m in left),
        10.0,
    )
    (refused,) = signed_invoices(cluster, 1)
    held = {member.name: (member.status()["outbox"], member.status()["pool"]) for member in left}
    heights = {member.name: member.status()["height"] for member in left}
    for member in left:
        reply = member.submit([refused.wire])
        assert (reply.status, reply.code) == (503, "NO_QUORUM")
        assert member.ask("GET", f"/v1/transactions/{refused.txid.hex()}").status == 404
    reply = cluster["issuer"].ask(
        "POST",
        "/v1/invoices",
        {
            "order_id": "never",
            "buyer": cluster["payer"].participant,
            "currency": "CNY",
            "groups": [{"rate": 1300, "net": 100}],
        },
    )
    assert (reply.status, reply.code) == (503, "NO_QUORUM")
    for member in left:
        status = member.status()
        outbox, pool = held[member.name]
        # What was committed before may still become final: the outbox may shrink, never grow.
        assert status["outbox"] <= outbox, "nothing is stored"
        assert status["pool"] == pool
        assert status["height"] == heights[member.name]
        for number in (before, during):
            assert member.get(f"/v1/invoices/{number}")["number"] == number
        assert b"piaolian/" in member.get("/v1/checkpoint")
        assert member.ask("GET", "/livez").status == 200

    cluster.start("payer", "reimburser")
    after = cluster.issue("after")["number"]
    cluster.wait_equal()
    for member in cluster.living:
        assert member.ask("GET", f"/v1/transactions/{refused.txid.hex()}").status == 404
        for number in (before, during, after):
            assert member.get(f"/v1/invoices/{number}")["number"] == number
    wait_until(
        "the list has these three and no other",
        lambda: listed(cluster["payer"]) == {before, during, after},
        5.0,
    )
    assert cluster.tracebacks() == []
