"""The law of red letters, a part of `law`: what is known of each operation on a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.ledger.invoices import reads, redletters, retired
from node.ledger.invoices.on_invoice import invoice_operation
from node.ledger.participants import ALL_SCOPES, Scope
from node.ledger.spec import Carried, Facts, OperationSpec, Sealed, own_blobs

_EITHER_SIDE = Scope.ISSUE | Scope.HOLD


def _form(
    op: ops.ConfirmRedLetter | ops.DenyRedLetter | ops.WithdrawRedLetter | ops.LapseRedLetter,
) -> Facts:
    return (None, None, op.form)


def _blobs_for_retired(op: ops.ActForRetired) -> Sequence[bytes]:
    inner = op.operation
    return inner.blobs if isinstance(inner, ops.RequestRedLetter | ops.IssueRedLetter) else ()


_OF_A_FORM = {Code.UNKNOWN_FORM, Code.FORM_CLOSED}
_RED_LETTERS: tuple[OperationSpec[Any], ...] = (
    invoice_operation(
        ops.RequestRedLetter,
        "red_request",
        10,
        redletters.request,
        {Code.WRONG_PARTY, Code.FULL_ONLY, Code.OVER_CREDIT, Code.TOO_MANY_FORMS},
        open_only=True,
        scopes=_EITHER_SIDE,
        by_key=True,
        facts=lambda op: (op.amount, None, None),
        carries_blobs=own_blobs,
        # Its author's word only, who may be the buyer: without its kind it would pass for a line of
        # the invoice.
        sealed=lambda op: Sealed("red_request", op.invoice, op.details),
    ),
    invoice_operation(
        ops.ConfirmRedLetter,
        "red_confirm",
        11,
        redletters.confirm,
        _OF_A_FORM | {Code.NOT_COUNTERPARTY, Code.FORM_LAPSED},
        open_only=False,
        scopes=_EITHER_SIDE,
        by_key=True,
        facts=_form,
    ),
    invoice_operation(
        ops.DenyRedLetter,
        "red_deny",
        11,
        redletters.deny,
        _OF_A_FORM | {Code.NOT_COUNTERPARTY},
        open_only=False,
        scopes=_EITHER_SIDE,
        by_key=True,
        facts=_form,
    ),
    invoice_operation(
        ops.WithdrawRedLetter,
        "red_withdraw",
        11,
        redletters.withdraw,
        _OF_A_FORM | {Code.WRONG_PARTY},
        open_only=False,
        scopes=_EITHER_SIDE,
        by_key=True,
        facts=_form,
    ),
    invoice_operation(
        ops.LapseRedLetter,
        "red_lapse",
        11,
        redletters.lapse,
        _OF_A_FORM | {Code.TOO_EARLY},
        open_only=False,
        scopes=Scope(ALL_SCOPES),
        by_key=True,
        facts=_form,
    ),
    invoice_operation(
        ops.ConsentRedLetter,
        "red_consent",
        12,
        redletters.consent,
        _OF_A_FORM
        | {
            Code.UNKNOWN_CLAIM,
            Code.CLAIM_CLOSED,
            Code.NOT_LOCK_OWNER,
            Code.FORM_LAPSED,
            Code.INSUFFICIENT_AVAILABLE,
            Code.TOO_MANY_CLAIMS,
        },
        open_only=True,
        scopes=Scope.REIMBURSE,
        facts=lambda op: (op.locked + op.reimbursed, None, op.form),
    ),
    invoice_operation(
        ops.IssueRedLetter,
        "red_issue",
        12,
        redletters.issue_red,
        _OF_A_FORM
        | {
            Code.WRONG_PARTY,
            Code.ORDER_CONFLICT,
            Code.FROZEN,
            Code.DOCUMENT_CLOSED,
            Code.FORM_LAPSED,
            Code.NOT_CONFIRMED,
            Code.TOTALS_MISMATCH,
            Code.RATE_NOT_ALLOWED,
            Code.OVER_CREDIT,
            Code.NUMBER_NOT_ALLOTTED,
            Code.NUMBER_USED,
            Code.CLAIM_CONSENT_NEEDED,
        },
        # It refuses a frozen or closed invoice itself: an order repeated succeeds on those too.
        open_only=False,
        scopes=Scope.ISSUE,
        facts=lambda op: (op.gross, op.number, op.form),
        reads=reads.issue_red,
        carries_blobs=own_blobs,
        sealed=lambda op: Sealed("red_invoice", op.number, op.details),
    ),
)

_FOR_RETIRED = OperationSpec(
    kind=ops.ActForRetired,
    name="act_for_retired",
    row=None,
    apply=retired.act,
    scopes=Scope.REGISTER,
    refusals=frozenset(
        {Code.NOT_BUREAU, Code.UNKNOWN_PARTY, Code.PARTICIPANT_STATE, Code.WRONG_PARTY}
    ).union(*(spec.refusals for spec in _RED_LETTERS)),
    reads=reads.for_retired,
    carries_blobs=_blobs_for_retired,
    carried=lambda op: Carried(op.operation, {"for_retired": op.issuer}),
)

RED_OPERATIONS = (*_RED_LETTERS, _FOR_RETIRED)
