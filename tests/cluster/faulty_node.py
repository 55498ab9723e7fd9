"""`piaolian` in a process whose rules fail over some transactions.

Run as `python -m tests.cluster.faulty_node start --config …`. Who books an invoice under one of
these references meets a rule that raises, writes what cannot be stored, or finds the disk at fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import pytest

from node.command import main
from node.ledger.codes import Code
from node.ledger.execution import footprint
from node.ledger.invoices import booking
from node.ledger.invoices import operations as ops
from node.ledger.invoices.on_invoice import on_invoice
from node.ledger.invoices.rows import InvoiceRow
from node.ledger.reads import Reads
from node.ledger.rulebook import RULEBOOK, Rulebook
from node.ledger.step import Step
from node.ledger.transaction import Transaction

RAISES = "planted: the rule raises"
RECURSES = "planted: the rule calls itself"
CANNOT_BE_STORED = "planted: the rule writes what cannot be stored"
FOOTPRINT = "planted: the footprint raises"
NO_MEMORY = "planted: no memory"
FAULTS = (RAISES, RECURSES, CANNOT_BE_STORED)


def _raise(invoice: InvoiceRow) -> Code:
    raise KeyError(invoice.number)


def _recurse(invoice: InvoiceRow) -> Code:
    return _recurse(invoice)


def _spoil(invoice: InvoiceRow) -> Code:
    invoice.holder = "\ud800"
    return Code.OK


def _no_memory(invoice: InvoiceRow) -> Code:
    raise MemoryError


_PLANTED: Mapping[str, Callable[[InvoiceRow], Code]] = {
    RAISES: _raise,
    RECURSES: _recurse,
    CANNOT_BE_STORED: _spoil,
    NO_MEMORY: _no_memory,
}


def plant(patch: pytest.MonkeyPatch) -> None:
    """Put the faults into the rules of this process."""
    name_rows = footprint.name_rows

    def rule(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
        code = booking.book(step, invoice, op)
        planted = _PLANTED.get(op.reference)
        return code if planted is None else planted(invoice)

    def name_rows_or_fail(found: Reads, transaction: Transaction, rulebook: Rulebook) -> None:
        for operation in transaction.body.operations:
            if isinstance(operation, ops.BookInvoice) and operation.reference == FOOTPRINT:
                raise KeyError(operation.invoice)
        name_rows(found, transaction, rulebook)

    patch.setitem(RULEBOOK.rules, ops.BookInvoice, on_invoice(rule, open_only=True))
    patch.setattr(footprint, "name_rows", name_rows_or_fail)


if __name__ == "__main__":
    plant(pytest.MonkeyPatch())
    sys.exit(main())
