"""Routes of the tax bureau's discrepancies: the list that everyone may read, and resolving one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from node.api.errors import bad_request
from node.api.requests import (
    encode_cursor,
    query_choice,
    query_cursor,
    query_limit,
    read_json,
    time_text,
)
from node.api.routing import PAGE_QUERY, Api, Query, Route, json_response
from node.api.security import Scope
from node.api.writes import write_operations, write_route
from node.domains.invoices.api.facade import number_of
from node.domains.invoices.api.schemas import DiscrepancyResolveBody
from node.ledger.codes import Table
from node.ledger.invoices.operations import ResolveDiscrepancy
from node.ledger.invoices.rows import DiscrepancyKind, DiscrepancyRow, decode_discrepancy

KIND_NAMES: Mapping[DiscrepancyKind, str] = {kind: kind.name.lower() for kind in DiscrepancyKind}
_KINDS = {name: kind for kind, name in KIND_NAMES.items()}
_END = b"\xff"
_PAGES_MAX = 20
"""Pages read for one answer when only open ones are asked for: it may come out short."""


class DiscrepancyView(msgspec.Struct, frozen=True):
    """What the tax bureau found wrong in the sealed details of an invoice."""

    number: str
    kind: str
    """unreadable, malformed, line_amount, net_mismatch, tax_mismatch or line_over_credit."""
    bureau: str
    transaction: str
    """That recorded it."""
    time: str
    open: bool
    resolved: str | None
    reason: str | None


class DiscrepanciesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Discrepancies in the order of invoice numbers. A short page with a cursor is not the end."""

    discrepancies: list[DiscrepancyView]
    next_cursor: str | None = None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    after: bytes


def _view(row: DiscrepancyRow) -> DiscrepancyView:
    return DiscrepancyView(
        number=row.number,
        kind=KIND_NAMES[row.kind],
        bureau=row.bureau,
        transaction=row.txid.hex(),
        time=time_text(row.recorded_at),
        open=not row.resolved_at,
        resolved=time_text(row.resolved_at) if row.resolved_at else None,
        reason=row.reason or None,
    )


async def list_discrepancies(api: Api, request: web.Request) -> web.Response:
    """A page of discrepancies: all, of one invoice, open or resolved."""
    limit = query_limit(request)
    state = query_choice(request, "state", ("open", "resolved"))
    number = request.query.get("number", "")
    if number and not (number.isascii() and number.isdigit() and len(number) == 20):
        raise bad_request("number must be an invoice number")
    cursor = query_cursor(request, _Cursor)
    low = number.encode() if cursor is None else cursor.after + b"\0"
    high = number.encode() + _END
    found: list[DiscrepancyView] = []
    for _ in range(_PAGES_MAX):
        rows = await api.node.state_scan(Table.DISCREPANCY, low, high, limit)
        for key, value in rows:
            low = key + b"\0"
            view = _view(decode_discrepancy(value))
            if state is None or view.open == (state == "open"):
                found.append(view)
            if len(found) == limit:
                return json_response(DiscrepanciesPage(found, encode_cursor(key)))
        if len(rows) < limit:
            return json_response(DiscrepanciesPage(found))
    return json_response(DiscrepanciesPage(found, encode_cursor(low[:-1])))


async def resolve(api: Api, request: web.Request) -> web.Response:
    """Close a discrepancy."""
    number = number_of(request)
    body, idempotency = await read_json(request, DiscrepancyResolveBody, api.config)
    operation = ResolveDiscrepancy(number, _KINDS[body.kind], body.reason)
    return await write_operations(api, request, (operation,), idempotency)


ROUTES = (
    Route(
        "GET",
        "/v1/discrepancies",
        list_discrepancies,
        "What the tax bureau found wrong in sealed details",
        "registers",
        Scope.READ,
        query=(
            Query("number", "Of one invoice."),
            Query("state", "open or resolved.", {"type": "string", "enum": ["open", "resolved"]}),
            *PAGE_QUERY,
        ),
        answers={200: DiscrepanciesPage},
        refusals=(400,),
    ),
    write_route(
        "/v1/invoices/{number}/resolve",
        resolve,
        "Close a discrepancy (tax bureau)",
        "invoices",
        body=DiscrepancyResolveBody,
        operation="discrepancy_resolve",
    ),
)
