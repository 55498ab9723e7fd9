"""The face of an invoice: from its state row and opened details to what is printed, and its route.

Owns the view model's filling and the choice of format and language. Layout is
`node.domains.invoices.documents`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal, get_args

from aiohttp import web

from node.api.requests import query_choice
from node.api.routing import ACCESS_KEY, Api, Query, Route
from node.api.security import Scope
from node.api.workers import WorkerKind
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoices import read_invoice
from node.domains.invoices.api.wallet import claim_key_of
from node.domains.invoices.details.details import AllowanceBody, LineBody, PartyDetails
from node.domains.invoices.details.stored import StoredDetails, StoredDetailsError, read_details
from node.domains.invoices.documents.face import (
    DetailsState,
    Face,
    Group,
    Mark,
    MarkKind,
    PartyBlock,
    Row,
)
from node.domains.invoices.documents.figures import negated
from node.domains.invoices.documents.html import HtmlPage, render_face
from node.domains.invoices.documents.pdf_worker import print_pdf
from node.domains.invoices.documents.qr import Facts, qr_text
from node.domains.invoices.documents.wording import Language
from node.ledger.codes import Table
from node.ledger.currency import decimals
from node.ledger.invoices.rows import Document, InvoiceRow, Response
from node.ledger.invoices.tax import signed_tax
from node.ledger.participants import decode_participant

PDF_TYPE = "application/pdf"
HTML_TYPE = "text/html"
Format = Literal["html", "pdf"]
_PARTY_FACTS = ("address", "country", "phone", "email", "contact", "bank", "account")
_REFERENCES = (
    "external_number",
    "external_date",
    "order_reference",
    "contract_reference",
    "due_date",
    "payment_terms",
)
_PARTICIPANT_LENGTH = 18


# --- The view model --------------------------------------------------------------------------


async def face_of(api: Api, number: str, *, secrets: bool = False) -> Face:
    """The face of an invoice as this node's participant may see it.

    With `secrets` it carries the claim key of a buyer without keys, while that is the issuer's to
    hand over.

    Raises:
        ApiError: 404.
    """
    head = api.node.status()
    row = await read_invoice(api, number)
    opened: StoredDetails | None = None
    state: DetailsState = "none"
    if row.details is not None:
        content = await invoices_of(api).details(number)
        state = "sealed"
        if content is not None:
            opened = _read_details(content)
            state = "unreadable" if opened is None else "opened"
    names = await _participant_names(api, (row.issuer, row.buyer))
    sign = -1 if row.red else 1
    transaction = row.txid.hex()
    return Face(
        number=row.number,
        special=row.special,
        currency=row.currency,
        decimals=decimals(row.currency),
        issue_date=row.issue_date,
        seller=_party(row.issuer, names, opened.seller if opened else None),
        buyer=_party(row.buyer, names, opened.buyer if opened else None),
        details=state,
        rows=_rows(opened, sign) if opened else (),
        groups=[Group(g.rate, sign * g.net, sign * g.tax) for g in row.groups],
        net=sign * row.net,
        tax=sign * row.tax,
        gross=sign * row.gross,
        remarks=opened.remarks if opened else None,
        references=_references(row, opened),
        drawer=_one_line(opened.seller.contact) if opened and opened.seller else None,
        original=row.original,
        claim_key=claim_key_of(api, row) if secrets else None,
        marks=marks_of(row, final=max(row.height, head.height) <= api.node.heights().final),
        transaction=transaction,
        network=head.network_id,
        height=row.height,
        issued_ms=row.issued_at,
        seen_height=max(row.height, head.height),
        seen_ms=max(row.issued_at, head.head_time_ms),
        qr=qr_text(Facts(row.number, sign * row.gross, transaction), api.config.public_url),
    )


def marks_of(row: InvoiceRow, *, final: bool) -> list[Mark]:
    """What stands on the face about the invoice's state; at least one mark."""
    marks: list[Mark] = []
    if row.frozen:
        marks.append(Mark("frozen"))
    if row.red:
        marks.append(Mark("red_document"))
    match row.document:
        case Document.CANCELLED:
            marks.append(Mark("cancelled"))
        case Document.CREDITED:
            marks.append(Mark("credited", row.credited))
        case Document.PARTLY_CREDITED:
            marks.append(Mark("partly_credited", row.credited))
        case Document.ISSUED:
            pass
    if row.response is Response.REJECTED:
        marks.append(Mark("rejected"))
    elif row.response is Response.DISPUTED:
        marks.append(Mark("disputed"))
    amounts: tuple[tuple[MarkKind, int], ...] = (
        ("red_reserved", row.red_reserved),
        ("locked", row.locked),
        ("reimbursed", row.reimbursed),
        ("refund_due", row.refund_due),
    )
    marks += [Mark(kind, amount) for kind, amount in amounts if amount]
    if not marks:
        marks.append(Mark("issued"))
    if not final:
        marks.append(Mark("not_final"))
    return marks


def _read_details(content: bytes) -> StoredDetails | None:
    try:
        return read_details(content)
    except StoredDetailsError:  # another node's may not have this shape
        return None


async def _participant_names(api: Api, parties: Iterable[str]) -> dict[str, str]:
    keys = [party.encode() for party in parties if len(party) == _PARTICIPANT_LENGTH]
    found = await api.node.state_rows(Table.PARTICIPANT, keys)
    return {key.decode(): decode_participant(row).name for key, row in found.items()}


