"""A running API over a node in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout
from prometheus_client import CollectorRegistry

from node.api.config import ApiConfig
from node.api.security import Scope, TokenSet
from node.runtime.server import ApiServer
from node.storage.index import QueryIndex
from tests.api.client import NOW_MS, TOKENS, ApiClient, FixedClock
from tests.api.fake_holds import FakeHolds
from tests.api.fake_node import FakeNode
from tests.index_parts import INDEX_PARTS


@pytest.fixture
def config() -> ApiConfig:
    return ApiConfig()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[QueryIndex]:
    opened = await QueryIndex.open(tmp_path / "index.db", INDEX_PARTS, b"network")
    yield opened
    await opened.close()


@pytest.fixture
async def node(index: QueryIndex) -> FakeNode:
    return FakeNode(index)


@pytest.fixture
async def holds(node: FakeNode) -> FakeHolds:
    return FakeHolds(node)


@pytest.fixture
async def api(
    config: ApiConfig, node: FakeNode, holds: FakeHolds, index: QueryIndex
) -> AsyncIterator[ApiClient]:
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    clock = FixedClock(NOW_MS)
    services = {"invoices": node, "invoices/holds": holds}
    server = ApiServer(config, node, services, index, tokens, CollectorRegistry(), clock)
    await server.start()
    async with ClientSession(
        f"http://127.0.0.1:{server.port}", timeout=ClientTimeout(total=20)
    ) as session:
        yield ApiClient(session, server.port, clock)
    await server.stop()
