"""How an invoice looks as JSON. Owns names and text forms of the state row's facets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from node.api.requests import time_text
from node.ledger.invoices.rows import Document, FormState, InvoiceRow, Response

DOCUMENT_NAMES: Mapping[Document, str] = {
    Document.ISSUED: "issued",
    Document.PARTLY_CREDITED: "partly_credited",
    Document.CREDITED: "credited",
    Document.CANCELLED: "cancelled",
}
RESPONSE_NAMES: Mapping[Response, str] = {item: item.name.lower() for item in Response}
_FORM_NAMES: Mapping[FormState, str] = {
    FormState.REQUESTED: "requested",
    FormState.CONFIRMED: "confirmed",
    FormState.ISSUED: "issued",
}
_REASON_NAMES = {1: "issuing_error", 2: "return", 3: "service_ended", 4: "allowance"}


class GroupView(msgspec.Struct, frozen=True):
    """Totals of one tax rate."""

    rate: int
    net: int
    tax: int
    lines: int
    credited_net: int
    credited_tax: int


class OfferView(msgspec.Struct, frozen=True):
    """An open offer."""

    to: str
    expires: str


class SubmissionView(msgspec.Struct, frozen=True):
    """What was put before a reimburser."""

    to: str
    amount: int
    left: int


class ClaimView(msgspec.Struct, frozen=True):
    """A reimburser's claim."""

    claim: int
    reimburser: str
    locked: int
    reimbursed: int
    refund_due: int
    time: str
    booking: str
    payment: str


class FormView(msgspec.Struct, frozen=True):
    """A red-letter form."""

    form: int
    asked_by: str
    """issuer or buyer."""
    amount: int
    reserved: int
    reason: str
    state: str
    """requested, confirmed or issued."""
    since: str
    number: str | None
    """The red invoice."""
    details_commitment: str | None
    """To the lines that the requester wants to take back."""


class ResponseView(msgspec.Struct, frozen=True):
    """The buyer's word, or what stands for it."""

    state: str
    """none, received, accepted, partly_accepted, rejected, disputed or deemed_accepted."""
    time: str | None
    accepted: int | None
    """Of a partial acceptance: the amount within which claims stay."""


class BookingView(msgspec.Struct, frozen=True):
    """An entry in a party's books."""

    party: str
    reference: str
    time: str


class InvoiceView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice: its public part and its present state."""

    number: str
    kind: str
    """ordinary or special."""
    issuer: str
    buyer: str
    holder: str
    currency: str
    issue_date: str
    groups: list[GroupView]
    net: int
    tax: int
    gross: int
    state: str
    """issued, partly_credited, credited or cancelled."""
    response: ResponseView
    frozen: str | None
    """The case for which the tax bureau holds the invoice."""
    available: int
    credited: int
    red_reserved: int
    locked: int
    reimbursed: int
    refund_due: int
    paid: int
    """Attested by the issuer or a bank, and not owed back."""
    payment_refund_due: int
    """Was paid, and is owed back since."""
    used: str
    """none or deducted: what the buyer uses the tax for."""
    offer: OfferView | None
    submissions: list[SubmissionView]
    claims: list[ClaimView]
    red_forms: list[FormView]
    bookings: list[BookingView]
    replaces: str | None
    replaced_by: str | None
    """The newest invoice issued in place of this one."""
    original: str | None
    """Of a red invoice: the blue one. Its amounts are magnitudes."""
    order: str
    """H(issuer, order id)."""
    details_commitment: str | None
    transaction: str
    height: int
    time: str


class InvoiceWithDetails(InvoiceView, frozen=True, kw_only=True):
    """The same with the details, for a party that can open them."""

    details: msgspec.Raw | None


def invoice_view(row: InvoiceRow, now_ms: int) -> InvoiceView:
    """The invoice of a state row. An offer that has expired by `now_ms` is not shown."""
    offer = row.open_offer(now_ms)
    return InvoiceView(
        number=row.number,
        kind="special" if row.special else "ordinary",
        issuer=row.issuer,
        buyer=row.buyer,
        holder=row.holder,
        currency=row.currency,
        issue_date=row.issue_date,
        groups=[
            GroupView(g.rate, g.net, g.tax, g.lines, g.credited_net, g.credited_tax)
            for g in row.groups
        ],
        net=row.net,
        tax=row.tax,
        gross=row.gross,
        state=DOCUMENT_NAMES[row.document],
        response=ResponseView(
            RESPONSE_NAMES[row.response],
            time_text(row.responded_at) if row.responded_at else None,
            row.accepted or None,
        ),
        frozen=row.frozen or None,
        available=row.available,
        credited=row.credited,
        red_reserved=row.red_reserved,
        locked=row.locked,
        reimbursed=row.reimbursed,
        refund_due=row.refund_due,
        paid=row.paid,
        payment_refund_due=row.payment_refund_due,
        used=row.used.name.lower(),
        offer=None if offer is None else OfferView(offer.to, time_text(offer.expires)),
        submissions=[SubmissionView(s.to, s.amount, s.left) for s in row.submissions],
        claims=_claim_views(row),
        red_forms=_form_views(row),
        bookings=[BookingView(b.party, b.reference, time_text(b.booked_at)) for b in row.bookings],
        replaces=row.replaces,
        replaced_by=row.replaced_by,
        original=row.original,
        order=row.order.hex(),
        details_commitment=None if row.details is None else row.details.hex(),
        transaction=row.txid.hex(),
        height=row.height,
        time=time_text(row.issued_at),
    )


def _claim_views(row: InvoiceRow) -> list[ClaimView]:
    return [
        ClaimView(
            claim=c.id,
            reimburser=c.owner,
            locked=c.locked,
            reimbursed=c.reimbursed,
            refund_due=c.refund_due,
            time=time_text(c.claimed_at),
            booking=c.booking,
            payment=c.payment,
        )
        for c in row.claims
    ]


def _form_views(row: InvoiceRow) -> list[FormView]:
    return [
        FormView(
            form=f.id,
            asked_by="issuer" if f.by_issuer else "buyer",
            amount=f.amount,
            reserved=f.reserved,
            reason=_REASON_NAMES.get(f.reason, str(f.reason)),
            state=_FORM_NAMES[f.state],
            since=time_text(f.since),
            number=f.number,
            details_commitment=None if f.details is None else f.details.hex(),
        )
        for f in row.forms
    ]
