"""Rows 10 to 12 of DOMAIN §3: red letters by amount."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import GrantQuota, PublishExchangeRate
from node.ledger.invoices.rows import (
    FORM_IDS_MAX,
    FORMS_MAX,
    OPEN_FORMS_OF_ONE_SIDE_MAX,
    Document,
    FormRow,
    FormState,
    encode_invoice,
)
from node.ledger.operations import Operation
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    MONTH,
    OTHER_PAYMASTER,
    PAYMASTER,
    QUOTA,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_issue,
    make_red,
    number,
    opened,
)

BLUE = number(0)
TERM = 72 * HOUR


def ask(amount: int = 565, reason: int = 4) -> ops.RequestRedLetter:
    return ops.RequestRedLetter(BLUE, amount, reason)


def half_red(form: int = 0, serial: int = 50, gross: int = 565) -> ops.IssueRedLetter:
    return make_red(serial, BLUE, form, net=500, tax=65, gross=gross)


def booked() -> World:
    """Booked by the buyer, so that the issuer's request needs confirming."""
    world = issued()
    world.ok(BUYER, ops.BookInvoice(BLUE, "b1"))
    return world


def paid(amount: int, locked: int) -> World:
    """Claim 0 with `amount` paid, claim 1 with `locked` locked, by two reimbursers."""
    world = issued()
    if amount:
        world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, amount))
        world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, amount))
        world.ok(PAYMASTER, ops.ReimburseClaim(BLUE, 0, amount, "b", "p"))
    if locked:
        world.ok(BUYER, ops.SubmitInvoice(BLUE, OTHER_PAYMASTER, locked))
        world.ok(OTHER_PAYMASTER, ops.ClaimInvoice(BLUE, locked))
    return world


def terms(world: World) -> tuple[int, int, int, int, int, int]:
    row = world.invoice(BLUE)
    return (
        row.available,
        row.credited,
        row.red_reserved,
        row.locked,
        row.reimbursed,
        row.refund_due,
    )


# --- Requesting and confirming ---


def test_the_issuers_request_is_confirmed_by_itself_while_untouched() -> None:
    world = issued()
    note = world.ok(SELLER, ask()).notes[0]
    assert (note.form, note.confirmed) == (0, True)
    assert world.invoice(BLUE).forms[0].state is FormState.CONFIRMED
    assert terms(world) == (565, 0, 565, 0, 0, 0)


@pytest.mark.parametrize(
    ("world", "author"),
    [(booked(), SELLER), (paid(0, 5), SELLER), (paid(5, 0), SELLER), (issued(), BUYER)],
    ids=["booked", "locked", "reimbursed", "asked by the buyer"],
)
def test_every_other_request_waits_for_the_counterparty(world: World, author: str) -> None:
    note = world.ok(author, ask()).notes[0]
    assert not note.confirmed
    assert world.code(author, ops.ConfirmRedLetter(BLUE, 0)) is Code.NOT_COUNTERPARTY
    assert world.code(SELLER, half_red()) is Code.NOT_CONFIRMED
    world.ok(BUYER if author == SELLER else SELLER, ops.ConfirmRedLetter(BLUE, 0))
    assert world.invoice(BLUE).forms[0].state is FormState.CONFIRMED


@pytest.mark.parametrize(
    ("who", "operation"),
    [
        (BUYER, ops.DenyRedLetter(BLUE, 0)),
        (SELLER, ops.WithdrawRedLetter(BLUE, 0)),
    ],
)
def test_deny_and_withdraw_give_the_reserve_back(who: str, operation: Operation) -> None:
    world = booked()
    world.ok(SELLER, ask())
    world.ok(who, operation)
    assert terms(world) == (1_130, 0, 0, 0, 0, 0)
    assert world.invoice(BLUE).forms == ()
    assert world.code(BUYER, ops.ConfirmRedLetter(BLUE, 0)) is Code.FORM_CLOSED
    assert world.ok(SELLER, ask()).notes[0].form == 1


def test_a_confirmed_form_can_still_be_withdrawn() -> None:
    world = issued()
    world.ok(SELLER, ask())
    world.ok(SELLER, ops.WithdrawRedLetter(BLUE, 0))
    assert terms(world)[0] == 1_130


def test_an_unconfirmed_form_lapses_after_its_term() -> None:
    world = booked()
    world.ok(SELLER, ask())
    world.later(TERM)
    assert world.code(STRANGER, ops.LapseRedLetter(BLUE, 0)) is Code.TOO_EARLY
    world.later(1)
    assert world.code(BUYER, ops.ConfirmRedLetter(BLUE, 0)) is Code.FORM_LAPSED
    world.ok(STRANGER, ops.LapseRedLetter(BLUE, 0))
    assert terms(world) == (1_130, 0, 0, 0, 0, 0)


