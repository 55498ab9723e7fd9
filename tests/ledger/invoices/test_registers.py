"""The tax bureau's registers: segments, quota, rates."""

from __future__ import annotations

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
)
from node.ledger.invoices.bureau.register_rows import (
    EXCHANGE_RATES_MAX,
    SEGMENTS_MAX,
    SegmentRow,
    decode_exchange_rate,
    decode_tax_rates,
)
from node.ledger.operations import Operation
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    MONTH,
    QUOTA,
    RIVAL,
    SEGMENT_COUNT,
    SEGMENT_FIRST,
    SELLER,
    START,
    World,
    make_issue,
    number,
    opened,
)

NOBODY = "9" * 18
BASE = 26_440_000_000_000_000_001


def allot(first: int, count: int, issuer: str = RIVAL) -> AllotSegment:
    return AllotSegment(issuer, f"{first:020d}", count)


REFUSALS: list[tuple[Code, str, Operation]] = [
    (Code.NOT_BUREAU, SELLER, allot(BASE + 5_000, 1)),
    (Code.NOT_BUREAU, SELLER, GrantQuota(SELLER, MONTH, 1, 0, 1)),
    (Code.NOT_BUREAU, SELLER, PublishTaxRates(None, (1,))),
    (Code.NOT_BUREAU, SELLER, PublishExchangeRate("USD", 1, "2026-01-01")),
    (Code.UNKNOWN_PARTY, BUREAU, allot(BASE + 5_000, 1, NOBODY)),
    (Code.UNKNOWN_PARTY, BUREAU, GrantQuota(NOBODY, MONTH, 1, 0, 1)),
    (Code.UNKNOWN_PARTY, BUREAU, PublishTaxRates(NOBODY, (1,))),
    (Code.NOT_PERMITTED, BUREAU, allot(BASE + 5_000, 1, BUYER)),
    (Code.NOT_PERMITTED, BUREAU, GrantQuota(BUYER, MONTH, 1, 0, 1)),
    (Code.PERIOD_INVALID, BUREAU, GrantQuota(SELLER, MONTH, 1, 5, 5)),
    (Code.PERIOD_INVALID, BUREAU, GrantQuota(SELLER, 202_613, 1, 0, 1)),
    (Code.PERIOD_INVALID, BUREAU, GrantQuota(SELLER, 202_600, 1, 0, 1)),
    (Code.PERIOD_INVALID, BUREAU, PublishExchangeRate("USD", 1, "2026-02-30")),
    (Code.PERIOD_INVALID, BUREAU, PublishExchangeRate("CNY", 1, "2026-02-20")),
]


@pytest.mark.parametrize(("code", "author", "operation"), REFUSALS)
def test_registers_are_refused(code: Code, author: str, operation: Operation) -> None:
    assert opened().code(author, operation) is code


# The seller holds 1..1000 of its serials.
OVERLAPS: list[tuple[str, int, int, bool]] = [
    ("the same", BASE, SEGMENT_COUNT, True),
    ("inside", BASE + 10, 10, True),
    ("around", BASE - 1, SEGMENT_COUNT + 2, True),
    ("its first number", BASE - 1, 2, True),
    ("its last number", BASE + SEGMENT_COUNT - 1, 5, True),
    ("just before", BASE - 1, 1, False),
    ("just after", BASE + SEGMENT_COUNT, 5, False),
    ("past the serial's digits", 26_440_999_999_999_999_999, 2, True),
    ("to the serial's last digit", 26_440_999_999_999_999_999, 1, False),
    ("past twenty digits", 99_999_999_999_999_999_999, 2, True),
]


@pytest.mark.parametrize(("_name", "first", "count", "refused"), OVERLAPS)
def test_segments_never_overlap(_name: str, first: int, count: int, refused: bool) -> None:
    expected = Code.SEGMENT_OVERLAP if refused else Code.OK
    assert opened().code(BUREAU, allot(first, count)) is expected


def test_segments_of_one_block_and_of_one_transaction_never_overlap() -> None:
    world = World()
    both = world.run(BUREAU, allot(BASE, 10), allot(BASE + 9, 10, SELLER))
    assert (both.code, both.operation) == (Code.SEGMENT_OVERLAP, 1)
    two = [world.transaction(BUREAU, [allot(BASE, 10, issuer)]) for issuer in (RIVAL, SELLER)]
    assert [r.code for r in world.block(two).results] == [Code.OK, Code.SEGMENT_OVERLAP]


def test_an_issuer_holds_a_bounded_number_of_segments_and_used_up_ones_leave() -> None:
    world = World()
    world.ok(BUREAU, *(allot(BASE + i, 1, SELLER) for i in range(SEGMENTS_MAX)))
    more = allot(BASE + 100, 1, SELLER)
    assert world.code(BUREAU, more) is Code.TOO_MANY_SEGMENTS
    world.ok(BUREAU, GrantQuota(SELLER, MONTH, QUOTA, START, START + DAY))
    world.ok(SELLER, make_issue(7))
    world.ok(BUREAU, more)
    held = world.segments().segments
    assert SegmentRow(number(7), number(7), 1) not in held
    assert len(held) == SEGMENTS_MAX
    # Its number stays used, and the range stays allotted.
    assert world.code(BUREAU, allot(BASE + 7, 1)) is Code.SEGMENT_OVERLAP


def test_segments_are_kept_in_order() -> None:
    world = opened()
    world.ok(BUREAU, allot(int(SEGMENT_FIRST) - 1, 1, SELLER))
    firsts = [segment.first for segment in world.segments().segments]
    assert firsts == sorted(firsts)
    world.ok(SELLER, make_issue(-1), make_issue(999))
    assert [segment.used for segment in world.segments().segments] == [1, 1]


def test_a_new_grant_keeps_what_was_used() -> None:
    world = opened()
    world.ok(SELLER, make_issue(0))
    world.ok(BUREAU, GrantQuota(SELLER, MONTH, 1_500, START, START + DAY))
    assert (world.quota().used, world.quota().remaining) == (1_000, 500)
    world.ok(BUREAU, GrantQuota(SELLER, MONTH, 900, START, START + DAY))
    assert world.quota().remaining == 0
    assert world.code(SELLER, make_issue(1, net=1)) is Code.QUOTA_EXCEEDED


def test_tax_rates_are_stored_in_order_and_once() -> None:
    world = World()
    world.ok(BUREAU, PublishTaxRates(None, (1300, 600, 600)))
    assert decode_tax_rates(world.store[Table.TAX_RATES, b"*"]).rates == (600, 1300)


def test_of_exchange_rates_only_those_in_force_and_later_are_kept() -> None:
    world = World()
    for date, micro in (("2026-08-01", 1), ("2026-10-01", 4), ("2026-08-31", 2), ("2026-08-31", 3)):
        world.ok(BUREAU, PublishExchangeRate("USD", micro, date))
    row = decode_exchange_rate(world.store[Table.EXCHANGE_RATE, b"USD"])
    assert [(rate.date, rate.micro) for rate in row.rates] == [("2026-08-31", 3), ("2026-10-01", 4)]
    assert [row.in_force(d) for d in ("2026-08-30", "2026-08-31", "2026-10-02")] == [None, 3, 4]


def test_exchange_rates_of_one_currency_are_bounded() -> None:
    world = World()
    days = [f"2027-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(EXCHANGE_RATES_MAX)]
    world.ok(BUREAU, *(PublishExchangeRate("USD", 1, day) for day in days))
    over = PublishExchangeRate("USD", 1, "2028-01-01")
    assert world.code(BUREAU, over) is Code.PERIOD_INVALID
