"""The node's clocks: the only reader of the wall clock; everything else is handed a Clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time."""

    def time_ms(self) -> int:
        """UTC milliseconds since 1970."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds of a clock that never goes back."""
        ...


TIME_MS_MAX = 253_402_300_799_999
"""The end of the year 9999, after which no calendar date can be written."""


class SystemClock:
    """The machine's clocks. A wall clock outside the calendar stands at its nearer end."""

    def time_ms(self) -> int:
        """UTC milliseconds since 1970; never negative: no format has room for that."""
        return min(max(time.time_ns() // 1_000_000, 0), TIME_MS_MAX)

    def monotonic_ms(self) -> int:
        """Milliseconds of the monotonic clock."""
        return time.monotonic_ns() // 1_000_000
