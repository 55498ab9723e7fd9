"""What all operations on an invoice share: checks before the own rule, the form of their listing.

Owns what each is refused for whatever it wants (DOMAIN §3), in one place; knows no single rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from node.ledger.codes import Code
from node.ledger.invoices.reads import NamesInvoice, named
from node.ledger.invoices.rows import INVOICES, InvoiceRow
from node.ledger.participants import Scope
from node.ledger.reads import Reads
from node.ledger.spec import Facts, OperationSpec, Sealed
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


def no_facts(_: object) -> Facts:
    """Of a step whose own name says all."""
    return (None, None, None)


def invoice_operation(  # noqa: PLR0913 - what the rule book says of an operation
    kind: type[Op],
    name: str,
    row: int,
    rule: Callable[[Step, InvoiceRow, Op], Code],
    refusals: set[Code],
    *,
    open_only: bool,
    scopes: Scope = Scope.HOLD,
    by_key: bool = False,
    facts: Callable[[Op], Facts] = no_facts,
    reads: Callable[[Reads, str, Op], None] = named,
    carries_blobs: Callable[[Op], Sequence[bytes]] | None = None,
    sealed: Callable[[Op], Sealed] | None = None,
) -> OperationSpec[Op]:
    """The listing of an operation on an existing invoice."""
    return OperationSpec(
        kind=kind,
        name=name,
        row=row,
        apply=on_invoice(rule, open_only=open_only),
        scopes=scopes,
        refusals=frozenset(refusals | (OPEN_INVOICE if open_only else EVERY_INVOICE)),
        reads=reads,
        by_key=by_key,
        carries_blobs=carries_blobs,
        sealed=sealed,
        facts=facts,
    )