def _party(reference: str, names: dict[str, str], details: PartyDetails | None) -> PartyBlock:
    """A party of the ledger, with what the details say of it.

    The id is that of the ledger: details that claim another tax id are shown beside it, not
    instead.
    """
    facts: list[tuple[str, str]] = []
    listed = len(reference) == _PARTICIPANT_LENGTH
    if listed:
        facts.append(("tax_id", reference))
    name = names.get(reference)
    if details is not None:
        name = _one_line(details.name) or name
        tax_id = _one_line(details.tax_id)
        if tax_id is not None and tax_id != reference:
            facts.append(("stated_tax_id" if listed else "tax_id", tax_id))
        for key in _PARTY_FACTS:
            text = _one_line(getattr(details, key))
            if text is not None:
                facts.append((key, text))
    if not listed:
        facts.append(("party_key", reference))
    return PartyBlock(name, facts)


def _one_line(text: str | None) -> str | None:
    """Text without line breaks: what a party writes must not stretch a form."""
    return None if text is None else " ".join(text.split()) or None


def _rows(opened: StoredDetails, sign: int) -> list[Row]:
    rows = [_line_row(line, sign) for line in opened.lines]
    return rows + [_allowance_row(item, sign) for item in opened.allowances]


def _line_row(line: LineBody, sign: int) -> Row:
    quantity = line.quantity
    if quantity is not None and sign < 0:
        quantity = negated(quantity)
    return Row(
        name=_one_line(line.description) or "",
        net=sign * line.net,
        rate=line.rate,
        tax=sign * _tax(line.net, line.rate, line.tax),
        kind=line.nature,
        code=_one_line(line.code),
        model=_one_line(line.model),
        unit=_one_line(line.unit),
        quantity=quantity,
        unit_price=line.unit_price,
        allowance=None if not line.allowance else sign * line.allowance,
        original_line=None if line.original is None else line.original + 1,
    )


def _allowance_row(item: AllowanceBody, sign: int) -> Row:
    turned = -sign if item.kind == "allowance" else sign
    return Row(
        name=_one_line(item.reason) or "",
        net=turned * item.net,
        rate=item.rate,
        tax=turned * _tax(item.net, item.rate, item.tax),
        kind=item.kind,
    )


def _tax(net: int, rate: int, stated: int | None) -> int:
    return signed_tax(net, rate) if stated is None else stated


def _references(row: InvoiceRow, opened: StoredDetails | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if row.replaces is not None:
        found.append(("replaces", row.replaces))
    if row.replaced_by is not None:
        found.append(("replaced_by", row.replaced_by))
    found += [("red_number", form.number) for form in row.forms if form.number is not None]
    if opened is not None:
        for key in _REFERENCES:
            text = _one_line(getattr(opened, key))
            if text is not None:
                found.append((key, text))
        found += [
            ("attachment", f"{_one_line(item.name) or ''} · SHA-256 {item.hash}")
            for item in opened.attachments or ()
        ]
    return found


# --- The route -------------------------------------------------------------------------------


async def show_face(api: Api, request: web.Request) -> web.Response:
    """The face as a page or a PDF."""
    number = number_of(request)
    language = language_of(request)
    kind = _format_of(request)
    # One document of a kind at a time, in a process or a thread: a long one is seconds of work, and
    # must not take the processor from the node's own.
    workers = api.workers[WorkerKind.PDF if kind == "pdf" else WorkerKind.PAGE]
    async with workers.place():
        face = await face_of(api, number, secrets=request[ACCESS_KEY].scope >= Scope.OPERATE)
        if kind == "html":
            page = await workers.do(request, _render(face, language))
            return html_response(page.text, page.policy, framed=True)
        body = await workers.do(request, print_pdf(face, language))
    name = f'inline; filename="invoice-{number}.pdf"'
    return web.Response(body=body, content_type=PDF_TYPE, headers={"Content-Disposition": name})


async def _render(face: Face, language: Language) -> HtmlPage:
    return await asyncio.to_thread(render_face, face, language)


def html_response(
    text: str, policy: str, status: int = 200, *, framed: bool = False
) -> web.Response:
    """A page with its own content security policy; `framed`: the node's pages may show it."""
    ancestors = "'self'" if framed else "'none'"
    return web.Response(
        text=text,
        status=status,
        content_type=HTML_TYPE,
        charset="utf-8",
        headers={"Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}"},
    )


def language_of(request: web.Request) -> Language:
    """`lang`, else the first language of Accept-Language that we have, else both.

    Raises:
        ApiError: 400.
    """
    asked = query_choice(request, "lang", tuple(Language))
    if asked is not None:
        return Language(asked)
    for item in request.headers.get("Accept-Language", "").split(","):
        code = item.partition(";")[0].strip().lower().partition("-")[0]
        if code in {Language.ZH, Language.EN}:
            return Language(code)
    return Language.BOTH


def _format_of(request: web.Request) -> Format:
    """`format`, else whichever of the two Accept names first, else HTML.

    Raises:
        ApiError: 400.
    """
    asked = query_choice(request, "format", get_args(Format))
    if asked is not None:
        return "pdf" if asked == "pdf" else "html"
    accept = request.headers.get("Accept", "").lower()
    pdf, html = accept.find(PDF_TYPE), accept.find(HTML_TYPE)
    return "pdf" if pdf >= 0 and (html < 0 or pdf < html) else "html"


LANGUAGE_QUERY = Query(
    "lang",
    "Language of the labels; left out: by Accept-Language, else both.",
    {"type": "string", "enum": [item.value for item in Language]},
)
ROUTES = (
    Route(
        "GET",
        "/v1/invoices/{number}/face",
        show_face,
        "The face of an invoice as HTML or PDF; its lines for the parties only",
        "invoices",
        Scope.READ,
        query=(
            Query(
                "format",
                "Left out: by Accept, else html.",
                {"type": "string", "enum": list(get_args(Format))},
            ),
            LANGUAGE_QUERY,
        ),
        answers={200: HTML_TYPE},
        also={200: PDF_TYPE},
        refusals=(400, 404),
    ),
)
