"""DOMAIN §3, row by row: what succeeds, and every refusal that the table names.

`TABLE` is the rule book; `CASES` shows each of its entries at work. A refusal of the table without
a case, or a case that the table does not know, fails.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau_operations import AllotSegment, GrantQuota
from node.ledger.invoices.rows import Response
from node.ledger.operations import DirectOperation
from node.ledger.participants import decode_participant
from node.ledger.row_codec import encode_row
from node.ledger.rulebook import RULEBOOK
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    MONTH,
    PAYMASTER,
    RIVAL,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_issue,
    make_red,
    number,
    opened,
    order,
)

BLUE = number(0)
GONE = number(999)
FULL = 1_130
TERM = 15 * DAY
LOCK = 30 * DAY

_EVERY = {Code.UNKNOWN_INVOICE}
_OPEN = {Code.UNKNOWN_INVOICE, Code.FROZEN, Code.DOCUMENT_CLOSED}

TABLE: dict[int, set[Code]] = {
    1: {
        Code.UNKNOWN_INVOICE,
        Code.WRONG_PARTY,
        Code.NOT_PERMITTED,
        Code.NUMBER_NOT_ALLOTTED,
        Code.NUMBER_USED,
        Code.ISSUING_SUSPENDED,
        Code.QUOTA_PERIOD,
        Code.QUOTA_EXCEEDED,
        Code.RATE_NOT_ALLOWED,
        Code.TOTALS_MISMATCH,
        Code.NOTHING_TO_INVOICE,
        Code.ORDER_CONFLICT,
    },
    2: _OPEN
    | {
        Code.WRONG_PARTY,
        Code.RESPONSE_FINAL,
        Code.DEADLINE_PASSED,
        Code.REASON_REQUIRED,
        Code.HAS_CLAIM,
        Code.AMOUNT_INVALID,
    },
    3: _EVERY | {Code.TOO_EARLY, Code.RESPONSE_FINAL},
    4: _OPEN
    | {
        Code.WRONG_PARTY,
        Code.NOT_HOLDER,
        Code.HAS_CLAIM,
        Code.RED_PENDING,
        Code.OFFER_EXPIRED,
        Code.OFFER_OPEN,
        Code.NO_OFFER,
    },
    5: _OPEN
    | {
        Code.NOT_HOLDER,
        Code.INSUFFICIENT_AVAILABLE,
        Code.NOT_SUBMITTED,
        Code.OFFER_OPEN,
        Code.DISPUTED,
    },
    6: _EVERY | {Code.NOT_LOCK_OWNER},
    7: _OPEN | {Code.NOT_LOCK_OWNER, Code.LOCK_LAPSED},
    8: _OPEN | {Code.WRONG_PARTY, Code.REASON_REQUIRED},
    9: _OPEN | {Code.WRONG_PARTY, Code.USE_RED_LETTER},
    10: _OPEN | {Code.WRONG_PARTY, Code.OVER_CREDIT, Code.FULL_ONLY},
    11: _EVERY
    | {Code.WRONG_PARTY, Code.NOT_COUNTERPARTY, Code.FORM_CLOSED, Code.FORM_LAPSED, Code.TOO_EARLY},
    12: _OPEN | {Code.WRONG_PARTY, Code.CLAIM_CONSENT_NEEDED, Code.NOT_CONFIRMED},
    13: _EVERY | {Code.NOT_BUREAU, Code.NOT_DISPUTED, Code.REASON_REQUIRED},
    14: _EVERY | {Code.NOT_BUREAU, Code.FROZEN, Code.NOT_FROZEN},
}

Setup = Callable[[], World]


def word(said: Response, amount: int = 0, reason: str = "goods missing") -> ops.RespondInvoice:
    return ops.RespondInvoice(BLUE, said, amount, reason)


def after(*steps: tuple[str, DirectOperation], wait: int = 0) -> Setup:
    """A fresh invoice, then steps that must succeed, then time."""

    def make() -> World:
        world = issued()
        for who, operation in steps:
            world.ok(who, operation)
        world.later(wait)
        return world

    return make


FREEZE = (BUREAU, ops.FreezeInvoice(BLUE, "case 1"))
CANCEL = (SELLER, ops.CancelInvoice(BLUE, "typo"))
SUBMIT = (BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, FULL))
CLAIM = (PAYMASTER, ops.ClaimInvoice(BLUE, 500))
PAY = (PAYMASTER, ops.ReimburseClaim(BLUE, 0, 500, "b", "p"))
OFFER = (BUYER, ops.OfferInvoice(BLUE, STRANGER, START + 2 * HOUR))
BOOK = (BUYER, ops.BookInvoice(BLUE, "b"))
RED = (SELLER, ops.RequestRedLetter(BLUE, FULL, 1))
RED_OF_BUYER = (BUYER, ops.RequestRedLetter(BLUE, 100, 2))
CONFIRM = ops.ConfirmRedLetter(BLUE, 0)
ISSUE_RED = make_red(1, BLUE, 0, net=1_000, tax=130)
DISPUTE = (BUYER, word(Response.DISPUTED))
REJECT = (BUYER, word(Response.REJECTED))
ACCEPT = (BUYER, word(Response.ACCEPTED))

frozen, cancelled, fresh = after(FREEZE), after(CANCEL), after()
claimed, booked = after(SUBMIT, CLAIM), after(BOOK)


def suspended() -> World:
    world = opened()
    key = SELLER.encode()
    row = decode_participant(world.store[Table.PARTICIPANT, key])
    row.issuing_suspended = True
    world.replace_row(Table.PARTICIPANT, key, encode_row(row))
    return world


def credited() -> World:
    world = after(RED)()
    world.ok(SELLER, ISSUE_RED)
    return world


def open_cases(
    row: int, who: str, operation: DirectOperation, *steps: tuple[str, DirectOperation]
) -> list[tuple[int, str, Setup, str, DirectOperation, Code]]:
    """The same operation on an invoice that is frozen, and on one that is cancelled."""
    closed = cancelled if not steps else credited_after(*steps)
    return [
        (row, "frozen", after(*steps, FREEZE), who, operation, Code.FROZEN),
        (row, "closed", closed, who, operation, Code.DOCUMENT_CLOSED),
    ]


def credited_after(*steps: tuple[str, DirectOperation]) -> Setup:
    """`steps`, and then the whole invoice credited with everybody's consent."""

    def make() -> World:
        world = after(*steps)()
        row = world.invoice(BLUE)
        if row.offer is not None:
            world.ok(BUYER, ops.WithdrawOffer(BLUE))
        world.ok(SELLER, ops.RequestRedLetter(BLUE, FULL, 1))
        form = world.invoice(BLUE).forms[-1]
        if not form.state:
            world.ok(BUYER, ops.ConfirmRedLetter(BLUE, form.id))
        for claim in world.invoice(BLUE).claims:
            consent = ops.ConsentRedLetter(BLUE, form.id, claim.id, claim.locked, claim.reimbursed)
            world.ok(claim.owner, consent)
        world.ok(SELLER, make_red(1, BLUE, form.id, net=1_000, tax=130))
        return world

    return make


