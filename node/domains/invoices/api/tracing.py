"""The route of an invoice's trace: every step of its life, forward and back."""

from __future__ import annotations

import msgspec
from aiohttp import web

from node.api.requests import CursorInteger, encode_cursor, query_cursor, query_limit, time_text
from node.api.routing import (
    PAGE_QUERY,
    Api,
    Route,
    json_response,
)
from node.api.security import Scope
from node.domains.invoices.api.facade import number_of
from node.domains.invoices.api.invoices import read_invoice
from node.domains.invoices.index.queries import (
    IndexedStep,
    InvoiceQueries,
)
from node.ledger.invoices.rows import InvoiceRow
from node.ledger.rulebook import RULEBOOK


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step in the life of an invoice."""

    operation: str
    signer: str
    time: str
    height: int
    transaction: str
    index: int | None = None
    """Position of its leaf in the tree; left out while the index is a moment behind."""
    amount: int | None = None
    other: str | None = None
    """The other party; of a red letter the invoice on its other side."""
    claim: int | None = None
    form: int | None = None


class TraceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The steps of an invoice, oldest first; each proved by its transaction's receipt."""

    number: str
    back: list[str]
    """The invoice it replaces, and of a red invoice the blue one."""
    forward: list[str]
    """Its red invoices, and the newest one issued in its place."""
    steps: list[StepView]
    next_cursor: str | None = None


class _StepCursor(msgspec.Struct, frozen=True, array_like=True):
    index: CursorInteger
    operation: CursorInteger


async def trace_invoice(api: Api, request: web.Request) -> web.Response:
    """Every step of an invoice."""
    number = number_of(request)
    row = await read_invoice(api, number)
    limit = query_limit(request)
    cursor = query_cursor(request, _StepCursor) or _StepCursor(-1, -1)
    index = InvoiceQueries(api.index)
    steps = await index.steps(number, (cursor.index, cursor.operation), limit)
    following = None
    if len(steps) == limit:
        following = encode_cursor(steps[-1].index, steps[-1].operation)
    views = [_step_view(step) for step in steps]
    if cursor.index < 0 and row.original is None:
        issued = await index.invoice(number)
        views.insert(0, _issue_view(row, None if issued is None else issued.leaf_index))
    return json_response(
        TraceView(
            number=number,
            back=[n for n in (row.replaces, row.original) if n is not None],
            forward=[
                *(form.number for form in row.forms if form.number is not None),
                *(() if row.replaced_by is None else (row.replaced_by,)),
            ],
            steps=views,
            next_cursor=following,
        )
    )


def _issue_view(row: InvoiceRow, index: int | None) -> StepView:
    return StepView(
        operation="issue",
        signer=row.issuer,
        time=time_text(row.issued_at),
        height=row.height,
        transaction=row.txid.hex(),
        index=index,
        amount=row.gross,
        other=row.replaces,
    )


def _step_view(step: IndexedStep) -> StepView:
    operation = RULEBOOK.tag_names[step.tag]
    of_form = operation.startswith("red_")
    return StepView(
        operation=operation,
        signer=step.signer,
        time=time_text(step.time_ms),
        height=step.height,
        index=step.index,
        transaction=step.txid.hex(),
        amount=step.amount,
        other=step.other,
        claim=None if of_form else step.reference,
        form=step.reference if of_form else None,
    )


ROUTES = (
    Route(
        "GET",
        "/v1/invoices/{number}/trace",
        trace_invoice,
        "Every step of an invoice, forward and back",
        "invoices",
        Scope.READ,
        query=PAGE_QUERY,
        answers={200: TraceView},
        refusals=(400, 404),
    ),
)
