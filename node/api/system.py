"""Routes about the node itself: health, metrics, status, evidence, codes, the API description."""

from __future__ import annotations

import msgspec
from aiohttp import web

from node.api.errors import API_CODES, not_found
from node.api.metrics import exposition
from node.api.requests import encode_cursor, query_cursor, query_limit, time_text
from node.api.routing import PAGE_QUERY, Api, Route, json_response
from node.api.security import Scope
from node.following.evidence_views import EvidenceItem
from node.ledger.codes import CODE_TEXTS, Code
from node.ledger.types import Hash
from node.services.status import Check, NodeStatus


class FailedCheck(msgspec.Struct, frozen=True):
    """A condition that does not hold."""

    name: str
    detail: str


class HealthView(msgspec.Struct, frozen=True):
    """Health of the node; empty `failing` with 200."""

    failing: list[FailedCheck]


class IndexView(msgspec.Struct, frozen=True):
    """The query index."""

    height: int
    """It serves lists and traces up to this block."""


class StatusView(NodeStatus, frozen=True, kw_only=True):
    """The node's status."""

    index: IndexView


class EvidenceView(msgspec.Struct, frozen=True):
    """Proof that one voter signed two histories."""

    id: str
    kind: str
    voter: str
    sentence: str
    found: str
    body: bytes
    """The evidence itself, base64: it verifies with the genesis alone."""


class EvidencePage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Evidence by id."""

    evidence: list[EvidenceView]
    resumptions: list[bytes]
    """Base64, of voters that a lying leader led astray and that came back: what each signed before
    is no evidence against it. Complete on every page."""
    next_cursor: str | None = None


class CodeView(msgspec.Struct, frozen=True):
    """A stable code."""

    name: str
    number: int | None
    """Of a ledger code: the integer in leaves, never renumbered. null: a code of the API."""
    en: str
    zh: str


class CodesView(msgspec.Struct, frozen=True):
    """All codes."""

    codes: list[CodeView]


class _EvidenceCursor(msgspec.Struct, frozen=True, array_like=True):
    after: Hash


def _health(failing: list[Check]) -> web.Response:
    view = HealthView([FailedCheck(check.name, check.detail) for check in failing])
    return json_response(view, 503 if failing else 200)


async def live(api: Api, _: web.Request) -> web.Response:
    """Whether the process can go on by itself."""
    return _health([check for check in api.node.checks() if check.fatal and not check.ok])


async def ready(api: Api, _: web.Request) -> web.Response:
    """Whether the node can do its work now."""
    return _health([check for check in api.node.checks() if not check.ok])


async def metrics(api: Api, request: web.Request) -> web.Response:
    """Metrics, in the form the scraper accepts."""
    return exposition(api.registry, request.headers.get("Accept", ""))


async def status(api: Api, _: web.Request) -> web.Response:
    """The node's status."""
    snapshot = api.node.status()
    fields = {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
    return json_response(StatusView(**fields, index=IndexView(api.index.height)))


async def evidence(api: Api, request: web.Request) -> web.Response:
    """Stored evidence."""
    limit = query_limit(request)
    cursor = query_cursor(request, _EvidenceCursor)
    found = await api.node.evidence(None if cursor is None else cursor.after, limit)
    following = encode_cursor(found[-1].id) if len(found) == limit else None
    items = [_evidence_view(item) for item in found]
    return json_response(EvidencePage(items, list(await api.node.resumptions()), following))


def _identity(request: web.Request) -> bytes:
    text = request.match_info["id"]
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        identity = b""
    if len(identity) != 32 or identity.hex() != text:
        raise not_found("an evidence id is 64 hexadecimal digits")
    return identity


def _evidence_view(item: EvidenceItem) -> EvidenceView:
    return EvidenceView(
        id=item.id.hex(),
        kind=item.kind,
        voter=item.voter,
        sentence=item.sentence,
        found=time_text(item.found_ms),
        body=item.body,
    )


async def evidence_file(api: Api, request: web.Request) -> web.Response:
    """Evidence as a file."""
    text = await api.node.evidence_file(_identity(request))
    if text is None:
        raise not_found("there is no such evidence here")
    return web.Response(text=text, content_type="text/plain")


async def codes(_: Api, __: web.Request) -> web.Response:
    """Every code this node can answer with."""
    ledger = [CodeView(code.name, int(code), *CODE_TEXTS[code]) for code in Code]
    own = [CodeView(name, None, *texts) for name, texts in API_CODES.items()]
    return json_response(CodesView(ledger + own))


async def description(api: Api, _: web.Request) -> web.Response:
    """The OpenAPI document."""
    return web.Response(body=api.document, content_type="application/json")


ROUTES = (
    Route(
        "GET",
        "/livez",
        live,
        "Whether the process is alive",
        "node",
        None,
        answers={200: HealthView, 503: HealthView},
    ),
    Route(
        "GET",
        "/readyz",
        ready,
        "Whether the node is ready; 503 names the failing checks",
        "node",
        None,
        answers={200: HealthView, 503: HealthView},
    ),
    Route(
        "GET",
        "/metrics",
        metrics,
        "Metrics for Prometheus; OpenMetrics by Accept",
        "node",
        None,
        answers={200: "text/plain"},
        also={200: "application/openmetrics-text"},
    ),
    Route(
        "GET",
        "/v1/status",
        status,
        "This node, its peers, consensus and finality",
        "node",
        Scope.READ,
        answers={200: StatusView},
    ),
    Route(
        "GET",
        "/v1/evidence",
        evidence,
        "Evidence against voters that signed two histories",
        "ledger",
        Scope.READ,
        query=PAGE_QUERY,
        answers={200: EvidencePage},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/evidence/{id}",
        evidence_file,
        "Evidence as a file that verifies with the genesis document alone",
        "ledger",
        Scope.READ,
        answers={200: "text/plain"},
        refusals=(404,),
    ),
    Route(
        "GET",
        "/v1/codes",
        codes,
        "Every outcome and error code, in English and Chinese",
        "node",
        Scope.READ,
        answers={200: CodesView},
    ),
    Route(
        "GET",
        "/openapi.json",
        description,
        "This description",
        "node",
        None,
        answers={200: "application/json"},
    ),
)
