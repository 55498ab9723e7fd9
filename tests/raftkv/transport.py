"""Connections between members. Owns who listens where, dialling and redialling.

Each member dials every other and sends on the connection that it dialled, so a message has one
path. A connection begins with a frame that says who dials; on loopback, among processes of one
user, that is believed. Real embedders authenticate their channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec
from typing_extensions import override

from consensus.errors import ProtocolError
from consensus.types import NodeId
from tests.raftkv.frames import FrameStream

_REDIAL_FIRST_S = 0.02
_REDIAL_MAX_S = 0.3
_log = logging.getLogger("raftkv")


class PeerHello(msgspec.Struct, frozen=True, array_like=True, tag="peer"):
    """First frame of a member, with where it listens itself."""

    node: int
    host: str
    port: int


class ClientHello(msgspec.Struct, frozen=True, array_like=True, tag="client"):
    """First frame of a client."""


encode_hello = msgspec.msgpack.Encoder().encode
decode_hello = msgspec.msgpack.Decoder(PeerHello | ClientHello).decode
Receive = Callable[[NodeId, bytes], None]


class _Outgoing(FrameStream):
    """A connection that this node dialled; the other side never sends on it."""

    def __init__(self, hello: bytes, on_gone: Callable[[], None]) -> None:
        super().__init__(0)
        self._hello = hello
        self._on_gone = on_gone

    @override
    def on_open(self) -> None:
        self.send(self._hello)

    @override
    def on_frame(self, frame: bytes) -> None:
        self.close()

    @override
    def on_close(self) -> None:
        self._on_gone()


class _Peer:
    """A member to send to, dialled whenever there is no connection."""

    def __init__(self, host: str, port: int, hello: bytes) -> None:
        self.address = (host, port)
        self._hello = hello
        self._gone = asyncio.Event()
        self._stream: _Outgoing | None = None
        self.dropped = 0
        self.task = asyncio.ensure_future(self._keep_dialled())

    def send(self, message: bytes) -> None:
        if self._stream is None or not self._stream.send(message):
            self.dropped += 1

    async def _keep_dialled(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _REDIAL_FIRST_S
        while True:
            self._gone.clear()
            try:
                _, stream = await loop.create_connection(
                    lambda: _Outgoing(self._hello, self._gone.set), *self.address
                )
            except OSError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _REDIAL_MAX_S)
                continue
            pause = _REDIAL_FIRST_S
            self._stream = stream
            try:
                await self._gone.wait()
            finally:
                self._stream = None
                stream.close()
            await asyncio.sleep(pause)


class Peers:
    """A `Sender` over the connections to all other members."""

    def __init__(self, node: NodeId, host: str, port: int) -> None:
        self._node = node
        self._hello = encode_hello(PeerHello(node, host, port))
        self._peers: dict[int, _Peer] = {}

    @property
    def dropped(self) -> int:
        """Messages that could not be queued."""
        return sum(peer.dropped for peer in self._peers.values())

    def learn(self, node: int, host: str, port: int) -> None:
        """`node` listens there."""
        known = self._peers.get(node)
        if node == self._node or (known is not None and known.address == (host, port)):
            return
        if known is not None:
            known.task.cancel()
        self._peers[node] = _Peer(host, port, self._hello)

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`, or drop it."""
        peer = self._peers.get(to)
        if peer is not None:
            peer.send(message)

    async def close(self) -> None:
        """Hang up."""
        tasks = [peer.task for peer in self._peers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Incoming(FrameStream):
    """A connection that somebody dialled: a member's or a client's."""

    def __init__(
        self,
        frame_bytes_max: int,
        receive: Receive,
        peers: Peers,
        open_session: Callable[[Incoming], Callable[[bytes], None]],
    ) -> None:
        super().__init__(frame_bytes_max)
        self._receive = receive
        self._peers = peers
        self._open_session = open_session
        self._peer: NodeId | None = None
        self._session: Callable[[bytes], None] | None = None

    @override
    def on_frame(self, frame: bytes) -> None:
        if self._peer is not None:
            try:
                self._receive(self._peer, frame)
            except ProtocolError as error:
                _log.warning("node %s: %s", self._peer, error)
                self.close()
        elif self._session is not None:
            self._session(frame)
        else:
            self._greet(frame)

    def _greet(self, frame: bytes) -> None:
        try:
            hello = decode_hello(frame)
        except msgspec.MsgspecError:
            self.close()
            return
        if isinstance(hello, ClientHello):
            self._session = self._open_session(self)
        else:
            self._peer = NodeId(hello.node)
            self._peers.learn(hello.node, hello.host, hello.port)
