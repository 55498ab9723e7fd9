"""Rows of regional bureaus: shapes, keys, encoding. Owns no rule, knows no store."""

from __future__ import annotations

import msgspec

from node.ledger.codes import Table
from node.ledger.row_codec import TableKind

REGIONS_MAX = 64
"""Ranges that one regional bureau may hold."""


class RangeRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive invoice numbers."""

    first: str
    last: str


class RegionRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.REGION`, key `region_key(last)`: whose range first..last is. Never removed.

    Under the last number, as an allotment is, so that one scan of one row finds the region.
    """

    first: str
    last: str
    bureau: str


class RegionsRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.REGION`, key `regions_key(bureau)`: all ranges of one regional bureau, ascending."""

    bureau: str
    ranges: tuple[RangeRow, ...]


def region_key(last: str) -> bytes:
    """Key in `Table.REGION` of the range that ends with `last`."""
    return b"n" + last.encode()


def regions_key(bureau: str) -> bytes:
    """Key in `Table.REGION` of a bureau's list."""
    return b"i" + bureau.encode()


decode_region = msgspec.msgpack.Decoder(RegionRow).decode
decode_regions = msgspec.msgpack.Decoder(RegionsRow).decode

REGIONS = TableKind(Table.REGION, decode_region)
REGIONS_OF = TableKind(Table.REGION, decode_regions)
