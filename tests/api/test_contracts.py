"""What every route answers: what is missing, health, faults, limits, scopes."""

from __future__ import annotations

import pytest

from node.api.config import ApiConfig
from node.api.security import Scope
from node.following.evidence_views import EvidenceItem
from node.ledger.codes import Code
from node.runtime.routes import ROUTES
from node.services.status import Check
from tests.api.client import ApiClient
from tests.api.fake_node import FakeNode


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/transactions/{'0' * 64}",
        f"/v1/transactions/{'0' * 64}/receipt",
        "/v1/transactions/xyz",
        f"/v1/transactions/{'A' * 64}",
        "/v1/invoices/99999999999999999999",
        "/v1/invoices/٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩",
        "/v1/invoices/1/trace",
        "/v1/blocks/1",
        "/v1/blocks/99999999999999999",
        "/v1/blocks/-1",
        "/v1/checkpoint",
        "/v1/nothing",
        "/v1/exchange/queries",
        "/nothing",
    ],
)
async def test_what_is_not_there_is_404(api: ApiClient, path: str) -> None:
    answer = await api.get(path)

    assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")


async def test_status_has_every_promised_field(api: ApiClient) -> None:
    status = (await api.get("/v1/status", scope=Scope.READ)).json

    promised = {
        *("node", "participant", "roles", "network_id", "version", "raft", "height"),
        *("final_height", "tree_size", "root", "peers", "pool", "state_digest", "index"),
    }
    assert promised <= status.keys()
    assert status["raft"].keys() == {
        "state",
        "term",
        "leader",
        "commit_index",
        "applied_index",
        "base_index",
    }
    assert status["peers"][0] == {
        "node": "payer",
        "connected": True,
        "height": 1,
        "rtt_ms": 2,
        "strikes": 0,
    }
    assert status["pool"] == {"transactions": 0, "bytes": 0}


async def test_evidence_names_the_voter(api: ApiClient, node: FakeNode) -> None:
    node.found = [EvidenceItem(bytes(32), "two_roots", "payer", "payer signed two", 0, b"\x01")]

    answer = await api.get("/v1/evidence")

    (item,) = answer.json["evidence"]
    assert (item["voter"], item["body"], item["found"]) == (
        "payer",
        "AQ==",
        "1970-01-01T00:00:00.000Z",
    )


async def test_evidence_is_a_file_by_its_id(api: ApiClient, node: FakeNode) -> None:
    node.found = [EvidenceItem(bytes(32), "roots", "payer", "payer signed two", 0, b"\x01")]

    answer = await api.get(f"/v1/evidence/{'00' * 32}")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.content == b"file of payer\n"
    for other in ("11" * 32, "00", "00" * 31 + "0g", "AA" * 32, "00" * 33):
        assert (await api.get(f"/v1/evidence/{other}")).status == 404


async def test_every_ledger_code_is_explained_in_both_languages(api: ApiClient) -> None:
    listed = {code["name"]: code for code in (await api.get("/v1/codes")).json["codes"]}

    for code in Code:
        assert listed[code.name]["number"] == code
        assert listed[code.name]["en"]
        assert listed[code.name]["zh"]
    assert listed["NO_QUORUM"]["number"] is None


async def test_health_names_the_failing_checks(api: ApiClient, node: FakeNode) -> None:
    ok = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]
    node.failing = [Check("quorum", False, "2 of 4 voters"), Check("store", True)]
    slow = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]
    node.failing = [Check("store", False, "disk failed", fatal=True)]
    dead = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]

    assert [a.status for a in ok + slow + dead] == [200, 200, 200, 503, 503, 503]
    assert slow[1].json["failing"] == [{"name": "quorum", "detail": "2 of 4 voters"}]


async def test_metrics_tell_the_node_and_the_requests(api: ApiClient, node: FakeNode) -> None:
    await api.get("/v1/status")
    await api.get(f"/v1/transactions/{'0' * 64}")
    node.failing = [Check("quorum", False)]

    text = (await api.get("/metrics", scope=None)).content.decode()
    openmetrics = await api.get(
        "/metrics", scope=None, headers={"Accept": "application/openmetrics-text"}
    )

    assert "piaolian_height 0.0" in text
    assert 'piaolian_build_info{version="0.1.0"} 1.0' in text
    assert 'piaolian_ready{check="quorum"} 0.0' in text
    assert 'route="/v1/transactions/{id}",status="404"' in text
    assert "piaolian_peers 1.0" in text
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.content.endswith(b"# EOF\n")


async def test_a_fault_of_the_node_is_500_and_says_nothing_of_itself(
    api: ApiClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(node, "heights", fail)

    answer = await api.get("/v1/blocks")

    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert b"secret" not in answer.content


async def test_waiting_requests_are_limited(api: ApiClient, config: ApiConfig) -> None:
    answer = await api.get(f"/v1/transactions/{'0' * 64}?wait=final&timeout_s=0.01")

    assert answer.status == 404
    assert config.waiting_max > 0


async def test_wrong_method_is_405_with_allow(api: ApiClient) -> None:
    answer = await api.call("DELETE", "/v1/blocks")

    assert (answer.status, answer.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET,HEAD"


def test_every_write_needs_the_operate_scope_and_who_takes_part_the_admin_scope() -> None:
    for route in ROUTES:
        if route.method == "POST" and route.path != "/v1/sessions":
            admin = route.tag in {"keys", "governance"}
            assert route.scope is (Scope.ADMIN if admin else Scope.OPERATE), route.path
