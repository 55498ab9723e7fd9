"""Passing the key of sealed details on to later readers. Pure rules.

The ledger keeps the wrapped key and who passed it on; it cannot tell whether it opens anything.
Blue and red invoices, open or closed: reading moves no value. A row belongs to one reader and one
sharer, so a worthless wrap never takes the place of a good one.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.on_invoice import edit_invoice
from node.ledger.invoices.operations import ShareDetails
from node.ledger.invoices.rows import (
    INVOICES,
    SHARERS_MAX,
    SHARES,
    SHARES_OF_ONE_MAX,
    InvoiceRow,
    ShareRow,
    SharerRow,
    share_key,
)
from node.ledger.step import Step
from node.ledger.types import Role


def share(step: Step, op: ShareDetails) -> Code:
    """Add or replace the actor's wrap for a reader: issuer, buyer, holder or tax bureau."""
    invoice = step.state[INVOICES].get(op.invoice.encode())
    if invoice is None:
        return Code.UNKNOWN_INVOICE
    parties = (invoice.issuer, invoice.buyer, invoice.holder)
    if step.actor not in parties and not step.has_role(Role.TAX_BUREAU):
        return Code.WRONG_PARTY
    if invoice.details is None:
        return Code.NO_DETAILS
    key = share_key(op.invoice, op.reader, step.actor)
    if step.state[SHARES].get(key) is None:
        sharers = _count(invoice, step.actor)
        if sharers is None:
            return Code.TOO_MANY_SHARES
        edited = edit_invoice(step, op.invoice)
        assert edited is not None, "it was found"
        edited.sharers = sharers
    step.state[SHARES].put(key, ShareRow(op.sealer, op.nonce, op.wrapped, step.height))
    return Code.OK


def _count(invoice: InvoiceRow, actor: str) -> tuple[SharerRow, ...] | None:
    """The counts with one more reader by the actor; None when it may add no more."""
    own = next((row.readers for row in invoice.sharers if row.party == actor), 0)
    others = tuple(row for row in invoice.sharers if row.party != actor)
    if own >= SHARES_OF_ONE_MAX or len(others) >= SHARERS_MAX:
        return None
    return (*others, SharerRow(actor, own + 1))
