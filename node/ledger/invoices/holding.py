"""Handing an invoice on (DOMAIN §3 row 4). Pure rules.

An offer ends by itself: one whose `expires` has passed at the block's time counts as none,
though its row stays until the next offer takes its place.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import OfferInvoice, RefuseOffer, SignOffer, WithdrawOffer
from node.ledger.invoices.rows import FormState, InvoiceRow, OfferRow
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.participants import PARTICIPANTS, ParticipantState
from node.ledger.step import Step


def offer(step: Step, invoice: InvoiceRow, op: OfferInvoice) -> Code:
    """Offer to another holder; WRONG_PARTY for an offer to oneself.

    OFFER_EXPIRED when `expires` is not later than the block; PERIOD_INVALID when it is further
    off than the genesis allows.
    """
    if step.actor != invoice.holder:
        return Code.NOT_HOLDER
    if op.to == step.actor:
        return Code.WRONG_PARTY
    if not _can_receive(step, op.to):
        return Code.UNKNOWN_PARTY
    if op.expires <= step.now:
        return Code.OFFER_EXPIRED
    if op.expires - step.now > step.terms.of(InvoicesTerms).offer_ms_max:
        return Code.PERIOD_INVALID
    if invoice.open_offer(step.now) is not None:
        return Code.OFFER_OPEN
    refusal = _refuse_encumbered(invoice)
    if refusal:
        return refusal
    invoice.offer = OfferRow(op.to, op.expires)
    return Code.OK


def sign(step: Step, invoice: InvoiceRow, op: SignOffer) -> Code:  # noqa: ARG001 (table)
    """The receiver becomes the holder; what the one before submitted no longer counts."""
    refusal = _refuse_not_receiver(step, invoice) or _refuse_encumbered(invoice)
    if refusal:
        return refusal
    invoice.holder = step.actor
    invoice.offer = None
    invoice.submissions = ()
    return Code.OK


def refuse(step: Step, invoice: InvoiceRow, op: RefuseOffer) -> Code:  # noqa: ARG001 (table)
    """The receiver does not want it."""
    refusal = _refuse_not_receiver(step, invoice)
    if not refusal:
        invoice.offer = None
    return refusal


def withdraw(step: Step, invoice: InvoiceRow, op: WithdrawOffer) -> Code:  # noqa: ARG001 (table)
    """The holder takes the offer back."""
    if step.actor != invoice.holder:
        return Code.NOT_HOLDER
    refusal = _refuse_no_offer(step, invoice)
    if not refusal:
        invoice.offer = None
    return refusal


def _refuse_not_receiver(step: Step, invoice: InvoiceRow) -> Code:
    if invoice.offer is not None and step.actor != invoice.offer.to:
        return Code.WRONG_PARTY
    return _refuse_no_offer(step, invoice)


def _refuse_no_offer(step: Step, invoice: InvoiceRow) -> Code:
    if invoice.offer is None:
        return Code.NO_OFFER
    return Code.OK if invoice.open_offer(step.now) is not None else Code.OFFER_EXPIRED


def _refuse_encumbered(invoice: InvoiceRow) -> Code:
    if invoice.locked + invoice.reimbursed:
        return Code.HAS_CLAIM
    if any(form.state is not FormState.ISSUED for form in invoice.forms):
        return Code.RED_PENDING
    return Code.OK


def _can_receive(step: Step, party: str) -> bool:
    if len(party) == 64:
        return True
    row = step.state[PARTICIPANTS].get(party.encode())
    return row is not None and row.state is ParticipantState.ACTIVE
