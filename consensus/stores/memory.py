"""Stores in memory, for tests, trials and examples.

They FORGET everything when the process ends. A member that comes back after that has broken its
promises: it must come back suspect (`MemoryStore(suspect=True)`) or under another number.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from consensus.membership import Membership, decode_membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base, Snapshot
from consensus.types import Entry, EntryKind, HardState, LogIndex

_KEPT_SNAPSHOTS = 2


class MemoryStore:
    """A `LogStore` and a `SnapshotStore` that remember for as long as the object lives."""

    def __init__(self, *, suspect: bool = False) -> None:
        self.hard_state = HardState()
        self.base = BEGINNING
        self.entries: list[Entry] = []
        """After the base."""
        self.suspect = suspect
        self._snapshots: list[tuple[Snapshot, bytes]] = []
        self._arriving: tuple[Snapshot, bytearray] | None = None

    # --- The log -------------------------------------------------------------------------------

    async def load(self) -> Recovered:
        """What was appended to this object."""
        return Recovered(
            hard_state=self.hard_state,
            positions=[(entry.term, entry.hash) for entry in self.entries],
            suspect=self.suspect,
            base=self.base,
            memberships=[
                (entry.index, decode_membership(entry.payload))
                for entry in self.entries
                if entry.kind is EntryKind.MEMBERSHIP
            ],
        )

    async def append(self, batch: AppendBatch) -> None:
        """Keep `batch`.

        Raises:
            ValueError: when its entries would leave a gap.
        """
        if batch.base is not None:
            gone = len(self.entries) if batch.reset else batch.base.index - self.base.index
            del self.entries[: max(0, gone)]
            self.base = batch.base
        if batch.entries:
            place = batch.entries[0].index - self.base.index - 1
            if not 0 <= place <= len(self.entries):
                raise ValueError(f"entry {batch.entries[0].index} would leave a gap")
            del self.entries[place:]
            self.entries += batch.entries
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.caught_up:
            self.suspect = False
        self.suspect |= batch.distrusted

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries first..last, at least one, cut when `bytes_max` is passed; [] if compacted."""
        if first <= self.base.index:
            return []
        found: list[Entry] = []
        size = 0
        for entry in self.entries[first - self.base.index - 1 : last - self.base.index]:
            size += len(entry.encoded)
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    # --- Snapshots -----------------------------------------------------------------------------

    async def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""
        return self._snapshots[-1][0] if self._snapshots else None

    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """Up to `size` bytes from `offset`; None when the snapshot is gone."""
        data = self._complete(snapshot)
        return None if data is None else data[offset : offset + size]

    async def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """Keep a part of an arriving snapshot; how many bytes of it are held."""
        if self._complete(snapshot) is not None:
            return snapshot.size
        if self._arriving is None or self._arriving[0] != snapshot:
            self._arriving = (snapshot, bytearray())
        held = self._arriving[1]
        if offset == len(held):
            held += data[: snapshot.size - offset]
        return len(held)

    async def complete(self, snapshot: Snapshot) -> bool:
        """Check the arriving snapshot and make it the newest."""
        if self._complete(snapshot) is not None:
            return True
        arriving, self._arriving = self._arriving, None
        if arriving is None or arriving[0] != snapshot:
            return False
        if hashlib.sha256(arriving[1]).digest() != snapshot.checksum:
            return False
        self._keep(snapshot, bytes(arriving[1]))
        return True

    async def create(
        self, base: Base, membership: Membership, data: AsyncIterator[bytes]
    ) -> Snapshot:
        """Keep a snapshot of the state after `base`."""
        whole = b"".join([part async for part in data])
        checksum = hashlib.sha256(whole).digest()
        snapshot = Snapshot(
            index=base.index,
            term=base.term,
            hash=base.hash,
            membership=membership,
            size=len(whole),
            checksum=checksum,
        )
        self._keep(snapshot, whole)
        return snapshot

    def _complete(self, snapshot: Snapshot) -> bytes | None:
        return next((data for kept, data in self._snapshots if kept == snapshot), None)

    def _keep(self, snapshot: Snapshot, data: bytes) -> None:
        kept = [pair for pair in self._snapshots if pair[0] != snapshot]
        kept.append((snapshot, data))
        kept.sort(key=lambda pair: pair[0].index)
        self._snapshots = kept[-_KEPT_SNAPSHOTS:]
