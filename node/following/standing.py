"""Where this node stands among its peers: how far behind, and how far its clock is off.

Owns what is made of the peers' own words, of which at most f are lies: what is believed is what at
least one honest peer must have said. Pure: times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

LAG_HEIGHTS_MAX = 64
"""Further behind its peers' final height than this, for as long as `LAG_S`, a node is behind."""
LAG_MS = 5_000
STILL_MS = 15_000
"""Behind at all without any progress for as long, it stands still."""
CLOCK_OFFSET_MS_MAX = 2_500
"""Half of what voters tolerate in the time of an entry (5 s): told before it stops anything."""
CLAIM_MS_MAX = 10_000
"""What a peer said longer ago than this counts no more."""


def clock_complaint(offset_ms: float, head_ahead_ms: float, ahead_ms_max: float) -> str | None:
    """What is wrong with the time here; None: nothing.

    Args:
        offset_ms: This clock less the middle of all clocks.
        head_ahead_ms: The time of the newest block less this clock.
        ahead_ms_max: What of that voters tolerate in the time of an entry.
    """
    if abs(offset_ms) > CLOCK_OFFSET_MS_MAX:
        way = "ahead of" if offset_ms > 0 else "behind"
        return f"this clock is {abs(offset_ms) / 1000:.1f} s {way} those of the peers"
    if head_ahead_ms > ahead_ms_max + CLOCK_OFFSET_MS_MAX:
        # Most voters' clocks were wrong together. Time of blocks never goes back.
        ahead_s = head_ahead_ms / 1000
        return f"the newest block is {ahead_s:.0f} s ahead of this clock: until then no time passes"
    return None


class Claim(msgspec.Struct):
    """The newest status of one peer."""

    final_height: int
    offset_ms: float
    """Its clock less ours, half a round trip allowed for."""
    heard_ms: float


class Standing:
    """What the peers' statuses say of this node."""

    def __init__(self, liars_max: int) -> None:
        self._liars_max = liars_max
        self._claims: dict[int, Claim] = {}
        self._final_height = 0
        self._moved_ms: float | None = None
        self._near_ms: float | None = None
        """When it was last seen to move, and to be near; None before the first look."""

    def heard(self, number: int, claim: Claim) -> None:
        """A peer told where it stands."""
        self._claims[number] = claim

    def forget(self, number: int) -> None:
        """A peer is gone."""
        self._claims.pop(number, None)

    def look(self, final_height: int, now_ms: float) -> None:
        """Note where this node stands; to be called more often than once in `LAG_MS`."""
        moved = final_height > self._final_height
        self._final_height = max(self._final_height, final_height)
        lag = self.lag(now_ms)
        if moved or not lag or self._moved_ms is None:
            self._moved_ms = now_ms
        if lag <= LAG_HEIGHTS_MAX or self._near_ms is None:
            self._near_ms = now_ms

    def lag(self, now_ms: float) -> int:
        """Final heights that at least one honest peer has and this node has not."""
        heights = sorted((c.final_height for c in self._live(now_ms)), reverse=True)
        if len(heights) <= self._liars_max:
            return 0
        return max(0, heights[self._liars_max] - self._final_height)

    def complaint(self, now_ms: float) -> str | None:
        """Why this node is not where its peers are; None when it is, or catches up in time."""
        if self._moved_ms is None or self._near_ms is None:
            return None
        lag = self.lag(now_ms)
        if lag > LAG_HEIGHTS_MAX and now_ms - self._near_ms > LAG_MS:
            return f"{lag} final blocks behind its peers"
        still_ms = now_ms - self._moved_ms
        if lag and still_ms > STILL_MS:
            return (
                f"{lag} final blocks behind its peers, without progress for {still_ms / 1000:.0f} s"
            )
        return None

    def clock_offset_ms(self, now_ms: float) -> float:
        """This clock less the middle of all clocks, its own among them; 0 with too few peers."""
        offsets = sorted([0.0, *(claim.offset_ms for claim in self._live(now_ms))])
        if len(offsets) <= 2 * self._liars_max:
            return 0.0
        upper, lower = len(offsets) // 2, (len(offsets) - 1) // 2
        middle = (offsets[lower] + offsets[upper]) / 2
        return -middle

    def _live(self, now_ms: float) -> Iterable[Claim]:
        return [c for c in self._claims.values() if now_ms - c.heard_ms <= CLAIM_MS_MAX]