def test_a_form_may_be_confirmed_in_its_last_millisecond_and_its_second_term_starts() -> None:
    world = booked()
    world.ok(SELLER, ask())
    world.later(TERM)
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.later(TERM)
    assert world.code(STRANGER, ops.LapseRedLetter(BLUE, 0)) is Code.TOO_EARLY
    world.ok(SELLER, half_red())


def test_a_confirmed_form_that_is_not_issued_lapses() -> None:
    world = issued()
    world.ok(SELLER, ask())
    world.later(TERM + 1)
    assert world.code(SELLER, half_red()) is Code.FORM_LAPSED
    world.ok(STRANGER, ops.LapseRedLetter(BLUE, 0))
    assert terms(world)[0] == 1_130


# --- Issuing ---


def test_a_partial_red_letter_credits_its_amount() -> None:
    world = issued()
    world.ok(SELLER, ask())
    world.later(HOUR)
    world.ok(SELLER, half_red())
    row = world.invoice(BLUE)
    assert terms(world) == (565, 565, 0, 0, 0, 0)
    assert row.forms[0].since == START + HOUR
    assert row.document is Document.PARTLY_CREDITED
    assert (row.forms[0].state, row.forms[0].number) == (FormState.ISSUED, number(50))
    red = world.invoice(number(50))
    assert (red.red, red.original, red.gross, red.available) == (True, BLUE, 565, 0)
    assert world.segments().segments[0].used == 2


def test_a_full_red_letter_closes_the_document() -> None:
    world = issued()
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 5))
    world.ok(SELLER, ask(1_130, 1))
    world.ok(SELLER, make_red(50, BLUE, 0, net=1_000, tax=130))
    row = world.invoice(BLUE)
    assert (row.document, row.available, row.submissions) == (Document.CREDITED, 0, ())
    assert world.code(SELLER, ask(1)) is Code.DOCUMENT_CLOSED


def test_two_parts_credit_the_whole() -> None:
    world = issued()
    world.ok(SELLER, ask(), ask())
    world.ok(SELLER, half_red(0, 50), half_red(1, 51))
    assert world.invoice(BLUE).document is Document.CREDITED
    assert world.quota().used == 0


def test_a_red_invoice_takes_no_operation() -> None:
    world = issued()
    world.ok(SELLER, ask(), half_red())
    red = number(50)
    for author, operation in (
        (BUYER, ops.OfferInvoice(red, STRANGER, world.now + HOUR)),
        (SELLER, ops.CancelInvoice(red, "")),
        (SELLER, ops.RequestRedLetter(red, 1, 4)),
        (BUYER, ops.BookInvoice(red, "b")),
        (STRANGER, ops.LapseRedLetter(red, 0)),
        (SELLER, make_red(52, red, 0, net=1, tax=0)),
    ):
        assert world.code(author, operation) is Code.RED_TAKES_NO_OPERATION
    assert world.code(SELLER, make_issue(3, replaces=red)) is Code.RED_TAKES_NO_OPERATION


def test_a_red_order_repeated_gives_the_first_number_also_when_closed() -> None:
    world = issued()
    world.ok(SELLER, ask(1_130, 1))
    red = make_red(50, BLUE, 0, net=1_000, tax=130)
    world.ok(SELLER, red)
    again = make_red(51, BLUE, 0, net=1_000, tax=130, order=red.order)
    result = world.ok(SELLER, again)
    assert result.notes[0].number == number(50)
    assert (Table.INVOICE, number(51).encode()) not in world.store
    conflict = make_red(51, BLUE, 0, net=999, tax=130, order=red.order)
    assert world.code(SELLER, conflict) is Code.ORDER_CONFLICT


def test_a_red_letter_of_another_month_does_not_restore_the_quota() -> None:
    world = issued()
    world.later(31 * DAY)
    world.ok(SELLER, ask(), half_red())
    assert world.quota().used == 1_000
    assert world.invoice(number(50)).quota == 0
    assert (Table.QUOTA, f"{SELLER}{MONTH + 1}".encode()) not in world.store


def test_foreign_quota_is_restored_without_remainder() -> None:
    world = opened()
    world.ok(BUREAU, PublishExchangeRate("USD", 7_150_500, "2026-08-31"))
    world.ok(SELLER, make_issue(0, currency="USD"))
    assert world.quota().used == 7_151
    # The rate of a later day plays no part: what was charged comes back.
    world.ok(BUREAU, PublishExchangeRate("USD", 9_000_000, "2026-09-01"))
    world.ok(SELLER, ask(), half_red())
    assert world.quota().used == 7_151 - 3_575
    world.ok(SELLER, ask(), half_red(1, 51))
    assert world.quota().used == 0


