"""Submitting, claiming, releasing, reimbursing (DOMAIN §3 rows 5–7). Pure rules.

A submission reserves nothing: several reimbursers may race, and the first claim locks.
A claim stands in the row as long as it locks, paid or is owed something.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.ledger.codes import Code
from node.ledger.invoices.operations import (
    ClaimInvoice,
    ReimburseClaim,
    ReleaseClaim,
    SubmitInvoice,
)
from node.ledger.invoices.rows import (
    CLAIMS_MAX,
    FORM_IDS_MAX,
    ClaimRow,
    InvoiceRow,
    Response,
    SubmissionRow,
)
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.participants import PARTICIPANTS, ParticipantState
from node.ledger.step import Note, Step
from node.ledger.types import Role

_UNPAYABLE = frozenset({Response.REJECTED, Response.DISPUTED})


def submit(step: Step, invoice: InvoiceRow, op: SubmitInvoice) -> Code:
    """Row 5, the holder's half. A later submission to the same reimburser replaces the former."""
    if step.actor != invoice.holder:
        return Code.NOT_HOLDER
    others = tuple(s for s in invoice.submissions if s.to != op.to)
    if op.amount == 0:
        if len(others) == len(invoice.submissions):
            return Code.NOT_SUBMITTED
        invoice.submissions = others
        return Code.OK
    reimburser = step.state[PARTICIPANTS].get(op.to.encode()) if len(op.to) == 18 else None
    if reimburser is None or reimburser.state is not ParticipantState.ACTIVE:
        return Code.UNKNOWN_PARTY
    if Role.REIMBURSER not in reimburser.roles:
        return Code.NOT_PERMITTED
    if invoice.open_offer(step.now) is not None:
        return Code.OFFER_OPEN
    if invoice.response in _UNPAYABLE:
        return Code.DISPUTED
    if op.amount > invoice.claimable:
        return Code.INSUFFICIENT_AVAILABLE
    if len(others) >= CLAIMS_MAX:  # used up ones make room first
        others = tuple(s for s in others if s.left)
    if len(others) >= CLAIMS_MAX:
        return Code.TOO_MANY_CLAIMS
    invoice.submissions = (*others, SubmissionRow(op.to, op.amount, op.amount))
    return Code.OK


def claim(step: Step, invoice: InvoiceRow, op: ClaimInvoice) -> Code:
    """Row 5, the reimburser's half: locked += amount.

    NOT_SUBMITTED when nothing, or less than this, is left of what was submitted to the actor;
    beyond what is available INSUFFICIENT_AVAILABLE comes first.
    """
    place = next((i for i, s in enumerate(invoice.submissions) if s.to == step.actor), None)
    if place is None or step.participant is None:
        return Code.NOT_SUBMITTED
    if invoice.open_offer(step.now) is not None:
        return Code.OFFER_OPEN
    if invoice.response in _UNPAYABLE:
        return Code.DISPUTED
    if op.amount > invoice.claimable:
        return Code.INSUFFICIENT_AVAILABLE
    submission = invoice.submissions[place]
    if op.amount > submission.left:
        return Code.NOT_SUBMITTED
    if len(invoice.claims) >= CLAIMS_MAX or invoice.claims_made > FORM_IDS_MAX:
        return Code.TOO_MANY_CLAIMS
    used = SubmissionRow(submission.to, submission.amount, submission.left - op.amount)
    before, after = invoice.submissions[:place], invoice.submissions[place + 1 :]
    invoice.submissions = (*before, used, *after)
    made = ClaimRow(invoice.claims_made, step.actor, op.amount, 0, 0, step.now)
    invoice.claims = (*invoice.claims, made)
    invoice.claims_made += 1
    invoice.locked += op.amount
    step.notes.append(Note(step.position, claim=made.id))
    return Code.OK


def release(step: Step, invoice: InvoiceRow, op: ReleaseClaim) -> Code:
    """Row 6: locked −= what the claim locks. Before the lock's term has passed, its owner's."""
    found = locking_claim(invoice, op.claim)
    if isinstance(found, Code):
        return found
    if step.actor != found.owner and not _lapsed(step, found):
        return Code.NOT_LOCK_OWNER
    replace_claims(invoice, (take_from_claim(found, found.locked, 0),))
    invoice.locked -= found.locked
    return Code.OK


def reimburse(step: Step, invoice: InvoiceRow, op: ReimburseClaim) -> Code:
    """Row 7: reimbursed += amount, the rest of the lock is released. Irreversible.

    INSUFFICIENT_AVAILABLE when the amount is more than the claim locks.
    """
    found = locking_claim(invoice, op.claim)
    if isinstance(found, Code):
        return found
    if step.actor != found.owner:
        return Code.NOT_LOCK_OWNER
    if _lapsed(step, found):
        return Code.LOCK_LAPSED
    if op.amount > found.locked:
        return Code.INSUFFICIENT_AVAILABLE
    paid = ClaimRow(
        found.id,
        found.owner,
        0,
        op.amount,
        found.refund_due,
        found.claimed_at,
        op.booking,
        op.payment,
    )
    replace_claims(invoice, (paid,))
    invoice.locked -= found.locked
    invoice.reimbursed += op.amount
    return Code.OK


# --- Shared with red letters ------------------------------------------------------------------


def find_claim(invoice: InvoiceRow, number: int) -> ClaimRow | Code:
    """The claim with this number; UNKNOWN_CLAIM if never made, CLAIM_CLOSED if it is gone."""
    for found in invoice.claims:
        if found.id == number:
            return found
    return Code.CLAIM_CLOSED if number < invoice.claims_made else Code.UNKNOWN_CLAIM


def locking_claim(invoice: InvoiceRow, number: int) -> ClaimRow | Code:
    """`find_claim`, and CLAIM_CLOSED for one that locks nothing any more."""
    found = find_claim(invoice, number)
    if isinstance(found, ClaimRow) and not found.locked:
        return Code.CLAIM_CLOSED
    return found


def take_from_claim(claim: ClaimRow, locked: int, reimbursed: int) -> ClaimRow:
    """The claim with so much less; what was paid of it is owed back."""
    return ClaimRow(
        claim.id,
        claim.owner,
        claim.locked - locked,
        claim.reimbursed - reimbursed,
        claim.refund_due + reimbursed,
        claim.claimed_at,
        claim.booking,
        claim.payment,
    )


def replace_claims(invoice: InvoiceRow, changed: Iterable[ClaimRow]) -> None:
    """Put changed claims into the row; one with nothing left leaves it."""
    by_id = {claim.id: claim for claim in changed}
    claims = [by_id.get(claim.id, claim) for claim in invoice.claims]
    invoice.claims = tuple(c for c in claims if c.locked or c.reimbursed or c.refund_due)


def _lapsed(step: Step, claim: ClaimRow) -> bool:
    return step.now - claim.claimed_at > step.terms.of(InvoicesTerms).lock_ms
