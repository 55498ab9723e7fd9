"""One authenticated link at work: messages in and out, liveness, the limits of one peer.

Owns the two tasks of a link, its queue, and why it ends. Must not know how the link came to be,
who may have one, or what a message means. Invariants: no message is delivered after the end; one
reader awaits the handler, so at most one message is in its hands; whoever ends the session first
gives the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from p2p.config import P2PConfig
from p2p.errors import CloseCode, LinkLostError, RecordError, RemoteProtocolError
from p2p.frames import (
    BYE,
    BYE_BYTES_MAX,
    PING,
    PING_BYTES,
    PONG,
    FrameReader,
    Opener,
    Outbox,
    Received,
    Sealer,
    session_piece,
)
from p2p.limits import TokenBucket
from p2p.transport import WebSocketStream
from p2p.types import Link, PeerId

_TURN_BYTES = 256 * 1024
"""Sent without a pause at most; then the loop turns, also when the socket would take more."""
_SLICE_S = 0.005
"""Messages are handled for this long at a stretch; then the loop turns, also when more are here."""
_PINGS_MAX = 16
"""Unanswered pings remembered; the answer to an older one measures nothing."""

_log = structlog.get_logger("p2p.session")


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ended."""

    reason: str
    code: CloseCode = CloseCode.NORMAL
    polite: bool = True
    """Say goodbye first; False when nobody listens or nothing can be trusted."""
    strike: bool = False
    """The peer broke the rules."""


