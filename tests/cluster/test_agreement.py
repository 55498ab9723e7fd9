"""Four daemons, one ledger: same root, proofs that stand alone, no claim beyond the amount."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from typing import Any

import pytest

from tests.cluster.cluster import FOUR, Cluster

pytestmark = pytest.mark.slow

GROSS = 11_300


@pytest.fixture(scope="module")
def business(cluster: Cluster) -> dict[str, Any]:
    """An invoice issued, handed on, claimed in part, reimbursed and booked."""
    issued = cluster.issue("order-1")
    path = f"/v1/invoices/{issued['number']}"
    payer, reimburser = cluster["payer"], cluster["reimburser"]
    payer.write(f"{path}/submit", {"to": reimburser.participant, "amount": GROSS})
    claimed = reimburser.write(f"{path}/claim", {"amount": 6_000})
    reimburser.write(
        f"{path}/reimburse", {"claim": 0, "amount": 5_000, "booking": "B-1", "payment": "P-1"}
    )
    payer.write(f"{path}/book", {"reference": "voucher"})
    for number in range(20):
        cluster.issue(f"more-{number}")
    cluster.wait_equal()
    return {**issued, "path": path, "claim": claimed["transaction"]}


def test_all_nodes_have_one_height_root_digest_and_invoice(
    cluster: Cluster, business: dict[str, Any]
) -> None:
    status = cluster.wait_equal()

    assert status["height"] > 20
    seen = [cluster[name].get(business["path"]) for name in FOUR]
    public = [
        {key: invoice[key] for key in ("number", "gross", "available", "holder")}
        for invoice in seen
    ]
    assert all(view == public[0] for view in public)
    assert public[0]["gross"] == GROSS
    assert public[0]["available"] == GROSS - 5_000
    rows = cluster["issuer"].business_rows()
    assert all(cluster[name].business_rows() == rows for name in FOUR)


@pytest.mark.parametrize("name", FOUR)
def test_a_receipt_of_any_node_verifies_with_the_genesis_alone(
    cluster: Cluster, business: dict[str, Any], name: str
) -> None:
    for txid in (business["transaction"], business["claim"]):
        verdict = cluster.verify(cluster[name].receipt(txid))

        assert (verdict.valid, verdict.reason) == (True, "")
        assert verdict.transaction == txid
        assert verdict.code == 0
        assert len(verdict.cosigners) == cluster.voters.q


def test_a_receipt_with_any_byte_changed_fails_with_a_reason(
    cluster: Cluster, business: dict[str, Any]
) -> None:
    rng = random.Random("changed bytes")
    proof = cluster["payer"].receipt(business["transaction"])

    for place in range(len(proof)):
        changed = bytearray(proof)
        changed[place] ^= 1 << rng.randrange(8)
        verdict = cluster.verify(bytes(changed))

        assert not verdict.valid, f"byte {place} of {len(proof)} may be changed"
        assert verdict.reason
    for cut in (0, 1, len(proof) // 2, len(proof) - 1):
        assert cluster.verify(proof[:cut]).reason
    assert cluster.verify(proof + b"\n").reason


def test_a_claim_beyond_the_available_amount_is_refused_on_every_node(
    cluster: Cluster, business: dict[str, Any]
) -> None:
    available = GROSS - 5_000

    reply = cluster["reimburser"].ask(
        "POST", f"{business['path']}/claim?wait=final", {"amount": available + 1}
    )

    assert (reply.status, reply.code) == (409, "INSUFFICIENT_AVAILABLE")
    txid = reply.body["transaction"]
    for name in FOUR:
        seen = cluster[name].get(f"/v1/transactions/{txid}?wait=final&timeout_s=20")
        assert (seen["state"], seen["code"], seen["final"]) == (
            "refused",
            "INSUFFICIENT_AVAILABLE",
            True,
        )
        verdict = cluster.verify(cluster[name].receipt(txid))
        assert verdict.valid
        assert verdict.code == 160  # the refusal is proven as well


def test_no_node_logged_a_fault(cluster: Cluster, business: dict[str, Any]) -> None:
    assert cluster.tracebacks() == []
