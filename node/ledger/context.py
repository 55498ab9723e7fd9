"""What a block gives its transactions: height, time and terms. Owns the calendar of block time."""

from __future__ import annotations

import datetime
from functools import lru_cache

import msgspec

from node.ledger.genesis import Terms

_EPOCH = datetime.date(1970, 1, 1)
_DAY_MS = 86_400_000
_DAYS_MAX = (datetime.date.max - _EPOCH).days


class BlockContext(msgspec.Struct, frozen=True):
    """The block that is being applied, and what the genesis fixed."""

    network_id: bytes
    height: int
    time_ms: int
    """Block time: max(entry time, previous block time), UTC milliseconds."""
    home_currency: str
    terms: Terms
    utc_offset_minutes: int = 0
    """Of calendar days and months."""

    @property
    def month(self) -> int:
        """The month of the block time: yyyymm."""
        return month_of(self.time_ms, self.utc_offset_minutes)

    def month_at(self, time_ms: int) -> int:
        """The month of another time: yyyymm."""
        return month_of(time_ms, self.utc_offset_minutes)

    @property
    def date(self) -> str:
        """The day of the block time: YYYY-MM-DD."""
        return day_of(self.time_ms, self.utc_offset_minutes).isoformat()


@lru_cache(maxsize=4_096)  # a block's invoices have one time
def month_of(time_ms: int, utc_offset_minutes: int) -> int:
    """The month of a time in UTC milliseconds, where clocks are so far ahead of UTC: yyyymm."""
    day = day_of(time_ms, utc_offset_minutes)
    return day.year * 100 + day.month


def day_of(time_ms: int, utc_offset_minutes: int) -> datetime.date:
    """The day of a time in UTC milliseconds, where clocks are so far ahead of UTC."""
    days = (time_ms + utc_offset_minutes * 60_000) // _DAY_MS
    # An entry may carry any time; one past the year 9999 must not stop every node at once.
    return _EPOCH + datetime.timedelta(days=min(days, _DAYS_MAX))
