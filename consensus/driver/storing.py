"""The task that serves the stores, one call after another. Owns their order.

A write goes first, because acknowledgements wait for it; what comes while the disk syncs forms the
next one. Everything else follows in the order in which it came. Only making a snapshot, which is
long, runs beside this task (`SnapshotStore.create`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from consensus.core.durability import Write
from consensus.core.progress import LogRead
from consensus.core.raft import RaftCore, Ready
from consensus.core.snapshot_transfer import ChunkRead, ChunkWrite
from consensus.errors import StoreFullError
from consensus.ports import LogStore, SnapshotStore
from consensus.snapshot import Snapshot
from consensus.types import Entry, LogIndex

FULL_RETRY_S = 0.5
"""A write for which the disk has no room is tried again this often. Meanwhile it counts as one that
hangs: a leader steps down, a follower acknowledges nothing."""


class _ApplyRead(NamedTuple):
    """Entries that are to be applied and are no more in memory."""

    first: LogIndex
    last: LogIndex
    bytes_max: int
    future: asyncio.Future[list[Entry]]


class _PartRead(NamedTuple):
    """A part of a snapshot that is to replace the state."""

    snapshot: Snapshot
    offset: int
    size: int
    future: asyncio.Future[bytes | None]


class Storing:
    """What is to be done by the stores. `wake` is called when the core has changed."""

    def __init__(
        self, store: LogStore, snapshots: SnapshotStore | None, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._wake = wake
        self._halted = False
        self._wanted = asyncio.Event()
        self._write: Write | None = None
        self._chunk_writes: deque[ChunkWrite] = deque()
        self._reads: deque[LogRead | ChunkRead | _ApplyRead | _PartRead] = deque()
        """In the order of arrival, so that no kind of reader starves another."""

    def take(self, ready: Ready) -> None:
        """Note what a turn wants."""
        if ready.write is not None:
            self._write = ready.write
            self._wanted.set()
        if ready.chunk_writes or ready.log_reads or ready.chunk_reads:
            self._chunk_writes.extend(ready.chunk_writes)
            self._reads.extend(ready.log_reads)
            self._reads.extend(ready.chunk_reads)
            self._wanted.set()

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries of the log store, for the task that applies."""
        future: asyncio.Future[list[Entry]] = asyncio.get_running_loop().create_future()
        self._reads.append(_ApplyRead(first, last, bytes_max, future))
        self._wanted.set()
        return await future

    async def read_part(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """A part of a snapshot that is held, for the task that applies; None when it is gone."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._reads.append(_PartRead(snapshot, offset, size, future))
        self._wanted.set()
        return await future

    def halt(self) -> None:
        """Begin nothing any more, and tell the core of nothing, even if a store holds up the end.

        A cancelled call of a store may still end as if nothing had been.
        """
        self._halted = True
        self._wanted.set()

    async def serve(self, core: RaftCore) -> None:
        """Run until cancelled or halted.

        Raises:
            Exception: whatever a store raises; nothing may be promised after that.
        """
        while not self._halted:
            if self._write is not None:
                write, self._write = self._write, None
                await self._append(write)
                self._report(partial(core.on_persisted, write.seq))
            elif self._chunk_writes:
                await self._write_chunk(core, self._chunk_writes.popleft())
            elif self._reads:
                await self._read(core, self._reads.popleft())
            else:
                self._wanted.clear()
                await self._wanted.wait()

    def _report(self, tell: Callable[[], None]) -> None:
        if not self._halted:
            tell()
            self._wake()

    async def _append(self, write: Write) -> None:
        while True:
            try:
                return await self._store.append(write.batch)
            except StoreFullError:
                await asyncio.sleep(FULL_RETRY_S)

    async def _write_chunk(self, core: RaftCore, write: ChunkWrite) -> None:
        assert self._snapshots is not None, "without a store no chunk is received"
        held = await self._snapshots.write_chunk(write.snapshot, write.offset, write.data)
        ok = True
        if held >= write.snapshot.size:
            ok = await self._snapshots.complete(write.snapshot)
        self._report(partial(core.on_chunk_written, write, held, ok=ok))

    async def _read(
        self, core: RaftCore, read: LogRead | ChunkRead | _ApplyRead | _PartRead
    ) -> None:
        if isinstance(read, ChunkRead | _PartRead):
            assert self._snapshots is not None, "only who has snapshots reads them"
            data = await self._snapshots.read_chunk(read.snapshot, read.offset, read.size)
            if isinstance(read, ChunkRead):
                self._report(partial(core.on_chunk_read, read, data))
            elif not read.future.done():
                read.future.set_result(data)
            return
        entries = await self._store.read(read.first, read.last, read.bytes_max)
        if isinstance(read, LogRead):
            self._report(partial(core.on_read, read, entries))
        elif not read.future.done():
            read.future.set_result(entries)
