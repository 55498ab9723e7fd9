"""What a node's stores have to do, in virtual time. Owns the order of jobs, and their ends.

One job at a time; a waiting write goes first. A job takes effect on the
disk when its time is over. When the power goes before that, it may have come any part of its way.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random  # noqa: TID251 - seeded
from typing import TypeAlias

from consensus.core import RaftCore, Ready
from consensus.durability import Write
from consensus.progress import LogRead
from consensus.snapshot import Base, Snapshot
from consensus.transfer import ChunkRead, ChunkWrite
from tests.sim.damage import scratch_arriving
from tests.sim.disk import POWER_CUTS, DamagedError, Disk
from tests.sim.plan import Plan
from tests.sim.world import World

_HANG_MS = 4_000
_CALM_MS = 3
_Work: TypeAlias = Write | ChunkWrite | LogRead | ChunkRead | tuple[Base, bytes]
_ORDER: dict[type, int] = {Write: 0, ChunkWrite: 1}
"""What goes first; the rest follows in the order in which it came."""


class Stores:
    """Works for one life of one node."""

    def __init__(
        self,
        core: RaftCore,
        disk: Disk,
        plan: Plan,
        world: World,
        rng: Random,
        *,
        report: Callable[..., None],
        captured: Callable[[Snapshot], None],
        failed: Callable[[Exception], None],
        on_write: Callable[[float], None],
        hangs: Callable[[], bool],
    ) -> None:
        """Begin with nothing to do.

        Args:
            core: Hears what is done.
            disk: Where it is done.
            plan: How long it takes.
            world: The clock.
            rng: The node's randomness.
            report: Calls its first argument with the others, in the node's next turn.
            captured: Hears of a snapshot that was made here.
            failed: A record is damaged.
            on_write: Hears how long a write takes that begins now.
            hangs: Whether the disk does nothing any more.
        """
        self.calm = False
        self._core = core
        self._disk = disk
        self._plan = plan
        self._world = world
        self._rng = rng
        self._report = report
        self._captured = captured
        self._failed = failed
        self._on_write = on_write
        self._hangs = hangs
        self._waiting: list[_Work] = []
        self._at_work: _Work | None = None
        self._alive = True

    def take(self, ready: Ready) -> None:
        """Note what a turn wants."""
        if ready.write is not None:
            self._waiting.append(ready.write)
        if ready.chunk_writes or ready.log_reads or ready.chunk_reads:
            self._waiting += ready.chunk_writes
            self._waiting += ready.log_reads
            self._waiting += ready.chunk_reads
        self._next()

    def capture(self, position: Base, data: bytes) -> None:
        """Store a snapshot of the state after `position`."""
        self._waiting.append((position, data))
        self._next()

    def cut_power(self) -> None:
        """The node dies; nothing is reported any more."""
        self._alive = False
        work, self._at_work = self._at_work, None
        self._waiting.clear()
        if isinstance(work, Write):
            how_far = self._rng.choice(POWER_CUTS)
            self._world.note(f"power cut: {how_far}")
            self._disk.cut_power(work.batch, how_far)
        elif work is not None and not isinstance(work, (LogRead, ChunkRead)):
            self._world.note("power cut: snapshot")
            if self._rng.random() < 0.5:
                self._carry_out(work)

    def _next(self) -> None:
        if self._at_work is not None or not self._waiting or not self._alive:
            return
        if len(self._waiting) > 1:
            self._waiting.sort(key=lambda work: _ORDER.get(type(work), 2))
        work = self._at_work = self._waiting.pop(0)
        duration_ms = self._rng.random() * self._plan.disk_ms
        if self.calm:
            duration_ms = min(duration_ms, _CALM_MS)
        elif self._plan.hang and self._rng.random() < self._plan.hang:
            self._world.note("disk hangs")
            duration_ms = self._rng.random() * _HANG_MS
        if isinstance(work, Write):
            self._on_write(duration_ms)
        if self._hangs():
            return
        self._world.later(duration_ms, self._end, work)

    def _end(self, work: _Work) -> None:
        if not self._alive:
            return
        try:
            report = self._carry_out(work)
        except DamagedError as error:
            self._failed(error)
            return
        self._at_work = None
        self._next()
        report()

    def _carry_out(self, work: _Work) -> Callable[[], None]:
        """Do it on the disk; what is returned tells the node."""
        core, disk, report = self._core, self._disk, self._report
        match work:
            case Write(seq, batch):
                disk.append(batch)
                if batch.reset:
                    self._world.note("log reset", batch.base.index if batch.base else 0)
                return lambda: report(core.on_persisted, seq)
            case ChunkWrite():
                held = disk.write_chunk(work.snapshot, work.offset, work.data)
                if not self.calm and self._rng.random() < self._plan.garble:
                    scratch_arriving(disk, self._rng, self._world)
                ok = held < work.snapshot.size or disk.complete(work.snapshot)
                if not ok:
                    self._world.note("damaged snapshot refused")
                return lambda: report(self._chunk_written, work, held, ok)
            case LogRead():
                entries = disk.read(work.first, work.last, work.bytes_max)
                return lambda: report(core.on_read, work, entries)
            case ChunkRead():
                data = disk.read_snapshot(work.snapshot)
                part = None if data is None else data[work.offset : work.offset + work.size]
                return lambda: report(core.on_chunk_read, work, part)
            case (position, data):
                snapshot = disk.create(position, data)
                return lambda: report(self._captured, snapshot)
        raise AssertionError(f"no work of the stores: {work}")

    def _chunk_written(self, write: ChunkWrite, held: int, ok: bool) -> None:
        self._core.on_chunk_written(write, held, ok=ok)
