"""The tasks that feed the state machine. Owns the applied index and when a snapshot is made.

Entries are applied in order, in bounded calls. A snapshot that was installed replaces the state
between two such calls, never during one. A snapshot is captured when so many entries or bytes
were applied since the last one, or when a follower needs a newer one than there is; then the log
is compacted, but for a trailing part that spares slow followers the snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import cast

from consensus.config import RaftConfig
from consensus.core.log import entry_bytes
from consensus.core.raft import RaftCore
from consensus.driver.storing import Storing
from consensus.driver.trailing import Trailing
from consensus.driver.waiting import Proposals, Reads
from consensus.errors import ConsensusError, SnapshotError, StoppedError
from consensus.ports import Applier, SnapshotApplier, SnapshotStore
from consensus.snapshot import Snapshot
from consensus.types import LogIndex


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
        self._halted = False
        self._capturers: list[asyncio.Future[Snapshot | None]] = []
        """Who asked for a snapshot now."""
        self._snapshot_index = LogIndex(0)
        self._entries_since = 0
        self._trailing = Trailing(config.trailing_entries, config.trailing_bytes, LogIndex(0))
        self._bytes_since = 0

    def begin(self, core: RaftCore, snapshot: Snapshot | None) -> None:
        """Start from what is durable."""
        self.applied = self._applier.applied_index
        self._trailing.restart(self.applied)
        self._snapshot_index = LogIndex(0) if snapshot is None else snapshot.index
        self._entries_since = max(0, self.applied - max(self._snapshot_index, core.log.base.index))

    def look(self, core: RaftCore, *, wanted: bool) -> None:
        """A turn is over: there may be something to apply, and a follower may want a snapshot."""
        if core.durable_commit_index > self.applied or core.restore is not None:
            self._apply_wanted.set()
        if wanted and self._place(core) is not None:
            self._capture_wanted.set()

    def halt(self) -> None:
        """Begin nothing any more, and answer nobody, even if the state machine holds up the end."""
        self._halted = True
        self._apply_wanted.set()
        self._capture_wanted.set()
        capturers, self._capturers = self._capturers, []
        for future in capturers:
            if not future.done():
                future.set_exception(StoppedError("the node stopped"))

    async def apply(self, core: RaftCore) -> None:
        """Apply what is committed; runs until cancelled or halted.

        Raises:
            Exception: whatever the applier raises, or that the store lost entries.
        """
        while not self._halted:
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
            if results is not None and len(results) != len(entries):
                raise ConsensusError(f"{len(results)} results for {len(entries)} entries")
            if self._halted:
                return  # everybody was told already that nobody knows
            self.applied = entries[-1].index
        self._proposals.applied(entries, results)
        self._reads.applied(self.applied)
        self._entries_since += len(entries)
        size = sum(map(entry_bytes, entries))
        self._bytes_since += size
        self._trailing.applied(self.applied, size)
        if (
            self._entries_since >= self._config.snapshot_entries
            or self._bytes_since >= self._config.snapshot_bytes
        ):
            self._capture_wanted.set()

    async def _restore(self, core: RaftCore, snapshot: Snapshot) -> None:
        if self._snapshots is None:
            raise SnapshotError("a snapshot is to be restored, and there is no snapshot store")
        async with self._quiet, aclosing(self._bytes_of(snapshot)) as data:
            await cast("SnapshotApplier", self._applier).restore(snapshot, data)
            if self._halted:
                return
            if self._applier.applied_index < snapshot.index:
                raise SnapshotError("the applier is not where the snapshot is")
            self.applied = snapshot.index
        core.restored(snapshot)
        self._snapshot_index = max(self._snapshot_index, snapshot.index)
        self._entries_since = self._bytes_since = 0
        self._trailing.restart(self.applied)
        self._proposals.passed(snapshot.index)
        self._reads.applied(self.applied)
        self._wake()

    async def _bytes_of(self, snapshot: Snapshot) -> AsyncGenerator[bytes, None]:
        offset = 0
        while offset < snapshot.size:
            size = min(self._config.chunk_bytes, snapshot.size - offset)
            part = await self._storing.read_part(snapshot, offset, size)
            if not part:
                raise SnapshotError(f"the snapshot at {snapshot.index} ends at byte {offset}")
            offset += len(part)
            yield part

    # --- Snapshots -----------------------------------------------------------------------------

    def ask_for_snapshot(self) -> asyncio.Future[Snapshot | None]:
        """Have a snapshot made now; None when there is nothing to do, or not now.

        The work is done by the task that captures, so that it ends with the node, whatever becomes
        of the caller.
        """
        future: asyncio.Future[Snapshot | None] = asyncio.get_running_loop().create_future()
        if self._snapshots is None:
            future.set_result(None)
        else:
            self._capturers.append(future)
            self._capture_wanted.set()
        return future

    async def capture(self, core: RaftCore) -> None:
        """Make snapshots when they are due; runs until cancelled or halted.

        Raises:
            Exception: whatever the state machine or the store raises.
        """
        while not self._halted:
            await self._capture_wanted.wait()
            self._capture_wanted.clear()
            asked = len(self._capturers)
            snapshot = await self._make_snapshot(core)
            answered, self._capturers = self._capturers[:asked], self._capturers[asked:]
            for future in answered:
                if not future.done():
                    future.set_result(snapshot)

    def _place(self, core: RaftCore) -> LogIndex | None:
        """Where a snapshot can be made now that is newer than the newest one.

        The log must know what stands there: the state of a suspect may be ahead of its log, or of
        entries that its log has not. Where the log begins is known, too, and serves if there is no
        snapshot any more.
        """
        if self._snapshots is None or core.restore is not None:
            return None
        index = min(self.applied, cast("SnapshotApplier", self._applier).captured_index)
        if index <= self._snapshot_index:
            return None
        return index if core.log.base.index <= index <= core.durable_commit_index else None

    async def _make_snapshot(self, core: RaftCore) -> Snapshot | None:
        """Capture the state, store it, and compact the log. None when there is nothing to do."""
        if self._snapshots is None or self._halted:
            return None
        try:
            async with self._quiet:
                index = self._place(core)
                if index is None:
                    return None
                base = core.position(index)
                assert base.membership is not None
                data = await cast("SnapshotApplier", self._applier).capture()
                self._entries_since = self._bytes_since = 0
            snapshot = await self._snapshots.create(base, base.membership, data)
        except SnapshotError:
            return None  # the state machine cannot vouch for that state now; later it may
        if self._halted:
            return None
        self._snapshot_index = max(self._snapshot_index, index)
        core.snapshot_made(snapshot)
        core.compact(self._trailing.cut(snapshot.index))
        self._wake()
        return snapshot
