"""Red letters by line: what a requester wants to take back, line by line, sealed in the form.

Owns how lines become an amount, and how the issuer takes them from the form again. The arithmetic
is `node.domains.invoices.importing.red_lines`. Without lines a form is over an amount alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from pydantic import ValidationError

from node.api.errors import ApiError, FieldError, not_found
from node.api.requests import query_actor, read_json
from node.api.routing import Api, Route, check_writable, json_response
from node.api.security import Scope
from node.api.writes import answer_write, facade_errors, write_operations, write_route
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoice_views import FormView, invoice_view
from node.domains.invoices.api.invoices import read_invoice
from node.domains.invoices.api.operations import RED_REASONS, form_of
from node.domains.invoices.api.schemas import RedBody, RedLineBody
from node.domains.invoices.details.bodies import GroupBody, RedIssueBody
from node.domains.invoices.details.details import DetailsBody, LineBody
from node.domains.invoices.details.stored import StoredDetailsError, read_details
from node.domains.invoices.details.totals import canonical_details
from node.domains.invoices.importing.plan import LateRed, RedLine
from node.domains.invoices.importing.red_lines import Original, OriginalGroup, RedLineError
from node.ledger.codes import Code
from node.ledger.invoices.operations import RequestRedLetter
from node.ledger.invoices.rows import InvoiceRow

_EXTENSION = "red_letter"
"""Under this name the form's details keep the totals by rate that its lines come to."""


class FormDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A red-letter form, with its lines for whoever can open them."""

    form: FormView
    details: msgspec.Raw | None


async def request_red(api: Api, request: web.Request) -> web.Response:
    """Open a form over an amount, or over lines of the invoice."""
    number = number_of(request)
    body, idempotency = await read_json(request, RedBody, api.config)
    reason = RED_REASONS[body.reason]
    if body.lines is None:
        assert body.amount is not None, "the schema wants one of them"
        operation = RequestRedLetter(number, body.amount, reason)
        return await write_operations(api, request, (operation,), idempotency)
    check_writable(api)
    row = await read_invoice(api, number)
    amount, details = await _work_out(api, row, body.lines)
    if body.amount is not None and body.amount != amount:
        message = f"the lines come to {amount} gross"
        raise ApiError(422, "INVALID_FIELDS", message, errors=(FieldError("/amount", message),))
    with facade_errors():
        submission = await invoices_of(api).request_red(
            RequestRedLetter(number, amount, reason),
            details,
            idempotency,
            query_actor(request),
        )
    return await answer_write(api, request, submission)


async def show_form(api: Api, request: web.Request) -> web.Response:
    """One form of an invoice."""
    number, form = number_of(request), form_of(request)
    row = await read_invoice(api, number)
    views = invoice_view(row, api.time_ms()).red_forms
    view = next((view for view in views if view.form == form), None)
    if view is None:
        raise not_found("there is no such form")
    details = await invoices_of(api).form_details(number, form)
    return json_response(
        FormDetails(form=view, details=None if details is None else msgspec.Raw(details))
    )


async def lines_of_form(api: Api, number: str, form: int, body: RedIssueBody) -> RedIssueBody:
    """The body with the lines that the form was asked for over, if it names no amounts itself."""
    if body.lines is not None or body.groups is not None:
        return body
    sealed = await invoices_of(api).form_details(number, form)
    if sealed is None:
        return body
    try:  # the requester's node wrote it, and may have written anything
        document = read_details(sealed)
        totals: Any = (document.extensions or {})[_EXTENSION]
        groups = [GroupBody.model_validate(group) for group in totals["groups"]]
    except (StoredDetailsError, ValidationError, LookupError, TypeError):
        return body
    return body.model_copy(update={"lines": list(document.lines), "groups": groups})


async def _work_out(api: Api, row: InvoiceRow, lines: Sequence[RedLineBody]) -> tuple[int, bytes]:
    """Gross amount and sealed details of a form over these lines.

    Raises:
        ApiError: 409 when a line does not hold so much, or this node cannot read the lines.
    """
    original = await _original(api, row)
    wanted = tuple(
        RedLine(row=place, line=line.line, quantity=line.quantity, net=line.net)
        for place, line in enumerate(lines)
    )
    letter = LateRed("", 0, row.number, True, "return", row.currency, wanted, b"{}")
    try:
        planned = original.work_out(letter)
    except RedLineError as error:
        raise _refused(error) from error
    made = msgspec.json.decode(planned.body)
    details = canonical_details(
        DetailsBody(extensions={_EXTENSION: {"groups": made["groups"]}}),
        [LineBody.model_validate(line) for line in made["lines"]],
    )
    assert details is not None
    return planned.net + planned.tax, details


async def _original(api: Api, row: InvoiceRow) -> Original:
    """The invoice with its lines, and what earlier red letters took of each."""
    lines = await stored_lines(api, row.number)
    if not lines:
        raise ApiError(409, "LINES_UNREADABLE", "this node cannot read the lines of the invoice")
    groups = {
        g.rate: OriginalGroup(g.net, g.tax, g.credited_net, g.credited_tax) for g in row.groups
    }
    taken: dict[int, int] = {}
    for form in row.forms:
        for line in () if form.number is None else await stored_lines(api, form.number):
            if line.original is not None:
                taken[line.original] = taken.get(line.original, 0) + line.net
    listed = [line.model_dump(exclude_none=True) for line in lines]
    return Original(row.currency, groups, listed, taken)


async def stored_lines(api: Api, number: str) -> Sequence[LineBody]:
    """The lines of an invoice; none when it has none that this node can read."""
    details = await invoices_of(api).details(number)
    if details is None:
        return ()
    try:
        return read_details(details).lines
    except StoredDetailsError:
        return ()


def _refused(error: RedLineError) -> ApiError:
    path = f"/lines/{error.row}"
    known = error.code in Code.__members__
    return ApiError(
        409 if known else 422,
        error.code if known else "INVALID_FIELDS",
        f"{path}: {error}",
        errors=(FieldError(path, str(error)),),
    )


ROUTES = (
    write_route(
        "/v1/invoices/{number}/red",
        request_red,
        "Ask for a red letter over an amount, or over lines",
        "red letters",
        body=RedBody,
        operation="red_request",
        by_key=True,
    ),
    Route(
        "GET",
        "/v1/invoices/{number}/red/{form}",
        show_form,
        "One red-letter form; its lines for its parties",
        "red letters",
        Scope.READ,
        answers={200: FormDetails},
        refusals=(404,),
    ),
)
