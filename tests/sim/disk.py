"""One node's disk: a log file, a marker file, snapshots. Owns what survives a power cut, and how.

A write goes to the log file, which is synced, and then to the marker, which is synced; a power cut
may come before, between and after. What was synced stays, unless the disk is damaged on purpose.
Nothing here judges what it holds: that is done by the rules of `consensus.recovery`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from consensus.membership import Membership, decode_membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import Base, Snapshot
from consensus.types import Entry, EntryKind, HardState, NodeId

POWER_CUTS = ("lost", "log only", "marker torn", "all")
"""How far a write may have come when the power goes."""


class DamagedError(Exception):
    """A stored record does not say what was written. The process must not go on."""


@dataclass
class LogFile:
    """The log, with its hard state; written in transactions."""

    hard_state: HardState = field(default_factory=HardState)
    hard_state_bad: bool = False
    base: Base = field(default_factory=Base)
    entries: list[Entry] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    """Indexes of records that fail their checksum."""

    def copy(self) -> LogFile:
        """As the file is now."""
        return replace(self, entries=self.entries.copy(), bad=self.bad.copy())

    def write(self, batch: AppendBatch) -> None:
        """One transaction."""
        if batch.base is not None:
            gone = len(self.entries) if batch.reset else batch.base.index - self.base.index
            del self.entries[: max(0, gone)]
            self.base = batch.base
        if batch.entries:
            place = batch.entries[0].index - self.base.index - 1
            assert 0 <= place <= len(self.entries), "a gap on disk"
            del self.entries[place:]
            self.entries += batch.entries
            self.bad = {index for index in self.bad if index < batch.entries[0].index}
        if self.bad:
            self.bad = {index for index in self.bad if self.base.index < index <= self.last_index}
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
            self.hard_state_bad = False

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


@dataclass(frozen=True)
class Promises:
    """One slot of the marker."""

    hard_state: HardState = field(default_factory=HardState)
    last_index: int = 0
    last_hash: bytes = bytes(32)
    suspect: bool = False


@dataclass
class StoredSnapshot:
    """A complete snapshot."""

    snapshot: Snapshot
    data: bytes
    bad: bool = False


class Disk:
    """What a node finds again."""

    def __init__(self, base: Base) -> None:
        self.log = LogFile(base=base)
        self.older: LogFile | None = None
        """A copy of the log file as it once was."""
        self._writes = 0
        self.slots: list[Promises | None] = [None, None]
        """The marker: the older and the newer slot; None cannot be read, or was never written."""
        self.marked = False
        self.snapshots: list[StoredSnapshot] = []
        self.arriving: tuple[Snapshot, bytearray] | None = None
        self.suspect = False
        self.rejoins = False
        """The disk is new, its node is not."""
        self.tainted = False
        """It lost or garbled something that was synced, and its node has not caught up since."""

    # --- The log -------------------------------------------------------------------------------

    def append(self, batch: AppendBatch) -> None:
        """A whole write, synced."""
        self._writes += 1
        if self._writes % 8 == 0:
            self.older = self.log.copy()
        self.log.write(batch)
        self._mark(batch)

    def cut_power(self, batch: AppendBatch, how_far: str) -> None:
        """A write that was interrupted; see `POWER_CUTS`."""
        if how_far == "lost":
            return
        if how_far == "all":
            self.append(batch)
            return
        self.log.write(batch)
        if how_far == "marker torn":
            self.slots = [None, self.slots[1]]

    def read(self, first: int, last: int, bytes_max: int) -> list[Entry]:
        """Entries for a slow follower.

        Raises:
            DamagedError: when one of them fails its checksum.
        """
        start = first - self.log.base.index - 1
        if start < 0:
            return []
        entries: list[Entry] = []
        size = 0
        for entry in self.log.entries[start : last - self.log.base.index]:
            if entry.index in self.log.bad:
                raise DamagedError(f"entry {entry.index}")
            size += len(entry.payload)
            if entries and size > bytes_max:
                break
            entries.append(entry)
        return entries

    def holds(self, index: int, entry_hash: bytes) -> bool:
        """Whether that entry is durable here, itself or in a snapshot."""
        return index < self.log.base.index or self.log.hash_at(index) == entry_hash

    def promised(self) -> HardState:
        """Term and vote that a restart would bring back."""
        newest = self.slots[1] or self.slots[0]
        if newest is None or self.log.hard_state.term >= newest.hard_state.term:
            return self.log.hard_state
        return newest.hard_state

    def load(self) -> Recovered:
        """What a process finds at its start; the store then writes the marker anew."""
        recovered = _reconcile(self.log, self.slots, marked=self.marked, rejoins=self.rejoins)
        self.suspect = recovered.suspect
        self.rejoins = False
        self.log.hard_state = recovered.hard_state
        self.log.hard_state_bad = False
        self._mark(None)
        if not self.suspect:
            self.tainted = False
        return recovered

    def replace(self) -> None:
        """An empty disk for a node that is not new."""
        self.__init__(Base())  # type: ignore[misc]
        self.rejoins = self.tainted = True

    def memberships(self) -> list[Membership]:
        """Every membership that this log may put in force."""
        found = [_membership(entry) for entry in self.log.entries]
        base = self.log.base.membership
        return [membership for membership in [base, *found] if membership is not None]

    def _mark(self, batch: AppendBatch | None) -> None:
        if batch is not None and batch.caught_up:
            self.suspect = self.tainted = False
        last = self.log.last_index
        promises = Promises(self.log.hard_state, last, self.log.hash_at(last), self.suspect)
        self.slots = [self.slots[1], promises]
        self.marked = True

    # --- Snapshots -----------------------------------------------------------------------------

    def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""
        return self.snapshots[-1].snapshot if self.snapshots else None

    def create(self, position: Base, data: bytes) -> Snapshot:
        """Store a snapshot made here, of the state after `position`."""
        assert position.membership is not None
        checksum = hashlib.sha256(data).digest()
        snapshot = Snapshot(
            position.index, position.term, position.hash, position.membership, len(data), checksum
        )
        self._keep(snapshot, data)
        return snapshot

    def read_snapshot(self, snapshot: Snapshot) -> bytes | None:
        """All bytes, checked; None when they are gone or garbled."""
        for stored in self.snapshots:
            if stored.snapshot == snapshot and not stored.bad:
                return stored.data
        return None

    def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """A part of an arriving snapshot; how many bytes of it are held now."""
        if any(stored.snapshot == snapshot for stored in self.snapshots):
            return snapshot.size
        if self.arriving is None or self.arriving[0] != snapshot:
            self.arriving = (snapshot, bytearray())
        held = self.arriving[1]
        if offset == len(held):
            held += data
        return len(held)

    def held(self, index: int, checksum: bytes) -> int:
        """Bytes of a snapshot that are durable."""
        for stored in self.snapshots:
            if (stored.snapshot.index, stored.snapshot.checksum) == (index, checksum):
                return stored.snapshot.size
        if self.arriving is None:
            return 0
        snapshot, data = self.arriving
        return len(data) if (snapshot.index, snapshot.checksum) == (index, checksum) else 0

    def complete(self, snapshot: Snapshot) -> bool:
        """Check an arriving snapshot and make it the newest."""
        for stored in self.snapshots:
            if stored.snapshot == snapshot:
                if stored.bad:
                    self.snapshots.remove(stored)
                return not stored.bad
        assert self.arriving is not None
        name, data = self.arriving
        assert name == snapshot, "another snapshot is arriving"
        self.arriving = None
        if hashlib.sha256(data).digest() != snapshot.checksum:
            return False
        self._keep(snapshot, bytes(data))
        return True

    def _keep(self, snapshot: Snapshot, data: bytes) -> None:
        kept = [stored for stored in self.snapshots if stored.snapshot != snapshot]
        kept.append(StoredSnapshot(snapshot, data))
        kept.sort(key=lambda stored: stored.snapshot.index)
        self.snapshots = kept[-2:]


def _reconcile(
    log: LogFile, slots: Sequence[Promises | None], *, marked: bool, rejoins: bool
) -> Recovered:
    fresh = not marked and not log.entries and log.base.index == 0
    promises = slots[1] or slots[0]
    suspect = rejoins or bool(log.bad) or (promises is None and not fresh)
    promises = promises or Promises()
    last = min(log.bad) - 1 if log.bad else log.last_index
    hard_state = _later(log.hard_state, promises.hard_state)
    if log.hard_state_bad:
        hard_state = promises.hard_state
        suspect = suspect or slots[1] is None
    suspect = (
        suspect
        or promises.suspect
        or promises.last_index > last
        or (
            promises.last_index >= log.base.index
            and log.hash_at(promises.last_index) != promises.last_hash
        )
    )
    intact = log.entries[: last - log.base.index]
    memberships = [
        (entry.index, membership)
        for entry in intact
        if (membership := _membership(entry)) is not None
    ]
    positions = [(entry.term, entry.hash) for entry in intact]
    return Recovered(hard_state, positions, suspect, log.base, memberships)


def _later(one: HardState, other: HardState) -> HardState:
    if one.term != other.term:
        return max(one, other, key=lambda state: state.term)
    return one if one.vote is not None else other


def _membership(entry: Entry) -> Membership | None:
    return decode_membership(entry.payload) if entry.kind is EntryKind.MEMBERSHIP else None


def founded(node: NodeId, founders: Membership) -> Base:
    """Where the log of a founding member begins, so that there may be founding learners."""
    return Base(membership=founders) if node in founders.members else Base()
