"""What every operation on an invoice is refused for before its own rule is asked (DOMAIN §3).

Owns those checks, in one place; knows no single rule.
"""

from __future__ import annotations

from node.ledger.invoices.rows import INVOICES, InvoiceRow
from node.ledger.step import Step


def edit_invoice(step: Step, number: str) -> InvoiceRow | None:
    """The transaction's own copy of an invoice, to change in place."""
    return step.state[INVOICES].edit(number.encode())