class Session:
    """One link of one peer, from confirmation to end."""

    def __init__(
        self,
        config: P2PConfig,
        peer: PeerId,
        link: Link,
        stream: WebSocketStream,
        sealer: Sealer,
        opener: Opener,
        deliver: Callable[[int, bytes], Awaitable[None]],
    ) -> None:
        self.peer = peer
        self.link = link
        self.rtt_ms: float | None = None
        self._config = config
        self._stream = stream
        self._sealer = sealer
        self._opener = opener
        self._deliver = deliver
        self._frames = FrameReader(link)
        limits = config.limits(link)
        self._outbox = Outbox(link, limits.queue_bytes_max)
        loop = asyncio.get_running_loop()
        self._now = loop.time
        now = loop.time()
        self._messages = TokenBucket(limits.messages_per_s, limits.messages_burst, now)
        self._bytes = TokenBucket(limits.bytes_per_s, limits.bytes_burst, now)
        self._ping_tokens = TokenBucket(config.pings_per_s, config.pings_burst, now)
        self._pings: dict[bytes, float] = {}
        self._pings_sent = 0
        self._ticks = 0
        self._silent_ticks = 0
        self._sending_ticks = 0
        self._sending = False
        self._listening = False
        self._slice_end = now + _SLICE_S
        self._waiting = asyncio.Event()
        self._ended: asyncio.Future[Ending] = loop.create_future()
        self._ping()

    # --- For the owner -----------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.queued_bytes

    def send(self, kind: int, body: bytes) -> bool:
        """Queue a message; False when the queue is full or the session over. Never blocks.

        Raises:
            LocalProtocolError: the message is too large for any link.
        """
        if self._ended.done() or not self._outbox.put(kind, body):
            return False
        self._waiting.set()
        return True

    def end(self, ending: Ending) -> None:
        """Deliver nothing more, and let `run` return. The first ending counts."""
        if not self._ended.done():
            self._ended.set_result(ending)

    @property
    def ending(self) -> Ending:
        """Why it ended, once `run` has returned or was cancelled."""
        return self._ended.result()

    async def run(self) -> None:
        """Serve the link until either side ends it; `ending` says why."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read()), group.create_task(self._write())]
                try:
                    await asyncio.shield(self._ended)
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            self.end(Ending("stopped"))

    async def close(self, ending: Ending) -> None:
        """After `run`: say goodbye if that makes sense, then cut the connection."""
        try:
            if ending.polite:
                async with asyncio.timeout(self._config.close_timeout_s):
                    reason = ending.reason.encode()[:BYE_BYTES_MAX]
                    bye = self._sealer.seal(session_piece(BYE, reason))
                    await self._stream.send(bye)
                    await self._stream.close(ending.code)
        except (TimeoutError, LinkLostError):
            pass  # the peer has gone first, or does not listen: cut
        finally:
            self._stream.abort()

    def tick(self) -> None:
        """Once per `tick_s`: ping, and notice a peer that is silent or does not read.

        Ticks are counted, not timed: when this process was paused, nobody else was silent.
        """
        self._ticks += 1
        self._silent_ticks += self._listening
        self._sending_ticks += self._sending
        if self._silent_ticks > self._config.silent_ticks_max:
            self.end(Ending(f"silent for {self._silent_ticks} ticks", polite=False))
        elif self._sending_ticks > self._config.send_ticks_max:
            self.end(Ending("the peer does not read", polite=False))
        elif self._ticks % self._config.ping_ticks == 0:
            self._ping()

    # --- Sending -----------------------------------------------------------------------------

    def _ping(self) -> None:
        self._pings_sent += 1
        nonce = self._pings_sent.to_bytes(PING_BYTES, "big")
        if len(self._pings) >= _PINGS_MAX:
            del self._pings[next(iter(self._pings))]
        self._pings[nonce] = self._now()
        self._put_session(PING, nonce)

    def _put_session(self, kind: int, body: bytes) -> None:
        self._outbox.put_session(kind, body)  # full: the peer does not read, and that ends it
        self._waiting.set()

    async def _write(self) -> None:
        """Send what waits. All that was queued in one turn of the loop shares records."""
        outbox, waiting, stream, seal = self._outbox, self._waiting, self._stream, self._sealer.seal
        turn_bytes = 0
        try:
            while True:
                await waiting.wait()
                waiting.clear()
                while outbox:
                    plaintext = outbox.take()
                    self._sending_ticks = 0
                    self._sending = True
                    await stream.send(seal(plaintext))
                    self._sending = False
                    turn_bytes += len(plaintext)
                    if turn_bytes >= _TURN_BYTES:
                        turn_bytes = 0
                        await asyncio.sleep(0)
        except LinkLostError as error:
            self.end(Ending(str(error), polite=False))

    # --- Receiving ---------------------------------------------------------------------------

    async def _read(self) -> None:
        stream, now, open_record, feed = (
            self._stream,
            self._now,
            self._opener.open,
            self._frames.feed,
        )
        try:
            while not self._ended.done():
                self._listening = True
                record = await stream.receive()
                self._listening = False
                self._silent_ticks = 0
                messages = feed(open_record(record))
                await self._take(messages)
                time = now()
                wait = max(
                    self._messages.spend(len(messages) + 1, time),
                    self._bytes.spend(len(record), time),
                )
                if wait > 0:
                    # Over its rate: read on later. The socket fills up and the sender feels it.
                    await asyncio.sleep(wait)
        except LinkLostError as error:
            self.end(Ending(str(error), polite=False))
        except RecordError as error:
            self.end(Ending(str(error), CloseCode.PROTOCOL))
        except RemoteProtocolError as error:
            self.end(Ending(str(error), CloseCode.PROTOCOL, strike=True))
        except Exception as error:  # noqa: BLE001 - the handler's bug must not leave a dead link up
            _log.exception("message handler failed", peer=self.peer.hex()[:16])
            self.end(Ending(f"internal error: {type(error).__name__}", CloseCode.INTERNAL))

    async def _take(self, messages: list[Received]) -> None:
        deliver, ended, now = self._deliver, self._ended.done, self._now
        for is_session, kind, body in messages:
            if now() >= self._slice_end:
                await asyncio.sleep(0)
                self._slice_end = now() + _SLICE_S
            if ended():
                return
            if is_session:
                self._take_session(kind, body)
            else:
                await deliver(kind, body)

    def _take_session(self, kind: int, body: bytes) -> None:
        if kind == PING:
            if not self._ping_tokens.take(1, self._now()):
                raise RemoteProtocolError("too many pings")
            self._put_session(PONG, body)
        elif kind == PONG:
            sent = self._pings.pop(body, None)
            if sent is not None:
                self.rtt_ms = (self._now() - sent) * 1_000
            elif not 0 < int.from_bytes(body, "big") <= self._pings_sent:
                raise RemoteProtocolError("an answer to no ping")
        elif kind == BYE:
            self.end(Ending(f"closed by peer: {printable(body)}", polite=False))
        else:
            raise RemoteProtocolError(f"session piece {kind} after the beginning")


def printable(text: bytes) -> str:
    """What a peer wrote, fit for a log line."""
    decoded = text.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in decoded)
