"""The check of an invoice by a stranger who holds its paper: number, gross and transaction hash.

Owns who is told what. Nobody without all three facts learns more than that a number exists; whoever
has them sees what the paper says and what became of the invoice. No token is needed.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal

import msgspec
from aiohttp import web

from node.api.errors import ApiError, bad_request
from node.api.requests import time_text
from node.api.routing import Api, Query, Route, WaitSlot, json_response
from node.domains.invoices.api.faces import LANGUAGE_QUERY, html_response, language_of
from node.domains.invoices.api.invoice_views import DOCUMENT_NAMES
from node.domains.invoices.documents.check import CheckForm, CheckView, Verdict, render_check
from node.domains.invoices.documents.qr import QR_TEXT_MAX, read_facts, read_qr_text
from node.ledger.codes import Table
from node.ledger.currency import decimals
from node.ledger.invoices.rows import Document, InvoiceRow, decode_invoice
from node.ledger.participants import decode_participant

_FINAL_WAIT_S = 1.0
"""A block that is committed is final within milliseconds while the voters are well."""
_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,3})?", re.ASCII)
_FIELD_MAX = 80


class IssuerView(msgspec.Struct, frozen=True):
    """Who issued it."""

    id: str
    name: str


class VerifyView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer. Only `result`, `height`, `time` and `final` unless all three facts are right."""

    result: Verdict
    """valid, mismatch, cancelled, red_lettered, locked, reimbursed or unknown: the gravest that
    is true; the amounts tell the others."""
    height: int
    """The answer is that after this block."""
    time: str
    final: bool
    """Whether that block is final: no later answer can contradict this one about it."""
    number: str | None = None
    issuer: IssuerView | None = None
    kind: Literal["ordinary", "special"] | None = None
    currency: str | None = None
    gross: int | None = None
    """Negative on a red invoice."""
    issue_date: str | None = None
    state: str | None = None
    """issued, partly_credited, credited or cancelled."""
    credited: int | None = None
    locked: int | None = None
    reimbursed: int | None = None
    available: int | None = None
    frozen: bool | None = None
    original: str | None = None
    """Of a red invoice: the blue one."""
    issued_height: int | None = None
    transaction: str | None = None


async def check(
    api: Api, number: str, transaction: str, gross_is: Callable[[InvoiceRow], bool]
) -> VerifyView:
    """Compare what a paper says with the ledger.

    Args:
        api: The node.
        number: 20 digits.
        transaction: 64 hex digits.
        gross_is: Whether the paper's gross amount is that of the row.
    """
    head = api.node.status()
    key = number.encode()
    found = (await api.node.state_rows(Table.INVOICE, (key,))).get(key)
    # The row may come from a block after `head`: only one that is final up to here is.
    final = await _becomes_final(api, api.node.heights().committed)
    row = None if found is None else decode_invoice(found)
    height = max(head.height, 0 if row is None else row.height)
    time = time_text(head.head_time_ms)
    if row is None:
        return VerifyView(result="unknown", height=height, time=time, final=final)
    # Both are looked at before anything is answered: which of them is wrong must not be told,
    # not even by how long it takes.
    same_gross = gross_is(row)
    if not (hmac.compare_digest(row.txid.hex(), transaction) and same_gross):
        return VerifyView(result="mismatch", height=height, time=time, final=final)
    issuer = await api.node.state_rows(Table.PARTICIPANT, (row.issuer.encode(),))
    name = "".join(decode_participant(value).name for value in issuer.values())
    return VerifyView(
        result=_verdict(row),
        height=height,
        time=time,
        final=final,
        number=row.number,
        issuer=IssuerView(row.issuer, name),
        kind="special" if row.special else "ordinary",
        currency=row.currency,
        gross=_signed_gross(row),
        issue_date=row.issue_date,
        state=DOCUMENT_NAMES[row.document],
        credited=row.credited,
        locked=row.locked,
        reimbursed=row.reimbursed,
        available=row.available,
        frozen=bool(row.frozen),
        original=row.original,
        issued_height=row.height,
        transaction=row.txid.hex(),
    )


def _verdict(row: InvoiceRow) -> Verdict:
    if row.document is Document.CANCELLED:
        return "cancelled"
    if row.credited:
        return "red_lettered"
    if row.reimbursed:
        return "reimbursed"
    if row.locked:
        return "locked"
    return "valid"


def _signed_gross(row: InvoiceRow) -> int:
    return -row.gross if row.red else row.gross


async def _becomes_final(api: Api, height: int) -> bool:
    """Whether `height` is final, after a moment's patience."""
    heights = api.node.heights()
    if heights.final >= height:
        return True
    try:
        with WaitSlot(api, None):
            end_s = asyncio.get_running_loop().time() + _FINAL_WAIT_S
            while heights.final < height:
                left_s = end_s - asyncio.get_running_loop().time()
                if left_s <= 0:
                    break
                heights = await api.node.wait_heights(heights, left_s)
    except ApiError:
        pass  # too many wait already: answer with what is known now
    return heights.final >= height


