"""One member's disk in a scenario: what survives a crash, and what can be damaged.

Owns the stored log, hard state and snapshots. Every write is explicit, and nothing of a write that
was not carried out is here. As the real stores: a damaged record is never cut off on its own
evidence; what is before it is presented, and the member is suspect.
"""

from __future__ import annotations

import hashlib

from consensus.membership import Membership, decode_membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base, Snapshot
from consensus.types import Entry, EntryKind, HardState, LogIndex


class Disk:
    """A log with its hard state."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.base: Base = BEGINNING
        self.entries: list[Entry] = []
        self.suspect = False
        self.damaged: set[int] = set()
        """Indexes of records that fail their check."""
        self.shelf = Shelf()

    @property
    def last_index(self) -> int:
        """Index of the last stored entry."""
        return self.base.index + len(self.entries)

    @property
    def readable_until(self) -> int:
        """Index of the last entry before the first damaged one."""
        return min([self.last_index, *(index - 1 for index in self.damaged)])

    def hash_at(self, index: int) -> bytes | None:
        """Hash of a readable entry; None when there is none."""
        if index == self.base.index:
            return self.base.hash
        if self.base.index < index <= self.readable_until:
            return self.entries[index - self.base.index - 1].hash
        return None

    def write(self, batch: AppendBatch) -> None:
        """Carry out a write: all of it."""
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.base is not None:
            kept = [entry for entry in self.entries if entry.index > batch.base.index]
            self.entries = [] if batch.reset else kept
            self.base = batch.base
            self.damaged = {i for i in self.damaged if i > self.base.index and not batch.reset}
        if batch.entries:
            first = batch.entries[0].index
            assert self.base.index < first <= self.last_index + 1, "a write leaves a gap"
            del self.entries[first - self.base.index - 1 :]
            self.entries.extend(batch.entries)
            self.damaged = {index for index in self.damaged if index < first}
        if batch.caught_up:
            self.suspect = False
        self.suspect |= batch.distrusted

    def load(self) -> Recovered:
        """What a start finds."""
        whole = self.entries[: self.readable_until - self.base.index]
        self.suspect |= bool(self.damaged)
        return Recovered(
            self.hard_state,
            [(entry.term, entry.hash) for entry in whole],
            self.suspect,
            self.base,
            [
                (entry.index, decode_membership(entry.payload))
                for entry in whole
                if entry.kind is EntryKind.MEMBERSHIP
            ],
        )

    def read(self, first: LogIndex, last: LogIndex) -> list[Entry]:
        """Entries that are stored and whole; none when the first is gone."""
        if first <= self.base.index:
            return []
        last = LogIndex(min(last, self.readable_until))
        return self.entries[first - self.base.index - 1 : last - self.base.index]


class Shelf:
    """Snapshots: the complete ones, newest last, and the one that is arriving."""

    def __init__(self) -> None:
        self.complete: list[tuple[Snapshot, bytes]] = []
        self.arriving: tuple[Snapshot, bytearray] | None = None

    @property
    def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""
        return self.complete[-1][0] if self.complete else None

    def create(self, base: Base, membership: Membership, data: bytes) -> Snapshot:
        """Store a snapshot made here."""
        checksum = hashlib.sha256(data).digest()
        snapshot = Snapshot(base.index, base.term, base.hash, membership, len(data), checksum)
        self.complete.append((snapshot, data))
        return snapshot

    def read(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """A part of a complete snapshot; None when it is gone."""
        for stored, data in self.complete:
            if stored == snapshot:
                return data[offset : offset + size]
        return None

    def take(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """A part arrives; how much is held now."""
        if any(stored == snapshot for stored, _ in self.complete):
            return snapshot.size
        if self.arriving is None or self.arriving[0] != snapshot:
            self.arriving = (snapshot, bytearray())
        held = self.arriving[1]
        if offset == len(held):
            held += data
        return len(held)

    def check(self, snapshot: Snapshot) -> bool:
        """Everything is held: is it right?"""
        if any(stored == snapshot for stored, _ in self.complete):
            return True
        assert self.arriving is not None
        _, held = self.arriving
        self.arriving = None
        if hashlib.sha256(held).digest() != snapshot.checksum:
            return False
        self.complete.append((snapshot, bytes(held)))
        return True
