"""What a hostile connection meets (p2p-and-reliability.md §5, rows 5–15)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random  # noqa: TID251 - seeded
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from p2p.errors import P2PError
from p2p.frames import (
    BYE,
    HEADER,
    PING,
    PLAINTEXT_BYTES_MAX,
    PONG,
    RECORD_BYTES_MAX,
    session_piece,
)
from p2p.types import Link
from tests.p2p.support import (
    Member,
    RawPeer,
    config,
    members,
    open_stream,
    raw_peer,
    wait_until,
)


class Target:
    """A network with one known peer, which the test plays itself."""

    def __init__(self, **changes: Any) -> None:
        self.member = Member(1, [2], config(**changes))
        self.loop_errors: list[dict[str, Any]] = []

    async def __aenter__(self) -> Target:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        await self.member.network.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.member.network.stop()
        gc.collect()
        asyncio.get_running_loop().set_exception_handler(None)
        assert self.loop_errors == []

    @property
    def port(self) -> int:
        return self.member.network.port

    @property
    def unauthenticated(self) -> int:
        listener = self.member.network._listener
        assert listener is not None
        return listener.door.unauthenticated

    def peer(self, link: Link = Link.GOSSIP) -> Any:
        return raw_peer(self.port, 2, 1, link)


def websocket_frame(first_byte: int, payload: bytes) -> bytes:
    """A masked client frame with an all-zero mask."""
    length = len(payload)
    head = bytes([first_byte])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65_536:
        head += b"\xfe" + length.to_bytes(2, "big")
    else:
        head += b"\xff" + length.to_bytes(8, "big")
    return head + bytes(4) + payload


def write_raw(peer: RawPeer, data: bytes) -> None:
    peer.stream._transport.write(data)


async def send_bytes(peer: RawPeer, data: bytes) -> None:
    await peer.stream.send(data)


OFFENCES: dict[str, tuple[Callable[[RawPeer], Awaitable[None] | None], str]] = {
    "random record": (lambda p: p.stream.send(bytes(100)), "does not authenticate"),
    "empty frame": (lambda p: p.stream.send(b""), "a record of 0 bytes"),
    "oversize record": (lambda p: p.stream.send(bytes(RECORD_BYTES_MAX + 1)), "frame"),
    "huge declared frame": (
        lambda p: write_raw(p, b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4)),
        "frame",
    ),
    "text frame": (lambda p: write_raw(p, websocket_frame(0x81, b"hello")), "text frame"),
    "websocket ping": (lambda p: write_raw(p, websocket_frame(0x89, b"x")), "ping frame"),
    "websocket pong": (lambda p: write_raw(p, websocket_frame(0x8A, b"x")), "pong frame"),
    "compressed frame": (lambda p: write_raw(p, websocket_frame(0xC2, b"x" * 50)), "frame"),
    "reserved opcode": (lambda p: write_raw(p, websocket_frame(0x83, b"x")), "frame"),
    "unknown flags": (lambda p: p.send_plain(HEADER.pack(0x40, 16, 1) + b"x"), "flags"),
    "truncated piece": (lambda p: p.send_plain(b"\x00\x10\x01"), "truncated"),
    "unknown session piece": (lambda p: p.send_plain(session_piece(77)), "session piece"),
    "a second confirmation": (lambda p: p.send_plain(session_piece(0)), "session piece 0"),
    "an answer to no ping": (lambda p: p.send_plain(session_piece(PONG, bytes(8))), "no ping"),
    "a ping flood": (lambda p: p.send_plain(session_piece(PING, bytes(8)) * 200), "pings"),
}


@pytest.mark.parametrize(("offence", "reason"), OFFENCES.values(), ids=OFFENCES.keys())
async def test_an_offence_after_authentication_closes_that_link_only(
    offence: Callable[[RawPeer], Awaitable[None] | None], reason: str
) -> None:
    async with Target() as target, target.peer(Link.RAFT) as good, target.peer() as bad:
        handler = target.member.handler
        await wait_until(lambda: handler.ups() == 2)
        result = offence(bad)
        if result is not None:
            await result
        await wait_until(handler.downs)
        (down,) = handler.downs()
        assert reason in down
        await bad.ended()
        await good.send_plain(HEADER.pack(0, 0, 2) + b"ok")
        await wait_until(lambda: handler.messages)
        assert [body for *_, body in handler.messages] == [b"ok"]


async def test_a_record_as_long_as_can_be_is_read() -> None:
    async with Target() as target, target.peer() as peer:
        body = bytes(PLAINTEXT_BYTES_MAX - HEADER.size)
        await peer.send_plain(HEADER.pack(0, 20, len(body)) + body)
        await wait_until(lambda: target.member.handler.messages)


async def test_a_goodbye_is_logged_without_what_could_spoil_a_log() -> None:
    async with Target() as target, target.peer() as peer:
        await peer.send_plain(session_piece(BYE, b"\x1b[31mred\n\xff"))
        await wait_until(target.member.handler.downs)
        (reason,) = target.member.handler.downs()
        assert reason == "closed by peer: ?[31mred?\N{REPLACEMENT CHARACTER}"


async def test_a_peer_that_never_reads_is_aborted_and_leaves_nothing() -> None:
    settings = {"tick_s": 0.02, "send_ticks_max": 10, "silent_ticks_max": 100_000}
    async with Target(**settings) as target:
        before = len(asyncio.all_tasks())
        async with target.peer() as peer:
            network, handler = target.member.network, target.member.handler
            other = target.member.network.statuses()[0].peer
            body = bytes(60_000)

            def fill() -> bool:
                while network.send(other, Link.GOSSIP, 20, body):
                    pass
                return bool(handler.downs())

            await wait_until(fill)
            assert handler.downs() == ["the peer does not read"]
            assert not network.send(other, Link.GOSSIP, 20, body)
            del peer
        await wait_until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_silent_peer_is_dead_after_its_ticks() -> None:
    async with Target(tick_s=0.02) as target, target.peer() as peer:
        handler = target.member.handler
        await wait_until(lambda: handler.ups() == 1)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await wait_until(handler.downs)
        assert "silent" in handler.downs()[0]
        assert 8 * 0.02 <= loop.time() - started < 3
        del peer


async def test_a_peer_that_answers_pings_stays() -> None:
    async with Target(tick_s=0.02, pings_per_s=1_000.0) as target, target.peer() as peer:
        for _ in range(20):
            for is_session, kind, body in await peer.receive():
                assert (is_session, kind) == (True, PING)
                await peer.send_plain(session_piece(PONG, body))
        assert target.member.handler.downs() == []
        await wait_until(lambda: target.member.network.statuses()[0].rtt_ms is not None)


async def test_a_peer_over_its_rate_is_read_slowly_not_closed() -> None:
    limits = config().gossip.__class__(8 << 20, 100.0, 50.0, 64e6, 64e6)
    async with Target(gossip=limits) as target, target.peer() as peer:
        message = HEADER.pack(0, 20, 1) + b"x"
        for _ in range(10):
            await peer.send_plain(message * 20)
        handler = target.member.handler
        await wait_until(lambda: handler.messages)
        await asyncio.sleep(0.3)
        assert 40 <= len(handler.messages) <= 160, "burst 50, then 100 a second"
        assert handler.downs() == []


async def test_a_penalised_peer_waits_before_it_is_let_in_again() -> None:
    async with Target(penalty_initial_s=0.3, penalty_max_s=0.3) as target:
        async with target.peer() as peer:
            await peer.send_plain(session_piece(77))
            await wait_until(target.member.handler.downs)
        with pytest.raises(P2PError, match="4429"):
            async with target.peer():
                pass
        await asyncio.sleep(0.35)
        async with target.peer():
            assert target.member.handler.ups() == 2


# --- Before authentication -------------------------------------------------------------------


async def closed_at_once(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> float:
    """Seconds until the other side closed."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while await reader.read(4_096):
                pass
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return loop.time() - started


