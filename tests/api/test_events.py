"""The event stream: order, resuming, filters, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientResponse, ClientSession
from prometheus_client import CollectorRegistry
from typing_extensions import override

from node.api.config import ApiConfig
from node.api.security import Scope, TokenSet
from node.following.outcomes import Heights
from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.runtime.server import ApiServer
from node.storage.index import QueryIndex
from tests.api.client import NOW_MS, TOKENS, ApiClient, FixedClock
from tests.api.fake_node import FakeBlock, FakeNode

Event = tuple[str, int | None, dict[str, object]]
HEADERS = {"Authorization": f"Bearer {TOKENS[Scope.READ]}"}
ADMIN_HEADERS = {"Authorization": f"Bearer {TOKENS[Scope.ADMIN]}"}
SIGN = ops.SignOffer("1" * 20)


class Stream:
    """Reads events of one response."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def read(self, count: int) -> list[Event]:
        """The next events; comments are skipped."""
        events: list[Event] = []
        fields: dict[str, str] = {}
        async with asyncio.timeout(5):
            while len(events) < count:
                line = (await self._response.content.readline()).decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name in {"id", "event", "data"}:
                    fields[name] = value
                elif not line and "event" in fields:
                    identity = int(fields["id"]) if "id" in fields else None
                    events.append((fields["event"], identity, json.loads(fields["data"])))
                    fields = {}
        return events

    async def comment(self, text: str) -> None:
        """Read until a comment."""
        async with asyncio.timeout(5):
            while text not in (await self._response.content.readline()).decode():
                pass


@asynccontextmanager
async def stream(api: ApiClient, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    async with api.session.get(f"/v1/events{query}", headers={**HEADERS, **headers}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def test_transactions_come_before_their_block_which_carries_the_id(
    api: ApiClient, node: FakeNode
) -> None:
    async with stream(api, "?from_height=1") as events:
        await node.submit_operations((SIGN,))
        found = await events.read(4)

    # The repeated `final` comes first when the stream opens before anything is final.
    kinds = [(name, identity) for name, identity, _ in found]
    assert kinds == [("final", None), ("transaction", None), ("block", 1), ("final", None)]
    transaction, block, final = found[1][2], found[2][2], found[3][2]
    assert (transaction["height"], transaction["index"], transaction["code"]) == (1, 0, "OK")
    assert (block["height"], block["count"], block["first_index"]) == (1, 1, 0)
    assert final == {"height": 1}


async def test_a_refused_transaction_tells_its_code(api: ApiClient, node: FakeNode) -> None:
    node.next_code = Code.NOT_HOLDER
    async with stream(api, "?types=transaction&from_height=1") as events:
        await node.submit_operations((SIGN,))
        ((name, identity, data),) = await events.read(1)

    assert (name, identity, data["code"]) == ("transaction", 1, "NOT_HOLDER")


async def test_resuming_continues_after_the_last_id_with_no_gap_and_no_repeat(
    api: ApiClient, node: FakeNode
) -> None:
    heights: list[object] = []
    for _ in range(40):
        await node.submit_operations((SIGN,))
    last = "0"
    for _ in range(4):
        async with stream(api, "?types=block", **{"Last-Event-ID": last}) as events:
            for _, identity, data in await events.read(10):
                heights.append(data["height"])
                last = str(identity)

    assert heights == list(range(1, 41))


async def test_finality_is_told_again_on_resuming(api: ApiClient, node: FakeNode) -> None:
    node.automatic = False
    await node.submit_operations((SIGN,))
    await node.commit()
    async with stream(api, "?from_height=1&types=block,final") as events:
        before = await events.read(2)
    node.finalise()
    async with stream(api, "?types=block,final", **{"Last-Event-ID": "1"}) as events:
        ((name, identity, data),) = await events.read(1)

    assert [(n, i, d["height"]) for n, i, d in before] == [("block", 1, 1), ("final", None, 0)]
    assert (name, identity, data) == ("final", None, {"height": 1})


async def test_a_stream_of_finality_alone_carries_ids(api: ApiClient, node: FakeNode) -> None:
    async with stream(api, "?types=final") as events:
        first = await events.read(1)
        await node.submit_operations((SIGN,))
        second = await events.read(1)

    assert first == [("final", 0, {"height": 0})]
    assert second == [("final", 1, {"height": 1})]


async def test_without_a_position_only_what_comes_is_told(api: ApiClient, node: FakeNode) -> None:
    await node.submit_operations((SIGN,))
    async with stream(api, "?types=block") as events:
        await node.submit_operations((SIGN,))
        ((_, identity, _data),) = await events.read(1)

    assert identity == 2


async def test_an_id_from_the_future_waits(api: ApiClient, node: FakeNode) -> None:
    async with stream(api, "?types=block", **{"Last-Event-ID": "2"}) as events:
        for _ in range(3):
            await node.submit_operations((SIGN,))
        ((_, identity, _data),) = await events.read(1)

    assert identity == 3


@pytest.mark.parametrize("query", ["?types=odd", "?types=", "?from_height=x", "?from_height=-1"])
async def test_a_wrong_query_is_400(api: ApiClient, query: str) -> None:
    assert (await api.get(f"/v1/events{query}")).status == 400


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 17])
async def test_a_wrong_last_event_id_is_400(api: ApiClient, last: str) -> None:
    assert (await api.get("/v1/events", headers={"Last-Event-ID": last})).status == 400


