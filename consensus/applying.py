"""The tasks that feed the state machine. Owns the applied index and when a snapshot is made.

Entries are applied in order, in bounded calls. A snapshot that was installed replaces the state
between two such calls, never during one. A snapshot is captured when so many entries or bytes
were applied since the last one, or when a follower needs a newer one than there is; then the log
is compacted, but for a trailing part that spares slow followers the snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

from consensus.config import RaftConfig
from consensus.core import RaftCore
from consensus.errors import ConsensusError, SnapshotError
from consensus.log import entry_bytes
from consensus.ports import Applier, SnapshotApplier, SnapshotStore
from consensus.snapshot import Snapshot
from consensus.storing import Storing
from consensus.types import LogIndex
from consensus.waiting import Proposals, Reads


class Applying:
    """The state machine's side of a node."""

    def __init__(
        self,
        config: RaftConfig,
        applier: Applier,
        snapshots: SnapshotStore | None,
        storing: Storing,
        proposals: Proposals,
        reads: Reads,
        wake: Callable[[], None],
    ) -> None:
        self.applied = LogIndex(0)
        self._config = config
        self._applier = applier
        self._snapshots = snapshots
        self._storing = storing
        self._proposals = proposals
        self._reads = reads
        self._wake = wake
        self._apply_wanted = asyncio.Event()
        self._capture_wanted = asyncio.Event()
        self._quiet = asyncio.Lock()
        """Held while entries are applied, the state is replaced, or a capture begins."""
        self._capturing = asyncio.Lock()
        self._snapshot_index = LogIndex(0)
        self._entries_since = 0
        self._bytes_since = 0

    def begin(self, core: RaftCore, snapshot: Snapshot | None) -> None:
        """Start from what is durable."""
        self.applied = self._applier.applied_index
        self._snapshot_index = LogIndex(0) if snapshot is None else snapshot.index
        self._entries_since = max(0, self.applied - max(self._snapshot_index, core.log.base.index))

    def look(self, core: RaftCore, *, wanted: bool) -> None:
        """A turn is over: there may be something to apply, and a follower may want a snapshot."""
        if core.durable_commit_index > self.applied or core.restore is not None:
            self._apply_wanted.set()
        if wanted and self.applied > self._snapshot_index:
            self._capture_wanted.set()

    async def apply(self, core: RaftCore) -> None:
        """Apply what is committed; runs until cancelled.

        Raises:
            Exception: whatever the applier raises, or that the store lost entries.
        """
        while True:
            restore = core.restore
            if restore is not None and core.durable_commit_index >= restore.index:
                await self._restore(core, restore)
            elif restore is not None or core.durable_commit_index <= self.applied:
                self._apply_wanted.clear()
                await self._apply_wanted.wait()
            else:
                await self._apply_some(core)
                await asyncio.sleep(0)  # who waits for these answers comes before the next ones

    async def _apply_some(self, core: RaftCore) -> None:
        first = LogIndex(self.applied + 1)
        entries = core.committed(first)
        if entries is None:
            last = min(
                core.durable_commit_index, LogIndex(first + self._config.apply_entries_max - 1)
            )
            entries = await self._storing.read(first, last, self._config.apply_bytes_max)
            if core.restore is not None:
                return  # the log was reset meanwhile
        if not entries or entries[0].index != first:
            raise ConsensusError(f"the log store has no entry {first}")
        async with self._quiet:
            results = await self._applier.apply(entries)
            self.applied = entries[-1].index
        self._proposals.applied(entries, results)
        self._reads.applied(self.applied)
        self._entries_since += len(entries)
        self._bytes_since += sum(map(entry_bytes, entries))
        if (
            self._entries_since >= self._config.snapshot_entries
            or self._bytes_since >= self._config.snapshot_bytes
        ):
            self._capture_wanted.set()

    async def _restore(self, core: RaftCore, snapshot: Snapshot) -> None:
        if self._snapshots is None:
            raise SnapshotError("a snapshot is to be restored, and there is no snapshot store")
        async with self._quiet:
            await cast("SnapshotApplier", self._applier).restore(snapshot, self._bytes_of(snapshot))
            if self._applier.applied_index < snapshot.index:
                raise SnapshotError("the applier is not where the snapshot is")
            self.applied = snapshot.index
        core.restored(snapshot)
        self._snapshot_index = max(self._snapshot_index, snapshot.index)
        self._entries_since = self._bytes_since = 0
        self._proposals.passed(snapshot.index)
        self._reads.applied(self.applied)
        self._wake()

    async def _bytes_of(self, snapshot: Snapshot) -> AsyncIterator[bytes]:
        assert self._snapshots is not None
        offset = 0
        while offset < snapshot.size:
            part = await self._snapshots.read_chunk(snapshot, offset, self._config.chunk_bytes)
            if not part:
                raise SnapshotError(f"the snapshot at {snapshot.index} ends at byte {offset}")
            offset += len(part)
            yield part

    async def capture(self, core: RaftCore) -> None:
        """Make snapshots when they are due; runs until cancelled."""
        while True:
            self._capture_wanted.clear()
            await self._capture_wanted.wait()
            await self.take_snapshot(core)

    async def take_snapshot(self, core: RaftCore) -> Snapshot | None:
        """Capture the state, store it, and compact the log. None when there is nothing to do."""
        if self._snapshots is None:
            return None
        async with self._capturing:
            async with self._quiet:
                index = self.applied
                if core.restore is not None or index <= max(
                    self._snapshot_index, core.log.base.index
                ):
                    return None
                base = core.position(index)
                data = await cast("SnapshotApplier", self._applier).capture()
                self._entries_since = self._bytes_since = 0
            assert base.membership is not None
            try:
                snapshot = await self._snapshots.create(base, base.membership, data)
            except SnapshotError:
                return None  # the state machine cannot vouch for that state now; later it may
            self._snapshot_index = max(self._snapshot_index, index)
        core.snapshot_made(snapshot)
        core.compact(LogIndex(max(0, snapshot.index - self._config.trailing_entries)))
        self._wake()
        return snapshot