SLOW = {
    "silent": b"",
    "partial header": b"GET /p2p/1 HTTP/1.1\r\nHost: x\r\n",
    "upgrade then silence": (
        b"GET /p2p/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ),
    "body promised": b"GET /p2p/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
}


@pytest.mark.parametrize("opening", SLOW.values(), ids=SLOW.keys())
async def test_a_slow_stranger_is_cut_at_the_deadline(opening: bytes) -> None:
    async with Target(handshake_timeout_s=0.3) as target:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(opening)
        assert await closed_at_once(writer, reader) < 2
        await wait_until(lambda: target.unauthenticated == 0)


async def test_half_a_handshake_is_cut_at_the_deadline() -> None:
    async with Target(handshake_timeout_s=0.3) as target, open_stream(target.port) as stream:
        await stream.send(b"\x09" + bytes(31))
        await stream.receive()
        with pytest.raises(P2PError):
            async with asyncio.timeout(2):
                await stream.receive()
        await wait_until(lambda: target.unauthenticated == 0)


async def test_a_stranger_is_cut_after_4_kib() -> None:
    async with Target() as target:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(SLOW["upgrade then silence"])
        writer.write(websocket_frame(0x82, bytes(60_000))[:8_192])
        assert await closed_at_once(writer, reader) < 2


async def test_a_flood_of_strangers_leaves_the_links_alone() -> None:
    async with members(2, handshake_timeout_s=0.5) as (one, two):
        port = one.network.port
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        listener = one.network._listener
        await wait_until(lambda: listener.door.unauthenticated == 28)
        assert one.network.send(two.peer, Link.RAFT, 0, b"undisturbed")
        await wait_until(lambda: two.handler.messages)
        await wait_until(lambda: listener.door.unauthenticated == 0)
        for reader, writer in connections:
            await closed_at_once(writer, reader)
        assert one.handler.downs() == []
        async with raw_peer(one.network.port, 2, 1):
            pass


async def test_requests_that_no_node_makes_are_refused() -> None:
    async with Target() as target, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{target.port}"
        for path, headers, status in (
            ("/", {}, 404),
            ("/p2p/2", {}, 404),
            ("/p2p/1", {}, 400),
            ("/p2p/1", {"Origin": "http://localhost"}, 403),
        ):
            async with session.get(url + path, headers=headers) as response:
                assert response.status == status
        async with session.post(url + "/p2p/1", data=b"x") as response:
            assert response.status == 405


async def test_compression_is_not_negotiated() -> None:
    async with Target() as target, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"http://127.0.0.1:{target.port}/p2p/1", compress=15)
        assert not socket.compress
        await socket.close()


