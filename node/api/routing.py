"""What a route is, and what its handler is given. Owns no route and no rule."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from node.api.body import Body
from node.api.config import ApiConfig
from node.api.errors import too_many, write_refused
from node.api.security import Access, Scope
from node.api.sessions import Sessions
from node.api.workers import WorkerKind, Workers
from node.services.ports import NodeFacade
from node.storage.index import QueryIndex

_json = msgspec.json.Encoder()


class Asset(msgspec.Struct, frozen=True):
    """A file of the web page."""

    body: bytes
    content_type: str
    etag: str


@dataclass(slots=True)
class Api:
    """What every handler works with."""

    config: ApiConfig
    node: NodeFacade
    index: QueryIndex
    registry: CollectorRegistry
    sessions: Sessions
    time_ms: Callable[[], int]
    """Wall clock: dates an invoice without a date, and the age of the head."""
    waiting: Counter[Scope | None] = field(default_factory=Counter)
    """Requests that wait now, by scope (None: of strangers): none takes the places of another."""
    streams: dict[asyncio.Task[object], Scope] = field(default_factory=dict)
    """The tasks of event streams open now, and who opened them."""
    workers: Mapping[WorkerKind, Workers] = field(
        default_factory=lambda: {kind: Workers() for kind in WorkerKind}
    )
    """Jobs in processes of their own, by kind: none waits for those of another."""
    bundling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a bundle of leaves is read and compressed: one at a time."""
    closing: bool = False
    """Set on shutdown, before the streams are cancelled."""
    assets: Mapping[str, Asset] = field(default_factory=dict)
    """Every file of the pages by its path below `/static/`."""
    document: bytes = b""
    """The OpenAPI document, encoded."""
    services: Mapping[str, object] = field(default_factory=dict)
    """What domains ask of the node beyond the ledger, by domain; each knows its own type."""


ACCESS_KEY: web.RequestKey[Access] = web.RequestKey("access", Access)
"""How a request was let in, for routes that need a scope."""


def scope_of(request: web.Request) -> Scope | None:
    """By which scope a request was let in; None: without a token."""
    access = request.get(ACCESS_KEY)
    return None if access is None else access.scope


Handler = Callable[[Api, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter, for the API description."""

    name: str
    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    often: bool = False
    """May be given more than once."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path. The API description is made from these."""

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    scope: Scope | None
    """The scope a token needs; None: no token."""
    body: type[Body] | None = None
    """JSON body."""
    binary: tuple[str, ...] = ()
    """Content types of a binary body."""
    query: tuple[Query, ...] = ()
    answers: Mapping[int, Any] = field(default_factory=dict)
    """By status: a msgspec type of a JSON answer, or a string: another content type."""
    also: Mapping[int, str] = field(default_factory=dict)
    """By status: a second content type, chosen by Accept."""
    rated: bool = False
    """Without a token: asked by strangers, so all of them together are held to a rate."""
    public_read: bool = False
    """Without a token where the configuration makes the log public (`ApiConfig.public_read`)."""
    any_query: bool = False
    """Whether it takes query parameters that it does not name: links to pages are passed on."""
    operation_id: str | None = None
    """In the description, where the path makes none of its own."""
    refusals: tuple[int, ...] = ()
    """Statuses answered with a problem, beside those that every route has."""
    operation: str | None = None
    """Of the ledger that it writes, by name: what refuses it stands in the description."""


@dataclass(frozen=True, slots=True)
class WaitSlot:
    """A place among the requests of its scope that may wait at once. A context manager."""

    api: Api
    scope: Scope | None

    def __enter__(self) -> None:
        if self.api.waiting[self.scope] >= self.api.config.waiting_max:
            raise too_many("too many requests wait already")
        self.api.waiting[self.scope] += 1

    def __exit__(self, *_: object) -> None:
        self.api.waiting[self.scope] -= 1


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`value` (a msgspec Struct or built-in types) as JSON."""
    return web.Response(
        body=_json.encode(value), status=status, content_type="application/json", headers=headers
    )


def check_writable(api: Api) -> None:
    """Refuse a write that the node cannot take now.

    Raises:
        ApiError: 503 or 507.
    """
    refusal = api.node.write_refusal()
    if refusal is not None:
        raise write_refused(refusal)


AS_QUERY = Query(
    "as", "Act as this bare key of the wallet (hex); the node's own transaction carries it."
)
WAIT_QUERY = (
    Query(
        "wait",
        "Answer only when the transaction is that far, or at the timeout.",
        {"type": "string", "enum": ["committed", "final"]},
    ),
    Query("timeout_s", "Seconds to wait, at most 60; 10 when left out.", {"type": "number"}),
)
PAGE_QUERY = (
    Query("cursor", "`next_cursor` of the page before."),
    Query("limit", "1 to 500.", {"type": "integer", "minimum": 1, "maximum": 500}),
)
