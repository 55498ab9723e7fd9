"""The law of invoices: what the ledger knows of each of its operations. Owns that list.

Rows are those of the rule book's table (DOMAIN §3). The bureau's registers stand in `bureau_law`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from node.ledger.codes import Code
from node.ledger.genesis import Genesis
from node.ledger.invoices import (
    booking,
    claims,
    discrepancies,
    freezing,
    holding,
    issuing,
    reads,
    redletters,
    responses,
    retired,
    sharing,
)
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau_law import BUREAU_OPERATIONS
from node.ledger.invoices.on_invoice import EVERY_INVOICE, OPEN_INVOICE, on_invoice
from node.ledger.invoices.region_rows import REGIONS, REGIONS_OF
from node.ledger.invoices.rows import (
    ALLOTMENTS,
    DISCREPANCIES,
    EXCHANGE_RATES,
    INVOICES,
    ORDERS,
    QUOTAS,
    RATES_FOR_ALL_KEY,
    SEGMENTS,
    SHARES,
    TAX_RATES,
    DiscrepancyKind,
    InvoiceRow,
    Response,
    TaxRatesRow,
)
from node.ledger.participants import ALL_SCOPES, Scope
from node.ledger.reads import Reads
from node.ledger.spec import Facts, Law, OpeningRow, OperationSpec
from node.ledger.step import Step

Op = TypeVar("Op", bound=reads.NamesInvoice)

_EITHER_SIDE = Scope.ISSUE | Scope.HOLD
_HOLDER_OR_REIMBURSER = Scope.HOLD | Scope.REIMBURSE


def _nothing(_: object) -> Facts:
    return (None, None, None)


def _form(
    op: ops.ConfirmRedLetter | ops.DenyRedLetter | ops.WithdrawRedLetter | ops.LapseRedLetter,
) -> Facts:
    return (None, None, op.form)


def _discrepancy(op: ops.RecordDiscrepancy | ops.ResolveDiscrepancy) -> Facts:
    return (None, DiscrepancyKind(op.kind).name.lower(), None)


def _own_blobs(op: ops.IssueInvoice | ops.RequestRedLetter | ops.IssueRedLetter) -> Sequence[bytes]:
    return op.blobs


def _blobs_for_retired(op: ops.ActForRetired) -> Sequence[bytes]:
    inner = op.operation
    return inner.blobs if isinstance(inner, ops.RequestRedLetter | ops.IssueRedLetter) else ()


def _spec(
    kind: type[Op],
    name: str,
    row: int,
    rule: Callable[[Step, InvoiceRow, Op], Code],
    refusals: set[Code],
    *,
    open_only: bool,
    scopes: Scope = Scope.HOLD,
    by_key: bool = False,
    facts: Callable[[Op], Facts] = _nothing,
    reads: Callable[[Reads, str, Op], None] = reads.named,
    carries_blobs: Callable[[Op], Sequence[bytes]] | None = None,
) -> OperationSpec[Op]:
    """An operation on an existing invoice."""
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
        facts=facts,
    )


_ISSUE = OperationSpec(
    kind=ops.IssueInvoice,
    name="issue",
    row=1,
    apply=issuing.issue,
    scopes=Scope.ISSUE,
    refusals=frozenset(
        {
            Code.NOT_PERMITTED,
            Code.ORDER_CONFLICT,
            Code.ISSUING_SUSPENDED,
            Code.UNKNOWN_PARTY,
            Code.DATE_INVALID,
            Code.NOTHING_TO_INVOICE,
            Code.TOTALS_MISMATCH,
            Code.RATE_NOT_ALLOWED,
            Code.UNKNOWN_INVOICE,
            Code.WRONG_PARTY,
            Code.RED_TAKES_NO_OPERATION,
            Code.NUMBER_NOT_ALLOTTED,
            Code.NUMBER_USED,
            Code.NO_EXCHANGE_RATE,
            Code.QUOTA_PERIOD,
            Code.QUOTA_EXCEEDED,
        }
    ),
    reads=reads.issue,
    carries_blobs=_own_blobs,
)

_RESPONSES = (
    _spec(
        ops.RespondInvoice,
        "respond",
        2,
        responses.respond,
        {
            Code.WRONG_PARTY,
            Code.RESPONSE_FINAL,
            Code.DEADLINE_PASSED,
            Code.REASON_REQUIRED,
            Code.HAS_CLAIM,
            Code.AMOUNT_INVALID,
        },
        open_only=True,
        by_key=True,
        facts=lambda op: (op.amount or None, Response(op.response).name.lower(), None),
    ),
    _spec(
        ops.LapseResponse,
        "lapse",
        3,
        responses.lapse,
        {Code.RESPONSE_FINAL, Code.TOO_EARLY},
        open_only=False,
        scopes=Scope(ALL_SCOPES),
        by_key=True,
    ),
    _spec(
        ops.RuleDispute,
        "rule",
        13,
        responses.rule,
        {Code.NOT_BUREAU, Code.NOT_DISPUTED, Code.REASON_REQUIRED},
        open_only=False,
        scopes=Scope.REGISTER,
        facts=lambda op: (None, "accepted" if op.accepted else "rejected", None),
    ),
    _spec(
        ops.FreezeInvoice,
        "freeze",
        14,
        freezing.freeze,
        {Code.NOT_BUREAU, Code.FROZEN},
        open_only=False,
        scopes=Scope.REGISTER,
        facts=lambda op: (None, op.case, None),
    ),
    _spec(
        ops.UnfreezeInvoice,
        "unfreeze",
        14,
        freezing.unfreeze,
        {Code.NOT_BUREAU, Code.NOT_FROZEN},
        open_only=False,
        scopes=Scope.REGISTER,
        facts=lambda op: (None, op.case, None),
    ),
)

_HOLDING = (
    _spec(
        ops.OfferInvoice,
        "offer",
        4,
        holding.offer,
        {
            Code.NOT_HOLDER,
            Code.WRONG_PARTY,
            Code.UNKNOWN_PARTY,
            Code.OFFER_EXPIRED,
            Code.PERIOD_INVALID,
            Code.OFFER_OPEN,
            Code.HAS_CLAIM,
            Code.RED_PENDING,
        },
        open_only=True,
        by_key=True,
        facts=lambda op: (None, op.to, None),
        reads=reads.receiver,
    ),
    _spec(
        ops.SignOffer,
        "sign",
        4,
        holding.sign,
        {
            Code.WRONG_PARTY,
            Code.NO_OFFER,
            Code.OFFER_EXPIRED,
            Code.HAS_CLAIM,
            Code.RED_PENDING,
        },
        open_only=True,
        by_key=True,
    ),
    _spec(
        ops.RefuseOffer,
        "refuse",
        4,
        holding.refuse,
        {Code.WRONG_PARTY, Code.NO_OFFER, Code.OFFER_EXPIRED},
        open_only=True,
        by_key=True,
    ),
    _spec(
        ops.WithdrawOffer,
        "withdraw",
        4,
        holding.withdraw,
        {Code.NOT_HOLDER, Code.NO_OFFER, Code.OFFER_EXPIRED},
        open_only=True,
        by_key=True,
    ),
)

_CLAIMS = (
    _spec(
        ops.SubmitInvoice,
        "submit",
        5,
        claims.submit,
        {
            Code.NOT_HOLDER,
            Code.NOT_SUBMITTED,
            Code.UNKNOWN_PARTY,
            Code.NOT_PERMITTED,
            Code.OFFER_OPEN,
            Code.DISPUTED,
            Code.INSUFFICIENT_AVAILABLE,
            Code.TOO_MANY_CLAIMS,
        },
        open_only=True,
        by_key=True,
        facts=lambda op: (op.amount, op.to, None),
        reads=reads.receiver,
    ),
    _spec(
        ops.ClaimInvoice,
        "claim",
        5,
        claims.claim,
        {
            Code.NOT_SUBMITTED,
            Code.OFFER_OPEN,
            Code.DISPUTED,
            Code.INSUFFICIENT_AVAILABLE,
            Code.TOO_MANY_CLAIMS,
        },
        open_only=True,
        scopes=Scope.REIMBURSE,
        facts=lambda op: (op.amount, None, None),
    ),
    _spec(
        ops.ReleaseClaim,
        "release",
        6,
        claims.release,
        {Code.UNKNOWN_CLAIM, Code.CLAIM_CLOSED, Code.NOT_LOCK_OWNER},
        open_only=False,
        scopes=_HOLDER_OR_REIMBURSER,
        by_key=True,
        facts=lambda op: (None, None, op.claim),
    ),
    _spec(
        ops.ReimburseClaim,
        "reimburse",
        7,
        claims.reimburse,
        {
            Code.UNKNOWN_CLAIM,
            Code.CLAIM_CLOSED,
            Code.NOT_LOCK_OWNER,
            Code.LOCK_LAPSED,
            Code.INSUFFICIENT_AVAILABLE,
        },
        open_only=True,
        scopes=Scope.REIMBURSE,
        facts=lambda op: (op.amount, None, op.claim),
    ),
    _spec(
        ops.BookInvoice,
        "book",
        8,
        booking.book,
        {Code.WRONG_PARTY, Code.ALREADY_BOOKED, Code.TOO_MANY_BOOKINGS},
        open_only=True,
        scopes=_HOLDER_OR_REIMBURSER,
        by_key=True,
    ),
    _spec(
        ops.UnbookInvoice,
        "unbook",
        8,
        booking.unbook,
        {Code.NOT_BOOKED, Code.REASON_REQUIRED},
        open_only=True,
        scopes=_HOLDER_OR_REIMBURSER,
        by_key=True,
    ),
    _spec(
        ops.CancelInvoice,
        "cancel",
        9,
        issuing.cancel,
        {Code.WRONG_PARTY, Code.USE_RED_LETTER},
        open_only=True,
        scopes=Scope.ISSUE,
        reads=reads.cancel,
    ),
)

_OF_A_FORM = {Code.UNKNOWN_FORM, Code.FORM_CLOSED}
_RED_LETTERS: tuple[OperationSpec[Any], ...] = (
    _spec(
        ops.RequestRedLetter,
        "red_request",
        10,
        redletters.request,
        {Code.WRONG_PARTY, Code.FULL_ONLY, Code.OVER_CREDIT, Code.TOO_MANY_FORMS},
        open_only=True,
        scopes=_EITHER_SIDE,
        by_key=True,
        facts=lambda op: (op.amount, None, None),
        carries_blobs=_own_blobs,
    ),
    _spec(
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
    _spec(
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
    _spec(
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
    _spec(
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
    _spec(
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
    _spec(
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
        carries_blobs=_own_blobs,
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
)

# A red invoice takes these too, and reading moves no value.
_DETAILS = (
    OperationSpec(
        kind=ops.ShareDetails,
        name="share",
        row=None,
        apply=sharing.share,
        scopes=_EITHER_SIDE | Scope.REGISTER,
        refusals=frozenset(
            {Code.UNKNOWN_INVOICE, Code.WRONG_PARTY, Code.NO_DETAILS, Code.TOO_MANY_SHARES}
        ),
        reads=reads.share,
        by_key=True,
        facts=_nothing,
    ),
    OperationSpec(
        kind=ops.RecordDiscrepancy,
        name="discrepancy",
        row=None,
        apply=discrepancies.record,
        scopes=Scope.REGISTER,
        refusals=frozenset({Code.NOT_BUREAU, Code.UNKNOWN_INVOICE, Code.ALREADY_RECORDED}),
        reads=reads.discrepancy,
        facts=_discrepancy,
    ),
    OperationSpec(
        kind=ops.ResolveDiscrepancy,
        name="discrepancy_resolve",
        row=None,
        apply=discrepancies.resolve,
        scopes=Scope.REGISTER,
        refusals=frozenset(
            {
                Code.NOT_BUREAU,
                Code.NO_DISCREPANCY,
                Code.DISCREPANCY_RESOLVED,
                Code.REASON_REQUIRED,
            }
        ),
        reads=reads.discrepancy,
        facts=_discrepancy,
    ),
)


def _opening(genesis: Genesis) -> Sequence[OpeningRow]:
    rates = TaxRatesRow(tuple(sorted(set(genesis.tax_rates))))
    return [(TAX_RATES, RATES_FOR_ALL_KEY, rates)]


INVOICES_LAW = Law(
    name="invoices",
    operations=(
        _ISSUE,
        *_RESPONSES,
        *_HOLDING,
        *_CLAIMS,
        *_RED_LETTERS,
        _FOR_RETIRED,
        *_DETAILS,
        *BUREAU_OPERATIONS,
    ),
    tables=(
        SEGMENTS,
        ALLOTMENTS,
        QUOTAS,
        TAX_RATES,
        EXCHANGE_RATES,
        INVOICES,
        ORDERS,
        REGIONS,
        REGIONS_OF,
        SHARES,
        DISCREPANCIES,
    ),
    opening=_opening,
)
