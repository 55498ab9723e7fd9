"""The tax bureau's red letters for an issuer that has retired (DOMAIN §1). Pure rule."""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import ActForRetired
from node.ledger.invoices.rows import INVOICES
from node.ledger.participants import PARTICIPANTS, ParticipantState
from node.ledger.step import Step
from node.ledger.types import Role


def act(step: Step, op: ActForRetired) -> Code:
    """Apply a red-letter operation of the tax bureau as the retired issuer's."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    issuer = step.state[PARTICIPANTS].get(op.issuer.encode())
    if issuer is None:
        return Code.UNKNOWN_PARTY
    if issuer.state is not ParticipantState.RETIRED:
        return Code.PARTICIPANT_STATE
    invoice = step.state[INVOICES].get(op.operation.invoice.encode())
    if invoice is not None and invoice.issuer != issuer.id:
        return Code.WRONG_PARTY  # the rules would let it act as the buyer, too
    step.participant, step.actor = issuer, issuer.id
    return step.apply(op.operation)
