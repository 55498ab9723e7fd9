"""The HTTP server: what happens around every route, and the listening socket.

Owns the order of checks: address, token and rate, then the handler; and that every failure is a
problem document. Knows no business rule.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry

from node.api.config import ApiConfig
from node.api.errors import HTTP_CODES, ApiError, bad_request, write_refused
from node.api.listening import ApiRunner
from node.api.metrics import HttpMetrics, StatusCollector
from node.api.routing import ACCESS_KEY, Api, Handler, Route
from node.api.security import Gate, TokenSet
from node.api.sessions import Sessions
from node.domains.description import Domain
from node.following.outcomes import WriteRefusal
from node.ledger.codes import Code
from node.runtime.domains import DOMAINS, absent_from
from node.runtime.routes import assets_of, document, pages_of, routes_of
from node.services.ports import NodeFacade
from node.storage.damage import damage_in, is_failing, is_full
from node.storage.index import QueryIndex
from node.system.clock import Clock, SystemClock

API_KEY: web.AppKey[Api] = web.AppKey("api", Api)
_SHUTDOWN_S = 3.0
_LINGERING_S = 1.0
"""After a refusal the rest of a body is read this long, so that the client sees the answer."""
_UNMATCHED = "unmatched"
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise itself."""
REQUEST_ID = "X-Request-Id"
_CONTINUE = "100-continue"
_CLIENT_GONE = 499
"""For the metrics only."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TAGGED_BYTES_MAX = 8 << 20
_KEPT = ("ETag", "Cache-Control", "Vary", "Content-Location", "Expires")
"""Headers of an answer that stand in a 304 too."""
_log = structlog.get_logger("node.api")

_Bound = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    config: ApiConfig,
    node: NodeFacade,
    services: Mapping[str, object],
    index: QueryIndex,
    tokens: TokenSet,
    registry: CollectorRegistry,
    clock: Clock,
    domains: tuple[Domain, ...] = DOMAINS,
) -> web.Application:
    """The application of one node.

    Args:
        config: Limits and allow-lists.
        node: The node behind it.
        services: What domains ask of it, by domain.
        index: The query index, opened.
        tokens: Who may ask.
        registry: Where the API's metrics and the node's gauges are registered.
        clock: Wall and monotonic time.
        domains: Those of the network; asked for another, the API says that it is absent.
    """

    def monotonic_s() -> float:
        return clock.monotonic_ms() / 1000

    status = node.status()
    sessions = Sessions(f"{status.network_id}/{status.node}", monotonic_s)
    api = Api(config, node, index, registry, sessions, clock.time_ms, services=services)
    api.document = document(domains, status.version)
    api.assets = assets_of(domains)
    registry.register(StatusCollector(node, clock.time_ms))
    gate = Gate(config, tokens, monotonic_s, sessions.scope)
    app = web.Application(
        middlewares=[_around(gate, HttpMetrics(registry))],
        client_max_size=config.batch_bytes_max,
    )
    app[API_KEY] = api
    absent = [
        _absent(domain, route) for domain in absent_from(domains) for route in domain.routes()
    ]
    for route in (*routes_of(domains), *pages_of(domains), *absent):
        bound = _bind(api, gate, route)
        app.router.add_route(route.method, route.path, bound, expect_handler=_expected)
        if route.method == "GET" and route.answers.get(200) != "text/event-stream":
            app.router.add_route("HEAD", route.path, bound, expect_handler=_expected)
    app.on_shutdown.append(_close_streams)
    return app


class ApiServer:
    """The API of one node on its socket."""

    def __init__(
        self,
        config: ApiConfig,
        node: NodeFacade,
        services: Mapping[str, object],
        index: QueryIndex,
        tokens: TokenSet,
        registry: CollectorRegistry,
        clock: Clock | None = None,
        domains: tuple[Domain, ...] = DOMAINS,
    ) -> None:
        self._config = config
        self._node = node
        self._services = services
        self._index = index
        self._tokens = tokens
        self._registry = registry
        self._clock = clock or SystemClock()
        self._domains = domains
        self._runner: ApiRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        app = create_app(
            self._config,
            self._node,
            self._services,
            self._index,
            self._tokens,
            self._registry,
            self._clock,
            self._domains,
        )
        # aiohttp logs every malformed request with its bytes and a stack trace. Faults of
        # handlers are logged here; what a client gets wrong is only counted.
        quiet = logging.getLogger("node.api.http")
        quiet.setLevel(logging.CRITICAL)
        self._runner = ApiRunner(
            app,
            self._config.connections_max,
            self._config.send_timeout_s,
            access_log=None,
            logger=quiet,
            keepalive_timeout=self._config.keepalive_timeout_s,
            # A compressed body is refused by its header; it must not be unpacked before that.
            auto_decompress=False,
            shutdown_timeout=_SHUTDOWN_S,
            lingering_time=_LINGERING_S,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.host, self._config.port, backlog=256)
        await site.start()

    async def stop(self) -> None:
        """Stop listening, end event streams, give running requests a moment, then cancel them."""
        if self._runner is not None:
            await self._runner.cleanup()

    def change_tokens(self, tokens: TokenSet) -> None:
        """Let in by these tokens from now on; what came in by one that changed is ended."""
        changed = self._tokens.become(tokens)
        if not changed or self._runner is None:
            return
        api = self._runner.app[API_KEY]
        api.sessions.end_scopes(changed)
        for task, scope in tuple(api.streams.items()):
            if scope in changed:  # whoever still may comes back, and goes on where the stream ended
                task.cancel()
        _log.warning("tokens changed", scopes=sorted(scope.name.lower() for scope in changed))

    @property
    def port(self) -> int:
        """The port bound; useful when 0 was asked for."""
        assert self._runner is not None, "started"
        return int(self._runner.addresses[0][1])


def _absent(domain: Domain, route: Route) -> Route:
    """A route of a domain that the network does not have: it says so, to whom it would answer."""

    async def handle(_: Api, __: web.Request) -> web.StreamResponse:
        detail = f"this network does not have the domain {domain.name!r}"
        raise ApiError(404, Code.DOMAIN_ABSENT.name, detail)

    return replace(route, handler=handle)


async def _close_streams(app: web.Application) -> None:
    api = app[API_KEY]
    api.closing = True
    for task in tuple(api.streams):
        task.cancel()


def _bind(api: Api, gate: Gate, route: Route) -> _Bound:
    scope, handler = route.scope, _strict(route)
    if scope is None:
        return _open(api, gate, route)

    public = route.public_read and api.config.public_read

    async def handle(request: web.Request) -> web.StreamResponse:
        if public and "Authorization" not in request.headers:
            gate.check_log()
            return await handler(api, request)
        request[ACCESS_KEY] = gate.check_access(
            request.method, request.headers, request.cookies, scope
        )
        return await handler(api, request)

    return handle


def _strict(route: Route) -> Handler:
    """The handler of a route, which takes no query parameter that the route does not name.

    A misspelt one would be ignored, of a repeated one the first would count, without a word. Pages
    take any: links to them are passed on, and get parameters on their way.
    """
    if "text/html" in {*route.answers.values()} or route.any_query:
        return route.handler
    often = {query.name: query.often for query in route.query}

    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        if request.query_string:
            for name in request.query:
                if name not in often:
                    known = ", ".join(often) or "none"
                    raise bad_request(f"no query parameter {name[:64]!r} here; there are: {known}")
                if not often[name] and len(request.query.getall(name)) > 1:
                    raise bad_request(f"query parameter {name} is given more than once")
        return await route.handler(api, request)

    return handle


def _open(api: Api, gate: Gate, route: Route) -> _Bound:
    handler, rated = _strict(route), route.rated

    async def handle(request: web.Request) -> web.StreamResponse:
        if rated:
            gate.check_public()
        return await handler(api, request)

    return handle


async def _expected(request: web.Request) -> None:
    """Let a client that waits for it send its body. Whatever else it expects is refused later.

    The library's own handler refuses before the middleware, with a text that is no problem.
    """
    if request.headers.get("Expect", "").lower() == _CONTINUE and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was not the answer


def _around(gate: Gate, metrics: HttpMetrics) -> Middleware:
    """The middleware: checks before, problems and measurements after."""

    @web.middleware
    async def around(request: web.Request, handler: _Bound) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        identity = _request_id(request)
        try:
            gate.check_address(request.headers)
            if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
                raise ApiError(417, HTTP_CODES[417], f"the only Expect known is {_CONTINUE}")
            response = await handler(request)
        except ApiError as error:
            response = error.response()
        except web.HTTPException as error:
            response = _http_problem(error)
        except asyncio.CancelledError:
            raise
        except ConnectionError:  # the client is gone: nobody reads this
            response = web.Response(status=_CLIENT_GONE)
        except Exception as error:  # noqa: BLE001 - the last place where a fault can still be answered
            response = _fault(request, identity, error)
        if not response.prepared:
            response = _conditional(request, response)
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)  # a page brings a policy of its own
            response.headers[REQUEST_ID] = identity
        metrics.observe(request.method, _pattern(request), response.status, loop.time() - start_s)
        return response

    return around


def _request_id(request: web.Request) -> str:
    """The client's own name for the request, if it can be told again; else a new one."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _conditional(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Name what is answered, and send it only to who has not got it yet (RFC 9110, 13)."""
    if request.method not in {"GET", "HEAD"} or not isinstance(response, web.Response):
        return response
    body = response.body
    if response.status != 200 or not isinstance(body, bytes) or len(body) > _TAGGED_BYTES_MAX:
        return response
    if "ETag" not in response.headers:
        response.headers["ETag"] = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    tag = response.headers["ETag"]
    wanted = request.headers.get("If-None-Match")
    known = [each.strip().removeprefix("W/") for each in (wanted or "").split(",")]
    if tag not in known and known != ["*"]:
        return response
    kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
    return web.Response(status=304, headers=kept)


