"""How long the disk has done nothing. Owns the count, and the reads that are under way. Pure.

Heartbeats do not wait for the disk, so a leader whose disk hangs would lead on and commit nothing
of its own; and who campaigns with such a disk cannot promise anything.
"""

from __future__ import annotations


class DiskWatchdog:
    """Ticks since the store last did something, while it has something to do."""

    def __init__(self, stall_ticks: int) -> None:
        self._stall_ticks = stall_ticks
        self._elapsed = 0
        self._reading = 0
        """Reads of the store that were asked for and not answered."""

    def tick(self, *, writing: bool) -> None:
        """One tick has passed."""
        self._elapsed = self._elapsed + 1 if writing or self._reading else 0

    def asked(self, reads: int) -> None:
        """The store is asked for so many reads."""
        self._reading += reads

    def read(self) -> None:
        """A read was answered."""
        self._reading = max(0, self._reading - 1)
        self._elapsed = 0

    def written(self) -> None:
        """A write is durable."""
        self._elapsed = 0

    @property
    def stalls(self) -> bool:
        """Whether it hangs."""
        return self._elapsed >= self._stall_ticks
