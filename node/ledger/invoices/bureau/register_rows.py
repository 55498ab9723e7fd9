"""Rows of the tax bureau's registers: shapes, keys, encoding. Owns no rule, knows no store."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from node.ledger.codes import Table
from node.ledger.row_codec import TableKind

SEGMENTS_MAX = 64
"""Segments with unused numbers that one issuer may hold."""
EXCHANGE_RATES_MAX = 64
"""Rates of one currency that are in force or come into force later."""
RATES_FOR_ALL_KEY = b"*"
"""Key in `Table.TAX_RATES` of the list for issuers who have none of their own."""


class SegmentRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive invoice numbers first..last. 20 digits sort as text: they pass 2^64."""

    first: str
    last: str
    used: int = 0


class SegmentsRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.SEGMENTS`, key `segments_key(issuer)`: the segments of one issuer."""

    issuer: str
    segments: tuple[SegmentRow, ...]
    """Ascending. A segment whose numbers are all used leaves at the next allotment."""


class AllotmentRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.SEGMENTS`, key `allotment_key(last)`: who got first..last. Never removed.

    Under the last number, so that one ascending scan of one row finds what overlaps a range.
    """

    first: str
    last: str
    issuer: str


class QuotaRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.QUOTA`, key `quota_key(issuer, month)`: amounts in the home currency, net."""

    issuer: str
    month: int
    """yyyymm, UTC."""
    granted: int
    used: int
    """May pass `granted` only when a later grant is lower than what was used by then."""
    valid_from: int
    valid_to: int

    @property
    def remaining(self) -> int:
        """What may still be issued in the month."""
        return max(0, self.granted - self.used)


class TaxRatesRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.TAX_RATES`, key: the issuer's id, or `RATES_FOR_ALL_KEY`."""

    rates: tuple[int, ...]
    """Basis points, ascending, distinct."""


class DatedRateRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An exchange rate from `date` on: home minor units for 10^6 foreign minor units."""

    date: str
    micro: int


class ExchangeRateRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.EXCHANGE_RATE`, key: the currency in ASCII."""

    currency: str
    rates: tuple[DatedRateRow, ...]
    """Ascending by date; the first is the one in force when the last one was published."""

    def in_force(self, date: str) -> int | None:
        """The rate of the newest entry not after `date` (YYYY-MM-DD), or None."""
        return next((rate.micro for rate in reversed(self.rates) if rate.date <= date), None)


@lru_cache(maxsize=4_096)  # a batch has one issuer
def segments_key(issuer: str) -> bytes:
    """Key in `Table.SEGMENTS` of an issuer's list."""
    return b"i" + issuer.encode()


def allotment_key(last: str) -> bytes:
    """Key in `Table.SEGMENTS` of the allotment that ends with `last`."""
    return b"n" + last.encode()


@lru_cache(maxsize=4_096)  # a batch has one issuer, a block one month
def quota_key(issuer: str, month: int) -> bytes:
    """Key in `Table.QUOTA`: 24 bytes."""
    return f"{issuer}{month:06d}".encode()


decode_segments = msgspec.msgpack.Decoder(SegmentsRow).decode
decode_allotment = msgspec.msgpack.Decoder(AllotmentRow).decode
decode_quota = msgspec.msgpack.Decoder(QuotaRow).decode
decode_tax_rates = msgspec.msgpack.Decoder(TaxRatesRow).decode
decode_exchange_rate = msgspec.msgpack.Decoder(ExchangeRateRow).decode

SEGMENTS = TableKind(Table.SEGMENTS, decode_segments)
ALLOTMENTS = TableKind(Table.SEGMENTS, decode_allotment)
QUOTAS = TableKind(Table.QUOTA, decode_quota)
TAX_RATES = TableKind(Table.TAX_RATES, decode_tax_rates)
EXCHANGE_RATES = TableKind(Table.EXCHANGE_RATE, decode_exchange_rate)
