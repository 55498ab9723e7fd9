"""What the tax bureau found wrong in sealed details, on the ledger (DOMAIN §2). Pure rules.

The ledger cannot read details, so it keeps the bureau's word: one row an invoice and kind, recorded
once and resolved once. It moves no value and closes nothing; it stands on red invoices too.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import RecordDiscrepancy, ResolveDiscrepancy
from node.ledger.invoices.rows import (
    DISCREPANCIES,
    INVOICES,
    DiscrepancyKind,
    DiscrepancyRow,
    discrepancy_key,
)
from node.ledger.step import Step
from node.ledger.types import Role


def record(step: Step, op: RecordDiscrepancy) -> Code:
    """Record a discrepancy; ALREADY_RECORDED also when it was resolved since."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if step.state[INVOICES].get(op.invoice.encode()) is None:
        return Code.UNKNOWN_INVOICE
    key = discrepancy_key(op.invoice, op.kind)
    if step.state[DISCREPANCIES].get(key) is not None:
        return Code.ALREADY_RECORDED
    row = DiscrepancyRow(op.invoice, DiscrepancyKind(op.kind), step.actor, step.txid, step.now)
    step.state[DISCREPANCIES].put(key, row)
    return Code.OK


def resolve(step: Step, op: ResolveDiscrepancy) -> Code:
    """Close it, for a reason that everyone can read."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    key = discrepancy_key(op.invoice, op.kind)
    found = step.state[DISCREPANCIES].get(key)
    if found is None:
        return Code.NO_DISCREPANCY
    if found.resolved_at:
        return Code.DISCREPANCY_RESOLVED
    if not op.reason:
        return Code.REASON_REQUIRED
    row = step.state[DISCREPANCIES].edit(key)
    assert row is not None, "it was found"
    row.resolved_at, row.reason = step.now, op.reason
    return Code.OK
