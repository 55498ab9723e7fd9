"""Routes that issue invoices, blue and red: what the node draws a number for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from node.api.errors import ApiError, invalid_field, not_found, refused
from node.api.requests import read_json
from node.api.routing import Api, check_writable
from node.api.writes import facade_errors, wait_submission, write_answer, write_route
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoices import read_invoice
from node.domains.invoices.api.operations import form_of
from node.domains.invoices.api.rate_refusals import with_rates
from node.domains.invoices.api.red_lines import lines_of_form, stored_lines
from node.domains.invoices.details.bodies import InvoiceBatchBody, InvoiceBody, RedIssueBody
from node.domains.invoices.details.drafting import Original, invoice_draft, red_draft
from node.domains.invoices.details.drafts import InvoiceDraft, RedDraft
from node.domains.invoices.details.stored import over_credited
from node.domains.invoices.details.totals import DraftError
from node.following.outcomes import Idempotency
from node.ledger.codes import Code, Table
from node.ledger.context import day_of
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.rows import GroupRow, InvoiceRow, decode_invoice, decode_order, order_key
from node.ledger.invoices.tax import signed_tax

CLAIM = "claim"
"""As a buyer: a key that is made for the order, and told to the issuer."""


def today_of(api: Api) -> str:
    """The day of the network, YYYY-MM-DD."""
    return day_of(api.time_ms(), api.node.utc_offset_minutes).isoformat()


def draft_error(error: DraftError, where: str = "") -> ApiError:
    """The answer to a body that makes no draft."""
    return invalid_field(where + error.path, error.message)


async def issue_one(api: Api, request: web.Request) -> web.Response:
    """Issue one invoice."""
    body, idempotency = await read_json(request, InvoiceBody, api.config)
    try:
        draft = invoice_draft(body, api.node.participant, today_of(api))
    except DraftError as error:
        raise draft_error(error) from error
    return await _issue(api, request, (_with_buyer(api, draft),), idempotency)


async def issue_batch(api: Api, request: web.Request) -> web.Response:
    """Issue invoices in one transaction, all or none."""
    body, idempotency = await read_json(request, InvoiceBatchBody, api.config)
    today = today_of(api)
    drafts: list[InvoiceDraft] = []
    for position, item in enumerate(body.invoices):
        try:
            drafts.append(_with_buyer(api, invoice_draft(item, api.node.participant, today)))
        except DraftError as error:
            raise draft_error(error, f"/invoices/{position}") from error
    return await _issue(api, request, drafts, idempotency, batch=True)


async def issue_red(api: Api, request: web.Request) -> web.Response:
    """Issue the red invoice of a confirmed form."""
    number, form = number_of(request), form_of(request)
    body, idempotency = await read_json(request, RedIssueBody, api.config)
    body = await lines_of_form(api, number, form, body)
    row = await read_invoice(api, number)
    found = next((f for f in row.forms if f.id == form), None)
    if found is None:
        raise not_found("there is no such form")
    groups = tuple(map(_remaining, row.groups))
    original = Original(
        number=number,
        currency=row.currency,
        groups=tuple(g for g in groups if g.net or g.tax),
        gross=sum(g.net + g.tax for g in groups),
        form=form,
        amount=found.amount,
    )
    try:
        draft = red_draft(body, api.node.participant, original)
    except DraftError as error:
        raise draft_error(error) from error
    if found.number is None:  # else the order is repeated, and gets its first answer
        await _check_credit(api, row, body)
    return await _issue(api, request, (draft,), idempotency)


async def _check_credit(api: Api, row: InvoiceRow, body: RedIssueBody) -> None:
    """Refuse a red line beyond what its original has left over all red letters (DOMAIN §3).

    Raises:
        ApiError: 409 LINE_OVER_CREDIT.
    """
    if not body.lines or all(line.original is None for line in body.lines):
        return
    blue = await stored_lines(api, row.number)
    numbers = [form.number for form in row.forms if form.number is not None]
    earlier = [await stored_lines(api, number) for number in numbers]
    position = over_credited(blue, earlier, body.lines)
    if position is not None:
        raise refused(
            Code.LINE_OVER_CREDIT, f"/lines/{position} takes back more than its original has left"
        )


def _remaining(group: GroupRow) -> RateGroup:
    """What earlier red letters left of a rate group; `lines` allows for their roundings."""
    net, tax = group.net - group.credited_net, group.tax - group.credited_tax
    off = abs(tax - signed_tax(net, group.rate))
    return RateGroup(group.rate, net, tax, max(group.lines, off))


async def _issue(
    api: Api,
    request: web.Request,
    drafts: Sequence[InvoiceDraft | RedDraft],
    idempotency: Idempotency | None,
    *,
    batch: bool = False,
) -> web.Response:
    check_writable(api)
    with facade_errors():
        issued = await invoices_of(api).issue(drafts, idempotency)
    try:
        reached, status = await wait_submission(api, request, issued.submission)
    except ApiError as error:
        raise await with_rates(api, drafts, error) from error
    keys = tuple(_claim_key(api, draft) for draft in drafts)
    numbers = await _first_numbers(api, drafts, issued.numbers)
    before = await _issued_before(api, issued.numbers, numbers)
    if batch:
        return write_answer(
            reached,
            status,
            numbers=numbers,
            claim_keys=keys if any(keys) else None,
            issued_before_each=before if any(before) else None,
        )
    return write_answer(
        reached, status, number=numbers[0], claim_key=keys[0], issued_before=before[0]
    )


def _claim_key(api: Api, draft: InvoiceDraft | RedDraft) -> str | None:
    if not isinstance(draft, InvoiceDraft) or len(draft.buyer) != 64:
        return None
    return invoices_of(api).claim_key(draft.order, draft.buyer)


def _with_buyer(api: Api, draft: InvoiceDraft) -> InvoiceDraft:
    """The draft with a claim key as its buyer, if it has none."""
    if draft.buyer != CLAIM:
        return draft
    return msgspec.structs.replace(draft, buyer=invoices_of(api).claim_buyer(draft.order))


async def _first_numbers(
    api: Api, drafts: Sequence[InvoiceDraft | RedDraft], numbers: tuple[str, ...]
) -> tuple[str, ...]:
    """The numbers under which the ledger holds these orders.

    A repeated order is answered with its first number (DOMAIN §3 row 1), not with the one drawn.
    """
    keys = [order_key(api.node.participant, draft.order) for draft in drafts]
    rows = await api.node.state_rows(Table.ORDER, keys)
    return tuple(
        decode_order(rows[key]).number if key in rows else number
        for key, number in zip(keys, numbers, strict=True)
    )


async def _issued_before(
    api: Api, drawn: tuple[str, ...], first: tuple[str, ...]
) -> tuple[int | None, ...]:
    """At which height each order was issued, if before: its number is not the one drawn."""
    repeated = [number.encode() for number, now in zip(first, drawn, strict=True) if number != now]
    if not repeated:
        return (None,) * len(drawn)
    rows = await api.node.state_rows(Table.INVOICE, repeated)
    heights = {key.decode(): decode_invoice(row).height for key, row in rows.items()}
    return tuple(
        heights.get(number) if number != now else None
        for number, now in zip(first, drawn, strict=True)
    )


ROUTES = (
    write_route(
        "/v1/invoices",
        issue_one,
        "Issue an invoice; the node draws its number and signs",
        "invoices",
        body=InvoiceBody,
        operation="issue",
    ),
    write_route(
        "/v1/invoices:batch",
        issue_batch,
        "Issue invoices in one transaction: all or none",
        "invoices",
        body=InvoiceBatchBody,
        operation="issue",
    ),
    write_route(
        "/v1/invoices/{number}/red/{form}/issue",
        issue_red,
        "Issue the red invoice of a confirmed form",
        "red letters",
        body=RedIssueBody,
        operation="red_issue",
    ),
)
