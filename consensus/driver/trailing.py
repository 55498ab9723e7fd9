"""How far below a snapshot the log is kept, for followers that are only a little behind. Pure.

Owns what the newest applied entries weigh. What was applied before this member started is not
weighed, and so counts as too heavy to be kept.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from consensus.types import LogIndex


class _Run(NamedTuple):
    last: LogIndex
    size: int


class Trailing:
    """The weights of applied entries, in runs of those that were applied together."""

    def __init__(self, entries_max: int, bytes_max: int, applied: LogIndex) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._runs: deque[_Run] = deque()
        self._weighed_from = applied
        """What stands above it is in the runs."""
        self._size = 0

    def applied(self, last: LogIndex, size: int) -> None:
        """Entries up to `last` were applied, `size` bytes of them."""
        self._runs.append(_Run(last, size))
        self._size += size
        # Runs that no cut can reach any more need no place: a later cut lies above this one.
        while len(self._runs) > 1 and (
            self._size - self._runs[0].size >= self._bytes_max
            or self._runs[0].last < last - self._entries_max
        ):
            self._drop()

    def restart(self, applied: LogIndex) -> None:
        """The state was replaced by that of a snapshot."""
        self._runs.clear()
        self._size, self._weighed_from = 0, applied

    def cut(self, snapshot: LogIndex) -> LogIndex:
        """Up to where the log may go, with the newest snapshot there."""
        kept = self._size
        place = self._weighed_from
        for run in self._runs:
            if kept <= self._bytes_max or run.last > snapshot:
                break
            kept -= run.size
            place = run.last
        return LogIndex(min(snapshot, max(0, place, snapshot - self._entries_max)))

    def _drop(self) -> None:
        run = self._runs.popleft()
        self._size -= run.size
        self._weighed_from = run.last
