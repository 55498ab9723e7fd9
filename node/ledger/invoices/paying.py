"""Payments of invoices, as far as they are attested (DOMAIN §3 row 15). Pure rules.

The ledger pays nothing: who was paid, or the bank that paid, says so. What a red letter, or a
partial acceptance, takes from a paid part is owed back: it moves to `payment_refund_due`.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import PayInvoice
from node.ledger.invoices.rows import PAYMENTS, Document, InvoiceRow, PaymentRow, payment_key
from node.ledger.step import Step
from node.ledger.types import Role


def pay(step: Step, invoice: InvoiceRow, op: PayInvoice) -> Code:
    """Row 15: paid += amount. Allowed while frozen: a case holds claims, not money that has come.

    One reference counts once for its signer, whatever the invoice, and once for the invoice,
    whoever signs: issuer and bank attest the same payment once.
    """
    if step.actor != invoice.issuer and not step.has_role(Role.BANK):
        return Code.NOT_BANK
    if invoice.document is Document.CANCELLED:
        return Code.DOCUMENT_CLOSED
    keys = (payment_key(op.invoice, op.reference), payment_key(step.actor, op.reference))
    if any(step.state[PAYMENTS].get(key) is not None for key in keys):
        return Code.REFERENCE_USED
    if op.amount > invoice.payable:
        return Code.OVER_PAID
    for key in keys:
        row = PaymentRow(op.invoice, step.actor, op.amount, op.reference, step.now)
        step.state[PAYMENTS].put(key, row)
    invoice.paid += op.amount
    return Code.OK


def owe_back_what_is_over(invoice: InvoiceRow) -> None:
    """Move what is paid beyond what is still to be paid; money attested stays the same sum."""
    over = -invoice.payable
    if over > 0:
        invoice.paid -= over
        invoice.payment_refund_due += over
