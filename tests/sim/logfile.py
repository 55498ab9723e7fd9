"""The file of a simulated log. Owns its records, which of them are garbled, and what a store reads.

Transactions are whole or not there at all, as SQLite's are. It does not know when it is synced.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from consensus.membership import decode_membership
from consensus.ports import AppendBatch
from consensus.snapshot import BEGINNING, Base
from consensus.stores.recovery import Found
from consensus.types import Entry, EntryKind, HardState, Term


@dataclass
class LogFile:
    """The log, with its hard state; written in transactions."""

    hard_state: HardState | None = None
    """None: never written, or its record is garbled."""
    base: Base = BEGINNING
    base_bad: bool = False
    entries: list[Entry] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    """Indexes of records that fail their checksum."""
    marked: int = 0
    """Generation of the marker when the newest transaction was written."""
    replaced: bool = False
    """That transaction put entries in place of others."""

    def copy(self) -> LogFile:
        """As the file is now."""
        return replace(self, entries=self.entries.copy(), bad=self.bad.copy())

    def write(self, batch: AppendBatch, marked: int) -> None:
        """One transaction."""
        self.marked = marked
        self.replaced = batch.reset
        if self.base_bad and (batch.base is not None or batch.entries):
            self.base, self.base_bad, self.entries = BEGINNING, False, []
        if batch.base is not None:
            gone = len(self.entries) if batch.reset else batch.base.index - self.base.index
            del self.entries[: max(0, gone)]
            self.base = batch.base
        if batch.entries:
            place = batch.entries[0].index - self.base.index - 1
            assert 0 <= place <= len(self.entries), "a gap on disk"
            self.replaced |= place < len(self.entries)
            del self.entries[place:]
            self.entries += batch.entries
            self.bad = {index for index in self.bad if index < batch.entries[0].index}
        if self.bad:
            self.bad = {index for index in self.bad if self.base.index < index <= self.last_index}
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state

    @property
    def last_index(self) -> int:
        """Index of the last record."""
        return self.base.index + len(self.entries)

    def hash_at(self, index: int) -> bytes:
        """Hash of the entry at `index`; zeros when it is not here."""
        place = index - self.base.index
        if place == 0:
            return self.base.hash
        return self.entries[place - 1].hash if 0 < place <= len(self.entries) else bytes(32)

    def found(self, marked: int) -> Found:
        """What a store reads at start, with the marker at generation `marked`."""
        if self.base_bad:
            return Found(self.hard_state, None)
        last = min(self.bad) - 1 if self.bad else self.last_index
        intact = self.entries[: last - self.base.index]
        memberships = [
            (entry.index, decode_membership(entry.payload))
            for entry in intact
            if entry.kind is EntryKind.MEMBERSHIP
        ]
        readable = [entry.term for entry in self.entries if entry.index not in self.bad]
        return Found(
            self.hard_state,
            self.base,
            [(entry.term, entry.hash) for entry in intact],
            memberships,
            damaged=bool(self.bad),
            newest_term=max(readable, default=Term(0)),
            replaced=self.replaced and self.marked == marked,
        )
