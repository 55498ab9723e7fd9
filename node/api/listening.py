"""The API's socket: how many connections there may be, and that all that is answered is a problem.

Owns what aiohttp's own protocol leaves open. A connection that asks nothing gives way to a new one,
so that local programs which forget theirs take neither the node's links nor its readiness away.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

from node.api.errors import HTTP_CODES, ApiError

_OWN_DESCRIPTORS = 256
"""For databases, peers' links, worker processes and whatever the libraries open."""


class _Protocol(RequestHandler):
    """One connection."""

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
        assert isinstance(transport, asyncio.Transport)
        transport.write(head.encode() + body)
        transport.close()


class ApiRunner(web.AppRunner):
    """Serves an application on connections of which there are never too many."""

    def __init__(
        self,
        app: web.Application,
        connections_max: int,
        **options: Any,  # noqa: ANN401 - those of aiohttp, as they are
    ) -> None:
        super().__init__(app, **options)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connections_max = max(1, min(connections_max, soft - _OWN_DESCRIPTORS))

    @property
    @override
    def server(self) -> Any:
        """What makes a protocol for each connection."""
        made: web.Server | None = self._server
        return None if made is None else self._factory(made)

    def _factory(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        def make() -> asyncio.Protocol:
            if len(server.connections) >= self._connections_max:
                # In the order in which they came: the oldest that asks nothing goes.
                idle = next(
                    (c for c in server.connections if isinstance(c, _Protocol) and c.idle), None
                )
                if idle is None:
                    return _Refused()
                idle.force_close()
            return _Protocol(server, loop=asyncio.get_running_loop(), **server._kwargs)  # noqa: SLF001 - there is no public way to name the protocol

        return make
