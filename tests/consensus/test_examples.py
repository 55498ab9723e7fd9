"""The transport of the examples: what it takes, what it refuses, and that it dials again."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from consensus import NodeId, ProtocolError
from consensus.examples import streams
from consensus.examples.streams import Address, StreamTransport

ONE, TWO = NodeId(1), NodeId(2)
FRAME_BYTES_MAX = 1_000


class End:
    """A transport, and what it received."""

    def __init__(self, node: NodeId) -> None:
        self.transport = StreamTransport(node, FRAME_BYTES_MAX, queue_bytes_max=4_000)
        self.received: asyncio.Queue[tuple[NodeId, bytes]] = asyncio.Queue()
        self.address: Address = ("", 0)

    def take(self, sender: NodeId, message: bytes) -> None:
        if message == b"forged":
            raise ProtocolError("no honest member says this")
        self.received.put_nowait((sender, message))


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    one, two = End(ONE), End(TWO)
    for end in (one, two):
        end.address = await end.transport.listen("127.0.0.1", end.take)
    one.transport.dial({TWO: two.address})
    two.transport.dial({ONE: one.address})
    yield one, two
    for end in (one, two):
        await end.transport.close()


async def heard(sender: End, receiver: End, to: NodeId, message: bytes) -> tuple[NodeId, bytes]:
    """What arrives: a transport may lose, so it is said until then, as Raft would."""
    async with asyncio.timeout(10):
        while receiver.received.empty():
            sender.transport.send(to, message)
            await asyncio.sleep(0.01)
        return receiver.received.get_nowait()


async def hung_up(address: Address, *parts: bytes) -> bool:
    """Whether who says this is left, and told nothing."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.writelines(parts)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                return await reader.read() == b""
        return True
    finally:
        writer.close()


def hello(node: int, version: int = streams.WIRE_VERSION) -> bytes:
    return struct.pack(">4sBI", b"RAFT", version, node)


def frame(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


async def test_both_ways(ends: tuple[End, End]) -> None:
    one, two = ends

    assert await heard(one, two, TWO, b"from one") == (ONE, b"from one")
    assert await heard(two, one, ONE, b"from two") == (TWO, b"from two")


async def test_order_is_kept_and_empty_and_largest_frames_pass(ends: tuple[End, End]) -> None:
    one, two = ends
    await heard(one, two, TWO, b"open")
    sent = [b"", bytes(FRAME_BYTES_MAX), b"last"]
    for message in sent:
        one.transport.send(TWO, message)

    got: list[bytes] = []
    async with asyncio.timeout(5):
        while got[-1:] != sent[-1:]:
            _, message = await two.received.get()
            got += [message] if message != b"open" else []
    assert got == sent


async def test_a_connection_that_breaks_is_dialled_again(ends: tuple[End, End]) -> None:
    one, two = ends
    await heard(one, two, TWO, b"before")
    for _ in range(3):
        two.transport._incoming[ONE].close()
        while not two.received.empty():
            two.received.get_nowait()
        await asyncio.sleep(0.1)

        assert await heard(one, two, TWO, b"after") == (ONE, b"after")


async def test_who_is_not_there_yet_is_dialled_until_it_is() -> None:
    one, two = End(ONE), End(TWO)
    probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    nowhere: Address = probe.sockets[0].getsockname()[:2]
    probe.close()
    await probe.wait_closed()
    one.transport.dial({TWO: nowhere})
    two.address = await two.transport.listen("127.0.0.1", two.take)
    two.transport.dial({ONE: nowhere})
    await asyncio.sleep(0.2)
    one.transport._outgoing[TWO]._address = two.address

    assert await heard(one, two, TWO, b"late") == (ONE, b"late")
    await one.transport.close()
    await two.transport.close()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"GET / HTTP/1.1\r\n\r\n"], id="another protocol"),
        pytest.param([hello(3)], id="no member"),
        pytest.param([hello(TWO, version=streams.WIRE_VERSION + 1)], id="another version"),
        pytest.param([hello(TWO), struct.pack(">I", FRAME_BYTES_MAX + 1)], id="too long"),
        pytest.param([hello(TWO), frame(b"forged")], id="refused by the node"),
    ],
)
async def test_it_hangs_up_on(ends: tuple[End, End], parts: list[bytes]) -> None:
    one, two = ends

    assert await hung_up(one.address, *parts)
    assert await heard(two, one, ONE, b"as before") == (TWO, b"as before")


async def test_who_says_nothing_is_left(
    ends: tuple[End, End], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.05)

    assert await hung_up(ends[0].address, b"RAF")


async def test_strangers_are_bounded_in_number(ends: tuple[End, End]) -> None:
    one, two = ends
    writers = []
    for _ in range(streams.STRANGERS_MAX + 5):
        _, writer = await asyncio.open_connection(*one.address)
        writers.append(writer)
    await asyncio.sleep(0.1)

    assert len(one.transport._serving) <= streams.STRANGERS_MAX + 1
    assert await hung_up(one.address, hello(TWO))
    for writer in writers:
        writer.close()
    assert await heard(two, one, ONE, b"again") == (TWO, b"again")


async def test_what_waits_for_one_member_is_bounded(ends: tuple[End, End]) -> None:
    one, two = ends
    await heard(one, two, TWO, b"open")
    outgoing = one.transport._outgoing[TWO]
    for _ in range(100):  # no turn of the loop between: nothing is carried off
        one.transport.send(TWO, bytes(FRAME_BYTES_MAX))

    assert outgoing._queue_bytes <= 4_000
    assert sum(map(len, outgoing._queue)) <= 4_000 + 4 * len(outgoing._queue)
    one.transport.send(NodeId(9), b"nobody")  # dropped
