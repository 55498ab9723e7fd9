"""One node's disk: a log file, a marker file, snapshots. Owns what survives a power cut, and how.

A write goes to the log file, which is synced, and then to the marker, which is synced; a power cut
may come before, between and after. What was synced stays, unless the disk is damaged on purpose.
Nothing here judges what it holds: that is done by `consensus.stores.recovery`, as in real stores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from consensus.membership import Membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base, Snapshot
from consensus.stores.marker import Condition, Promises
from consensus.stores.recovery import reconcile
from consensus.types import Entry, HardState, LogIndex, NodeId
from tests.sim.logfile import LogFile

POWER_CUTS = ("lost", "log only", "marker torn", "all")
"""How far a write may have come when the power goes."""


class DamagedError(Exception):
    """A stored record does not say what was written. The process must not go on."""


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
        self.generation = 0
        """Writes of the marker; 0: there is none."""
        self.snapshots: list[StoredSnapshot] = []
        self.arriving: tuple[Snapshot, bytearray] | None = None
        self.suspect = False
        self.rejoins = False
        """The disk is new, its node is not."""
        self.tainted = False
        """It lost or garbled something that was synced, and its node has not caught up since."""
        self._vouched: LogFile | None = None
        """The log as it was before it could not be trusted any more."""

    # --- The log -------------------------------------------------------------------------------

    def append(self, batch: AppendBatch) -> None:
        """A whole write, synced."""
        self._writes += 1
        if self._writes % 8 == 0:
            self.older = self.log.copy()
        self.log.write(batch, self.generation)
        self._mark(batch)

    def cut_power(self, batch: AppendBatch, how_far: str) -> None:
        """A write that was interrupted; see `POWER_CUTS`."""
        if how_far == "lost":
            return
        if how_far == "all":
            self.append(batch)
            return
        self.log.write(batch, self.generation)
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

    @property
    def hard_state(self) -> HardState:
        """Term and vote as they are on the disk."""
        return self.log.hard_state or HardState()

    def vouches(self, index: int, entry_hash: bytes) -> bool:
        """Whether that entry may be counted as durable here."""
        log = self.log if self._vouched is None else self._vouched
        return index < log.base.index or log.hash_at(index) == entry_hash

    def distrust(self) -> None:
        """What is written from now on does not count until the node has caught up."""
        if self._vouched is None:
            self._vouched = self.log.copy()

    def load(self) -> Recovered:
        """What a process finds at its start; the store then writes the marker anew."""
        promises, condition, generation = self._read_marker()
        found = self.log.found(generation)
        recovered = reconcile(found, promises, condition, rejoins=self.rejoins)
        if recovered.suspect:
            self.distrust()
        else:
            self._vouched = None
        self.suspect = recovered.suspect
        self.rejoins = False
        if recovered.hard_state != HardState():
            self.log.hard_state = recovered.hard_state
        self._mark(None)
        if not self.suspect:
            self.tainted = False
        return recovered

    def replace(self) -> None:
        """An empty disk for a node that is not new."""
        self.distrust()
        vouched = self._vouched
        self.__init__(BEGINNING)  # type: ignore[misc]
        self.rejoins = self.tainted = True
        self._vouched = vouched

    def _mark(self, batch: AppendBatch | None) -> None:
        if batch is not None and batch.caught_up:
            self.suspect = self.tainted = False
            self._vouched = None
        self.suspect |= batch is not None and batch.distrusted
        state = self.log.hard_state or HardState()
        last = LogIndex(self.log.last_index)
        promises = Promises(
            state.term, state.vote, last, self.log.hash_at(last), suspect=self.suspect
        )
        self.slots = [self.slots[1], promises]
        self.generation += 1

    def _read_marker(self) -> tuple[Promises, Condition, int]:
        """What can be read of it, its condition, and the generation of that."""
        older, newer = self.slots
        if self.generation == 0:
            return Promises(), Condition.MISSING, 0
        if newer is not None:
            whole = older is not None or self.generation == 1
            return newer, Condition.OK if whole else Condition.TORN, self.generation
        if older is not None:
            return older, Condition.TORN, self.generation - 1
        return Promises(), Condition.DAMAGED, 0

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

    def has_snapshot(self, snapshot: Snapshot) -> bool:
        """Whether it was completed here, however it looks now."""
        return any(stored.snapshot == snapshot for stored in self.snapshots)

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


def founded(node: NodeId, founders: Membership) -> Base:
    """Where the log of a founding member begins, so that there may be founding learners."""
    return Base(membership=founders) if node in founders.members else BEGINNING