# --- Routes ----------------------------------------------------------------------------------


async def verify(api: Api, request: web.Request) -> web.Response:
    """The check, for programs."""
    facts = read_facts(
        *(request.query.get(name, "")[:_FIELD_MAX] for name in ("number", "gross", "hash"))
    )
    if facts is None:
        raise bad_request(
            "give number (20 digits), gross (minor units) and hash (64 hex digits, or 66 that "
            "begin with 00 or 01)"
        )
    return json_response(
        await check(
            api, facts.number, facts.transaction, lambda row: _signed_gross(row) == facts.gross
        )
    )


async def verify_page(api: Api, request: web.Request) -> web.Response:
    """The check, for people: the link of a QR code leads here."""
    language = language_of(request)
    form = CheckForm(
        text=request.query.get("text", "")[: QR_TEXT_MAX + 1],
        number=request.query.get("number", "").strip()[:_FIELD_MAX],
        amount=request.query.get("amount", "").strip()[:_FIELD_MAX],
        hash=request.query.get("hash", "").strip()[:_FIELD_MAX],
        gross=request.query.get("gross", "").strip()[:_FIELD_MAX],
    )
    if form.empty:
        page = render_check(None, form, language)
        return html_response(page.text, page.policy)
    answer = await _check_form(api, form)
    view = CheckView("unreadable") if answer is None else _check_view(answer)
    page = render_check(view, form, language)
    return html_response(page.text, page.policy, 400 if answer is None else 200)


async def _check_form(api: Api, form: CheckForm) -> VerifyView | None:
    """The answer to a filled form; None when it cannot be read."""
    if form.text:
        facts = read_qr_text(form.text)
    elif form.gross:
        facts = read_facts(form.number, form.gross, form.hash)
    else:
        amount = form.amount.replace(",", "").lstrip("¥£€$ ")
        facts = read_facts(form.number, "0", form.hash)
        if facts is None or not _AMOUNT.fullmatch(amount):
            return None
        stated = Decimal(amount)
        return await check(
            api,
            facts.number,
            facts.transaction,
            lambda row: Decimal(_signed_gross(row)).scaleb(-decimals(row.currency)) == stated,
        )
    if facts is None:
        return None
    gross = facts.gross
    return await check(
        api, facts.number, facts.transaction, lambda row: _signed_gross(row) == gross
    )


def _check_view(answer: VerifyView) -> CheckView:
    if answer.number is None or answer.issuer is None or answer.currency is None:
        return CheckView(answer.result, height=answer.height, time=answer.time, final=answer.final)
    assert answer.gross is not None, "it comes with the number"
    assert answer.issue_date is not None, "it comes with the number"
    return CheckView(
        answer.result,
        height=answer.height,
        time=answer.time,
        final=answer.final,
        number=answer.number,
        issuer_id=answer.issuer.id,
        issuer_name=answer.issuer.name,
        special=answer.kind == "special",
        currency=answer.currency,
        decimals=decimals(answer.currency),
        gross=answer.gross,
        issue_date=answer.issue_date,
        original=answer.original,
        frozen=bool(answer.frozen),
        amounts=tuple(
            (key, amount)
            for key, amount in (
                ("credited_amount", answer.credited),
                ("locked", answer.locked),
                ("reimbursed", answer.reimbursed),
            )
            if amount
        ),
        whole=answer.state == "credited",
        transaction=answer.transaction or "",
    )


ROUTES = (
    Route(
        "GET",
        "/v1/verify",
        verify,
        "Whether a paper invoice is what the ledger holds; no token",
        "verify",
        None,
        query=(
            Query("number", "Invoice number, 20 digits."),
            Query("gross", "Gross amount in minor units; negative on a red invoice."),
            Query(
                "hash", "Hash of the transaction: 64 hex digits, or 66 that begin with 00 or 01."
            ),
        ),
        answers={200: VerifyView},
        refusals=(400, 429),
        rated=True,
    ),
    Route(
        "GET",
        "/verify",
        verify_page,
        "The same as a page, for people; the link of a QR code leads here",
        "verify",
        None,
        query=(
            Query("text", "The text of a QR code, instead of the other fields."),
            Query("number", "Invoice number."),
            Query("gross", "Gross amount in minor units."),
            Query("amount", "Gross amount as printed, instead of `gross`: 1234.50."),
            Query("hash", "Hash of the transaction."),
            LANGUAGE_QUERY,
        ),
        answers={200: "text/html", 400: "text/html"},
        refusals=(429,),
        rated=True,
    ),
)
