"""The tax bureau's hold on an invoice (DOMAIN §3 row 14). Pure rules.

A frozen invoice refuses what would move value or the holder; what is locked stays locked, and may
still be released. One case holds it at a time, and that case lets it go.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import FreezeInvoice, UnfreezeInvoice
from node.ledger.invoices.rows import InvoiceRow
from node.ledger.step import Step
from node.ledger.types import Role


def freeze(step: Step, invoice: InvoiceRow, op: FreezeInvoice) -> Code:
    """Hold the invoice for a case; FROZEN when another case, or this one, holds it already."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if invoice.frozen:
        return Code.FROZEN
    invoice.frozen = op.case
    return Code.OK


def unfreeze(step: Step, invoice: InvoiceRow, op: UnfreezeInvoice) -> Code:
    """Let it go; NOT_FROZEN when this case does not hold it."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if not invoice.frozen or invoice.frozen != op.case:
        return Code.NOT_FROZEN
    invoice.frozen = ""
    return Code.OK
