"""Number ranges from the head bureau to regions, and from a region to issuers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.operations import AllotRegion, AllotSegment
from node.ledger.invoices.bureau.region_rows import (
    REGIONS_MAX,
    RangeRow,
    decode_regions,
    regions_key,
)
from node.ledger.operations import Operation
from tests.ledger.world import (
    BUREAU,
    BUYER,
    RIVAL,
    SECOND_BUREAU,
    SELLER,
    THIRD_BUREAU,
    World,
    make_genesis,
    number,
)

NOBODY = "9" * 18
REGION, OTHER_REGION = SECOND_BUREAU, THIRD_BUREAU


def region(first: int, count: int, bureau: str = REGION) -> AllotRegion:
    return AllotRegion(bureau, number(first), count)


def allot(first: int, count: int, issuer: str = SELLER) -> AllotSegment:
    return AllotSegment(issuer, number(first), count)


def regional() -> World:
    """One head bureau; the seller holds 0..9, a region 100..199, another one 200..299."""
    world = World(replace(make_genesis(), governors=(BUREAU,), threshold=1))
    world.ok(BUREAU, allot(0, 10), region(100, 100))
    world.ok(BUREAU, region(200, 100, OTHER_REGION))
    return world


CASES: list[tuple[str, Code, str, Operation]] = [
    ("a region within its range", Code.OK, REGION, allot(150, 50)),
    ("all of it", Code.OK, REGION, allot(100, 100)),
    ("one number before it", Code.NOT_IN_REGION, REGION, allot(99, 2)),
    ("one number past it", Code.NOT_IN_REGION, REGION, allot(199, 2)),
    ("nobody's numbers", Code.NOT_IN_REGION, REGION, allot(50, 1)),
    ("another region's", Code.NOT_IN_REGION, REGION, allot(200, 1)),
    ("over two regions", Code.NOT_IN_REGION, REGION, allot(150, 100)),
    ("the head bureau in a region", Code.NOT_IN_REGION, BUREAU, allot(150, 1)),
    ("the head bureau around a region", Code.NOT_IN_REGION, BUREAU, allot(50, 300)),
    ("the head bureau's own", Code.OK, BUREAU, allot(50, 50)),
    ("up to a region", Code.OK, BUREAU, allot(99, 1)),
    ("after the regions", Code.OK, BUREAU, allot(300, 1)),
    ("a region of issued segments", Code.SEGMENT_OVERLAP, BUREAU, region(9, 5)),
    ("a region in a region", Code.SEGMENT_OVERLAP, BUREAU, region(150, 10)),
    ("a region around a region", Code.SEGMENT_OVERLAP, BUREAU, region(20, 300)),
    ("past the serial's digits", Code.SEGMENT_OVERLAP, BUREAU, region(10**15 - 2, 2)),
    ("a region beside a region", Code.OK, BUREAU, region(300, 10)),
    ("by an issuer", Code.NOT_BUREAU, SELLER, region(300, 1)),
    ("by a region", Code.NOT_HEAD_BUREAU, REGION, region(150, 1, OTHER_REGION)),
    ("to nobody", Code.UNKNOWN_PARTY, BUREAU, region(300, 1, NOBODY)),
    ("to an issuer", Code.NOT_REGIONAL_BUREAU, BUREAU, region(300, 1, SELLER)),
    ("to a head bureau", Code.NOT_REGIONAL_BUREAU, BUREAU, region(300, 1, BUREAU)),
    ("a segment to a payer", Code.NOT_PERMITTED, BUREAU, allot(300, 1, BUYER)),
    ("a segment to a bureau", Code.OK, REGION, allot(110, 1, REGION)),
]


@pytest.mark.parametrize(("_name", "code", "author", "operation"), CASES)
def test_ranges_go_from_head_to_region_to_issuer(
    _name: str, code: Code, author: str, operation: Operation
) -> None:
    assert regional().code(author, operation) is code


def test_within_a_region_segments_do_not_overlap() -> None:
    world = regional()
    world.ok(REGION, allot(100, 10), allot(110, 10, RIVAL))
    assert world.code(REGION, allot(109, 1)) is Code.SEGMENT_OVERLAP


def test_regions_of_one_block_and_of_one_transaction_do_not_overlap() -> None:
    world = regional()
    both = world.run(BUREAU, region(400, 10), region(409, 10, OTHER_REGION))
    assert (both.code, both.operation) == (Code.SEGMENT_OVERLAP, 1)
    made = world.block(
        [
            world.transaction(BUREAU, [region(400, 10)]),
            world.transaction(BUREAU, [allot(405, 1)]),
            world.transaction(REGION, [allot(405, 1)]),
        ]
    )
    assert [r.code for r in made.results] == [Code.OK, Code.NOT_IN_REGION, Code.OK]


def test_ranges_of_a_bureau_are_kept_in_order_and_bounded() -> None:
    world = regional()
    world.ok(BUREAU, *(region(2_000 - 10 * i, 5) for i in range(REGIONS_MAX - 1)))
    row = decode_regions(world.store[Table.REGION, regions_key(REGION)])
    assert row.ranges[0] == RangeRow(number(100), number(199))
    assert list(row.ranges) == sorted(row.ranges, key=lambda held: held.first)
    assert world.code(BUREAU, region(9_000, 1)) is Code.TOO_MANY_REGIONS


def test_every_founding_bureau_is_a_head_when_none_governs() -> None:
    world = World(replace(make_genesis(), governors=(SELLER,), threshold=1))
    for place, bureau in enumerate((BUREAU, SECOND_BUREAU)):
        world.ok(bureau, allot(100 * place, 10))
