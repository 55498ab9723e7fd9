"""Routes that act on an invoice, and the bureau's registers: one operation each.

Each path is declared once, in `_ACTIONS` or `_REGISTERS`, with the body it takes and how that
body becomes the operation. Drafts that need a number are in node.domains.invoices.api.issuing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from node.api.body import Body, EmptyBody
from node.api.errors import not_found
from node.api.requests import participant_of, path_integer, query_actor, read_json, time_ms
from node.api.routing import Api, Handler, check_writable
from node.api.writes import answer_write, facade_errors, write_operations, write_route
from node.domains.invoices.api import schemas
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoices import read_invoice
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotRegion,
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.rows import Response
from node.ledger.operations import Operation

OFFER_DEFAULT_MS = 7 * 24 * 3_600_000
"""An offer without a term is open for a week."""
RED_REASONS: Mapping[str, int] = {
    "issuing_error": 1,
    "return": 2,
    "service_ended": 3,
    "allowance": 4,
}
FORM_MAX = 10_000

Make = Callable[[Any, str, int], Operation]
"""(body, invoice number, wall-clock milliseconds) → operation."""
MakeForm = Callable[[Any, str, int], Operation]
"""(body, invoice number, form) → operation."""

_ACTIONS: tuple[tuple[str, str, type[Body], Make], ...] = (
    (
        "respond",
        "Say what the buyer thinks of the invoice",
        schemas.RespondBody,
        lambda body, number, _: ops.RespondInvoice(
            number, Response[body.response.upper()], body.amount or 0, body.reason or ""
        ),
    ),
    (
        "lapse",
        "State that the buyer's term for an answer has passed: deemed accepted",
        EmptyBody,
        lambda _, number, __: ops.LapseResponse(number),
    ),
    (
        "rule",
        "End a dispute (tax bureau)",
        schemas.RulingBody,
        lambda body, number, _: ops.RuleDispute(number, body.accepted, body.reason),
    ),
    (
        "freeze",
        "Hold the invoice for a case (tax bureau)",
        schemas.CaseBody,
        lambda body, number, _: ops.FreezeInvoice(number, body.case),
    ),
    (
        "unfreeze",
        "Let a held invoice go (tax bureau)",
        schemas.CaseBody,
        lambda body, number, _: ops.UnfreezeInvoice(number, body.case),
    ),
    (
        "offer",
        "Offer the invoice to another holder",
        schemas.OfferBody,
        lambda body, number, now_ms: ops.OfferInvoice(
            number, body.to, time_ms(body.expires) if body.expires else now_ms + OFFER_DEFAULT_MS
        ),
    ),
    (
        "sign",
        "Take the invoice offered to this participant",
        EmptyBody,
        lambda _, number, __: ops.SignOffer(number),
    ),
    (
        "refuse",
        "Refuse the invoice offered to this participant",
        EmptyBody,
        lambda _, number, __: ops.RefuseOffer(number),
    ),
    (
        "withdraw",
        "Take an offer back",
        EmptyBody,
        lambda _, number, __: ops.WithdrawOffer(number),
    ),
    (
        "submit",
        "Submit an amount to a reimburser",
        schemas.SubmitBody,
        lambda body, number, _: ops.SubmitInvoice(number, body.to, body.amount),
    ),
    (
        "claim",
        "Claim what was submitted: it is locked for this reimburser",
        schemas.ClaimBody,
        lambda body, number, _: ops.ClaimInvoice(number, body.amount),
    ),
    (
        "release",
        "Give up a claim",
        schemas.ReleaseBody,
        lambda body, number, _: ops.ReleaseClaim(number, body.claim),
    ),
    (
        "reimburse",
        "Pay a claim; the rest of its lock is released",
        schemas.ReimburseBody,
        lambda body, number, _: ops.ReimburseClaim(
            number, body.claim, body.amount, body.booking, body.payment
        ),
    ),
    (
        "book",
        "Enter the invoice in this participant's books",
        schemas.BookBody,
        lambda body, number, _: ops.BookInvoice(number, body.reference),
    ),
    (
        "unbook",
        "Take a booking back",
        schemas.ReasonBody,
        lambda body, number, _: ops.UnbookInvoice(number, body.reason),
    ),
    (
        "pay",
        "Attest that an amount of the invoice was paid (issuer, bank)",
        schemas.PayBody,
        lambda body, number, _: ops.PayInvoice(number, body.amount, body.reference),
    ),
    (
        "deduct",
        "Use the tax of a special invoice (buyer)",
        EmptyBody,
        lambda _, number, __: ops.DeductInvoice(number),
    ),
    (
        "undeduct",
        "Take a deduction back",
        EmptyBody,
        lambda _, number, __: ops.UndeductInvoice(number),
    ),
    (
        "cancel",
        "Cancel a fresh invoice that nobody has used",
        schemas.ReasonBody,
        lambda body, number, _: ops.CancelInvoice(number, body.reason),
    ),
)

_FORM_ACTIONS: tuple[tuple[str, str, type[Body], MakeForm], ...] = (
    (
        "confirm",
        "Confirm a red-letter form as its counterparty",
        EmptyBody,
        lambda _, number, form: ops.ConfirmRedLetter(number, form),
    ),
    (
        "deny",
        "Deny a red-letter form as its counterparty",
        EmptyBody,
        lambda _, number, form: ops.DenyRedLetter(number, form),
    ),
    (
        "withdraw",
        "Withdraw a red-letter form as its requester",
        EmptyBody,
        lambda _, number, form: ops.WithdrawRedLetter(number, form),
    ),
    (
        "lapse",
        "Close a red-letter form whose term has passed",
        EmptyBody,
        lambda _, number, form: ops.LapseRedLetter(number, form),
    ),
    (
        "consent",
        "Let a red letter take from this reimburser's claim",
        schemas.ConsentBody,
        lambda body, number, form: ops.ConsentRedLetter(
            number, form, body.claim, body.locked, body.reimbursed
        ),
    ),
)

_REGISTERS: tuple[tuple[str, str, type[Body], Callable[[Any], Operation]], ...] = (
    (
        "segments",
        "Allot invoice numbers to an issuer (tax bureau)",
        schemas.SegmentBody,
        lambda body: AllotSegment(body.issuer, body.first, body.count),
    ),
    (
        "regions",
        "Allot invoice numbers to a regional bureau (head bureau)",
        schemas.RegionBody,
        lambda body: AllotRegion(body.bureau, body.first, body.count),
    ),
    (
        "quotas",
        "Set an issuer's quota of one month (tax bureau)",
        schemas.QuotaBody,
        lambda body: GrantQuota(
            body.issuer,
            int(body.month.replace("-", "")),
            body.net,
            time_ms(body.valid_from),
            time_ms(body.valid_to),
        ),
    ),
    (
        "tax-rates",
        "Set the tax rates in force (tax bureau)",
        schemas.TaxRatesBody,
        lambda body: PublishTaxRates(body.issuer, tuple(body.rates)),
    ),
    (
        "exchange-rates",
        "Publish an exchange rate (tax bureau)",
        schemas.ExchangeRateBody,
        lambda body: PublishExchangeRate(body.currency, body.micro, body.date),
    ),
)


_REGISTER_NAMES: Mapping[str, str] = {
    "segments": "allot_segment",
    "regions": "allot_region",
    "quotas": "grant_quota",
    "tax-rates": "publish_tax_rates",
    "exchange-rates": "publish_exchange_rate",
}


def _action(model: type[Body], make: Make) -> Handler:
    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        number = number_of(request)
        body, idempotency = await read_json(request, model, api.config)
        return await write_operations(
            api, request, (make(body, number, api.time_ms()),), idempotency
        )

    return handle


def _form_action(model: type[Body], make: MakeForm) -> Handler:
    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        number, form = number_of(request), form_of(request)
        body, idempotency = await read_json(request, model, api.config)
        return await write_operations(api, request, (make(body, number, form),), idempotency)

    return handle


def _register(model: type[Body], make: Callable[[Any], Operation]) -> Handler:
    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        body, idempotency = await read_json(request, model, api.config)
        return await write_operations(api, request, (make(body),), idempotency)

    return handle


def _issuing(make: Callable[[str, str], Operation]) -> Handler:
    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        issuer = participant_of(request)
        body, idempotency = await read_json(request, schemas.CaseBody, api.config)
        return await write_operations(api, request, (make(issuer, body.case),), idempotency)

    return handle


def form_of(request: web.Request) -> int:
    """The number of the form in the path.

    Raises:
        ApiError: 404 when it cannot be one.
    """
    form = path_integer(request, "form")
    if form > FORM_MAX:
        raise not_found("there is no such form")
    return form


async def share_details(api: Api, request: web.Request) -> web.StreamResponse:
    """Let one more party read the details of an invoice."""
    number = number_of(request)
    body, idempotency = await read_json(request, schemas.ShareBody, api.config)
    await read_invoice(api, number)
    check_writable(api)
    with facade_errors():
        submission = await invoices_of(api).share(
            number, body.to, idempotency, query_actor(request)
        )
    return await answer_write(api, request, submission)


ROUTES = (
    write_route(
        "/v1/invoices/{number}/share",
        share_details,
        "Let one more party read the sealed details",
        "invoices",
        body=schemas.ShareBody,
        operation="share",
        by_key=True,
    ),
    *(
        write_route(
            f"/v1/invoices/{{number}}/{name}",
            _action(model, make),
            summary,
            "invoices",
            body=model,
            operation=name,
            by_key=True,
        )
        for name, summary, model, make in _ACTIONS
    ),
    *(
        write_route(
            f"/v1/invoices/{{number}}/red/{{form}}/{name}",
            _form_action(model, make),
            summary,
            "red letters",
            body=model,
            operation=f"red_{name}",
            by_key=True,
        )
        for name, summary, model, make in _FORM_ACTIONS
    ),
    *(
        write_route(
            f"/v1/{name}",
            _register(model, make),
            summary,
            "registers",
            body=model,
            operation=_REGISTER_NAMES[name],
            by_key=True,
        )
        for name, summary, model, make in _REGISTERS
    ),
    *(
        write_route(
            f"/v1/issuers/{{participant}}/{name}",
            _issuing(make),
            summary,
            "registers",
            body=schemas.CaseBody,
            operation=f"{name}_issuing",
        )
        for name, summary, make in (
            ("suspend", "Stop an issuer's blue invoices (tax bureau)", SuspendIssuing),
            ("resume", "Let an issuer issue again (tax bureau)", ResumeIssuing),
        )
    ),
)
