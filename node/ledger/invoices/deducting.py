"""The buyer's use of a special invoice's tax (DOMAIN §3 row 17). Pure rules."""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import DeductInvoice, UndeductInvoice
from node.ledger.invoices.rows import FormState, InvoiceRow, Response, Use
from node.ledger.step import Step

_ACCEPTED = frozenset({Response.ACCEPTED, Response.DEEMED_ACCEPTED})


def deduct(step: Step, invoice: InvoiceRow, op: DeductInvoice) -> Code:  # noqa: ARG001 (table)
    """Row 17. RED_PENDING while a form is open: what is left to deduct is not known."""
    if step.actor != invoice.buyer:
        return Code.WRONG_PARTY
    if invoice.used is not Use.NONE:
        return Code.INVOICE_USED
    if invoice.closed:
        return Code.DOCUMENT_CLOSED
    if not invoice.special:
        return Code.NOT_SPECIAL
    if invoice.response not in _ACCEPTED:
        return Code.NOT_ACCEPTED
    if any(form.state is not FormState.ISSUED for form in invoice.forms):
        return Code.RED_PENDING
    invoice.used = Use.DEDUCTED
    return Code.OK


def undeduct(step: Step, invoice: InvoiceRow, op: UndeductInvoice) -> Code:  # noqa: ARG001 (table)
    """Take the deduction back, also of an invoice that a red letter has closed since."""
    if step.actor != invoice.buyer:
        return Code.WRONG_PARTY
    if invoice.used is not Use.DEDUCTED:
        return Code.INVOICE_NOT_USED
    invoice.used = Use.NONE
    return Code.OK
