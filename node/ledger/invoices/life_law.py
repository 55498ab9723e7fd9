"""The law of an invoice's life, a part of `law`: responses, freezing, holders, claims, bookings."""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.invoices import booking, claims, freezing, holding, issuing, reads, responses
from node.ledger.invoices import operations as ops
from node.ledger.invoices.on_invoice import invoice_operation
from node.ledger.invoices.rows import Response
from node.ledger.participants import ALL_SCOPES, Scope

_HOLDER_OR_REIMBURSER = Scope.HOLD | Scope.REIMBURSE

_RESPONSES = (
    invoice_operation(
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
    invoice_operation(
        ops.LapseResponse,
        "lapse",
        3,
        responses.lapse,
        {Code.RESPONSE_FINAL, Code.TOO_EARLY},
        open_only=False,
        scopes=Scope(ALL_SCOPES),
        by_key=True,
    ),
    invoice_operation(
        ops.RuleDispute,
        "rule",
        13,
        responses.rule,
        {Code.NOT_BUREAU, Code.NOT_DISPUTED, Code.REASON_REQUIRED},
        open_only=False,
        scopes=Scope.REGISTER,
        facts=lambda op: (None, "accepted" if op.accepted else "rejected", None),
    ),
    invoice_operation(
        ops.FreezeInvoice,
        "freeze",
        14,
        freezing.freeze,
        {Code.NOT_BUREAU, Code.FROZEN},
        open_only=False,
        scopes=Scope.REGISTER,
        facts=lambda op: (None, op.case, None),
    ),
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
        ops.RefuseOffer,
        "refuse",
        4,
        holding.refuse,
        {Code.WRONG_PARTY, Code.NO_OFFER, Code.OFFER_EXPIRED},
        open_only=True,
        by_key=True,
    ),
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
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
    invoice_operation(
        ops.BookInvoice,
        "book",
        8,
        booking.book,
        {Code.WRONG_PARTY, Code.ALREADY_BOOKED, Code.TOO_MANY_BOOKINGS},
        open_only=True,
        scopes=_HOLDER_OR_REIMBURSER,
        by_key=True,
    ),
    invoice_operation(
        ops.UnbookInvoice,
        "unbook",
        8,
        booking.unbook,
        {Code.NOT_BOOKED, Code.REASON_REQUIRED},
        open_only=True,
        scopes=_HOLDER_OR_REIMBURSER,
        by_key=True,
    ),
    invoice_operation(
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

LIFE_OPERATIONS = (*_RESPONSES, *_HOLDING, *_CLAIMS)
