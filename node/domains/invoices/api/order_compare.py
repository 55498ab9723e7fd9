"""The route that compares orders with what the ledger holds: is a repeat the same, or another?

Owns what "the same" means: the public part of the invoice, and its details where this node can
open them. The ledger itself says ORDER_CONFLICT to a repeat that differs; this tells before
anything is sent, and names the fields. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from aiohttp import web
from pydantic import Field

from node.api.body import Body, Number
from node.api.errors import invalid_field
from node.api.requests import read_json
from node.api.routing import Api, Route, json_response
from node.api.security import Scope
from node.chain.disclosure import DetailsError
from node.domains.invoices.api.facade import invoices_of
from node.domains.invoices.api.invoices import read_rows
from node.domains.invoices.api.schemas import RedLineBody
from node.domains.invoices.details.bodies import (
    INVOICES_BATCH_MAX,
    InvoiceBody,
    PartyOrClaim,
    RedIssueBody,
)
from node.domains.invoices.details.details import LINES_MAX
from node.domains.invoices.details.drafting import order_hash, totals_of_body
from node.domains.invoices.details.totals import DraftError, Totals, canonical_details
from node.ledger.codes import Table
from node.ledger.invoices.rows import InvoiceRow, decode_order, order_key

CLAIM = "claim"
DIFFERENCES_MAX = 8
"""Fields named for one order: enough to see what kind of change it is."""
_OUTSIDE = ("lines", "allowances")
"""What a request body holds beside `details`, and the sealed document inside."""
_FOREIGN = "extensions"
"""Of another format: paths inside it say nothing to a reader."""


class OrderBody(InvoiceBody):
    """An invoice as it would be issued; what it leaves open is not compared."""

    buyer: PartyOrClaim | None = None  # type: ignore[assignment]  # open: whoever it was


class RedOrderBody(RedIssueBody):
    """A red letter as it would be issued."""

    invoice: Number = Field(description="The invoice that it corrects.")
    taken: list[RedLineBody] | None = Field(
        None,
        min_length=1,
        max_length=LINES_MAX,
        description="Instead of `lines`: what was asked for, where amounts follow from the ledger.",
    )


class OrdersCompareBody(Body):
    """Orders of this participant, with what they would issue."""

    invoices: list[OrderBody] = Field([], max_length=INVOICES_BATCH_MAX)
    red: list[RedOrderBody] = Field([], max_length=INVOICES_BATCH_MAX)


class ComparedOrder(msgspec.Struct, frozen=True):
    """An order that was used."""

    order_id: str
    number: str
    """Of the blue or red invoice that it issued."""
    differs: list[str]
    """JSON pointers of what is other than on the ledger, the first few; none: it is the same."""


class ComparedOrders(msgspec.Struct, frozen=True):
    """The orders that the ledger holds; the others are free."""

    orders: list[ComparedOrder]


async def compare_orders(api: Api, request: web.Request) -> web.Response:
    """Which of these orders the ledger holds, and what is other there."""
    body, _ = await read_json(request, OrdersCompareBody, api.config)
    issuer = api.node.participant
    bodies: list[OrderBody | RedOrderBody] = [*body.invoices, *body.red]
    keys = [order_key(issuer, order_hash(issuer, each.order_id)) for each in bodies]
    orders = await api.node.state_rows(Table.ORDER, keys)
    numbers = {key: decode_order(value).number for key, value in orders.items()}
    rows = await read_rows(api, list(numbers.values()))
    compared = []
    for place, (key, each) in enumerate(zip(keys, bodies, strict=True)):
        row = rows.get(numbers.get(key, ""))
        if row is None:
            continue
        try:
            differs = await _differences(api, each, row)
        except DraftError as error:
            where = (
                f"/invoices/{place}"
                if place < len(body.invoices)
                else f"/red/{place - len(body.invoices)}"
            )
            raise invalid_field(where + error.path, error.message) from error
        compared.append(ComparedOrder(each.order_id, row.number, differs[:DIFFERENCES_MAX]))
    return json_response(ComparedOrders(compared))


async def _differences(api: Api, body: OrderBody | RedOrderBody, row: InvoiceRow) -> list[str]:
    """Raises: DraftError when the body makes no invoice."""
    differs = list(
        _of_red(body, row) if isinstance(body, RedOrderBody) else _of_blue(api, body, row)
    )
    if "/kind" in differs:
        return differs
    totals = totals_of_body(body, row.currency)
    if totals is not None:
        differs += _of_totals(totals, row)
    details = canonical_details(body.details, body.lines or (), body.allowances or ())
    if row.details is None:
        return differs if details is None else [*differs, "/details"]
    if details is not None and _is_committed(api, row, details):
        return differs  # the usual case, told without a blob
    stored = await invoices_of(api).details(row.number)
    if stored is None or stored == details:
        return differs
    held = _document(stored)
    if held is None:
        return [*differs, "/details"]
    asked = {} if details is None else json.loads(details)
    if isinstance(body, RedOrderBody):
        if body.taken is not None:
            lines = held.pop("lines", None) or []
            differs += _of_taken(body.taken, [line for line in lines if isinstance(line, dict)])
        elif totals is None:  # the form's own lines, whatever they are
            held.pop("lines", None)
    for name in sorted(held.keys() | asked.keys(), key=lambda name: (name not in _OUTSIDE, name)):
        where = f"/{name}" if name in _OUTSIDE else f"/details/{name}"
        if name != _FOREIGN:
            differs += _paths(where, asked.get(name), held.get(name))
        elif asked.get(name) != held.get(name):
            differs.append(where)
    return differs


def _is_committed(api: Api, row: InvoiceRow, details: bytes) -> bool:
    try:
        return row.details == invoices_of(api).details_commitment(row.order, details)
    except DetailsError:  # more items than can be sealed: they are not what was
        return False


def _document(stored: bytes) -> dict[str, Any] | None:
    """Opened details; None when they are none of ours: another program may seal anything."""
    try:
        held = json.loads(stored)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _of_blue(api: Api, body: OrderBody, row: InvoiceRow) -> Iterator[str]:
    if row.red or body.kind != ("special" if row.special else "ordinary"):
        yield "/kind"
    buyer = body.buyer
    if buyer == CLAIM:
        buyer = invoices_of(api).claim_buyer(row.order)
    if buyer not in {None, row.buyer}:
        yield "/buyer"
    if body.currency != row.currency:
        yield "/currency"
    if body.issue_date not in {None, row.issue_date}:
        yield "/issue_date"
    if body.replaces != row.replaces:
        yield "/replaces"


def _of_red(body: RedOrderBody, row: InvoiceRow) -> Iterator[str]:
    if not row.red:
        yield "/kind"
    elif body.invoice != row.original:
        yield "/invoice"


def _of_totals(totals: Totals, row: InvoiceRow) -> Iterator[str]:
    for name in ("net", "tax", "gross"):
        if getattr(totals, name) != getattr(row, name):
            yield f"/{name}"
    groups = [(g.rate, g.net, g.tax, g.lines) for g in totals.groups]
    if groups != [(g.rate, g.net, g.tax, g.lines) for g in row.groups]:
        yield "/groups"


def _of_taken(asked: Sequence[RedLineBody], held: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A late letter's lines beside those that it came to."""
    lines = {line["original"]: line for line in held if isinstance(line.get("original"), int)}
    for place, line in enumerate(asked):
        found = lines.pop(line.line, None)
        if found is None:
            yield f"/taken/{place}/line"
        elif line.net not in {None, found.get("net")}:
            yield f"/taken/{place}/net"
        elif line.quantity is not None and not _same_decimal(line.quantity, found.get("quantity")):
            yield f"/taken/{place}/quantity"
    if lines:
        yield "/taken"


def _same_decimal(text: str, held: object) -> bool:
    try:
        return isinstance(held, str) and Decimal(text) == Decimal(held)
    except InvalidOperation:
        return False


def _paths(where: str, asked: object, held: object) -> Iterator[str]:
    """Pointers of the smallest parts that differ."""
    if asked == held:
        return
    if isinstance(asked, dict) and isinstance(held, dict):
        for name in sorted(asked.keys() | held.keys()):
            yield from _paths(f"{where}/{name}", asked.get(name), held.get(name))
    elif isinstance(asked, list) and isinstance(held, list) and len(asked) == len(held):
        for place, (one, other) in enumerate(zip(asked, held, strict=True)):
            yield from _paths(f"{where}/{place}", one, other)
    else:
        yield where


ROUTES = (
    Route(
        "POST",
        "/v1/orders:compare",
        compare_orders,
        "Which of these orders the ledger holds, and in what the invoices there differ",
        "invoices",
        Scope.OPERATE,
        body=OrdersCompareBody,
        answers={200: ComparedOrders},
        refusals=(400, 408, 413, 415, 422),
    ),
)
