"""Bookings: who has the invoice in its books (DOMAIN §3 row 8). Pure rules."""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import BookInvoice, UnbookInvoice
from node.ledger.invoices.rows import BOOKINGS_MAX, BookingRow, InvoiceRow
from node.ledger.step import Step


def book(step: Step, invoice: InvoiceRow, op: BookInvoice) -> Code:
    """Enter it in the actor's books: the buyer's, or those of a reimburser of this invoice.

    A reimburser is one whom the holder submitted it to, or who has a claim on it.
    """
    if not (
        step.actor == invoice.buyer
        or any(submission.to == step.actor for submission in invoice.submissions)
        or any(claim.owner == step.actor for claim in invoice.claims)
    ):
        return Code.WRONG_PARTY
    if any(booking.party == step.actor for booking in invoice.bookings):
        return Code.ALREADY_BOOKED
    if len(invoice.bookings) >= BOOKINGS_MAX:
        return Code.TOO_MANY_BOOKINGS
    invoice.bookings = (*invoice.bookings, BookingRow(step.actor, op.reference, step.now))
    return Code.OK


def unbook(step: Step, invoice: InvoiceRow, op: UnbookInvoice) -> Code:
    """Take the actor's own booking back, with a reason."""
    kept = tuple(booking for booking in invoice.bookings if booking.party != step.actor)
    if len(kept) == len(invoice.bookings):
        return Code.NOT_BOOKED
    if not op.reason:
        return Code.REASON_REQUIRED
    invoice.bookings = kept
    return Code.OK
