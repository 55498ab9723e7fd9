"""Rows 5 to 8 of DOMAIN §3: submit, claim, release, reimburse, book, unbook."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.rows import (
    BOOKINGS_MAX,
    CLAIMS_MAX,
    FORM_IDS_MAX,
    BookingRow,
    SubmissionRow,
    encode_invoice,
)
from node.ledger.operations import Operation
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    OTHER_PAYMASTER,
    PAYMASTER,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_red,
    number,
)

BLUE = number(0)
LOCK = 30 * DAY


def submitted(amount: int = 1_130) -> World:
    world = issued()
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, amount))
    return world


def claimed(amount: int = 500) -> World:
    world = submitted()
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, amount))
    return world


def terms(world: World) -> tuple[int, int, int]:
    row = world.invoice(BLUE)
    return row.available, row.locked, row.reimbursed


def test_a_claim_locks_and_says_its_number() -> None:
    world = submitted(800)
    first = world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 500))
    second = world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 300))
    assert [note.claim for note in (*first.notes, *second.notes)] == [0, 1]
    assert terms(world) == (330, 800, 0)
    assert world.invoice(BLUE).submissions == (SubmissionRow(PAYMASTER, 800, 0),)


def test_of_two_racing_reimbursers_the_second_is_refused() -> None:
    world = submitted()
    world.ok(BUYER, ops.SubmitInvoice(BLUE, OTHER_PAYMASTER, 1_130))
    race = [
        world.transaction(PAYMASTER, [ops.ClaimInvoice(BLUE, 1_130)]),
        world.transaction(OTHER_PAYMASTER, [ops.ClaimInvoice(BLUE, 1_130)]),
    ]
    results = world.block(race).results
    assert [r.code for r in results] == [Code.OK, Code.INSUFFICIENT_AVAILABLE]
    assert terms(world) == (0, 1_130, 0)


def test_a_second_claim_beyond_the_available_amount_is_refused() -> None:
    world = claimed(1_130)
    assert world.code(PAYMASTER, ops.ClaimInvoice(BLUE, 1)) is Code.INSUFFICIENT_AVAILABLE


def test_release_gives_the_amount_back_but_not_the_submission() -> None:
    world = claimed(1_130)
    world.ok(PAYMASTER, ops.ReleaseClaim(BLUE, 0))
    assert terms(world) == (1_130, 0, 0)
    assert world.invoice(BLUE).claims == ()
    assert world.code(PAYMASTER, ops.ClaimInvoice(BLUE, 1)) is Code.NOT_SUBMITTED
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 10))
    again = world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 10))
    assert again.notes[0].claim == 1


def test_reimburse_pays_a_part_and_releases_the_rest() -> None:
    world = claimed(500)
    world.ok(PAYMASTER, ops.ReimburseClaim(BLUE, 0, 400, "booking 7", "payment 9"))
    assert terms(world) == (730, 0, 400)
    claim = world.invoice(BLUE).claims[0]
    assert (claim.locked, claim.reimbursed) == (0, 400)
    assert (claim.booking, claim.payment) == ("booking 7", "payment 9")


def test_a_lock_is_its_owners_to_the_end_of_its_term_and_then_anyones() -> None:
    world = claimed(500)
    world.later(LOCK)
    assert world.code(STRANGER, ops.ReleaseClaim(BLUE, 0)) is Code.NOT_LOCK_OWNER
    world.later(1)
    late = ops.ReimburseClaim(BLUE, 0, 1, "b", "p")
    assert world.code(PAYMASTER, late) is Code.LOCK_LAPSED
    world.ok(STRANGER, ops.ReleaseClaim(BLUE, 0))
    assert terms(world) == (1_130, 0, 0)


def test_reimburse_works_in_the_last_millisecond_of_the_lock() -> None:
    world = claimed(500)
    world.later(LOCK)
    world.ok(PAYMASTER, ops.ReimburseClaim(BLUE, 0, 500, "b", "p"))


def test_a_later_submission_replaces_and_zero_ends_it() -> None:
    world = submitted(100)
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 200))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 150))
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 0))
    assert world.code(PAYMASTER, ops.ClaimInvoice(BLUE, 50)) is Code.NOT_SUBMITTED
    assert world.code(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 0)) is Code.NOT_SUBMITTED


def _nothing(world: World) -> None:
    del world


def _offer(world: World) -> None:
    world.ok(BUYER, ops.OfferInvoice(BLUE, STRANGER, world.now + HOUR))


def _submit(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 600))


def _claim(world: World) -> None:
    _submit(world)
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 500))


def _paid(world: World) -> None:
    _claim(world)
    world.ok(PAYMASTER, ops.ReimburseClaim(BLUE, 0, 500, "b", "p"))


def _released(world: World) -> None:
    _claim(world)
    world.ok(PAYMASTER, ops.ReleaseClaim(BLUE, 0))


def _reserved(world: World) -> None:
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 1_000, 4))


def _credit(world: World) -> None:
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 1_130, 1))
    world.ok(SELLER, make_red(50, BLUE, 0, net=1_000, tax=130))


def _booked(world: World) -> None:
    world.ok(BUYER, ops.BookInvoice(BLUE, "b1"))


def _full_of_submissions(world: World) -> None:
    row = world.invoice(BLUE)
    row.submissions = tuple(SubmissionRow(f"{i:018d}", 1, 1) for i in range(CLAIMS_MAX))
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))


def _full_of_claims(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1_000))
    world.ok(PAYMASTER, *(ops.ClaimInvoice(BLUE, 1) for _ in range(CLAIMS_MAX)))


def _out_of_claim_numbers(world: World) -> None:
    _submit(world)
    row = world.invoice(BLUE)
    row.claims_made = FORM_IDS_MAX + 1
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))


def _full_of_bookings(world: World) -> None:
    row = world.invoice(BLUE)
    row.bookings = tuple(BookingRow(f"{i:018d}", "x", START) for i in range(BOOKINGS_MAX))
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))


PAY = ops.ReimburseClaim(BLUE, 0, 1, "b", "p")
Case = tuple[Code, Callable[[World], None], str, Operation]
REFUSALS: list[Case] = [
    (Code.UNKNOWN_INVOICE, _nothing, BUYER, ops.SubmitInvoice(number(9), PAYMASTER, 1)),
    (Code.NOT_HOLDER, _nothing, SELLER, ops.SubmitInvoice(BLUE, PAYMASTER, 1)),
    (Code.UNKNOWN_PARTY, _nothing, BUYER, ops.SubmitInvoice(BLUE, "9" * 18, 1)),
    (Code.UNKNOWN_PARTY, _nothing, BUYER, ops.SubmitInvoice(BLUE, "ab" * 32, 1)),
    (Code.NOT_PERMITTED, _nothing, BUYER, ops.SubmitInvoice(BLUE, STRANGER, 1)),
    (Code.OFFER_OPEN, _offer, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1)),
    (Code.INSUFFICIENT_AVAILABLE, _nothing, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1_131)),
    (Code.INSUFFICIENT_AVAILABLE, _reserved, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 131)),
    (Code.TOO_MANY_CLAIMS, _full_of_submissions, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1)),
    (Code.DOCUMENT_CLOSED, _credit, BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1)),
    (Code.NOT_SUBMITTED, _nothing, PAYMASTER, ops.ClaimInvoice(BLUE, 1)),
    (Code.NOT_SUBMITTED, _submit, OTHER_PAYMASTER, ops.ClaimInvoice(BLUE, 1)),
    (Code.NOT_SUBMITTED, _submit, PAYMASTER, ops.ClaimInvoice(BLUE, 601)),
    (Code.INSUFFICIENT_AVAILABLE, _submit, PAYMASTER, ops.ClaimInvoice(BLUE, 1_131)),
    (Code.TOO_MANY_CLAIMS, _full_of_claims, PAYMASTER, ops.ClaimInvoice(BLUE, 1)),
    (Code.TOO_MANY_CLAIMS, _out_of_claim_numbers, PAYMASTER, ops.ClaimInvoice(BLUE, 1)),
    (Code.DOCUMENT_CLOSED, _credit, PAYMASTER, ops.ClaimInvoice(BLUE, 1)),
    (Code.UNKNOWN_CLAIM, _nothing, PAYMASTER, ops.ReleaseClaim(BLUE, 0)),
    (Code.NOT_LOCK_OWNER, _claim, BUYER, ops.ReleaseClaim(BLUE, 0)),
    (Code.CLAIM_CLOSED, _released, PAYMASTER, ops.ReleaseClaim(BLUE, 0)),
    (Code.CLAIM_CLOSED, _paid, PAYMASTER, ops.ReleaseClaim(BLUE, 0)),
    (Code.UNKNOWN_CLAIM, _claim, PAYMASTER, ops.ReimburseClaim(BLUE, 1, 1, "b", "p")),
    (Code.NOT_LOCK_OWNER, _claim, OTHER_PAYMASTER, PAY),
    (Code.CLAIM_CLOSED, _paid, PAYMASTER, PAY),
    (Code.CLAIM_CLOSED, _released, PAYMASTER, PAY),
    (
        Code.INSUFFICIENT_AVAILABLE,
        _claim,
        PAYMASTER,
        ops.ReimburseClaim(BLUE, 0, 501, "b", "p"),
    ),
    (Code.DOCUMENT_CLOSED, _credit, PAYMASTER, PAY),
    (Code.WRONG_PARTY, _nothing, SELLER, ops.BookInvoice(BLUE, "b")),
    (Code.WRONG_PARTY, _submit, OTHER_PAYMASTER, ops.BookInvoice(BLUE, "b")),
    (Code.ALREADY_BOOKED, _booked, BUYER, ops.BookInvoice(BLUE, "b2")),
    (Code.TOO_MANY_BOOKINGS, _full_of_bookings, BUYER, ops.BookInvoice(BLUE, "b")),
    (Code.DOCUMENT_CLOSED, _credit, BUYER, ops.BookInvoice(BLUE, "b")),
    (Code.NOT_BOOKED, _nothing, BUYER, ops.UnbookInvoice(BLUE, "why")),
    (Code.NOT_BOOKED, _booked, PAYMASTER, ops.UnbookInvoice(BLUE, "why")),
    (Code.REASON_REQUIRED, _booked, BUYER, ops.UnbookInvoice(BLUE, "")),
    (Code.REASON_REQUIRED, _booked, BUYER, ops.UnbookInvoice(BLUE, "")),
    (Code.DOCUMENT_CLOSED, _credit, BUYER, ops.UnbookInvoice(BLUE, "why")),
]


@pytest.mark.parametrize(("code", "prepare", "author", "operation"), REFUSALS)
def test_rows_5_to_8_are_refused(
    code: Code, prepare: Callable[[World], None], author: str, operation: Operation
) -> None:
    world = issued()
    prepare(world)
    before = world.invoice(BLUE)
    assert world.code(author, operation) is code
    assert world.invoice(BLUE) == before


def test_used_up_submissions_make_room_for_new_ones() -> None:
    world = issued()
    row = world.invoice(BLUE)
    row.submissions = tuple(SubmissionRow(f"{i:018d}", 1, 0) for i in range(CLAIMS_MAX))
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1))
    assert len(world.invoice(BLUE).submissions) == 1


def test_buyer_and_reimbursers_book_and_take_back_their_own() -> None:
    world = claimed()
    world.ok(BUYER, ops.BookInvoice(BLUE, "b1"))
    world.ok(PAYMASTER, ops.BookInvoice(BLUE, "p1"))
    world.ok(PAYMASTER, ops.ReleaseClaim(BLUE, 0))
    world.ok(PAYMASTER, ops.UnbookInvoice(BLUE, "released"))
    assert world.invoice(BLUE).bookings == (BookingRow(BUYER, "b1", START),)


def test_the_bureau_has_no_say_in_claims() -> None:
    world = claimed()
    assert world.code(BUREAU, ops.ReleaseClaim(BLUE, 0)) is Code.NOT_LOCK_OWNER