# --- Fuzz ------------------------------------------------------------------------------------


async def fuzz_stranger(target: Target, rng: random.Random) -> None:
    """Random bytes in place of a handshake, at one of its steps."""
    async with open_stream(target.port, rng.choice(list(Link))) as stream:
        with contextlib.suppress(P2PError):
            if rng.random() < 0.5:
                await stream.send(rng.randbytes(32))
                await stream.receive()
            await stream.send(rng.randbytes(rng.choice([0, 1, 31, 32, 33, 162, 500, 3_000])))
            async with asyncio.timeout(5):
                while True:
                    await stream.receive()


async def fuzz_member(target: Target, rng: random.Random) -> None:
    """Sound records with random content, until the link is closed."""
    with contextlib.suppress(P2PError):
        async with target.peer(rng.choice(list(Link))) as peer:
            for _ in range(60):
                size = rng.choice([1, 3, 4, 20, 300, 5_000])
                plaintext = bytearray(rng.randbytes(size))
                if rng.random() < 0.8:
                    plaintext[: HEADER.size] = HEADER.pack(
                        rng.choice([0, 0, 0, 1, 0x80]), rng.randrange(256), max(0, size - 4)
                    )
                await peer.send_plain(bytes(plaintext[:PLAINTEXT_BYTES_MAX]))
            await peer.stream.send(rng.randbytes(rng.randrange(200)))
            await peer.ended()


async def test_fuzzed_connections_are_closed_and_leave_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rng = random.Random(17)
    async with Target(
        penalty_initial_s=1e-6, penalty_max_s=1e-6, handshake_timeout_s=0.2
    ) as target:
        for _ in range(10):
            await fuzz_stranger(target, rng)
            await fuzz_member(target, rng)
        tasks = len(asyncio.all_tasks())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(150):
            await fuzz_stranger(target, rng)
            await fuzz_member(target, rng)
        await wait_until(lambda: len(asyncio.all_tasks()) <= tasks)
        await wait_until(lambda: target.unauthenticated == 0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 16 * 1_024  # KiB
        handler = target.member.handler
        assert handler.ups() == len(handler.downs())
        assert not [d for d in handler.downs() if "internal error" in d]
        async with target.peer() as peer:
            handler.messages.clear()
            await peer.send_plain(HEADER.pack(0, 20, 2) + b"ok")
            await wait_until(lambda: handler.messages)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_who_asks_for_an_upgrade_and_leaves_at_once_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = (
        b"GET /p2p/1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with members(1, penalty_initial_s=0.05) as (one,):
        for _ in range(100):
            _, writer = await asyncio.open_connection("127.0.0.1", one.network.port)
            writer.write(request)
            await writer.drain()
            writer.transport.abort()
        await asyncio.sleep(0.2)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
