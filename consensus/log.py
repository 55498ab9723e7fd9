"""The log as the core sees it. Owns positions, the newest entries, and how far the disk is.

The (term, hash) of every entry stays in memory in compact form, about 40 bytes each. Entries
themselves stay only while they are not durable or among the newest `tail_bytes_max`.

    1 ≤ … ≤ stable_index ≤ handed_index ≤ last_index       durable ≤ given to the store ≤ all
    tail_first ≤ stable_index + 1                          what is not durable is in memory

Entries are chained, so one equal hash at one index means equal logs up to there.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence

from consensus.config import ENTRY_OVERHEAD_BYTES
from consensus.types import (
    ZERO_HASH,
    Entry,
    EntryKind,
    LogIndex,
    NodeId,
    Term,
    header_bytes,
)

_HASH = 32


def entry_bytes(entry: Entry) -> int:
    """What an entry counts for in every byte limit of this package."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class RaftLog:
    """Positions of all entries, and the newest entries themselves."""

    def __init__(self, positions: Sequence[tuple[Term, bytes]], tail_bytes_max: int) -> None:
        self._terms = array("Q", [term for term, _ in positions])
        self._hashes = bytearray().join([entry_hash for _, entry_hash in positions])
        self._tail: dict[int, Entry] = {}
        self._tail_bytes = 0
        self._tail_bytes_max = tail_bytes_max
        self.unstable_bytes = 0
        """Bytes of the entries above `stable_index`."""
        self.last_index = LogIndex(len(positions))
        self.stable_index = self.last_index
        self.handed_index = self.last_index
        self.tail_first = LogIndex(self.last_index + 1)
        """First index whose entry is in memory."""

    @property
    def last_term(self) -> Term:
        """Term of the last entry; 0 in an empty log."""
        return self.term_at(self.last_index)

    @property
    def last_hash(self) -> bytes:
        """Hash of the last entry; zeros in an empty log."""
        return self.hash_at(self.last_index)

    def term_at(self, index: int) -> Term:
        """Term of the entry at `index`, which must exist or be 0."""
        return Term(self._terms[index - 1]) if index else Term(0)

    def hash_at(self, index: int) -> bytes:
        """Hash of the entry at `index`, which must exist or be 0."""
        return bytes(self._hashes[(index - 1) * _HASH : index * _HASH]) if index else ZERO_HASH

    def matches(self, index: int, term: int, entry_hash: bytes) -> bool:
        """Whether this log has that entry at `index`."""
        return (
            index <= self.last_index
            and self.term_at(index) == term
            and self.hash_at(index) == entry_hash
        )

    def hint(self, index: int, term: int) -> tuple[LogIndex, Term]:
        """The last position at or below `index` whose term is at most `term` (or the start).

        Terms never fall along a log, so no position above it can be shared with a log that has
        `term` at `index`.
        """
        found = bisect_right(self._terms, term, 0, min(index, self.last_index))
        return LogIndex(found), self.term_at(found)

    def append(self, entry: Entry) -> None:
        """Add the entry that follows the last one."""
        assert entry.index == self.last_index + 1
        self._terms.append(entry.term)
        self._hashes += entry.hash
        self._tail[entry.index] = entry
        self.last_index = entry.index
        size = entry_bytes(entry)
        self._tail_bytes += size
        self.unstable_bytes += size

    def truncate(self, first: LogIndex) -> None:
        """Discard the entries from `first` on. The caller answers for its being allowed."""
        for index in range(max(first, self.tail_first), self.last_index + 1):
            size = entry_bytes(self._tail.pop(index))
            self._tail_bytes -= size
            if index > self.stable_index:
                self.unstable_bytes -= size
        del self._terms[first - 1 :]
        del self._hashes[(first - 1) * _HASH :]
        self.last_index = LogIndex(first - 1)
        self.stable_index = min(self.stable_index, self.last_index)
        self.handed_index = min(self.handed_index, self.last_index)
        self.tail_first = min(self.tail_first, first)

    def slice(self, first: int, last: int, entries_max: int, bytes_max: int) -> list[Entry]:
        """Entries from `first` to `last` at most, all in memory, at least one."""
        entries: list[Entry] = []
        size = 0
        for index in range(first, min(last, first + entries_max - 1) + 1):
            entry = self._tail[index]
            size += entry_bytes(entry)
            if size > bytes_max and entries:
                break
            entries.append(entry)
        return entries

    def hand_out(self) -> list[Entry]:
        """The entries that were not given to the store yet; from now on they are."""
        entries = [self._tail[index] for index in range(self.handed_index + 1, self.last_index + 1)]
        self.handed_index = self.last_index
        return entries

    def settle(self) -> None:
        """Everything handed out is durable, except what was truncated since."""
        for index in range(self.stable_index + 1, self.handed_index + 1):
            self.unstable_bytes -= entry_bytes(self._tail[index])
        self.stable_index = self.handed_index
        while self._tail_bytes > self._tail_bytes_max and self.tail_first <= self.stable_index:
            self._tail_bytes -= entry_bytes(self._tail.pop(self.tail_first))
            self.tail_first = LogIndex(self.tail_first + 1)

    def create(
        self,
        term: Term,
        kind: EntryKind,
        leader: NodeId,
        payload: bytes,
        attest: Callable[[bytes], bytes],
    ) -> Entry:
        """Chain, attest and append a new entry of this node."""
        index = LogIndex(self.last_index + 1)
        prev_hash = self.last_hash
        payload_hash = hashlib.sha256(payload).digest()
        header = header_bytes(term, index, kind, leader, prev_hash, payload_hash)
        entry = Entry(term, index, kind, leader, prev_hash, payload, attest(header))
        entry.__dict__.update(  # its cached properties, known already
            payload_hash=payload_hash, header=header, hash=hashlib.sha256(header).digest()
        )
        self.append(entry)
        return entry