Case = tuple[int, str, Setup, str, DirectOperation, Code]
NEXT = make_issue(1)
CASES: list[Case] = [
    # 1 issue
    (1, "issued", opened, SELLER, make_issue(0), Code.OK),
    (1, "replaces one's own", fresh, SELLER, make_issue(1, replaces=BLUE), Code.OK),
    (1, "the same order again", fresh, SELLER, make_issue(5, order_name="order 0"), Code.OK),
    (1, "replaces nothing", fresh, SELLER, make_issue(1, replaces=GONE), Code.UNKNOWN_INVOICE),
    (1, "no issuer", opened, BUYER, make_issue(0), Code.NOT_PERMITTED),
    (1, "no segment", opened, RIVAL, make_issue(0), Code.NUMBER_NOT_ALLOTTED),
    (1, "beyond the segment", opened, SELLER, make_issue(1_000), Code.NUMBER_NOT_ALLOTTED),
    (1, "used", fresh, SELLER, make_issue(0, order_name="x"), Code.NUMBER_USED),
    (1, "suspended", suspended, SELLER, make_issue(0), Code.ISSUING_SUSPENDED),
    (1, "next month", after(wait=31 * DAY), SELLER, NEXT, Code.QUOTA_PERIOD),
    (1, "too much", opened, SELLER, make_issue(0, net=10_000_001), Code.QUOTA_EXCEEDED),
    (1, "rate", opened, SELLER, make_issue(0, rate=900), Code.RATE_NOT_ALLOWED),
    (1, "gross", opened, SELLER, make_issue(0, gross=1_131), Code.TOTALS_MISMATCH),
    (1, "nothing", opened, SELLER, make_issue(0, net=0), Code.NOTHING_TO_INVOICE),
    (1, "conflict", fresh, SELLER, make_issue(1, net=2, order=order("order 0")),
     Code.ORDER_CONFLICT),
    # 2 respond
    (2, "received", fresh, BUYER, word(Response.RECEIVED, 0, ""), Code.OK),
    (2, "accepted", fresh, BUYER, word(Response.ACCEPTED, 0, ""), Code.OK),
    (2, "accepted after receipt", after((BUYER, word(Response.RECEIVED))), *ACCEPT, Code.OK),
    (2, "accepted with a claim", claimed, *ACCEPT, Code.OK),
    (2, "partly accepted", fresh, BUYER, word(Response.PARTLY_ACCEPTED, 600), Code.OK),
    (2, "rejected", fresh, *REJECT, Code.OK),
    (2, "disputed", fresh, *DISPUTE, Code.OK),
    (2, "on the last moment", after(wait=TERM), *ACCEPT, Code.OK),
    (2, "unknown", opened, *ACCEPT, Code.UNKNOWN_INVOICE),
    (2, "not the buyer", fresh, STRANGER, word(Response.ACCEPTED), Code.WRONG_PARTY),
    *open_cases(2, *ACCEPT),
    (2, "said already", after(REJECT), *ACCEPT, Code.RESPONSE_FINAL),
    (2, "received twice", after((BUYER, word(Response.RECEIVED))), BUYER, word(Response.RECEIVED),
     Code.RESPONSE_FINAL),
    (2, "too late", after(wait=TERM + 1), *ACCEPT, Code.DEADLINE_PASSED),
    (2, "no reason to reject", fresh, BUYER, word(Response.REJECTED, 0, ""), Code.REASON_REQUIRED),
    (2, "no reason to accept in part", fresh, BUYER, word(Response.PARTLY_ACCEPTED, 600, ""),
     Code.REASON_REQUIRED),
    (2, "disputed with a claim", claimed, *DISPUTE, Code.HAS_CLAIM),
    (2, "rejected after payment", after(SUBMIT, CLAIM, PAY), *REJECT, Code.HAS_CLAIM),
    (2, "part without amount", fresh, BUYER, word(Response.PARTLY_ACCEPTED), Code.AMOUNT_INVALID),
    (2, "part is all", fresh, BUYER, word(Response.PARTLY_ACCEPTED, FULL), Code.AMOUNT_INVALID),
    (2, "amount with another word", fresh, BUYER, word(Response.ACCEPTED, 5), Code.AMOUNT_INVALID),
    # 3 lapse
    (3, "deemed accepted", after(wait=TERM + 1), STRANGER, ops.LapseResponse(BLUE), Code.OK),
    (3, "received only", after((BUYER, word(Response.RECEIVED)), wait=TERM + 1), STRANGER,
     ops.LapseResponse(BLUE), Code.OK),
    (3, "unknown", opened, STRANGER, ops.LapseResponse(BLUE), Code.UNKNOWN_INVOICE),
    (3, "early", after(wait=TERM), STRANGER, ops.LapseResponse(BLUE), Code.TOO_EARLY),
    (3, "answered", after(ACCEPT, wait=TERM + 1), STRANGER, ops.LapseResponse(BLUE),
     Code.RESPONSE_FINAL),
    # 4 offer, sign, refuse, withdraw
    (4, "offered", fresh, *OFFER, Code.OK),
    (4, "signed", after(OFFER), STRANGER, ops.SignOffer(BLUE), Code.OK),
    (4, "refused", after(OFFER), STRANGER, ops.RefuseOffer(BLUE), Code.OK),
    (4, "withdrawn", after(OFFER), BUYER, ops.WithdrawOffer(BLUE), Code.OK),
    (4, "unknown", opened, *OFFER, Code.UNKNOWN_INVOICE),
    (4, "to oneself", fresh, BUYER, ops.OfferInvoice(BLUE, BUYER, START + HOUR), Code.WRONG_PARTY),
    (4, "signed by another", after(OFFER), PAYMASTER, ops.SignOffer(BLUE), Code.WRONG_PARTY),
    *open_cases(4, *OFFER),
    (4, "signed while frozen", after(OFFER, FREEZE), STRANGER, ops.SignOffer(BLUE), Code.FROZEN),
    (4, "not held", fresh, STRANGER, ops.OfferInvoice(BLUE, BUYER, START + HOUR), Code.NOT_HOLDER),
    (4, "withdrawn by another", after(OFFER), STRANGER, ops.WithdrawOffer(BLUE), Code.NOT_HOLDER),
    (4, "claimed", claimed, *OFFER, Code.HAS_CLAIM),
    (4, "red form", after(RED_OF_BUYER), *OFFER, Code.RED_PENDING),
    (4, "red form since the offer", after(OFFER, RED_OF_BUYER), STRANGER, ops.SignOffer(BLUE),
     Code.RED_PENDING),
    (4, "signed late", after(OFFER, wait=3 * HOUR), STRANGER, ops.SignOffer(BLUE),
     Code.OFFER_EXPIRED),
    (4, "offered twice", after(OFFER), *OFFER, Code.OFFER_OPEN),
    (4, "nothing to withdraw", fresh, BUYER, ops.WithdrawOffer(BLUE), Code.NO_OFFER),
    # 5 submit, claim
    (5, "submitted", fresh, *SUBMIT, Code.OK),
    (5, "claimed", after(SUBMIT), *CLAIM, Code.OK),
    (5, "claimed after acceptance", after(ACCEPT, SUBMIT), *CLAIM, Code.OK),
    (5, "within the accepted part", after((BUYER, word(Response.PARTLY_ACCEPTED, 500)),
     (BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 500))), *CLAIM, Code.OK),
    (5, "unknown", opened, *SUBMIT, Code.UNKNOWN_INVOICE),
    *open_cases(5, *SUBMIT),
    (5, "claimed while frozen", after(SUBMIT, FREEZE), *CLAIM, Code.FROZEN),
    (5, "not held", fresh, STRANGER, ops.SubmitInvoice(BLUE, PAYMASTER, 1), Code.NOT_HOLDER),
    (5, "beyond the gross", fresh, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, FULL + 1),
     Code.INSUFFICIENT_AVAILABLE),
    (5, "beyond the rest", after(SUBMIT, CLAIM), PAYMASTER, ops.ClaimInvoice(BLUE, 631),
     Code.INSUFFICIENT_AVAILABLE),
    (5, "beyond the accepted part", after((BUYER, word(Response.PARTLY_ACCEPTED, 500))), BUYER,
     ops.SubmitInvoice(BLUE, PAYMASTER, 501), Code.INSUFFICIENT_AVAILABLE),
    (5, "claimed beyond the part accepted since", after(SUBMIT,
     (BUYER, word(Response.PARTLY_ACCEPTED, 400))), *CLAIM, Code.INSUFFICIENT_AVAILABLE),
    (5, "not submitted", fresh, *CLAIM, Code.NOT_SUBMITTED),
    (5, "offered", after(OFFER), *SUBMIT, Code.OFFER_OPEN),
    (5, "claimed under an offer", after(SUBMIT, OFFER), *CLAIM, Code.OFFER_OPEN),
    (5, "rejected", after(REJECT), *SUBMIT, Code.DISPUTED),
    (5, "disputed since", after(SUBMIT, DISPUTE), *CLAIM, Code.DISPUTED),
    # 6 release
    (6, "by its owner", claimed, PAYMASTER, ops.ReleaseClaim(BLUE, 0), Code.OK),
    (6, "by anyone later", after(SUBMIT, CLAIM, wait=LOCK + 1), STRANGER,
     ops.ReleaseClaim(BLUE, 0), Code.OK),
    (6, "while frozen", after(SUBMIT, CLAIM, FREEZE), PAYMASTER, ops.ReleaseClaim(BLUE, 0),
     Code.OK),
    (6, "unknown", opened, PAYMASTER, ops.ReleaseClaim(BLUE, 0), Code.UNKNOWN_INVOICE),
    (6, "by anyone early", after(SUBMIT, CLAIM, wait=LOCK), STRANGER, ops.ReleaseClaim(BLUE, 0),
     Code.NOT_LOCK_OWNER),
    # 7 reimburse
    (7, "paid", claimed, *PAY, Code.OK),
    (7, "paid in part", claimed, PAYMASTER, ops.ReimburseClaim(BLUE, 0, 1, "b", "p"), Code.OK),
    (7, "unknown", opened, *PAY, Code.UNKNOWN_INVOICE),
    *open_cases(7, *PAY, SUBMIT, CLAIM),
    (7, "by another", claimed, STRANGER, ops.ReimburseClaim(BLUE, 0, 1, "b", "p"),
     Code.NOT_LOCK_OWNER),
    (7, "late", after(SUBMIT, CLAIM, wait=LOCK + 1), *PAY, Code.LOCK_LAPSED),
    # 8 book, unbook
    (8, "booked by the buyer", fresh, *BOOK, Code.OK),
    (8, "booked by a reimburser", claimed, PAYMASTER, ops.BookInvoice(BLUE, "b"), Code.OK),
    (8, "unbooked", booked, BUYER, ops.UnbookInvoice(BLUE, "wrong year"), Code.OK),
    (8, "unknown", opened, *BOOK, Code.UNKNOWN_INVOICE),
    (8, "by a stranger", fresh, STRANGER, ops.BookInvoice(BLUE, "b"), Code.WRONG_PARTY),
    *open_cases(8, *BOOK),
    (8, "unbooked while frozen", after(BOOK, FREEZE), BUYER, ops.UnbookInvoice(BLUE, "x"),
     Code.FROZEN),
    (8, "no reason", booked, BUYER, ops.UnbookInvoice(BLUE, ""), Code.REASON_REQUIRED),
    # 9 cancel
    (9, "cancelled", fresh, *CANCEL, Code.OK),
    (9, "after a rejection", after(REJECT), *CANCEL, Code.OK),
    (9, "unknown", opened, *CANCEL, Code.UNKNOWN_INVOICE),
    (9, "by another", fresh, BUYER, ops.CancelInvoice(BLUE, ""), Code.WRONG_PARTY),
    *open_cases(9, *CANCEL),
    (9, "late", after(wait=DAY + 1), *CANCEL, Code.USE_RED_LETTER),
    (9, "accepted", after(ACCEPT), *CANCEL, Code.USE_RED_LETTER),
    (9, "accepted in part", after((BUYER, word(Response.PARTLY_ACCEPTED, 5))), *CANCEL,
     Code.USE_RED_LETTER),
    (9, "claimed once", after(SUBMIT, CLAIM, (PAYMASTER, ops.ReleaseClaim(BLUE, 0))), *CANCEL,
     Code.USE_RED_LETTER),
    (9, "booked", booked, *CANCEL, Code.USE_RED_LETTER),
    (9, "offered", after(OFFER), *CANCEL, Code.USE_RED_LETTER),
    (9, "red form", after(RED), *CANCEL, Code.USE_RED_LETTER),
    (9, "handed on", after(OFFER, (STRANGER, ops.SignOffer(BLUE))), *CANCEL, Code.USE_RED_LETTER),
    # 10 red: request
    (10, "by the issuer", fresh, *RED, Code.OK),
    (10, "by the buyer", fresh, *RED_OF_BUYER, Code.OK),
    (10, "unknown", opened, *RED, Code.UNKNOWN_INVOICE),
    (10, "by a stranger", fresh, STRANGER, ops.RequestRedLetter(BLUE, 1, 2), Code.WRONG_PARTY),
    *open_cases(10, *RED),
    (10, "too much", fresh, BUYER, ops.RequestRedLetter(BLUE, FULL + 1, 2), Code.OVER_CREDIT),
    (10, "beyond open forms", after(RED_OF_BUYER), SELLER, ops.RequestRedLetter(BLUE, 1_031, 4),
     Code.OVER_CREDIT),
    (10, "an error in part", fresh, SELLER, ops.RequestRedLetter(BLUE, 5, 1), Code.FULL_ONLY),
    # 11 red: confirm, deny, withdraw, lapse
    (11, "confirmed", after(RED_OF_BUYER), SELLER, CONFIRM, Code.OK),
    (11, "confirmed while frozen", after(RED_OF_BUYER, FREEZE), SELLER, CONFIRM, Code.OK),
    (11, "denied", after(RED_OF_BUYER), SELLER, ops.DenyRedLetter(BLUE, 0), Code.OK),
    (11, "withdrawn", after(RED_OF_BUYER), BUYER, ops.WithdrawRedLetter(BLUE, 0), Code.OK),
    (11, "lapsed", after(RED_OF_BUYER, wait=3 * DAY + 1), STRANGER, ops.LapseRedLetter(BLUE, 0),
     Code.OK),
    (11, "confirmed, not issued, lapsed", after(RED, wait=3 * DAY + 1), STRANGER,
     ops.LapseRedLetter(BLUE, 0), Code.OK),
    (11, "unknown", opened, SELLER, CONFIRM, Code.UNKNOWN_INVOICE),
    (11, "withdrawn by another", after(RED_OF_BUYER), SELLER, ops.WithdrawRedLetter(BLUE, 0),
     Code.WRONG_PARTY),
    (11, "confirmed by who asked", after(RED_OF_BUYER), BUYER, CONFIRM, Code.NOT_COUNTERPARTY),
    (11, "denied by a stranger", after(RED_OF_BUYER), STRANGER, ops.DenyRedLetter(BLUE, 0),
     Code.NOT_COUNTERPARTY),
    (11, "confirmed twice", after(RED_OF_BUYER, (SELLER, CONFIRM)), SELLER, CONFIRM,
     Code.FORM_CLOSED),
    (11, "confirmed late", after(RED_OF_BUYER, wait=3 * DAY + 1), SELLER, CONFIRM,
     Code.FORM_LAPSED),
    (11, "lapsed early", after(RED_OF_BUYER, wait=3 * DAY), STRANGER, ops.LapseRedLetter(BLUE, 0),
     Code.TOO_EARLY),
    # 12 red: issue
    (12, "issued", after(RED), SELLER, ISSUE_RED, Code.OK),
    (12, "again", credited, SELLER, ISSUE_RED, Code.OK),
    (12, "unknown", opened, SELLER, ISSUE_RED, Code.UNKNOWN_INVOICE),
    (12, "by another", after(RED), BUYER, ISSUE_RED, Code.WRONG_PARTY),
    (12, "frozen", after(RED, FREEZE), SELLER, ISSUE_RED, Code.FROZEN),
    (12, "closed", credited, SELLER, make_red(2, BLUE, 0, net=1_000, tax=130),
     Code.DOCUMENT_CLOSED),
    (12, "claimed", after(SUBMIT, CLAIM, RED, (BUYER, CONFIRM)), SELLER, ISSUE_RED,
     Code.CLAIM_CONSENT_NEEDED),
    (12, "not confirmed", after(RED_OF_BUYER), SELLER, make_red(1, BLUE, 0, net=88, tax=12),
     Code.NOT_CONFIRMED),
    # 13 rule
    (13, "accepted", after(DISPUTE), BUREAU, ops.RuleDispute(BLUE, True, "delivered"), Code.OK),
    (13, "rejected", after(DISPUTE), BUREAU, ops.RuleDispute(BLUE, False, "missing"), Code.OK),
    (13, "unknown", opened, BUREAU, ops.RuleDispute(BLUE, True, "x"), Code.UNKNOWN_INVOICE),
    (13, "by another", after(DISPUTE), SELLER, ops.RuleDispute(BLUE, True, "x"), Code.NOT_BUREAU),
    (13, "no dispute", after(REJECT), BUREAU, ops.RuleDispute(BLUE, True, "x"), Code.NOT_DISPUTED),
    (13, "no reason", after(DISPUTE), BUREAU, ops.RuleDispute(BLUE, True, ""),
     Code.REASON_REQUIRED),
    # 14 freeze, unfreeze
    (14, "frozen", fresh, *FREEZE, Code.OK),
    (14, "let go", frozen, BUREAU, ops.UnfreezeInvoice(BLUE, "case 1"), Code.OK),
    (14, "unknown", opened, *FREEZE, Code.UNKNOWN_INVOICE),
    (14, "by another", fresh, SELLER, ops.FreezeInvoice(BLUE, "mine"), Code.NOT_BUREAU),
    (14, "let go by another", frozen, SELLER, ops.UnfreezeInvoice(BLUE, "case 1"), Code.NOT_BUREAU),
    (14, "twice", frozen, BUREAU, ops.FreezeInvoice(BLUE, "case 2"), Code.FROZEN),
    (14, "another case", frozen, BUREAU, ops.UnfreezeInvoice(BLUE, "case 2"), Code.NOT_FROZEN),
]  # fmt: skip


