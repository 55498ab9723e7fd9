"""DOMAIN §3, rows 1 to 14: what succeeds, and every refusal that the law names.

The table is the rulebook's own: a refusal without a case here fails, and so does a case with a code
that the law does not name. Rows 15 to 17 are in `test_later_rows`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota
from node.ledger.invoices.holds.operations import HoldIssuing
from node.ledger.invoices.law import INVOICES_LAW
from node.ledger.invoices.rows import (
    BOOKINGS_MAX,
    CLAIMS_MAX,
    OPEN_FORMS_OF_ONE_SIDE_MAX,
    BookingRow,
    ClaimRow,
    ConsentRow,
    FormRow,
    FormState,
    Response,
    SubmissionRow,
    encode_invoice,
)
from node.ledger.operations import DirectOperation
from node.ledger.participants import decode_participant
from node.ledger.row_codec import encode_row
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


def changed(setup: Setup, **facets: object) -> Setup:
    """With facets that no few operations make."""

    def make() -> World:
        world = setup()
        row = replace(world.invoice(BLUE), **facets)
        world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))
        return world

    return make


def held() -> World:
    world = opened()
    world.ok(BUREAU, HoldIssuing(SELLER, "SZ-17", bytes(32), START + HOUR, ()))
    return world


def rival() -> World:
    """Another issuer may issue too."""
    world = issued()
    world.ok(
        BUREAU,
        AllotSegment(RIVAL, number(5_000), 10),
        GrantQuota(RIVAL, MONTH, 10_000, START, START + DAY),
    )
    return world


NOBODY = "91440300MA5DM7AE0D"
CLAIMS = tuple(ClaimRow(place, PAYMASTER, 1, 0, 0, START) for place in range(CLAIMS_MAX))
full_of_submissions = changed(
    fresh,
    submissions=tuple(SubmissionRow(f"{n:018d}", 1, 1) for n in range(CLAIMS_MAX)),
)
full_of_claims = changed(after(SUBMIT), claims=CLAIMS, claims_made=CLAIMS_MAX, locked=CLAIMS_MAX)
full_of_bookings = changed(
    fresh, bookings=tuple(BookingRow(f"{n:018d}", "b", START) for n in range(BOOKINGS_MAX))
)
full_of_forms = after(*[(BUYER, ops.RequestRedLetter(BLUE, 1, 2))] * OPEN_FORMS_OF_ONE_SIDE_MAX)
FULL_FORM = FormRow(
    id=0,
    by_issuer=True,
    amount=FULL,
    reserved=FULL - CLAIMS_MAX,
    reason=1,
    state=FormState.CONFIRMED,
    since=START,
    consents=tuple(ConsentRow(n, 1, 0) for n in range(ops.CONSENTS_MAX)),
)
full_of_consents = changed(
    full_of_claims, forms=(FULL_FORM,), forms_made=1, red_reserved=FULL_FORM.reserved
)
RELEASE = (PAYMASTER, ops.ReleaseClaim(BLUE, 0))
CONSENT = ops.ConsentRedLetter(BLUE, 0, 0, 1, 0)
asked_back = after(SUBMIT, CLAIM, RED)

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
    # What the table leaves to "every row of every table"
    (1, "no such day", opened, SELLER, make_issue(0, issue_date="2026-02-30"), Code.DATE_INVALID),
    (1, "held", held, SELLER, make_issue(0), Code.ISSUING_HELD),
    (1, "no rate of exchange", opened, SELLER, make_issue(0, currency="USD"),
     Code.NO_EXCHANGE_RATE),
    (1, "replaces a red one", credited, SELLER, make_issue(2, replaces=number(1)),
     Code.RED_TAKES_NO_OPERATION),
    (1, "to nobody", opened, SELLER, make_issue(0, buyer=NOBODY), Code.UNKNOWN_PARTY),
    (1, "replaces another's", rival, RIVAL, make_issue(5_000, replaces=BLUE), Code.WRONG_PARTY),
    (4, "for too long", fresh, BUYER, ops.OfferInvoice(BLUE, STRANGER, START + 30 * DAY + 1),
     Code.PERIOD_INVALID),
    (4, "to nobody", fresh, BUYER, ops.OfferInvoice(BLUE, NOBODY, START + HOUR),
     Code.UNKNOWN_PARTY),
    (5, "to nobody", fresh, BUYER, ops.SubmitInvoice(BLUE, NOBODY, 1), Code.UNKNOWN_PARTY),
    (5, "to no reimburser", fresh, BUYER, ops.SubmitInvoice(BLUE, STRANGER, 1),
     Code.NOT_PERMITTED),
    (5, "too many submissions", full_of_submissions, *SUBMIT, Code.TOO_MANY_CLAIMS),
    (5, "too many claims", full_of_claims, PAYMASTER, ops.ClaimInvoice(BLUE, 1),
     Code.TOO_MANY_CLAIMS),
    (6, "never made", claimed, PAYMASTER, ops.ReleaseClaim(BLUE, 5), Code.UNKNOWN_CLAIM),
    (6, "twice", after(SUBMIT, CLAIM, RELEASE), *RELEASE, Code.CLAIM_CLOSED),
    (7, "never made", claimed, PAYMASTER, ops.ReimburseClaim(BLUE, 5, 1, "b", "p"),
     Code.UNKNOWN_CLAIM),
    (7, "twice", after(SUBMIT, CLAIM, PAY), *PAY, Code.CLAIM_CLOSED),
    (7, "more than is locked", claimed, PAYMASTER, ops.ReimburseClaim(BLUE, 0, 501, "b", "p"),
     Code.INSUFFICIENT_AVAILABLE),
    (8, "twice", booked, *BOOK, Code.ALREADY_BOOKED),
    (8, "nothing to unbook", fresh, BUYER, ops.UnbookInvoice(BLUE, "x"), Code.NOT_BOOKED),
    (8, "too many", full_of_bookings, *BOOK, Code.TOO_MANY_BOOKINGS),
    (10, "too many", full_of_forms, BUYER, ops.RequestRedLetter(BLUE, 1, 2), Code.TOO_MANY_FORMS),
    (11, "no such form", fresh, BUYER, ops.ConfirmRedLetter(BLUE, 7), Code.UNKNOWN_FORM),
    (12, "no such form", fresh, SELLER, make_red(1, BLUE, 7, net=1_000, tax=130),
     Code.UNKNOWN_FORM),
    (12, "denied", after(RED_OF_BUYER, (SELLER, ops.DenyRedLetter(BLUE, 0))), SELLER, ISSUE_RED,
     Code.FORM_CLOSED),
    (12, "late", after(RED, wait=3 * DAY + 1), SELLER, ISSUE_RED, Code.FORM_LAPSED),
    (12, "no segment", after(RED), SELLER, make_red(5_000, BLUE, 0, net=1_000, tax=130),
     Code.NUMBER_NOT_ALLOTTED),
    (12, "number used", after(RED), SELLER, make_red(0, BLUE, 0, net=1_000, tax=130),
     Code.NUMBER_USED),
    (12, "order used", after(RED), SELLER,
     make_red(1, BLUE, 0, net=1_000, tax=130, order=order("order 0")), Code.ORDER_CONFLICT),
    (12, "more than its rate has", after(RED), SELLER, make_red(1, BLUE, 0, net=1_001, tax=129),
     Code.OVER_CREDIT),
    (12, "another rate", after(RED), SELLER, make_red(1, BLUE, 0, net=1_066, tax=64, rate=600),
     Code.RATE_NOT_ALLOWED),
    (12, "another amount", after(RED), SELLER, make_red(1, BLUE, 0, net=88, tax=12),
     Code.TOTALS_MISMATCH),
    (12, "consent", asked_back, PAYMASTER, CONSENT, Code.OK),
    (12, "consent of another", asked_back, RIVAL, CONSENT, Code.NOT_LOCK_OWNER),
    (12, "consent for no claim", asked_back, PAYMASTER,
     ops.ConsentRedLetter(BLUE, 0, 9, 1, 0), Code.UNKNOWN_CLAIM),
    (12, "consent for a claim that has gone", after(SUBMIT, CLAIM, RED, RELEASE), PAYMASTER,
     CONSENT, Code.CLAIM_CLOSED),
    (12, "consent to more than is locked", asked_back, PAYMASTER,
     ops.ConsentRedLetter(BLUE, 0, 0, 501, 0), Code.INSUFFICIENT_AVAILABLE),
    (12, "too many consents", full_of_consents, PAYMASTER,
     ops.ConsentRedLetter(BLUE, 0, ops.CONSENTS_MAX, 1, 0), Code.TOO_MANY_CLAIMS),
]  # fmt: skip

_TAKEN: dict[int, Case] = {
    case[0]: case for case in reversed(CASES) if case[0] > 1 and case[5] is Code.OK
}


def _on_red(operation: DirectOperation) -> DirectOperation:
    return replace(operation, invoice=number(1))


CASES += [
    (row, "a red invoice", credited, case[3], _on_red(case[4]), Code.RED_TAKES_NO_OPERATION)
    for row, case in sorted(_TAKEN.items())
]
"""A red invoice takes none of them."""


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


def test_every_refusal_that_the_law_names_has_a_case() -> None:
    for row in range(1, 15):
        named = {
            code for spec in INVOICES_LAW.operations if spec.row == row for code in spec.refusals
        }
        shown = {case[5] for case in CASES if case[0] == row} - {Code.OK}
        assert shown == named, row


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
