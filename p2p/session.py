"""One authenticated link: a WebSocket, two cipher directions, a bounded queue each way.

Owns sending, receiving, liveness and the limits of one link. Knows neither how the link came to be
nor what a message means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from p2p.config import P2PConfig
from p2p.errors import RemoteProtocolError
from p2p.frames import MESSAGE_BYTES_MAX, RecordReader, RecordWriter
from p2p.handshake import SessionKeys
from p2p.limits import TokenBucket
from p2p.types import Link, PeerId

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse
CONTROL_KINDS = 16
"""Kinds below this travel ahead of what is queued above."""
_PING, _PONG = 254, 255
_TURN_BYTES = 256 * 1024
"""Taken from the queue at a time: control messages that come meanwhile go next."""


class Session:
    """A link at work. `run` ends when it is closed, with the reason."""

    def __init__(
        self,
        config: P2PConfig,
        link: Link,
        keys: SessionKeys,
        socket: Socket,
        deliver: Callable[[int, bytes], Awaitable[None]],
    ) -> None:
        self.peer: PeerId = keys.peer
        self.link = link
        self.rtt_ms: float | None = None
        self._config = config
        self._socket = socket
        self._deliver = deliver
        self._writer = RecordWriter(keys.send_key)
        self._reader = RecordReader(keys.receive_key)
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[tuple[int, bytes]] = deque()
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued_bytes = 0
        self._queue_bytes_max = (
            config.raft_queue_bytes_max if link is Link.RAFT else config.gossip_queue_bytes_max
        )
        self._wanted = asyncio.Event()
        self._heard_at = self._pinged_at = self._loop.time()
        self._reason = "closed"
        now = self._loop.time()
        self._bytes = TokenBucket(config.bytes_per_second, config.bytes_burst, now)
        self._messages = TokenBucket(config.messages_per_second, config.messages_burst, now)

    def send(self, kind: int, body: bytes) -> bool:
        """Queue a message; False when the queue is full. Never blocks."""
        if len(body) > MESSAGE_BYTES_MAX:
            raise ValueError("message is too large for a link")
        if self._queued_bytes + len(body) > self._queue_bytes_max:
            return False
        self._queued_bytes += len(body)
        (self._urgent if kind < CONTROL_KINDS else self._queue).append((kind, body))
        self._wanted.set()
        return True

    async def run(self) -> str:
        """Serve the link until either side ends it; returns why."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_queued())
                group.create_task(self._receive())
                group.create_task(self._watch())
        except* _LinkOverError:
            pass
        except* (OSError, RuntimeError, aiohttp.ClientError) as errors:
            self._reason = f"connection lost: {errors.exceptions[0]}"
        finally:
            self.abort(self._reason)
        return self._reason

    def abort(self, reason: str) -> None:
        """Close at once, without waiting for anything the peer may never do."""
        self._reason = reason
        transport = _transport_of(self._socket)
        if transport is not None and not transport.is_closing():
            transport.abort()

    # --- Tasks of the link -------------------------------------------------------------------

    async def _send_queued(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._urgent or self._queue:
                batch: list[tuple[int, bytes]] = []
                size = 0
                while (self._urgent or self._queue) and size < _TURN_BYTES:
                    message = (self._urgent or self._queue).popleft()
                    batch.append(message)
                    size += len(message[1])
                try:
                    async with asyncio.timeout(self._config.send_timeout_s):
                        for record in self._writer.write(batch):
                            await self._socket.send_bytes(record)
                except TimeoutError:
                    self._end("peer does not read")
                self._queued_bytes -= size

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                self._end(_why_ended(message))
            try:
                await self._take(message.data)
            except RemoteProtocolError as error:
                self._end(f"protocol error: {error}")

    async def _take(self, record: bytes) -> None:
        now = self._heard_at = self._loop.time()
        messages = self._reader.read(record)
        wait = max(self._bytes.take(len(record), now), self._messages.take(len(messages), now))
        for kind, body in messages:
            if kind == _PING:
                self.send(_PONG, body)
            elif kind == _PONG:
                self.rtt_ms = (now - self._pinged_at) * 1_000
            else:
                await self._deliver(kind, body)
        self._heard_at = self._loop.time()  # time spent on the messages is not the peer's silence
        if wait > 0:
            await asyncio.sleep(wait)  # the socket fills up, and the sender feels it

    async def _watch(self) -> None:
        while True:
            self._pinged_at = self._loop.time()
            self.send(_PING, b"")
            await asyncio.sleep(self._config.ping_interval_s)
            if self._loop.time() - self._heard_at > self._config.silence_max_s:
                self._end("silent")

    def _end(self, reason: str) -> None:
        self._reason = reason
        raise _LinkOverError(reason)


class _LinkOverError(Exception):
    """Ends the tasks of a link."""


def _why_ended(message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"protocol error: {message.data}"
    if message.type in (
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
    ):
        return "closed by peer"
    return f"protocol error: {message.type.name.lower()} frame"


def _transport_of(socket: Socket) -> asyncio.Transport | None:
    if isinstance(socket, web.WebSocketResponse):
        request = socket._req  # noqa: SLF001 - the server side offers no other way to abort
        return None if request is None else request.transport
    transport: asyncio.Transport | None = socket.get_extra_info("_transport", None)
    if transport is not None:
        return transport
    connection = socket._conn  # noqa: SLF001 - as above
    return None if connection is None else connection.transport
