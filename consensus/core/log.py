"""The log as the core sees it. Owns positions, the newest entries, and how far the disk is.

The (term, hash, size) of every entry after `base` stays in memory, 48 bytes each.
Entries themselves stay only while they are not durable or among the newest `tail_bytes_max`.

    base.index ≤ stable_index ≤ handed_index ≤ last_index   durable ≤ given to the store ≤ all
    tail_first ≤ stable_index + 1                           what is not durable is in memory;
                                                            what is compacted leaves it bit by bit

Entries are chained, so one equal hash at one index means equal logs up to there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from consensus.config import ENTRY_OVERHEAD_BYTES
from consensus.snapshot import BEGINNING, Base
from consensus.types import ENTRY_FORMAT, Entry, EntryFormat, EntryKind, LogIndex, NodeId, Term

_HASH = 32
_EVICTED_AT_ONCE = 1_024
"""Compacted entries that leave memory in one go: to free tens of thousands takes 20 ms."""


def entry_bytes(entry: Entry) -> int:
    """What an entry counts for in every byte limit of this package."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class RaftLog:
    """Positions of all entries after `base`, and the newest entries themselves."""

    def __init__(
        self,
        positions: Sequence[tuple[Term, bytes]],
        tail_bytes_max: int,
        base: Base = BEGINNING,
        entries: EntryFormat = ENTRY_FORMAT,
    ) -> None:
        self.base = base
        self._make = entries.make
        self._terms = array("Q", [term for term, _ in positions])
        self._hashes = bytearray().join([entry_hash for _, entry_hash in positions])
        self._ends = array("Q", bytes(8 * (len(positions) + 1)))
        """Bytes of the entries appended here, up to and with each one after the base. What was
        loaded counts for nothing: it is in no memory."""
        self._tail: list[Entry] = []
        self._tail_bytes_max = tail_bytes_max
        self.last_index = LogIndex(base.index + len(positions))
        self.last_hash = positions[-1][1] if positions else base.hash
        """Hash of the last entry; the base's in an empty log."""
        self.stable_index = self.last_index
        self.handed_index = self.last_index
        self.tail_first = LogIndex(self.last_index + 1)
        """First index whose entry is in memory."""

    @property
    def last_term(self) -> Term:
        """Term of the last entry; the base's in an empty log."""
        return self.term_at(self.last_index)

    @property
    def unstable_bytes(self) -> int:
        """Bytes of the entries above `stable_index`."""
        return self._ends[-1] - self._ends[self.stable_index - self.base.index]

    def term_at(self, index: int) -> Term:
        """Term of the entry at `index`, which must not be before the base."""
        place = index - self.base.index - 1
        return Term(self._terms[place]) if place >= 0 else self.base.term

    def hash_at(self, index: int) -> bytes:
        """Hash of the entry at `index`, which must not be before the base."""
        place = index - self.base.index - 1
        if place < 0:
            return self.base.hash
        return bytes(self._hashes[place * _HASH : (place + 1) * _HASH])

    def matches(self, index: int, term: int, entry_hash: bytes) -> bool:
        """Whether this log has that entry at `index`; not known (False) before the base."""
        return (
            self.base.index <= index <= self.last_index
            and self.term_at(index) == term
            and self.hash_at(index) == entry_hash
        )

    def hint(self, index: int, term: int) -> tuple[LogIndex, Term]:
        """The last position at or below `index` whose term is at most `term` (or the base).

        Terms never fall along a log, so no position above it can be shared with a log that has
        `term` at `index`.
        """
        upper = max(0, min(index, self.last_index) - self.base.index)
        found = bisect_right(self._terms, term, 0, upper)
        index = self.base.index + found
        return LogIndex(index), self.term_at(index)

    def append(self, entry: Entry) -> None:
        """Add the entry that follows the last one."""
        index = entry.index
        assert index == self.last_index + 1
        self._terms.append(entry.term)
        self.last_hash = entry_hash = entry.hash
        self._hashes += entry_hash
        self._tail.append(entry)
        ends = self._ends
        ends.append(ends[-1] + len(entry.payload) + ENTRY_OVERHEAD_BYTES)
        self.last_index = index

    def truncate(self, first: LogIndex) -> None:
        """Discard the entries from `first` on. The caller answers for its being allowed."""
        assert first > self.base.index
        del self._tail[max(0, first - self.tail_first) :]
        place = first - self.base.index - 1
        del self._ends[place + 1 :]
        del self._terms[place:]
        del self._hashes[place * _HASH :]
        self.last_index = LogIndex(first - 1)
        self.last_hash = self.hash_at(self.last_index)
        self.stable_index = min(self.stable_index, self.last_index)
        self.handed_index = min(self.handed_index, self.last_index)
        self.tail_first = min(self.tail_first, first)

    def compact(self, base: Base) -> None:
        """Forget the entries up to `base`, which are durable."""
        assert self.base.index < base.index <= self.stable_index
        place = base.index - self.base.index
        del self._ends[:place]
        del self._terms[:place]
        del self._hashes[: place * _HASH]
        self.base = base

    def reset(self, base: Base) -> None:
        """Forget everything: the log begins again after `base`, which a snapshot covers."""
        self.base = base
        self._terms = array("Q")
        self._hashes = bytearray()
        self._ends = array("Q", [0])
        self._tail = []
        self.last_hash = base.hash
        self.last_index = self.stable_index = self.handed_index = base.index
        self.tail_first = LogIndex(base.index + 1)

    def slice(self, first: int, last: int, entries_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `first` to `last` at most, all in memory, at least one."""
        place = first - self.base.index - 1
        stop = min(last - self.base.index, place + entries_max)
        fitting = bisect_right(self._ends, self._ends[place] + bytes_max, place, stop + 1) - 1
        start = first - self.tail_first
        return self._tail[start : start + max(fitting - place, 1)]

    def bytes_of(self, first: int, last: int) -> int:
        """What the entries from `first` to `last`, appended here, count for in byte limits."""
        return self._ends[last - self.base.index] - self._ends[first - self.base.index - 1]

    def hand_out(self) -> list[Entry]:
        """The entries that were not given to the store yet; from now on they are."""
        entries = self._tail[self.handed_index + 1 - self.tail_first :]
        self.handed_index = self.last_index
        return entries

    def settle(self) -> None:
        """Everything handed out is durable, except what was truncated since.

        An entry that was truncated and came back meanwhile has not been handed out again, so the
        end of an older write never counts for it (the ABA case of asynchronous writes).
        """
        self.stable_index = self.handed_index
        if self.tail_first <= self.base.index:
            self._evict(min(self.base.index, self.tail_first + _EVICTED_AT_ONCE - 1))
        kept = max(0, self.tail_first - self.base.index - 1)
        surplus = self._ends[-1] - self._ends[kept] - self._tail_bytes_max
        if surplus > self._tail_bytes_max // 8:  # not for every entry: eviction moves the rest
            least = bisect_left(self._ends, self._ends[kept] + surplus, kept)
            self._evict(min(self.stable_index, self.base.index + least))

    def create(
        self,
        term: Term,
        kind: EntryKind,
        leader: NodeId,
        payload: bytes,
        attest: Callable[[bytes], bytes],
    ) -> Entry:
        """Chain, attest and append a new entry of this node."""
        entry = self._make(
            term, LogIndex(self.last_index + 1), kind, leader, self.last_hash, payload, attest
        )
        self.append(entry)
        return entry

    def _evict(self, last: int) -> None:
        """Drop entries up to `last` from memory; their positions stay."""
        count = min(last + 1 - self.tail_first, len(self._tail))
        if count > 0:
            del self._tail[:count]
            self.tail_first = LogIndex(self.tail_first + count)
