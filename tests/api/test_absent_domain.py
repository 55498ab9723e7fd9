"""On a network without a domain its routes say so, and nothing of it is described or indexed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout
from prometheus_client import CollectorRegistry

from node.api.config import ApiConfig
from node.api.security import Scope, TokenSet
from node.domains.invoices.domain import DOMAIN as INVOICES
from node.domains.membership.domain import DOMAIN as MEMBERSHIP
from node.runtime.domains import DOMAINS, absent_from, domains_of, index_parts
from node.runtime.server import ApiServer
from node.storage.index import QueryIndex
from tests.api.client import NOW_MS, TOKENS, ApiClient, FixedClock
from tests.api.fake_node import FakeNode
from tests.ledger.world import make_genesis
from tests.terms import make_terms

GENESIS = make_genesis(make_terms(("membership",)))


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[ApiClient]:
    index = await QueryIndex.open(tmp_path / "index.db", index_parts(GENESIS), b"network")
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    node, domains = FakeNode(index), domains_of(GENESIS)
    server = ApiServer(ApiConfig(), node, {}, index, tokens, CollectorRegistry(), domains=domains)
    await server.start()
    async with ClientSession(
        f"http://127.0.0.1:{server.port}", timeout=ClientTimeout(total=20)
    ) as session:
        yield ApiClient(session, server.port, FixedClock(NOW_MS))
    await server.stop()
    await index.close()


def test_a_genesis_says_which_domains_a_network_has() -> None:
    assert domains_of(GENESIS) == (MEMBERSHIP,)
    assert set(absent_from((MEMBERSHIP,))) == {*DOMAINS} - {MEMBERSHIP}
    assert INVOICES in domains_of(make_genesis())
    assert domains_of(make_genesis()) == DOMAINS


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/invoices"),
        ("GET", "/v1/invoices/26310000000000000001"),
        ("GET", "/v1/terms"),
        ("POST", "/v1/invoices/26310000000000000001/book"),
    ],
)
async def test_its_routes_say_that_it_is_absent(alone: ApiClient, method: str, path: str) -> None:
    scope = Scope.OPERATE
    answer = await (alone.get(path, scope=scope) if method == "GET" else alone.post(path, {}))

    assert (answer.status, answer.json["code"]) == (404, "DOMAIN_ABSENT")
    assert "'invoices'" in answer.json["detail"]


async def test_they_say_so_to_nobody_without_a_token(alone: ApiClient) -> None:
    assert (await alone.get("/v1/invoices", scope=None)).status == 401


async def test_only_what_is_there_is_described(alone: ApiClient) -> None:
    document = (await alone.get("/openapi.json", scope=None)).json

    assert "/v1/participants" in document["paths"]
    assert [path for path in document["paths"] if "invoice" in path] == []


async def test_the_others_answer(alone: ApiClient) -> None:
    assert (await alone.get("/v1/participants")).status == 200


def test_the_index_has_no_tables_of_it() -> None:
    names = {part.name for part in index_parts(GENESIS)}

    assert "invoices" in {part.name for part in index_parts(make_genesis())} - names


async def test_its_pages_and_their_texts_are_absent(alone: ApiClient) -> None:
    script = (await alone.get("/static/domains.js", scope=None)).content.decode()
    assert script.splitlines()[-1] == "export const domains = [membership];"
    texts = (await alone.get("/static/lang/zh.json", scope=None)).json
    assert "nav.participants" in texts
    assert "nav.invoices" not in texts
    for path, status in (("/participants", 200), ("/invoices", 404)):
        assert (await alone.get(path, scope=None)).status == status
    assert (await alone.get("/static/invoices/index.js", scope=None)).status == 404