def test_red_letters_stay_possible_when_the_quota_is_spent_and_over() -> None:
    world = opened()
    world.ok(SELLER, make_issue(0, net=QUOTA))
    world.ok(BUREAU, GrantQuota(SELLER, MONTH, 0, START, START + 1))
    world.later(HOUR)
    gross = world.invoice(BLUE).gross
    world.ok(SELLER, ask(gross, 1))
    world.ok(SELLER, make_red(50, BLUE, 0, net=QUOTA, tax=gross - QUOTA))
    assert (world.quota().used, world.quota().remaining) == (0, 0)


# --- Claims in the way: r = s + z + x + y ---


def test_without_consent_a_claim_stays_untouched() -> None:
    world = paid(600, 500)  # 30 available
    world.ok(SELLER, ask(1_130, 1))
    assert terms(world) == (0, 0, 30, 500, 600, 0)
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    red = make_red(50, BLUE, 0, net=1_000, tax=130)
    assert world.code(SELLER, red) is Code.CLAIM_CONSENT_NEEDED
    world.ok(PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 0, 600))
    assert world.code(SELLER, red) is Code.CLAIM_CONSENT_NEEDED
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 1, 499, 0))
    assert world.code(SELLER, red) is Code.CLAIM_CONSENT_NEEDED
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 1, 500, 0))
    world.ok(SELLER, red)
    assert terms(world) == (0, 1_130, 0, 0, 0, 600)
    row = world.invoice(BLUE)
    assert [(c.id, c.reimbursed, c.refund_due) for c in row.claims] == [(0, 0, 600)]


def test_locks_are_taken_before_payments_and_no_more_than_needed() -> None:
    world = paid(600, 500)  # 30 available
    world.ok(SELLER, ask(565))
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.ok(PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 0, 600))
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 1, 500, 0))
    world.ok(SELLER, half_red())
    # 565 = 30 reserved + 500 locked + 35 paid.
    assert terms(world) == (0, 565, 0, 0, 565, 35)


def test_what_was_released_meanwhile_is_taken_first() -> None:
    world = paid(0, 800)  # 330 available
    world.ok(SELLER, ask(565))
    assert terms(world) == (0, 0, 330, 800, 0, 0)
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 800, 0))
    world.ok(OTHER_PAYMASTER, ops.ReimburseClaim(BLUE, 0, 700, "b", "p"))
    # z = 100; the lock that was consented to is paid now, and no consent covers a payment.
    assert world.code(SELLER, half_red()) is Code.CLAIM_CONSENT_NEEDED
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 0, 700))
    world.ok(SELLER, half_red())
    assert terms(world) == (0, 565, 0, 0, 565, 135)


def test_released_claims_need_no_consent() -> None:
    world = paid(0, 800)
    world.ok(SELLER, ask(565))
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 800, 0))
    world.ok(OTHER_PAYMASTER, ops.ReleaseClaim(BLUE, 0))
    world.ok(SELLER, half_red())
    assert terms(world) == (565, 565, 0, 0, 0, 0)


def test_a_consent_can_be_taken_back() -> None:
    world = paid(0, 1_130)
    world.ok(SELLER, ask(565))
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 800, 0))
    world.ok(OTHER_PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 0, 0))
    assert world.invoice(BLUE).forms[0].consents == ()
    assert world.code(SELLER, half_red()) is Code.CLAIM_CONSENT_NEEDED


# --- Refusals ---


def _nothing(world: World) -> None:
    del world


def _asked(world: World) -> None:
    world.ok(BUYER, ask())


def _confirmed(world: World) -> None:
    world.ok(SELLER, ask())


def _half(world: World) -> None:
    world.ok(SELLER, ask(), half_red())


def _all(world: World) -> None:
    world.ok(SELLER, ask(1_130, 1), make_red(50, BLUE, 0, net=1_000, tax=130))


def _locked(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 600))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 600))
    world.ok(SELLER, ask(1_130, 1))


def _locked_and_late(world: World) -> None:
    _locked(world)
    world.later(TERM + 1)


def _full_of_consents(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 600))
    world.ok(PAYMASTER, *(ops.ClaimInvoice(BLUE, 1) for _ in range(17)))
    world.ok(SELLER, ask())
    world.ok(PAYMASTER, *(ops.ConsentRedLetter(BLUE, 0, i, 1, 0) for i in range(1, 17)))


