"""One authenticated link: a WebSocket, two cipher directions, a bounded queue each way.

Owns sending, receiving, liveness and the limits of one link. Knows neither how the link came to be
nor what a message means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

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
_MESSAGE_COST = 128
"""Charged to a queue for each message beside its body, so that empty ones are bounded too."""
_SLICE_S = 0.005
"""One link works no longer than this before the loop turns to the others."""
_PING_BYTES_MAX = 8


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
        self._early: list[tuple[int, bytes]] = []
        now = self._loop.time()
        self._heard_at = self._pinged_at = self._slice_began_at = now
        self._at_work = False
        """Messages are being handled: nothing is read, so silence says nothing of the peer."""
        self._pings = 0
        self._answered = True
        self._reason: str | None = None
        self._bytes = TokenBucket(config.bytes_per_second, config.bytes_burst, now)
        self._messages = TokenBucket(config.messages_per_second, config.messages_burst, now)

    def send(self, kind: int, body: bytes) -> bool:
        """Queue a message; False when the queue is full. Never blocks.

        Raises:
            ValueError: no peer would take it: too large, or a kind of the link's own.
        """
        if len(body) > MESSAGE_BYTES_MAX:
            raise ValueError("message is too large for a link")
        if not 0 <= kind < _PING:
            raise ValueError(f"kind {kind} is not for messages")
        return self._enqueue(self._urgent if kind < CONTROL_KINDS else self._queue, kind, body)

    def _enqueue(self, queue: deque[tuple[int, bytes]], kind: int, body: bytes) -> bool:
        cost = len(body) + _MESSAGE_COST
        if self._queued_bytes + cost > self._queue_bytes_max:
            return False
        self._queued_bytes += cost
        queue.append((kind, body))
        self._wanted.set()
        return True

    async def confirm(self) -> None:
        """Wait for the peer's first record: only then has it accepted this node.

        Raises:
            RemoteProtocolError: it closed the connection, or the record is not genuine.
        """
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise RemoteProtocolError(_why_ended(message))
        self._early = self._reader.read(message.data)

    async def run(self) -> str:
        """Serve the link until either side ends it; returns why."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_queued())
                group.create_task(self._receive())
                group.create_task(self._watch())
        except* _LinkOverError as errors:
            self._settle(str(errors.exceptions[0]))
        except* (OSError, RuntimeError, aiohttp.ClientError) as errors:
            self._settle(f"connection lost: {errors.exceptions[0]}")
        finally:
            self.abort("stopping")
        return self._reason or "closed"

    def abort(self, reason: str) -> None:
        """Close at once, without waiting for anything the peer may never do."""
        self._settle(reason)
        transport = _transport_of(self._socket)
        if transport is not None and not transport.is_closing():
            transport.abort()

    def _settle(self, reason: str) -> None:
        """The first reason is the true one; what follows from it is noise."""
        if self._reason is None:
            self._reason = reason

    # --- Tasks of the link -------------------------------------------------------------------

    async def _send_queued(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._urgent or self._queue:
                await self._send_batch()
                await asyncio.sleep(0)  # a socket that takes everything never makes us wait

    async def _send_batch(self) -> None:
        batch: list[tuple[int, bytes]] = []
        size = 0
        while (self._urgent or self._queue) and size < _TURN_BYTES:
            message = (self._urgent or self._queue).popleft()
            batch.append(message)
            size += len(message[1]) + _MESSAGE_COST
        sent = 0
        for record in self._writer.write(batch):
            try:
                # Each record has its own time: a slow peer is not a stalled one.
                async with asyncio.timeout(self._config.send_timeout_s):
                    await self._socket.send_bytes(record)
            except TimeoutError:
                self._end("peer does not read")
            sent += len(record)
            if sent >= _TURN_BYTES:
                sent = 0
                await asyncio.sleep(0)
        self._queued_bytes -= size

    async def _receive(self) -> None:
        try:
            await self._handle(self._early)
            while True:
                message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    self._end(_why_ended(message))
                await self._take(message.data)
        except RemoteProtocolError as error:
            self._end(f"protocol error: {error}")

    async def _take(self, record: bytes) -> None:
        now = self._heard_at = self._loop.time()
        messages = self._reader.read(record)
        wait = max(self._bytes.take(len(record), now), self._messages.take(len(messages), now))
        self._at_work = True
        await self._handle(messages)
        if wait > 0:
            await asyncio.sleep(wait)  # the socket fills up, and the sender feels it
        self._at_work = False
        self._heard_at = self._loop.time()

    async def _handle(self, messages: Sequence[tuple[int, bytes]]) -> None:
        for kind, body in messages:
            if self._reason is not None:
                self._end(self._reason)  # closed or replaced meanwhile: nothing more of this link
            if kind == _PING:
                if len(body) > _PING_BYTES_MAX:
                    raise RemoteProtocolError("ping is too large")
                self._enqueue(self._urgent, _PONG, body)
            elif kind == _PONG:
                self._on_pong(body)
            else:
                await self._deliver(kind, body)
            now = self._loop.time()
            if now - self._slice_began_at > _SLICE_S:
                await asyncio.sleep(0)
                self._slice_began_at = self._loop.time()

    def _on_pong(self, body: bytes) -> None:
        if not self._answered and body == self._ping_body():
            self._answered = True
            self.rtt_ms = (self._loop.time() - self._pinged_at) * 1_000

    async def _watch(self) -> None:
        while True:
            if self._answered:
                self._answered = False
                self._pings += 1
                self._pinged_at = self._loop.time()
            # An unanswered ping is repeated: it tells the peer that this side lives, and the time
            # to its answer counts from the first.
            self._enqueue(self._urgent, _PING, self._ping_body())
            await asyncio.sleep(self._config.ping_interval_s)
            silent_s = self._loop.time() - self._heard_at
            if silent_s > self._config.silence_max_s and not self._at_work:
                self._end("silent")

    def _ping_body(self) -> bytes:
        return self._pings.to_bytes(_PING_BYTES_MAX, "big")

    def _end(self, reason: str) -> NoReturn:
        self._settle(reason)
        raise _LinkOverError(reason)


class _LinkOverError(Exception):
    """Ends the tasks of a link."""


def _why_ended(message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        kind = "protocol error" if isinstance(message.data, aiohttp.WebSocketError) else "lost"
        return f"{kind}: {message.data}"
    if message.type in (
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
    ):
        return "closed by peer"
    return f"protocol error: {message.type.name.lower()} frame"


def _transport_of(socket: Socket) -> asyncio.Transport | None:
    # aiohttp offers no other way to abort.
    if isinstance(socket, web.WebSocketResponse):
        request = socket._req  # noqa: SLF001
        return None if request is None else request.transport
    connection = socket._conn  # noqa: SLF001
    return None if connection is None else connection.transport
