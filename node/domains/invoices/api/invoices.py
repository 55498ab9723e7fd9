"""Routes that list and show invoices."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from node.api.errors import not_found
from node.api.requests import (
    CursorInteger,
    encode_cursor,
    query_choice,
    query_cursor,
    query_integer,
    query_limit,
    query_time,
)
from node.api.routing import (
    PAGE_QUERY,
    Api,
    Query,
    Route,
    json_response,
)
from node.api.security import Scope
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoice_filters import FILTER_QUERY, RowFilter, query_party
from node.domains.invoices.api.invoice_views import (
    DOCUMENT_NAMES,
    RESPONSE_NAMES,
    InvoiceView,
    InvoiceWithDetails,
    invoice_view,
)
from node.domains.invoices.index.queries import (
    InvoiceFilter,
    InvoiceQueries,
)
from node.ledger.codes import Table
from node.ledger.invoices.rows import InvoiceRow, decode_invoice

_RESPONSES = {name: response for response, name in RESPONSE_NAMES.items()}
_STATES = {name: state for state, name in DOCUMENT_NAMES.items()}
DETAILS_PAGE_BYTES = 2 << 20
"""Details on one page of a list: at most this and one invoice more."""


class InvoicesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Invoices, newest first. A short page with a cursor is not the end."""

    invoices: list[InvoiceView]
    next_cursor: str | None = None


class _ListCursor(msgspec.Struct, frozen=True, array_like=True):
    before: CursorInteger


async def read_invoice(api: Api, number: str) -> InvoiceRow:
    """The invoice's newest state row: the index may be a moment behind.

    Raises:
        ApiError: 404.
    """
    key = number.encode()
    rows = await api.node.state_rows(Table.INVOICE, (key,))
    if key not in rows:
        raise not_found("there is no invoice of this number")
    return decode_invoice(rows[key])


async def read_rows(api: Api, numbers: Sequence[str]) -> dict[str, InvoiceRow]:
    """The newest state rows of invoices, in the order asked for, each once."""
    keys = {number: number.encode() for number in numbers}
    rows = await api.node.state_rows(Table.INVOICE, list(keys.values()))
    return {n: decode_invoice(rows[key]) for n, key in keys.items() if key in rows}


async def list_invoices(api: Api, request: web.Request) -> web.Response:
    """A page of invoices, newest first."""
    state = query_choice(request, "state", tuple(_STATES))
    rows_wanted = RowFilter(request)
    party = query_party(request, "party") or rows_wanted.party
    response = query_choice(request, "response", tuple(_RESPONSES))
    frozen = query_choice(request, "frozen", ("true", "false"))
    wanted = InvoiceFilter(
        state=None if state is None else _STATES[state],
        response=None if response is None else _RESPONSES[response],
        frozen=None if frozen is None else frozen == "true",
        party=party,
        from_ms=query_time(request, "from"),
        to_ms=query_time(request, "to"),
        min_gross=query_integer(request, "min_gross"),
    )
    cursor = query_cursor(request, _ListCursor)
    page = await InvoiceQueries(api.index).invoices(
        wanted, None if cursor is None else cursor.before, query_limit(request)
    )
    now_ms = api.time_ms()
    found = await read_rows(api, [item.number for item in page.invoices])
    rows = {number: row for number, row in found.items() if rows_wanted.fits(row)}
    views = [invoice_view(row, now_ms) for row in rows.values()]
    following = page.next_before
    if query_choice(request, "details", ("true", "false")) == "true":
        views = await _with_details(api, views)
        if len(views) < len(rows):
            last = views[-1].number
            following = next(item.sequence for item in page.invoices if item.number == last)
    cursor_text = None if following is None else encode_cursor(following)
    return json_response(InvoicesPage(views, cursor_text))


async def _with_details(api: Api, views: Sequence[InvoiceView]) -> list[InvoiceView]:
    """The first of these with their details, cut past `DETAILS_PAGE_BYTES`."""
    shown: list[InvoiceView] = []
    size = 0
    for view in views:
        details = None
        if view.details_commitment is not None:
            details = await invoices_of(api).details(view.number)
        shown.append(_with(view, details))
        size += len(details or b"")
        if size > DETAILS_PAGE_BYTES:
            break
    return shown


def _with(view: InvoiceView, details: bytes | None) -> InvoiceWithDetails:
    return InvoiceWithDetails(
        **{name: getattr(view, name) for name in view.__struct_fields__},
        details=None if details is None else msgspec.Raw(details),
    )


async def show_invoice(api: Api, request: web.Request) -> web.Response:
    """One invoice, with its details if this participant can open them."""
    number = number_of(request)
    view = invoice_view(await read_invoice(api, number), api.time_ms())
    details = None
    if view.details_commitment is not None:
        details = await invoices_of(api).details(number)
    return json_response(_with(view, details))


class DetailPaths(msgspec.Struct, frozen=True):
    """What of an invoice's details a receipt can show, item by item."""

    number: str
    transaction: str
    """The transaction that issued it: its receipt takes `disclose`."""
    paths: list[str]


async def show_detail_paths(api: Api, request: web.Request) -> web.Response:
    """The items of an invoice's details, for a party that can open them."""
    number = number_of(request)
    row = await read_invoice(api, number)
    paths = await invoices_of(api).detail_paths(number)
    if paths is None:
        raise not_found("this participant cannot open details of this invoice")
    return json_response(DetailPaths(number, row.txid.hex(), list(paths)))


ROUTES = (
    Route(
        "GET",
        "/v1/invoices",
        list_invoices,
        "Invoices, newest first",
        "invoices",
        Scope.READ,
        query=(
            Query("state", "Document state.", {"type": "string", "enum": list(_STATES)}),
            Query("response", "The buyer's word.", {"type": "string", "enum": list(_RESPONSES)}),
            Query("frozen", "Held for a case.", {"type": "string", "enum": ["true", "false"]}),
            Query("party", "Issuer, buyer, reimburser, or holder at any time."),
            *FILTER_QUERY,
            Query("from", "Issued at or after this date or time."),
            Query("to", "Issued before this date or time."),
            Query(
                "details",
                "With the details that this participant can open.",
                {"type": "string", "enum": ["true", "false"]},
            ),
            Query("min_gross", "Smallest gross, in minor units.", {"type": "integer"}),
            *PAGE_QUERY,
        ),
        answers={200: InvoicesPage},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}",
        show_invoice,
        "One invoice; details for its parties",
        "invoices",
        Scope.READ,
        answers={200: InvoiceWithDetails},
        refusals=(404,),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}/details/paths",
        show_detail_paths,
        "What of the details a receipt can disclose, item by item",
        "invoices",
        Scope.READ,
        answers={200: DetailPaths},
        refusals=(404,),
    ),
)
