"""What one client takes, another one still has: connections, streams, sessions, workers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from node.api import listening, workers
from node.api.config import ApiConfig
from node.api.security import Scope, TokenSet
from node.api.sessions import LINKS_MAX, SESSIONS_MAX, Sessions
from node.domains.invoices.api.table_reading import TABLE_BYTES_MAX
from node.runtime.server import ApiServer
from node.storage.index import QueryIndex
from tests.api.client import NOW_MS, TOKENS, ApiClient, FixedClock
from tests.api.fake_node import FakeNode
from tests.index_parts import INDEX_PARTS

TABLE = {"Content-Type": "text/csv"}


@asynccontextmanager
async def served(
    node: FakeNode, index: QueryIndex, config: ApiConfig
) -> AsyncIterator[tuple[ApiServer, ApiClient]]:
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(config, node, {"invoices": node}, index, tokens, CollectorRegistry())
    await server.start()
    async with ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield server, ApiClient(session, server.port, FixedClock(NOW_MS))
    await server.stop()


# --- Connections ------------------------------------------------------------------------------


async def test_connections_that_ask_nothing_give_way(node: FakeNode, index: QueryIndex) -> None:
    async with served(node, index, ApiConfig(connections_max=8)) as (server, api):
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(40)]
        await asyncio.sleep(0.1)

        assert (await api.get("/readyz", scope=None)).status == 200

        assert await idle[0][0].read() == b""  # the oldest ones went
        for _, writer in idle:
            writer.close()


async def test_when_all_are_busy_a_new_one_is_told(node: FakeNode, index: QueryIndex) -> None:
    async with served(node, index, ApiConfig(connections_max=3)) as (server, api):
        head = (
            "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {TOKENS[Scope.READ]}\r\n\r\n"
        )
        busy = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head.encode())
            await reader.readuntil(b"piaolian events")
            busy.append(writer)

        answer = await api.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"] == "TOO_MANY_CONNECTIONS"
        for writer in busy:
            writer.close()


LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ask_and_not_read(port: int, times: int) -> socket.socket:
    """Ask so often for some 400 KB, with room for nearly nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", port))
    client.sendall(LARGE * times)
    return client


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_clients_that_do_not_read_keep_no_descriptors(
    node: FakeNode, index: QueryIndex
) -> None:
    """A connection that is closed, but not emptied, is open: the cap is of those as well."""
    async with served(node, index, ApiConfig(connections_max=5)) as (server, api):
        before, clients = descriptors(), []
        for _ in range(40):
            clients.append(ask_and_not_read(server.port, 20))
            await asyncio.sleep(0.02)
        assert descriptors() - before <= 40 + 5  # theirs, and ours

        assert (await api.get("/readyz", scope=None)).status == 200
        for client in clients:
            client.close()


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
async def test_who_reads_nothing_of_an_answer_is_dropped(
    node: FakeNode, index: QueryIndex, close: bytes
) -> None:
    config = ApiConfig(send_timeout_s=0.3, keepalive_timeout_s=0.2)
    async with served(node, index, config) as (server, _):
        before = descriptors()
        client = ask_and_not_read(server.port, 30)
        client.sendall(LARGE[:-2] + close + b"\r\n")
        async with asyncio.timeout(5):
            while descriptors() == before + 1:  # not taken yet
                await asyncio.sleep(0.01)
            while descriptors() > before + 1:
                await asyncio.sleep(0.05)
        client.close()


async def test_who_reads_slowly_gets_the_whole_answer(node: FakeNode, index: QueryIndex) -> None:
    async with served(node, index, ApiConfig(send_timeout_s=0.3)) as (server, api):
        length = len((await api.get("/openapi.json", scope=None)).content)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=8_192)
        writer.write(LARGE * 30)
        got = 0
        async with asyncio.timeout(15):
            while got < 30 * length:
                piece = await reader.read(200_000)
                assert piece, got
                got += len(piece)
                await asyncio.sleep(0.005)
        writer.close()


