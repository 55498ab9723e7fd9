"""The API's socket: how many connections there may be, and that all that is answered is a problem.

Owns what aiohttp's own protocol leaves open. A connection that asks nothing gives way to a new one,
so that local programs which forget theirs take neither the node's links nor its readiness away. A
client that does not read what it asked for is dropped: what waits for it costs memory, and even a
closed connection keeps its descriptor until the last byte has left.
"""

from __future__ import annotations

import asyncio
import resource
from functools import partial
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

from node.api.errors import HTTP_CODES, ApiError

_OWN_DESCRIPTORS = 256
"""For databases, peers' links, worker processes and whatever the libraries open."""
_SENT_BYTES_MIN = 16 << 10
"""A client reads at least so much in `send_timeout_s`, or all that waits for it."""
UNREAD_BYTES_MAX = 128 << 20
"""Of all clients together; the largest answers have 15 MiB."""


class _Protocol(RequestHandler):
    """One connection."""

    def __init__(self, server: web.Server, connections: _Connections) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **server._kwargs)  # noqa: SLF001 - there is no public way to name the protocol
        self._connections = connections
        self._wire: asyncio.Transport | None = None
        """Until it is lost; aiohttp forgets its own when it begins to close it."""
        self.unread_before = 0
        """What waited for the client at the last look."""
        self.moved = False
        """Whether an answer began, or much of one left, since then."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast("asyncio.Transport", transport)  # uvloop's own is no subclass of it

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._wire = None
        self._connections.forget(self)
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.bound_unread(self)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self.moved = True

    @property
    def unread_bytes(self) -> int:
        """What was written and has not left yet."""
        return 0 if self._wire is None else self._wire.get_write_buffer_size()

    def drop(self) -> None:
        """End it at once, whatever still waits for the client."""
        wire = self._wire
        self._connections.forget(self)
        self.force_close()
        if wire is not None:
            wire.abort()

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What no handler answered: mostly bytes that are no HTTP."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        code = HTTP_CODES.get(status, "INTERNAL" if status >= 500 else "BAD_REQUEST")
        detail = "the request is malformed" if status < 500 else "the node failed to answer"
        response = ApiError(status, code, detail).response()
        response.force_close()
        return response

    @override
    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; where no path is known, the library itself refuses what is expected."""
        self.moved = True
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = ApiError(resp.status, HTTP_CODES[resp.status], "no such Expect").response()
        return await super().finish_response(request, resp, start_time)

    @property
    def idle(self) -> bool:
        """Whether no request is being answered on it."""
        return self._current_request is None


class _Refused(asyncio.Protocol):
    """A connection beyond the cap, all others being busy."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        problem = ApiError(503, "TOO_MANY_CONNECTIONS", "too many connections are busy")
        body = problem.body()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n"
            "Retry-After: 1\r\nConnection: close\r\n\r\n"
        )
        wire = cast("asyncio.Transport", transport)
        wire.write(head.encode() + body)
        wire.close()


class _Connections:
    """Those that are open, oldest first."""

    def __init__(self, connections_max: int, send_timeout_s: float) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, min(connections_max, soft - _OWN_DESCRIPTORS))
        self._send_timeout_s = send_timeout_s
        self._open: dict[_Protocol, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def make(self, server: web.Server) -> asyncio.Protocol:
        """A protocol for a new connection; the oldest that asks nothing may give way to it."""
        if len(self._open) >= self._most:
            idle = [each for each in self._open if each.idle]
            if not idle:
                return _Refused()
            next((each for each in idle if not each.unread_bytes), idle[0]).drop()
        made = _Protocol(server, self)
        self._open[made] = None
        return made

    def forget(self, connection: _Protocol) -> None:
        """It is lost, or soon will be."""
        self._open.pop(connection, None)

    def bound_unread(self, newest: _Protocol) -> None:
        """Drop the oldest of those that do not read, while all together are sent too much."""
        waiting = {each: size for each in self._open if (size := each.unread_bytes)}
        total = sum(waiting.values())
        for each, size in waiting.items():
            if total <= UNREAD_BYTES_MAX:
                return
            if each is not newest:
                each.drop()
                total -= size

    def watch(self) -> None:
        """Look from now on, again and again, who has read nothing since the last time.

        Handlers that are still at work write piece by piece, and have limits of their own.
        """
        for each in tuple(self._open):
            unread, before = each.unread_bytes, each.unread_before
            stands = before > 0 and unread > max(0, before - _SENT_BYTES_MIN)
            if stands and each.idle and not each.moved:
                each.drop()
            each.unread_before, each.moved = unread, False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._send_timeout_s, self.watch)

    def close(self) -> None:
        """Drop what is left."""
        if self._timer is not None:
            self._timer.cancel()
        for each in tuple(self._open):
            each.drop()


class ApiRunner(web.AppRunner):
    """Serves an application on connections of which there are never too many."""

    def __init__(
        self,
        app: web.Application,
        connections_max: int,
        send_timeout_s: float,
        **options: Any,  # noqa: ANN401 - those of aiohttp, as they are
    ) -> None:
        super().__init__(app, **options)
        self._connections = _Connections(connections_max, send_timeout_s)

    @property
    @override
    def server(self) -> Any:
        """What makes a protocol for each connection."""
        made: web.Server | None = self._server
        return None if made is None else partial(self._connections.make, made)

    @override
    async def setup(self) -> None:
        await super().setup()
        self._connections.watch()

    @override
    async def cleanup(self) -> None:
        await super().cleanup()
        self._connections.close()
