"""The tax bureau's issuing hold on a firm (DOMAIN §3 row 16). Pure rules.

    put (≤ 72 h) ──→ live ──→ ended, by block time alone
                      │ └─ lift ──→ lifted
                      └─ uphold, once, by two keys (≤ 30 d) ──→ live

A held issuer issues no blue invoice; red letters stay possible. A hold stands beside a suspension,
never in its place. One a cause: the commitment to the cause, and the bureau's own reference, are
each used once for a firm, so a hold that has ended or was lifted is not put again for the same.
The ledger knows no cause: it is sealed to firm and bureau.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.holds.operations import (
    AppealHold,
    HoldIssuing,
    LiftHold,
    UpholdHold,
    uphold_message,
)
from node.ledger.invoices.holds.rows import (
    HOLD_CAUSES,
    HOLDS,
    HoldCauseRow,
    HoldRow,
    cause_key,
    hold_key,
)
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.participants import PARTICIPANTS, Scope, find_key
from node.ledger.signing import verify
from node.ledger.step import Step
from node.ledger.types import Role


def put(step: Step, op: HoldIssuing) -> Code:
    """ALREADY_HELD while a hold is live, and for a cause or reference that had one."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    issuer = step.state[PARTICIPANTS].get(op.issuer.encode())
    if issuer is None:
        return Code.UNKNOWN_PARTY
    if Role.ISSUER not in issuer.roles:
        return Code.NOT_PERMITTED
    if not step.now < op.until <= step.now + step.terms.of(InvoicesTerms).hold_ms_max:
        return Code.PERIOD_INVALID
    causes = step.state[HOLD_CAUSES]
    keys = (cause_key(op.issuer, op.cause), cause_key(op.issuer, op.reference.encode()))
    held = step.state[HOLDS].get(hold_key(op.issuer))
    live = held is not None and held.live(step.now)
    if live or any(causes.get(key) is not None for key in keys):
        return Code.ALREADY_HELD
    row = HoldRow(
        issuer=op.issuer,
        reference=op.reference,
        bureau=step.actor,
        cause=op.cause,
        blobs=op.blobs,
        until=op.until,
        put_at=step.now,
        height=step.height,
        txid=step.txid,
    )
    step.state[HOLDS].put(hold_key(op.issuer), row)
    for key in keys:
        causes.put(key, HoldCauseRow(op.issuer, op.reference))
    return Code.OK


def uphold(step: Step, op: UpholdHold) -> Code:
    """Lengthen a live hold, once; another live key of the bureau must have signed the same."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    row = _live(step, op.issuer, op.reference)
    if row is None:
        return Code.NOT_HELD
    if row.upheld_at:
        return Code.ALREADY_HELD
    if not op.reason:
        return Code.REASON_REQUIRED
    if not row.until < op.until <= step.now + step.terms.of(InvoicesTerms).uphold_ms_max:
        return Code.PERIOD_INVALID
    if not _second_key_agrees(step, op):
        return Code.SECOND_KEY_NEEDED
    row.until = op.until
    row.upheld_at = step.now
    row.reason = op.reason
    return Code.OK


def lift(step: Step, op: LiftHold) -> Code:
    """End a live hold before its time."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    row = _live(step, op.issuer, op.reference)
    if row is None:
        return Code.NOT_HELD
    row.lifted_at = step.now
    return Code.OK


def appeal(step: Step, op: AppealHold) -> Code:
    """The firm's word against its own live hold, once; its reasons are sealed."""
    row = _live(step, step.actor, op.reference)
    if row is None:
        return Code.NOT_HELD
    if row.appealed_at:
        return Code.ALREADY_APPEALED
    row.appealed_at = step.now
    row.appeal = op.grounds
    row.appeal_blobs = op.blobs
    row.appeal_height = step.height
    return Code.OK


def _live(step: Step, issuer: str, reference: str) -> HoldRow | None:
    row = step.state[HOLDS].edit(hold_key(issuer))
    if row is None or row.reference != reference or not row.live(step.now):
        return None
    return row


def _second_key_agrees(step: Step, op: UpholdHold) -> bool:
    """Whether another live key of the acting bureau, one for its registers, signs the same."""
    assert step.participant is not None, "it has a role"
    if op.second_key == step.key:
        return False
    held = find_key(step.participant.signing_keys, op.second_key, step.height)
    if held is None or not held.scope & Scope.REGISTER:
        return False
    message = uphold_message(step.context.network_id, step.actor, op)
    return verify(op.second_key, message, op.second_signature)
