"""What every operation on an invoice is refused for before its own rule is asked (DOMAIN §3).

Owns those checks, in one place; knows no single rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from node.ledger.codes import Code
from node.ledger.invoices.reads import NamesInvoice
from node.ledger.invoices.rows import INVOICES, InvoiceRow
from node.ledger.step import Step

Op = TypeVar("Op", bound=NamesInvoice)

EVERY_INVOICE = frozenset({Code.UNKNOWN_INVOICE, Code.RED_TAKES_NO_OPERATION})
OPEN_INVOICE = EVERY_INVOICE | {Code.FROZEN, Code.DOCUMENT_CLOSED}


def on_invoice(
    rule: Callable[[Step, InvoiceRow, Op], Code], *, open_only: bool
) -> Callable[[Step, Op], Code]:
    """The rule of an operation on an existing blue invoice.

    Args:
        rule: Works on the transaction's own copy of the row.
        open_only: Whether one that is frozen, cancelled or credited refuses it.
    """

    def apply(step: Step, op: Op) -> Code:
        invoice = step.state[INVOICES].edit(op.invoice.encode())
        if invoice is None:
            return Code.UNKNOWN_INVOICE
        if invoice.original is not None:
            return Code.RED_TAKES_NO_OPERATION
        if open_only and (invoice.frozen or invoice.closed):
            return Code.FROZEN if invoice.frozen else Code.DOCUMENT_CLOSED
        return rule(step, invoice, op)

    return apply


def edit_invoice(step: Step, number: str) -> InvoiceRow | None:
    """The transaction's own copy of an invoice, to change in place."""
    return step.state[INVOICES].edit(number.encode())