async def serve(
    node: FakeNode, index: QueryIndex, config: ApiConfig
) -> tuple[ApiServer, ApiClient]:
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(config, node, {"invoices": node}, index, tokens, CollectorRegistry())
    await server.start()
    session = ClientSession(f"http://127.0.0.1:{server.port}")
    return server, ApiClient(session, server.port, FixedClock(NOW_MS))


async def test_an_idle_stream_sends_heartbeats(node: FakeNode, index: QueryIndex) -> None:
    server, api = await serve(node, index, ApiConfig(heartbeat_s=0.05))
    async with stream(api, "?types=block") as events:
        await events.comment(": heartbeat")
        await events.comment(": heartbeat")
    await api.session.close()
    await server.stop()


async def test_streams_are_limited_and_their_places_given_back(
    node: FakeNode, index: QueryIndex
) -> None:
    server, api = await serve(node, index, ApiConfig(streams_max=1, heartbeat_s=0.05))
    async with stream(api) as events:
        await events.comment(": piaolian")
        refused = await api.get("/v1/events", scope=Scope.READ)
        async with api.session.get("/v1/events", headers=ADMIN_HEADERS) as other:
            assert other.status == 200  # who may read only takes nobody else's place
    async with asyncio.timeout(5):
        while True:
            async with api.session.get("/v1/events", headers=HEADERS) as again:
                if again.status == 200:
                    break
    await api.session.close()
    await server.stop()

    assert refused.status == 429
    assert "Retry-After" in refused.headers


class EndlessNode(FakeNode):
    """A ledger with more blocks than any client will read: the first one, again and again."""

    read = 0

    @override
    def heights(self) -> Heights:
        return Heights(100_000, 0)

    @override
    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> list[FakeBlock]:
        self.read = from_height + limit
        first = self.stored[0]
        return [
            FakeBlock(from_height + n, 0, first.leaves, first.certificate) for n in range(limit)
        ]


async def test_a_client_that_reads_nothing_is_dropped_and_nothing_piles_up(
    index: QueryIndex,
) -> None:
    node = EndlessNode(index)
    for _ in range(200):
        node._pending.append((bytes(32), node.body((SIGN,)), Code.OK))
    await node.commit()
    server, api = await serve(node, index, ApiConfig(send_timeout_s=0.3, streams_max=1))
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1_024)
    request = "GET /v1/events?from_height=1 HTTP/1.1\r\nHost: localhost\r\n"
    writer.write(f"{request}Authorization: {HEADERS['Authorization']}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    # The stream ends by itself: its place is free while this client still reads nothing.
    async with asyncio.timeout(10):
        while True:
            async with api.session.get("/v1/events?types=final", headers=HEADERS) as again:
                if again.status == 200:
                    break
    writer.close()
    await api.session.close()
    await server.stop()

    # What the sockets' buffers took, not the whole ledger.
    assert node.read < 2_000


async def test_stopping_the_server_ends_its_streams(node: FakeNode, index: QueryIndex) -> None:
    server, api = await serve(node, index, ApiConfig())
    async with stream(api) as events:
        await events.comment(": piaolian")
        async with asyncio.timeout(5):
            await server.stop()
    await api.session.close()
