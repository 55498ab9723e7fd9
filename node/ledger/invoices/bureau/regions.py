"""Number ranges of regional bureaus, between the head bureau and issuers (DOMAIN §1). Pure rules.

A head bureau is a founding tax bureau that governs (`genesis_state`); any other bureau allots only
inside the ranges that a head bureau gave it. A range that was given is its region's for ever.
"""

from __future__ import annotations

from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.operations import AllotRegion
from node.ledger.invoices.bureau.region_rows import (
    REGIONS,
    REGIONS_MAX,
    REGIONS_OF,
    RangeRow,
    RegionRow,
    RegionsRow,
    region_key,
    regions_key,
)
from node.ledger.invoices.bureau.register_rows import ALLOTMENTS, allotment_key
from node.ledger.participants import PARTICIPANTS
from node.ledger.step import Step
from node.ledger.stored import Scan
from node.ledger.types import Role

_SERIALS = 10**15
"""A number ends with 15 digits of serial; a range does not run past them."""
_AFTER_NUMBERS = b"o"
"""Above every `allotment_key` and every `region_key`."""


def overlap_scan(first: str) -> Scan:
    """The one allotment that could overlap a range from `first`: the first that ends after it."""
    return Scan(Table.SEGMENTS, allotment_key(first), _AFTER_NUMBERS, 1)


def region_scan(first: str) -> Scan:
    """The one region that could overlap a range from `first`."""
    return Scan(Table.REGION, region_key(first), _AFTER_NUMBERS, 1)


def last_of(first: str, count: int) -> str:
    """The last of `count` numbers from `first`: 20 digits, or 21 when there are not so many."""
    return f"{int(first) + count - 1:020d}"


def runs_over(first: str, count: int) -> bool:
    """Whether a range would run past the serial's digits, into another channel or year."""
    return int(first) % _SERIALS + count > _SERIALS


def allot_region(step: Step, op: AllotRegion) -> Code:
    """Give a regional bureau numbers that nobody has yet."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    assert step.participant is not None
    if not step.participant.head_bureau:
        return Code.NOT_HEAD_BUREAU
    bureau = step.state[PARTICIPANTS].get(op.bureau.encode())
    if bureau is None or not step.party_exists(op.bureau):
        return Code.UNKNOWN_PARTY
    if Role.TAX_BUREAU not in bureau.roles or bureau.head_bureau:
        return Code.NOT_REGIONAL_BUREAU
    last = last_of(op.first, op.count)
    if (
        runs_over(op.first, op.count)
        or is_allotted(step, op.first, last)
        or region_over(step, op.first, last) is not None
    ):
        return Code.SEGMENT_OVERLAP
    key = regions_key(op.bureau)
    held = step.state[REGIONS_OF].get(key)
    ranges = () if held is None else held.ranges
    if len(ranges) >= REGIONS_MAX:
        return Code.TOO_MANY_REGIONS
    ascending = sorted((*ranges, RangeRow(op.first, last)), key=lambda held: held.first)
    step.state[REGIONS_OF].put(key, RegionsRow(op.bureau, tuple(ascending)))
    step.state[REGIONS].put(region_key(last), RegionRow(op.first, last, op.bureau))
    return Code.OK


def refuse_outside(step: Step, first: str, last: str) -> Code:
    """NOT_IN_REGION unless the actor, a bureau, may allot these numbers.

    A regional bureau: when one of its ranges holds them all. A head bureau: when no region's range
    touches them.
    """
    assert step.participant is not None
    region = region_over(step, first, last)
    if step.participant.head_bureau:
        return Code.OK if region is None else Code.NOT_IN_REGION
    inside = (
        region is not None
        and region.bureau == step.actor
        and region.first <= first
        and last <= region.last
    )
    return Code.OK if inside else Code.NOT_IN_REGION


def region_over(step: Step, first: str, last: str) -> RegionRow | None:
    """A region that overlaps first..last; the one that holds it all, if there is one."""
    regions = step.state[REGIONS]
    stored: list[RegionRow] = [
        regions.decode(value) for _, value in step.state.view.scan(region_scan(first))
    ]
    row: RegionRow
    for row in (*stored, *regions.written()):
        if row.first <= last and first <= row.last:
            return row
    return None


def is_allotted(step: Step, first: str, last: str) -> bool:
    """Whether an issuer or a bureau holds one of these numbers as a segment."""
    stored = step.state.view.scan(overlap_scan(first))
    if stored and step.state[ALLOTMENTS].decode(stored[0][1]).first <= last:
        return True
    return any(row.first <= last and first <= row.last for row in step.state[ALLOTMENTS].written())
