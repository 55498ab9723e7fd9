"""200 receipts of four running nodes before verifiers that share no code with them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.chain.mutations import mutations
from tests.cluster.cluster import Cluster
from tests.outsider import go_program
from tests.outsider.verifier.encoding import InvalidError
from tests.outsider.verifier.network import Network, read_genesis
from tests.outsider.verifier.proof import verify_proof

pytestmark = pytest.mark.slow
INVOICES = 12


@pytest.fixture(scope="module")
def network(cluster: Cluster) -> Network:
    return read_genesis((cluster.folder / "network.toml").read_bytes())


@pytest.fixture(scope="module")
def proofs(cluster: Cluster) -> list[bytes]:
    """Of invoices, answers and refusals, from every node; with items of the details."""
    made: list[bytes] = []
    for number in range(INVOICES):
        issued = issue(cluster, number)
        path = f"/v1/invoices/{issued['number']}"
        answered = cluster["payer"].write(f"{path}/respond", {"response": "accepted"})
        refused = cluster["reimburser"].ask(
            "POST", f"{path}/claim?wait=final&timeout_s=30", {"amount": 100}
        )
        assert (refused.status, refused.code) == (409, "NOT_SUBMITTED")
        for txid in (issued["transaction"], answered["transaction"], refused.body["transaction"]):
            made += {member.receipt(txid) for member in cluster.living}
        shown = [f"/lines/{line}" for line in range(number + 1)] + ["/remarks", "/buyer/name"]
        choices = [*combinations(shown, 1), *combinations(shown, 2), tuple(shown)]
        for items in choices[:: max(1, len(choices) // 12)]:
            query = urlencode({"disclose": items}, doseq=True)
            receipt = cluster["issuer"].get(
                f"/v1/transactions/{issued['transaction']}/receipt?{query}"
            )
            assert isinstance(receipt, bytes)
            made.append(receipt)
    assert len(made) == len(set(made)) >= 200
    return made


def issue(cluster: Cluster, number: int) -> dict[str, str]:
    lines = [
        {"description": f'商品 {line} ~/"', "quantity": "1", "net": 1_000 + line, "rate": 1300}
        for line in range(number + 1)
    ]
    body = {
        "order_id": f"outsider-{number}",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "details": {"buyer": {"name": "福建海峡贸易有限公司"}, "remarks": "付款后发货"},
        "lines": lines,
    }
    return cluster["issuer"].write("/v1/invoices", body)


def test_they_agree_with_ours(cluster: Cluster, network: Network, proofs: list[bytes]) -> None:
    codes = set()
    for data in proofs:
        verdict = cluster.verify(data)
        assert verdict.valid, verdict.reason
        found = verify_proof(data, network)
        assert (found["transaction"], found["height"]) == (verdict.transaction, verdict.height)
        assert tuple(found["cosigners"]) == verdict.cosigners
        assert [item["path"] for item in found["disclosed"]] == [
            item.path for item in verdict.disclosed
        ]
        assert json.dumps([item["value"] for item in found["disclosed"]]) == json.dumps(
            [item.value for item in verdict.disclosed]
        )
        codes.add(verdict.code)
    assert len(codes) == 2


def test_they_refuse_2000_changed_ones(
    cluster: Cluster, network: Network, proofs: list[bytes]
) -> None:
    for number, data in enumerate(proofs[:200]):
        for changed in mutations(data, [data], 10, seed=number):
            assert not cluster.verify(changed).valid
            with pytest.raises(InvalidError):
                verify_proof(changed, network)


@pytest.mark.skipif(go_program.is_missing(), reason=go_program.MISSING)
def test_go_accepts_them(cluster: Cluster, proofs: list[bytes], tmp_path: Path) -> None:
    program = go_program.build(tmp_path)
    lines = go_program.run(program, tmp_path / "proofs", cluster.genesis, proofs)
    assert len(lines) == len(proofs)
    assert all(line.startswith("ok ") for line in lines)
