"""A `Sender` over asyncio streams: length-prefixed frames, bounded, dialled again when it breaks.

Owns connections; knows nothing of what a message says. Each member dials every other and sends on
the connection that it dialled, so what one says to another has one path:

    hello       "RAFT" ‖ version of the wire (1) ‖ number of who dials (4)
    frame       length (4) ‖ one message

A member is believed to be who it says: for a loopback, or a network of its own. To go further, hand
an `ssl` context to both ends and take the number from the certificate.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from consensus import NodeId, ProtocolError

Address = tuple[str, int]
WIRE_VERSION = 1
"""To be raised when this package's messages change: members that differ then do not connect."""
STALL_S = 5.0
"""Who takes nothing, or says nothing of who it is, for so long is left."""
PAUSES_S = (0.05, 1.0)
"""Before dialling again: at first, and at most."""
STRANGERS_MAX = 16
"""Connections beyond one of each member."""
_HELLO = struct.Struct(">4sBI")
_LENGTH = struct.Struct(">I")


class StreamTransport:
    """The connections of one member."""

    def __init__(self, node: NodeId, frame_bytes_max: int, queue_bytes_max: int = 2**24) -> None:
        """Prepare; `listen` and `dial` begin.

        Args:
            node: This member.
            frame_bytes_max: `RaftConfig.wire_bytes_max`.
            queue_bytes_max: What waits for one member; beyond that its newest is dropped.
        """
        self._hello = _HELLO.pack(b"RAFT", WIRE_VERSION, node)
        self._frame_bytes_max = frame_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._outgoing: dict[NodeId, _Outgoing] = {}
        self._incoming: dict[NodeId, asyncio.StreamWriter] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, receive: Callable[[NodeId, bytes], None]) -> Address:
        """Take connections, on a port that the system chooses; `receive` is the node's."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "a server calls this in a task"
            self._serving.add(task)
            try:
                if len(self._serving) <= len(self._outgoing) + STRANGERS_MAX:
                    await self._serve(reader, writer, receive)
            finally:
                writer.close()
                self._serving.discard(task)

        self._server = await asyncio.start_server(serve, host, 0)
        address: Address = self._server.sockets[0].getsockname()[:2]
        return address

    def dial(self, addresses: Mapping[NodeId, Address]) -> None:
        """Keep a connection to each of these members."""
        for node, address in addresses.items():
            self._outgoing[node] = _Outgoing(address, self._hello, self._queue_bytes_max)

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`, or drop it: Raft says again what matters."""
        if to in self._outgoing:
            self._outgoing[to].put(message)

    async def close(self) -> None:
        """End every connection."""
        tasks = [*self._serving, *(outgoing.task for outgoing in self._outgoing.values())]
        if self._server is not None:
            self._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receive: Callable[[NodeId, bytes], None],
    ) -> None:
        with suppress(OSError, EOFError, ProtocolError):  # bad bytes change nothing: hang up
            async with asyncio.timeout(STALL_S):
                magic, version, number = _HELLO.unpack(await reader.readexactly(_HELLO.size))
            node = NodeId(number)
            if (magic, version) != (b"RAFT", WIRE_VERSION) or node not in self._outgoing:
                return
            if node in self._incoming:  # one connection each: the old one is dead, or a double's
                self._incoming[node].close()
            self._incoming[node] = writer
            while True:
                (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if size > self._frame_bytes_max:
                    return
                receive(node, await reader.readexactly(size))


class _Outgoing:
    """What one member is to get, and the connection to it."""

    def __init__(self, address: Address, hello: bytes, queue_bytes_max: int) -> None:
        self._address = address
        self._hello = hello
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._filled = asyncio.Event()
        self._open = False
        self.task = asyncio.get_running_loop().create_task(self._keep_dialled())

    def put(self, message: bytes) -> None:
        if self._open and self._queue_bytes + len(message) <= self._queue_bytes_max:
            self._queue += (_LENGTH.pack(len(message)), message)
            self._queue_bytes += len(message)
            self._filled.set()

    async def _keep_dialled(self) -> None:
        pause_s, pause_max_s = PAUSES_S
        while True:
            with suppress(OSError):  # also a time that is over
                async with asyncio.timeout(STALL_S):
                    reader, writer = await asyncio.open_connection(*self._address)
                pause_s, self._open = PAUSES_S[0], True
                try:
                    await self._carry(reader, writer)
                finally:
                    self._open = False
                    self._clear()  # what waited would be out of date on the next connection
                    writer.close()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, pause_max_s)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._hello)
        while not reader.at_eof():  # the other end never sends: it hangs up, or not
            async with asyncio.timeout(STALL_S):
                await writer.drain()
            await self._filled.wait()
            writer.writelines(self._queue)
            self._clear()

    def _clear(self) -> None:
        self._queue.clear()
        self._queue_bytes = 0
        self._filled.clear()