def _buyers_room_used(world: World) -> None:
    world.ok(BUYER, *(ask(1) for _ in range(OPEN_FORMS_OF_ONE_SIDE_MAX)))


def _full_of_forms(world: World) -> None:
    row = world.invoice(BLUE)
    forms = [FormRow(i, i % 2 == 0, 1, 1, 4, FormState.REQUESTED, START) for i in range(FORMS_MAX)]
    row.forms, row.red_reserved, row.forms_made = tuple(forms), FORMS_MAX, FORMS_MAX
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))


def _out_of_form_numbers(world: World) -> None:
    row = world.invoice(BLUE)
    row.forms_made = FORM_IDS_MAX + 1
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))


def confirm(form: int = 0) -> ops.ConfirmRedLetter:
    return ops.ConfirmRedLetter(BLUE, form)


def consent(claim: int = 0, locked: int = 1, reimbursed: int = 0) -> ops.ConsentRedLetter:
    return ops.ConsentRedLetter(BLUE, 0, claim, locked, reimbursed)


Case = tuple[Code, Callable[[World], None], str, Operation]
REFUSALS: list[Case] = [
    # Row 10
    (Code.UNKNOWN_INVOICE, _nothing, SELLER, ops.RequestRedLetter(number(9), 1, 4)),
    (Code.WRONG_PARTY, _nothing, STRANGER, ask()),
    (Code.WRONG_PARTY, _nothing, BUREAU, ask()),
    (Code.FULL_ONLY, _nothing, SELLER, ask(1_129, 1)),
    (Code.OVER_CREDIT, _nothing, SELLER, ask(1_131)),
    (Code.OVER_CREDIT, _asked, SELLER, ask(566)),
    (Code.OVER_CREDIT, _half, SELLER, ask(566)),
    (Code.OVER_CREDIT, _half, SELLER, ask(1_130, 1)),
    (Code.TOO_MANY_FORMS, _buyers_room_used, BUYER, ask(1)),
    (Code.TOO_MANY_FORMS, _full_of_forms, SELLER, ask(1)),
    (Code.TOO_MANY_FORMS, _out_of_form_numbers, SELLER, ask(1)),
    (Code.DOCUMENT_CLOSED, _all, SELLER, ask(1)),
    # Row 11
    (Code.UNKNOWN_FORM, _nothing, SELLER, confirm()),
    (Code.NOT_COUNTERPARTY, _asked, BUYER, confirm()),
    (Code.NOT_COUNTERPARTY, _asked, STRANGER, confirm()),
    (Code.FORM_CLOSED, _confirmed, BUYER, confirm()),
    (Code.FORM_CLOSED, _half, BUYER, confirm()),
    (Code.UNKNOWN_FORM, _nothing, SELLER, ops.DenyRedLetter(BLUE, 0)),
    (Code.NOT_COUNTERPARTY, _asked, BUYER, ops.DenyRedLetter(BLUE, 0)),
    (Code.FORM_CLOSED, _confirmed, BUYER, ops.DenyRedLetter(BLUE, 0)),
    (Code.UNKNOWN_FORM, _nothing, SELLER, ops.WithdrawRedLetter(BLUE, 0)),
    (Code.WRONG_PARTY, _asked, SELLER, ops.WithdrawRedLetter(BLUE, 0)),
    (Code.FORM_CLOSED, _half, SELLER, ops.WithdrawRedLetter(BLUE, 0)),
    (Code.FORM_CLOSED, _all, SELLER, ops.WithdrawRedLetter(BLUE, 0)),
    (Code.UNKNOWN_FORM, _nothing, SELLER, ops.LapseRedLetter(BLUE, 0)),
    (Code.TOO_EARLY, _asked, SELLER, ops.LapseRedLetter(BLUE, 0)),
    (Code.FORM_CLOSED, _half, SELLER, ops.LapseRedLetter(BLUE, 0)),
    # Row 12, consent
    (Code.UNKNOWN_FORM, _nothing, PAYMASTER, consent()),
    (Code.UNKNOWN_CLAIM, _asked, PAYMASTER, consent()),
    (Code.NOT_LOCK_OWNER, _locked, OTHER_PAYMASTER, consent()),
    (Code.INSUFFICIENT_AVAILABLE, _locked, PAYMASTER, consent(0, 601)),
    (Code.INSUFFICIENT_AVAILABLE, _locked, PAYMASTER, consent(0, 0, 1)),
    (Code.FORM_LAPSED, _locked_and_late, PAYMASTER, consent()),
    (Code.TOO_MANY_CLAIMS, _full_of_consents, PAYMASTER, consent(0)),
    (Code.DOCUMENT_CLOSED, _all, PAYMASTER, consent()),
    # Row 12, issue
    (Code.WRONG_PARTY, _confirmed, BUYER, half_red()),
    (Code.UNKNOWN_FORM, _nothing, SELLER, half_red()),
    (Code.FORM_CLOSED, _half, SELLER, half_red(0, 51)),
    (Code.DOCUMENT_CLOSED, _all, SELLER, half_red(0, 51)),
    (Code.NOT_CONFIRMED, _asked, SELLER, half_red()),
    (Code.TOTALS_MISMATCH, _confirmed, SELLER, make_red(50, BLUE, 0, net=500, tax=66)),
    (Code.TOTALS_MISMATCH, _confirmed, SELLER, half_red(gross=566)),
    (Code.TOTALS_MISMATCH, _confirmed, SELLER, make_red(50, BLUE, 0, net=400, tax=165)),
    (Code.RATE_NOT_ALLOWED, _confirmed, SELLER, make_red(50, BLUE, 0, net=533, tax=32, rate=600)),
    (Code.NUMBER_NOT_ALLOTTED, _confirmed, SELLER, half_red(0, 5_000)),
    (Code.NUMBER_USED, _confirmed, SELLER, half_red(0, 0)),
]


