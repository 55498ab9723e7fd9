"""Row 1 (issue) and row 9 (cancel) of DOMAIN §3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
)
from node.ledger.invoices.issuing import refuse_totals
from node.ledger.invoices.rows import Document
from node.ledger.participants import decode_participant
from node.ledger.row_codec import encode_row
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    MONTH,
    PAYMASTER,
    QUOTA,
    RIVAL,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_issue,
    number,
    opened,
    order,
)

BLUE = number(0)
KEY = "ab" * 32


def test_issue_writes_the_invoice_with_the_buyer_as_holder() -> None:
    world = issued()
    row = world.invoice(BLUE)
    assert (row.issuer, row.buyer, row.holder) == (SELLER, BUYER, BUYER)
    assert (row.net, row.tax, row.gross, row.available) == (1_000, 130, 1_130, 1_130)
    assert (row.document, row.height, row.issued_at) == (Document.ISSUED, 2, START)
    assert world.quota().used == 1_000
    assert world.segments().segments[0].used == 1


def test_a_bare_key_may_be_the_buyer() -> None:
    assert issued(buyer=KEY).invoice(BLUE).holder == KEY


def group(rate: int, net: int, tax: int, lines: int = 1) -> ops.RateGroup:
    return ops.RateGroup(rate, net, tax, lines)


ISSUE_REFUSALS: list[tuple[Code, str, ops.IssueInvoice]] = [
    (Code.NOT_PERMITTED, BUYER, make_issue(1)),
    (Code.NUMBER_NOT_ALLOTTED, SELLER, make_issue(1_000)),
    (Code.NUMBER_NOT_ALLOTTED, RIVAL, make_issue(1)),
    (Code.NUMBER_USED, SELLER, make_issue(0, order_name="another")),
    (Code.QUOTA_EXCEEDED, SELLER, make_issue(1, net=QUOTA)),
    (Code.RATE_NOT_ALLOWED, SELLER, make_issue(1, rate=1700)),
    (Code.UNKNOWN_PARTY, SELLER, make_issue(1, buyer="91440300MA5DZ7AE0Z")),
    (Code.DATE_INVALID, SELLER, make_issue(1, issue_date="2026-02-30")),
    (Code.NO_EXCHANGE_RATE, SELLER, make_issue(1, currency="USD")),
    (Code.ORDER_CONFLICT, SELLER, make_issue(1, net=999, order_name="order 0")),
    (Code.NOTHING_TO_INVOICE, SELLER, make_issue(1, net=0)),
    (Code.TOTALS_MISMATCH, SELLER, make_issue(1, gross=1_131)),
    (Code.TOTALS_MISMATCH, SELLER, make_issue(1, groups=(group(1300, -1_000, -130),))),
    (Code.TOTALS_MISMATCH, SELLER, make_issue(1, tax=131)),
    (Code.UNKNOWN_INVOICE, SELLER, make_issue(1, replaces=number(77))),
]


@pytest.mark.parametrize(("code", "author", "operation"), ISSUE_REFUSALS)
def test_issue_is_refused(code: Code, author: str, operation: ops.IssueInvoice) -> None:
    world = issued()
    before = dict(world.store)
    result = world.run(author, operation)
    assert (result.code, result.operation, result.leaf) == (code, 0, True)
    after = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
    assert after == {p: row for p, row in before.items() if p[0] is not Table.TXID}


def test_issuing_suspended_refuses_blue_invoices() -> None:
    world = opened()
    place = (Table.PARTICIPANT, SELLER.encode())
    row = decode_participant(world.store[place])
    row.issuing_suspended = True
    world.replace_row(*place, encode_row(row))
    assert world.code(SELLER, make_issue(0)) is Code.ISSUING_SUSPENDED


QUOTA_PERIODS: list[tuple[str, int, int, int, Code]] = [
    ("inside", MONTH, 0, DAY, Code.OK),
    ("first moment", MONTH, HOUR, DAY, Code.OK),
    ("last moment", MONTH, 0, HOUR, Code.OK),
    ("not yet", MONTH, HOUR + 1, DAY, Code.QUOTA_PERIOD),
    ("no longer", MONTH, 0, HOUR - 1, Code.QUOTA_PERIOD),
    ("another month", MONTH + 1, 0, DAY, Code.QUOTA_PERIOD),
]


@pytest.mark.parametrize(("_name", "month", "since", "until", "code"), QUOTA_PERIODS)
def test_quota_counts_in_its_month_and_period(
    _name: str, month: int, since: int, until: int, code: Code
) -> None:
    world = World()
    world.ok(
        BUREAU,
        AllotSegment(SELLER, number(0), 10),
        GrantQuota(SELLER, month, QUOTA, START + since, START + until),
    )
    world.later(HOUR)
    assert world.code(SELLER, make_issue(0)) is code


def test_quota_is_spent_to_the_last_unit_and_no_further() -> None:
    world = opened()
    world.ok(SELLER, make_issue(0, net=QUOTA - 1))
    assert world.code(SELLER, make_issue(1, net=2)) is Code.QUOTA_EXCEEDED
    world.ok(SELLER, make_issue(2, net=1))
    assert world.quota().remaining == 0


TOTALS: list[tuple[bool, tuple[ops.RateGroup, ...], int, int, int]] = [
    (True, (group(1300, 1_000, 130),), 1_000, 130, 1_130),
    (True, (group(1300, 1_000, 131),), 1_000, 131, 1_131),
    (True, (group(1300, 1_000, 129),), 1_000, 129, 1_129),
    (False, (group(1300, 1_000, 132),), 1_000, 132, 1_132),
    (True, (group(600, -100, -6), group(1300, 1_000, 130)), 900, 124, 1_024),
    (True, (group(600, -100, -7), group(1300, 1_000, 130)), 900, 123, 1_023),
    (False, (group(600, -100, -8), group(1300, 1_000, 130)), 900, 122, 1_022),
    (True, (group(0, -1, 0), group(1300, 1_000, 130)), 999, 130, 1_129),
    (False, (group(0, -1, 1), group(1300, 1_000, 130)), 999, 131, 1_130),
    (False, (group(0, 1, -1), group(1300, 1_000, 130)), 1_001, 129, 1_130),
    (False, (group(1300, 1_000, 128),), 1_000, 128, 1_128),
    (True, (group(1300, 1_000, 133, 3),), 1_000, 133, 1_133),
    (False, (group(1300, 1_000, 134, 3),), 1_000, 134, 1_134),
    # 50 × 13 % = 6.5, half up is 7: 8 is within one unit, 5 is not.
    (True, (group(1300, 50, 8),), 50, 8, 58),
    (False, (group(1300, 50, 5),), 50, 5, 55),
    (True, (group(600, 100, 6), group(1300, 100, 13)), 200, 19, 219),
    (False, (group(1300, 100, 13), group(600, 100, 6)), 200, 19, 219),
    (False, (group(600, 100, 6), group(600, 100, 6)), 200, 12, 212),
    (False, (group(1300, 1_000, 130),), 1_001, 130, 1_131),
    (False, (group(1300, 1_000, 130),), 1_000, 129, 1_129),
    (False, (group(1300, 1_000, 130),), 1_000, 130, 1_131),
]


@pytest.mark.parametrize(("good", "groups", "net", "tax", "gross"), TOTALS)
def test_totals(
    good: bool, groups: tuple[ops.RateGroup, ...], net: int, tax: int, gross: int
) -> None:
    expected = Code.OK if good else Code.TOTALS_MISMATCH
    assert refuse_totals(groups, net, tax, gross) is expected


def test_foreign_net_is_charged_at_the_published_rate_rounded_half_up() -> None:
    world = opened()
    # 7.1505 for one: 1,000 → 7,150.5 → 7,151.
    world.ok(BUREAU, PublishExchangeRate("USD", 7_150_500, "2026-08-31"))
    world.ok(BUREAU, PublishExchangeRate("USD", 9_000_000, "2026-09-02"))
    world.ok(SELLER, make_issue(0, currency="USD"))
    assert world.quota().used == 7_151
    world.later(DAY)
    world.ok(SELLER, make_issue(1, currency="USD"))
    assert world.quota().used == 7_151 + 9_000


def test_an_issuers_own_rates_replace_the_common_list() -> None:
    world = opened()
    world.ok(BUREAU, PublishTaxRates(SELLER, (300,)))
    assert world.code(SELLER, make_issue(0)) is Code.RATE_NOT_ALLOWED
    world.ok(SELLER, make_issue(0, rate=300))


# --- Orders ---


def test_an_order_repeated_gives_the_first_number_and_changes_nothing() -> None:
    world = issued()
    before = world.invoice(BLUE), world.quota()
    again = world.run(SELLER, make_issue(5, order_name="order 0"))
    assert again.code is Code.OK
    assert [(note.operation, note.number) for note in again.notes] == [(0, BLUE)]
    assert (world.invoice(BLUE), world.quota()) == before
    assert (Table.INVOICE, number(5).encode()) not in world.store


def test_an_order_repeated_within_one_transaction_is_issued_once() -> None:
    world = opened()
    first, second = make_issue(0), make_issue(1, order_name="order 0")
    result = world.ok(SELLER, first, second)
    assert [(note.operation, note.number) for note in result.notes] == [(1, BLUE)]
    assert world.quota().used == 1_000


def test_a_refused_issue_does_not_consume_its_order() -> None:
    world = opened()
    assert world.code(SELLER, make_issue(2_000, order_name="o")) is Code.NUMBER_NOT_ALLOTTED
    world.ok(SELLER, make_issue(0, order_name="o", net=5))


def test_an_order_belongs_to_its_issuer() -> None:
    world = issued()
    world.ok(
        BUREAU,
        AllotSegment(RIVAL, "26440100000000000001", 10),
        GrantQuota(RIVAL, MONTH, QUOTA, START, START + DAY),
    )
    squat = make_issue(0, order_name="order 1", number="26440100000000000001")
    world.ok(RIVAL, squat)
    world.ok(SELLER, make_issue(1, net=7))


def test_replacing_needs_an_own_blue_invoice() -> None:
    world = issued()
    world.ok(SELLER, make_issue(1, replaces=BLUE))
    assert world.invoice(number(1)).replaces == BLUE
    assert world.invoice(BLUE).replaced_by == number(1)
    world.ok(
        BUREAU,
        AllotSegment(RIVAL, "26440100000000000001", 10),
        GrantQuota(RIVAL, MONTH, QUOTA, START, START + DAY),
    )
    foreign = make_issue(9, number="26440100000000000001", replaces=BLUE)
    assert world.code(RIVAL, foreign) is Code.WRONG_PARTY


# --- Cancel ---


def test_cancel_closes_the_invoice_and_restores_the_quota() -> None:
    world = issued()
    world.later(DAY)
    world.ok(SELLER, ops.CancelInvoice(BLUE, "typing error"))
    row = world.invoice(BLUE)
    assert (row.document, row.available, row.closed) == (Document.CANCELLED, 0, True)
    assert world.quota().used == 0
    assert world.code(SELLER, make_issue(0, order_name="again")) is Code.NUMBER_USED


def _offer(world: World) -> None:
    world.ok(BUYER, ops.OfferInvoice(BLUE, STRANGER, world.now + HOUR))


def _claim_and_release(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 10))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 10), ops.ReleaseClaim(BLUE, 0))


def _hand_over(world: World) -> None:
    _offer(world)
    world.ok(STRANGER, ops.SignOffer(BLUE))


PREVENTS_CANCEL: list[tuple[str, Callable[[World], object]]] = [
    ("too late", lambda w: w.later(DAY + 1)),
    ("offer open", _offer),
    ("holder changed", _hand_over),
    ("a claim ever", _claim_and_release),
    ("booked", lambda w: w.ok(BUYER, ops.BookInvoice(BLUE, "b1"))),
    ("red form", lambda w: w.ok(BUYER, ops.RequestRedLetter(BLUE, 1, 4))),
]


@pytest.mark.parametrize(("_name", "prepare"), PREVENTS_CANCEL)
def test_cancel_needs_a_fresh_untouched_invoice(
    _name: str, prepare: Callable[[World], object]
) -> None:
    world = issued()
    prepare(world)
    assert world.code(SELLER, ops.CancelInvoice(BLUE, "")) is Code.USE_RED_LETTER


def test_cancel_across_months_needs_a_red_letter() -> None:
    world = World()
    late = START + 30 * DAY - HOUR
    world.ok(
        BUREAU,
        AllotSegment(SELLER, number(0), 10),
        GrantQuota(SELLER, MONTH, QUOTA, START, START + 60 * DAY),
    )
    world.now = late
    world.ok(SELLER, make_issue(0))
    world.later(2 * HOUR)
    assert world.code(SELLER, ops.CancelInvoice(BLUE, "")) is Code.USE_RED_LETTER


def test_cancel_is_the_issuers() -> None:
    world = issued()
    assert world.code(BUYER, ops.CancelInvoice(BLUE, "")) is Code.WRONG_PARTY
    assert world.code(SELLER, ops.CancelInvoice(number(3), "")) is Code.UNKNOWN_INVOICE
    world.ok(SELLER, ops.CancelInvoice(BLUE, ""))
    assert world.code(SELLER, ops.CancelInvoice(BLUE, "")) is Code.DOCUMENT_CLOSED


# --- Blobs ---


def test_blobs_must_be_those_that_the_operations_name_in_order() -> None:
    world = opened()
    one, two = b"sealed one", b"sealed two"
    named = make_issue(0, blobs=(order("sealed one"), order("sealed two")))
    for blobs in ((), (one,), (two, one), (one, two, two)):
        result = world.run(SELLER, named, blobs=blobs)
        assert (result.code, result.leaf) == (Code.BLOB_MISMATCH, False)
    assert world.run(SELLER, make_issue(0), blobs=(one,)).code is Code.BLOB_MISMATCH
    good = world.run(SELLER, named, blobs=(one, two))
    assert good.code is Code.OK
    assert good.blobs == ((order("sealed one"), one), (order("sealed two"), two))


def test_operations_share_a_blob_that_travels_once() -> None:
    world = opened()
    shared, file = b"sealed one", b"sealed two"
    hashes = (order("sealed one"), order("sealed two"))
    operations = [make_issue(0, blobs=hashes[:1]), make_issue(1, blobs=hashes)]
    for blobs in ((shared,), (shared, shared, file), (file, shared)):
        assert world.run(SELLER, *operations, blobs=blobs).code is Code.BLOB_MISMATCH
    good = world.run(SELLER, *operations, blobs=(shared, file))
    assert good.code is Code.OK
    assert good.blobs == ((hashes[0], shared), (hashes[1], file))
