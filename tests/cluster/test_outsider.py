"""200 receipts of four running nodes before verifiers that share no code with them."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.chain.mutations import mutations
from tests.cluster.cluster import Cluster, Member, make_cluster
from tests.outsider import go_program
from tests.outsider.from_page.form import RefusedError
from tests.outsider.from_page.genesis import Network, read_network
from tests.outsider.from_page.note import Checkpoint, read_note
from tests.outsider.from_page.proof import read_leaf, verify_proof
from tests.outsider.from_page.tree import leaf_hash, tree_root

pytestmark = pytest.mark.slow
INVOICES = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes, of which the payer's lets anyone read its log."""
    made = make_cluster(tmp_path_factory.mktemp("network") / "net")
    config = made.folder / "payer" / "node.toml"
    config.write_text(config.read_text().replace("# public_read = false", "public_read = true"))
    try:
        made.start()
        made.open_registers()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def network(cluster: Cluster) -> Network:
    return read_network((cluster.folder / "network.toml").read_bytes())


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
        found = verify_proof(network, data)
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
            with pytest.raises(RefusedError):
                verify_proof(network, changed)


@pytest.mark.skipif(go_program.is_missing(), reason=go_program.MISSING)
def test_go_accepts_them(cluster: Cluster, proofs: list[bytes], tmp_path: Path) -> None:
    program = go_program.build(tmp_path)
    lines = go_program.run(program, tmp_path / "proofs", cluster.genesis, proofs)
    assert len(lines) == len(proofs)
    assert all(line.startswith("ok ") for line in lines)


# --- The log -------------------------------------------------------------------------------------


def fetch(member: Member, path: str) -> tuple[int, str, bytes]:
    """Status, caching and content of a path, asked without a token."""
    request = urllib.request.Request(f"http://127.0.0.1:{member.port}/{path}")
    request.add_header("Accept-Encoding", "gzip")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            content = response.read()
            if response.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            return response.status, response.headers["Cache-Control"], content
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Cache-Control"], error.read()


def opened(network: Network, note: bytes) -> Checkpoint:
    checkpoint = read_note(network, note.decode())
    assert len({voter for voter in checkpoint.signers if voter is not None}) >= network.quorum
    return checkpoint


def test_anyone_reads_the_public_log_and_its_leaves_make_its_root(
    cluster: Cluster, network: Network, proofs: list[bytes]
) -> None:
    status, caching, note = fetch(cluster["payer"], "checkpoint")
    assert (status, caching) == (200, "no-cache")
    checkpoint = opened(network, note)
    leaves: list[bytes] = []
    for start in range(0, checkpoint.size, 256):
        width = min(256, checkpoint.size - start)
        place = f"{start // 256:03}" + (f".p/{width}" if width < 256 else "")
        status, caching, bundle = fetch(cluster["payer"], f"tile/entries/{place}")
        assert status == 200
        assert ("immutable" in caching) is (width == 256)
        made, at = [], 0
        while at < len(bundle):
            size = int.from_bytes(bundle[at : at + 2], "big")
            leaf = bundle[at + 2 : at + 2 + size]
            read_leaf(network, leaf)
            leaves.append(leaf)
            made.append(leaf_hash(leaf))
            at += 2 + size
        assert len(made) == width
        assert fetch(cluster["payer"], f"tile/0/{place}")[2] == b"".join(made)
    assert tree_root(leaves) == checkpoint.root
    beyond = checkpoint.size // 256 + 1
    assert fetch(cluster["payer"], f"tile/0/{beyond:03}.p/255")[0] == 404


def test_the_others_ask_for_a_token(cluster: Cluster, proofs: list[bytes]) -> None:
    for member in cluster.living:
        for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"):
            status, caching, _ = fetch(member, path)
            if member.name == "payer":
                assert status == 200
            else:
                assert (status, caching) == (401, "no-store")
        assert fetch(member, "v1/blocks/1")[0] == 401
