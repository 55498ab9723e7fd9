"""A sample of each operation on invoices that is younger than the kept history."""

from __future__ import annotations

from collections.abc import Iterator

from node.ledger.invoices import operations as ops
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, LiftHold, UpholdHold
from node.ledger.operations import DirectOperation
from tests.ledger.moves import invoices
from tests.ledger.world import BUYER, World


def later(world: World) -> Iterator[DirectOperation]:
    """One of each kind."""
    number = next(iter(invoices(world)), "26440000000000000001")
    yield ops.PayInvoice(number, 5, "wire 1")
    yield ops.DeductInvoice(number)
    yield ops.UndeductInvoice(number)
    yield HoldIssuing(BUYER, "case 1", bytes(32), 9, (bytes(32),))
    yield UpholdHold(BUYER, "case 1", 99, "why", bytes(32), bytes(64))
    yield LiftHold(BUYER, "case 1")
    yield AppealHold("case 1", bytes(32), (bytes(32),))
