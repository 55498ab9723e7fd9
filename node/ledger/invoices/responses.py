"""What the buyer says to an invoice, and the bureau's word on disputes (DOMAIN §3 rows 2, 3, 13).

Pure rules. A final word stays: only a dispute is followed by another, the bureau's ruling.
"""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices.operations import LapseResponse, RespondInvoice, RuleDispute
from node.ledger.invoices.paying import owe_back_what_is_over
from node.ledger.invoices.rows import InvoiceRow, Response
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.step import Step
from node.ledger.types import Role

_RESTRICTING = frozenset({Response.PARTLY_ACCEPTED, Response.REJECTED, Response.DISPUTED})
"""Words that take something from the holder: they need a reason, and nothing claimed."""
_OPEN = frozenset({Response.NONE, Response.RECEIVED})


def respond(step: Step, invoice: InvoiceRow, op: RespondInvoice) -> Code:
    """Row 2. AMOUNT_INVALID unless a partial acceptance, and nothing else, names a part."""
    if step.actor != invoice.buyer:
        return Code.WRONG_PARTY
    said = Response(op.response)
    if invoice.response not in _OPEN or said is invoice.response:
        return Code.RESPONSE_FINAL
    if deadline_passed(step, invoice):
        return Code.DEADLINE_PASSED
    if said in _RESTRICTING:
        if not op.reason:
            return Code.REASON_REQUIRED
        if invoice.locked + invoice.reimbursed:
            return Code.HAS_CLAIM
    part = said is Response.PARTLY_ACCEPTED
    if part is not (0 < op.amount < invoice.gross) or (op.amount and not part):
        return Code.AMOUNT_INVALID
    invoice.response = said
    invoice.responded_at = step.now
    invoice.accepted = op.amount
    owe_back_what_is_over(invoice)
    return Code.OK


def lapse(step: Step, invoice: InvoiceRow, op: LapseResponse) -> Code:  # noqa: ARG001 (table)
    """Row 3. Silence is acceptance once the term for an answer has passed; anyone may say so."""
    if invoice.response not in _OPEN:
        return Code.RESPONSE_FINAL
    if not deadline_passed(step, invoice):
        return Code.TOO_EARLY
    invoice.response = Response.DEEMED_ACCEPTED
    invoice.responded_at = step.now
    return Code.OK


def rule(step: Step, invoice: InvoiceRow, op: RuleDispute) -> Code:
    """Row 13. The tax bureau ends a dispute, with a reason."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if invoice.response is not Response.DISPUTED:
        return Code.NOT_DISPUTED
    if not op.reason:
        return Code.REASON_REQUIRED
    invoice.response = Response.ACCEPTED if op.accepted else Response.REJECTED
    invoice.responded_at = step.now
    return Code.OK


def deadline_passed(step: Step, invoice: InvoiceRow) -> bool:
    """Whether the buyer's term for an answer is over at the block's time."""
    return step.now - invoice.issued_at > step.terms.of(InvoicesTerms).respond_ms