async def test_what_all_clients_leave_unread_is_bounded(
    node: FakeNode, index: QueryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "UNREAD_BYTES_MAX", 500_000)
    async with served(node, index, ApiConfig()) as (server, api):
        before, clients = descriptors(), []
        for _ in range(12):
            clients.append(ask_and_not_read(server.port, 30))
            await asyncio.sleep(0.05)
        assert server._runner is not None
        waiting = [each.unread_bytes for each in server._runner._connections._open]
        assert 0 < sum(waiting) <= 500_000
        assert descriptors() - before < 12 + 12  # theirs, and ours
        assert (await api.get("/livez", scope=None)).status == 200
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "check",
    [
        test_connections_that_ask_nothing_give_way,
        test_when_all_are_busy_a_new_one_is_told,
        test_clients_that_do_not_read_keep_no_descriptors,
        partial(test_who_reads_nothing_of_an_answer_is_dropped, close=b""),
        test_who_reads_slowly_gets_the_whole_answer,
    ],
    ids=["idle", "busy", "descriptors", "unread", "slow"],
)
def test_the_same_holds_on_the_loop_of_a_node(
    tmp_path: Path, check: Callable[[FakeNode, QueryIndex], Coroutine[None, None, None]]
) -> None:
    """Its connections are of classes of its own, and count by themselves what waits."""
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        index = await QueryIndex.open(tmp_path / "index.db", INDEX_PARTS, b"network")
        await check(FakeNode(index), index)
        await index.close()

    uvloop.run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_are_answered_with_a_problem(
    api: ApiClient, sent: bytes
) -> None:
    answer = await api.raw(sent)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head[:9] in {b"HTTP/1.0 ", b"HTTP/1.1 "}
    assert head[9:12] == b"400"
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "BAD_REQUEST"


# --- Sessions and links -----------------------------------------------------------------------


def test_a_reader_ends_nobody_elses_session_and_takes_nobody_elses_link() -> None:
    sessions = Sessions("node", lambda: 0.0)
    admin = sessions.redeem(sessions.invite(Scope.ADMIN))
    waiting = sessions.invite(Scope.ADMIN)
    assert admin is not None
    for _ in range(2 * SESSIONS_MAX):
        assert sessions.redeem(sessions.invite(Scope.READ)) is not None
    for _ in range(2 * LINKS_MAX):
        sessions.invite(Scope.READ)

    assert sessions.use(admin) is not None
    assert sessions.redeem(waiting) is not None


# --- Workers ----------------------------------------------------------------------------------


async def test_tables_wait_for_a_while_and_no_further(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond those that wait, a body is refused before it is read."""
    done = asyncio.Event()

    async def slow(*_: object) -> bytes:
        await done.wait()
        return b"{}"

    async def post() -> int:
        answer = await api.call(
            "POST", "/v1/tables:read", data=b"order_id\n", headers=TABLE, scope=Scope.OPERATE
        )
        return answer.status

    monkeypatch.setattr("node.domains.invoices.api.table_reading.read_table", slow)
    places = workers.WAITING_MAX + 1  # and the one that runs
    posts = [asyncio.ensure_future(post()) for _ in range(places + 7)]
    while sum(each.done() for each in posts) < 7:
        await asyncio.sleep(0.01)
    assert {each.result() for each in posts if each.done()} == {429}

    done.set()

    statuses = await asyncio.gather(*posts)
    assert (statuses.count(200), statuses.count(429)) == (places, 7)
    assert await post() == 200  # the places were given back


async def test_a_job_that_nobody_waits_for_is_not_done(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(*_: object) -> bytes:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setattr("node.domains.invoices.api.table_reading.read_table", endless)
    head = (
        "POST /v1/tables:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        f"Authorization: Bearer {TOKENS[Scope.OPERATE]}\r\nContent-Length: 3\r\n\r\na,b"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(head.encode())
    async with asyncio.timeout(5):
        await begun.wait()
    writer.close()

    async with asyncio.timeout(5):
        await ended.wait()


def test_the_largest_table_and_its_copies_fit_the_places() -> None:
    assert TABLE_BYTES_MAX * (workers.WAITING_MAX + 1) <= 80 << 20