@pytest.mark.parametrize(("code", "prepare", "author", "operation"), REFUSALS)
def test_rows_10_to_12_are_refused(
    code: Code, prepare: Callable[[World], None], author: str, operation: Operation
) -> None:
    world = issued()
    prepare(world)
    before = world.invoice(BLUE)
    assert world.code(author, operation) is code
    assert world.invoice(BLUE) == before


def test_no_rate_group_is_credited_beyond_what_it_has_left() -> None:
    world = opened()
    groups = (ops.RateGroup(600, 1_000, 60, 1), ops.RateGroup(1300, 1_000, 130, 1))
    world.ok(SELLER, make_issue(0, groups=groups, net=2_000, tax=190, gross=2_190))
    world.ok(SELLER, ask(1_500))
    over = make_red(50, BLUE, 0, net=1_415, tax=85, rate=600)
    assert world.code(SELLER, over) is Code.OVER_CREDIT
    split = (ops.RateGroup(600, 1_000, 60, 1), ops.RateGroup(1300, 389, 51, 1))
    world.ok(SELLER, make_red(50, BLUE, 0, groups=split, net=1_389, tax=111))
    credited = [(g.credited_net, g.credited_tax) for g in world.invoice(BLUE).groups]
    assert credited == [(1_000, 60), (389, 51)]


def test_a_negative_group_is_credited_by_negative_amounts_and_the_invoice_is_the_limit() -> None:
    world = opened()
    groups = (ops.RateGroup(0, -100, 0, 1), ops.RateGroup(1300, 1_000, 130, 1))
    world.ok(SELLER, make_issue(0, groups=groups, net=900, tax=130, gross=1_030))
    world.ok(SELLER, ask(1_030, 1))

    def red(*groups: tuple[int, int, int]) -> ops.IssueRedLetter:
        parts = tuple(ops.RateGroup(rate, net, tax, 20) for rate, net, tax in groups)
        net, tax = sum(g.net for g in parts), sum(g.tax for g in parts)
        return make_red(50, BLUE, 0, groups=parts, net=net, tax=tax)

    for beyond in (
        red((1300, 912, 118)),
        red((0, 100, 0), (1300, 823, 107)),
        red((0, -101, 0), (1300, 1_000, 131)),
    ):
        assert world.code(SELLER, beyond) is Code.OVER_CREDIT
    world.ok(SELLER, red((0, -100, 0), (1300, 1_000, 130)))
    row = world.invoice(BLUE)
    assert (row.document, row.available, row.credited) == (Document.CREDITED, 0, 1_030)
    assert [(g.credited_net, g.credited_tax) for g in row.groups] == [(-100, 0), (1_000, 130)]
    assert world.quota().used == 0


def test_tax_is_not_credited_beyond_what_the_group_has_left_either() -> None:
    world = issued()
    world.ok(SELLER, ask(1_130, 1))
    groups = (ops.RateGroup(1300, 990, 140, 20),)
    shifted = make_red(50, BLUE, 0, groups=groups, net=990, tax=140)
    assert world.code(SELLER, shifted) is Code.OVER_CREDIT


def test_a_buyer_cannot_use_up_the_issuers_room_for_forms() -> None:
    world = issued()
    _buyers_room_used(world)
    world.ok(SELLER, ask())