def _fault(request: web.Request, identity: str, error: Exception) -> web.Response:
    """The answer to a failure that no handler expected; one of the disk is told without a trace."""
    if is_full(error):
        name = getattr(error, "filename", None)
        detail = f"{name}: {error}" if name else str(error)
        return write_refused(WriteRefusal("DISK_FULL", detail)).response()
    damage = damage_in(error)
    _log.error(
        "request failed",
        method=request.method,
        route=_pattern(request),
        request_id=identity,
        **(
            {"reason": str(damage or error)} if damage or is_failing(error) else {"exc_info": error}
        ),
    )
    return ApiError(500, "INTERNAL", "the node failed to answer").response()


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return _UNMATCHED if resource is None else resource.canonical


_DETAILS = {404: "there is no such path", 405: "this path has no such method; Allow names its own"}
"""What aiohttp says in two words only, and says of the status, not of the request."""


def _http_problem(error: web.HTTPException) -> web.Response:
    """Aiohttp's own errors (no route, wrong method …) as problems."""
    code = HTTP_CODES.get(error.status, "BAD_REQUEST")
    status = error.status if error.status >= HTTPStatus.BAD_REQUEST else 500
    allow = error.headers.get("Allow")
    return ApiError(
        status,
        code,
        _DETAILS.get(status, error.reason),
        headers=None if allow is None else {"Allow": allow},
    ).response()