@pytest.mark.parametrize(
    ("setup", "who", "operation", "code"),
    [case[2:] for case in CASES],
    ids=[f"{case[0]} {case[1]}: {case[5].name}" for case in CASES],
)
def test_row(setup: Setup, who: str, operation: DirectOperation, code: Code) -> None:
    world = setup()
    before = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
    assert world.code(who, operation) is code
    if code is not Code.OK:
        now = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
        assert now == before


def test_another_issuers_invoice_cannot_be_replaced() -> None:
    world = issued()
    world.ok(
        BUREAU,
        AllotSegment(RIVAL, number(5_000), 10),
        GrantQuota(RIVAL, MONTH, 10_000, START, START + DAY),
    )
    assert world.code(RIVAL, make_issue(5_000, replaces=BLUE)) is Code.WRONG_PARTY


def test_every_refusal_of_the_table_has_a_case() -> None:
    shown: dict[int, set[Code]] = {row: set() for row in TABLE}
    for row, _, _, _, _, code in CASES:
        if code is not Code.OK:
            shown[row].add(code)
    shown[1].add(Code.WRONG_PARTY)  # the test above
    assert shown == TABLE


def test_the_law_names_every_refusal_of_the_table() -> None:
    for row, refusals in TABLE.items():
        named: set[Code] = set()
        for spec in RULEBOOK.specs.values():
            named |= spec.refusals if spec.row == row else set()
        assert refusals <= named, row


