"""WebSockets by aiohttp: a stream of binary messages, a listener with a guarded door, a dialler.

Owns sockets and what a stranger may do with one. Must not know identities or what is in a message.
Invariants: every connection that has not been let in counts against the door's limits, is cut at
the handshake deadline and after 4 KiB; nothing is compressed; a WebSocket ping, text or
continuation trick ends the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import aiohttp
from aiohttp import web
from typing_extensions import override

from p2p.config import P2PConfig
from p2p.errors import CloseCode, DialError, LinkLostError, RemoteProtocolError
from p2p.frames import RECORD_BYTES_MAX
from p2p.limits import Door
from p2p.types import Link

PATHS = {Link.GOSSIP: "/p2p/1", Link.RAFT: "/raft/1"}
MESSAGE_BYTES_LIMIT = RECORD_BYTES_MAX + 1
"""aiohttp's `max_msg_size` is exclusive."""
HEADER_BYTES_MAX = 2_048
BACKLOG = 128

_LOST = (ConnectionError, RuntimeError, aiohttp.ClientError)
"""What aiohttp raises on a socket that is closing or closed."""


class WebSocketStream:
    """Binary messages over one WebSocket, of either side."""

    __slots__ = ("_socket", "_transport")

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
        transport: asyncio.WriteTransport,
    ) -> None:
        self._socket = socket
        self._transport = transport

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the socket is full.

        Raises:
            LinkLostError: the connection is gone.
        """
        try:
            await self._socket.send_bytes(message)
        except _LOST as error:
            raise LinkLostError(f"connection lost: {error}") from error

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            LinkLostError: the connection is gone or closed.
            RemoteProtocolError: the peer sent what is not a binary message within the limit.
        """
        try:
            message = await self._socket.receive()
        except _LOST as error:
            raise LinkLostError(f"connection lost: {error}") from error
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise LinkLostError(f"closed by peer ({message.data})")
        if message.type in (aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            raise LinkLostError("connection lost")
        if message.type is aiohttp.WSMsgType.ERROR:
            if isinstance(message.data, aiohttp.WebSocketError):
                raise RemoteProtocolError(f"bad WebSocket frame: {message.data}")
            raise LinkLostError(f"connection lost: {message.data}")
        raise RemoteProtocolError(f"a WebSocket {message.type.name.lower()} frame")

    async def close(self, code: CloseCode) -> None:
        """Close with a WebSocket close frame; waits a moment for the peer's.

        Raises:
            LinkLostError: the connection is gone.
        """
        try:
            await self._socket.close(code=code)
        except _LOST as error:
            raise LinkLostError(f"connection lost: {error}") from error

    def abort(self) -> None:
        """Cut the connection at once, also under a blocked `send`."""
        self._transport.abort()


# --- Listening -------------------------------------------------------------------------------


class _Gate(asyncio.Protocol):
    """Stands before aiohttp's protocol until a connection is let in; then steps aside."""

    def __init__(self, listener: Listener, inner: asyncio.Protocol) -> None:
        self._listener = listener
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._ip = ""
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection in, or cut it."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        peername = transport.get_extra_info("peername")
        self._ip = str(peername[0]) if peername else ""
        loop = asyncio.get_running_loop()
        if not self._listener.door.enter(self._ip, loop.time()):
            transport.abort()
            return
        self._transport = transport
        timeout_s = self._listener.config.handshake_timeout_s
        self._deadline = loop.call_later(timeout_s, transport.abort)
        self._listener.gates[self._inner] = self
        self._inner.connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        """Pass on at most what a handshake needs."""
        if self._transport is None:
            return
        self._received += len(data)
        if self._received > self._listener.config.unauthenticated_bytes_max:
            self._transport.abort()
        else:
            self._inner.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received() if self._transport is not None else None

    @override
    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        if self._transport is not None:
            self._leave()
            self._inner.connection_lost(exc)

    def let_in(self) -> None:
        """The peer has proved who it is: its bytes go straight to aiohttp from here on."""
        if self._transport is not None:
            self._transport.set_protocol(self._inner)
            self._leave()

    def _leave(self) -> None:
        self._transport = None
        self._listener.gates.pop(self._inner, None)
        self._listener.door.leave(self._ip)
        if self._deadline is not None:
            self._deadline.cancel()


Serve = Callable[[WebSocketStream, Link, Callable[[], None]], Awaitable[None]]
"""(stream, link, let_in): serves a connection to its end; calls `let_in` once it is trusted."""


class Listener:
    """Accepts WebSockets on both paths of one port."""

    def __init__(self, config: P2PConfig, serve: Serve) -> None:
        self.config = config
        self.door = Door(config, asyncio.get_running_loop().time())
        self.gates: dict[asyncio.Protocol, _Gate] = {}
        self._serve = serve
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self.port = config.port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        application = web.Application()
        for link, path in PATHS.items():
            application.router.add_get(path, partial(self._upgrade, link), allow_head=False)
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=self.config.keepalive_timeout_s,
            shutdown_timeout=self.config.close_timeout_s,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        await runner.setup()
        self._runner = runner
        inner = runner.server
        assert inner is not None, "setup makes the server"
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Gate(self, inner()), self.config.host, self.config.port, backlog=BACKLOG
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close_door(self) -> None:
        """Accept no more connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Cut what is left and release everything."""
        await self.close_door()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _upgrade(self, link: Link, request: web.Request) -> web.StreamResponse:
        gate = self.gates.get(request.protocol)
        transport = request.transport
        if gate is None or transport is None:
            raise web.HTTPBadRequest  # a second request on a connection that was let in
        if "Origin" in request.headers:
            raise web.HTTPForbidden  # a browser; no node sends it
        socket = web.WebSocketResponse(
            timeout=self.config.close_timeout_s,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=MESSAGE_BYTES_LIMIT,
        )
        try:
            await socket.prepare(request)
        except OSError:
            # Whoever asked has gone already. aiohttp drops an ordinary answer without a word.
            return web.Response(status=400)
        await self._serve(WebSocketStream(socket, transport), link, gate.let_in)
        return socket


# --- Dialling --------------------------------------------------------------------------------


class _ClientSocket(aiohttp.ClientWebSocketResponse):
    """aiohttp's client socket, which shows its transport: a stalled send needs an abort."""

    @property
    def transport(self) -> asyncio.WriteTransport | None:
        """What the socket writes to; None when the connection is gone."""
        connection = self._conn
        return None if connection is None else connection.transport


async def _refuse_redirect(*_: object) -> None:
    # Else whatever sits at a peer's address could make this node ask a service beside it.
    raise DialError("the peer's address answers with a redirect")


class WebSocketDialler:
    """Opens WebSockets to other nodes."""

    def __init__(self, config: P2PConfig) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller's deadline covers it all
            ws_response_class=_ClientSocket,
            trace_configs=[tracing],
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        self._timeout = aiohttp.ClientWSTimeout(ws_close=config.close_timeout_s)

    async def open(self, address: str, link: Link) -> WebSocketStream:
        """Connect to `host:port`.

        Raises:
            DialError: nobody there, or somebody who speaks otherwise.
        """
        try:
            socket = await self._session.ws_connect(
                f"http://{address}{PATHS[link]}",
                timeout=self._timeout,
                autoclose=False,
                autoping=False,
                compress=0,
                max_msg_size=MESSAGE_BYTES_LIMIT,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DialError(str(error) or type(error).__name__) from error
        transport = cast("_ClientSocket", socket).transport
        if transport is None:
            raise DialError("the connection was lost at once")
        return WebSocketStream(socket, transport)

    async def close(self) -> None:
        """Release everything."""
        await self._session.close()