def test_a_response_stands_in_the_row() -> None:
    world = after((BUYER, word(Response.PARTLY_ACCEPTED, 600)))()
    row = world.invoice(BLUE)
    assert (row.response, row.accepted, row.responded_at) == (Response.PARTLY_ACCEPTED, 600, START)
    assert row.claimable == 600
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 600))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 250))
    assert (world.invoice(BLUE).claimable, world.invoice(BLUE).available) == (350, 880)


def test_a_ruling_opens_or_ends_the_way_of_a_disputed_invoice() -> None:
    world = after(DISPUTE, (BUREAU, ops.RuleDispute(BLUE, True, "delivered")))()
    assert world.invoice(BLUE).response is Response.ACCEPTED
    world.ok(*SUBMIT)
    world = after(DISPUTE, (BUREAU, ops.RuleDispute(BLUE, False, "missing")))()
    assert world.invoice(BLUE).response is Response.REJECTED
    assert world.code(*SUBMIT) is Code.DISPUTED


def test_freezing_keeps_what_is_locked_and_lets_it_be_released() -> None:
    world = after(SUBMIT, CLAIM, FREEZE)()
    assert world.code(*PAY) is Code.FROZEN
    world.ok(PAYMASTER, ops.ReleaseClaim(BLUE, 0))
    world.ok(BUREAU, ops.UnfreezeInvoice(BLUE, "case 1"))
    assert world.invoice(BLUE).frozen == ""
    assert world.invoice(BLUE).available == FULL
