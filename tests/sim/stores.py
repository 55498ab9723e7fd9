"""A node's stores, as its driver sees them, in virtual time. Owns how long calls take, and faults.

A call takes effect on the disk when its time is over; the answer may come later than that. When the
power goes before, the job may have come any part of its way. Calls of the driver may be cancelled,
raise, or be answered with a cancellation; then the process has to end, which is looked after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random  # noqa: TID251 - seeded
from typing import Any, Protocol, TypeVar

from consensus.membership import Membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import Base, Snapshot
from consensus.types import Entry, LogIndex
from tests.sim.damage import scratch_arriving
from tests.sim.disk import POWER_CUTS, DamagedError, Disk
from tests.sim.loop import VirtualLoop
from tests.sim.plan import Plan
from tests.sim.violation import ensure
from tests.sim.world import World

_HANG_MS = 4_000
_CALM_MS = 3
_LATE_MS = 300
T = TypeVar("T")


class StoreError(Exception):
    """A store that failed on purpose."""


class Owner(Protocol):
    """The process that the stores work for."""

    disk_hangs: bool
    calm: bool

    def write_begins(self, duration_ms: float) -> None:
        """A write takes so long from now."""

    def must_fail(self, why: str) -> None:
        """The process has been given a reason to end."""

    def captured(self, snapshot: Snapshot) -> None:
        """A snapshot was stored that was made here."""


class Stores:
    """Works for one life of one node."""

    def __init__(
        self, disk: Disk, plan: Plan, world: World, rng: Random, loop: VirtualLoop, owner: Owner
    ) -> None:
        self.closed = False
        """The embedder has closed them: nobody may call any more."""
        self._disk = disk
        self._plan = plan
        self._world = world
        self._rng = rng
        self._loop = loop
        self._owner = owner
        self._busy: str | None = None
        self._at_work: list[Callable[[], object]] = []
        """What a power cut leaves of each job that is under way."""
        self._alive = True

    def cut_power(self) -> None:
        """The node dies; nothing is reported any more."""
        self._alive = False
        at_work, self._at_work = self._at_work, []
        for leave in at_work:
            leave()

    # --- The log -------------------------------------------------------------------------------

    async def load(self) -> Recovered:
        """What the disk holds."""
        recovered = self._disk.load()
        await self._job("load", lambda: None, lambda: None)
        return recovered

    async def append(self, batch: AppendBatch) -> None:
        """One write."""

        def write() -> None:
            self._disk.append(batch)
            if batch.reset:
                self._world.note("log reset", batch.base.index if batch.base else 0)

        def cut() -> None:
            how_far = self._rng.choice(POWER_CUTS)
            self._world.note(f"power cut: {how_far}")
            self._disk.cut_power(batch, how_far)

        await self._job("append", write, cut)

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries that are no more in memory."""
        return await self._job("read", lambda: self._disk.read(first, last, bytes_max))

    # --- Snapshots -----------------------------------------------------------------------------

    async def newest(self) -> Snapshot | None:
        """The newest complete one."""
        return await self._job("newest", self._disk.newest)

    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """A part; None when the snapshot is gone or garbled."""

        def read() -> bytes | None:
            data = self._disk.read_snapshot(snapshot)
            return None if data is None else data[offset : offset + size]

        return await self._job("read chunk", read)

    async def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """A part that arrived."""

        def write() -> int:
            held = self._disk.write_chunk(snapshot, offset, data)
            if not self._owner.calm and self._rng.random() < self._plan.garble:
                scratch_arriving(self._disk, self._rng, self._world)
            return held

        return await self._job("write chunk", write, self._perhaps(write))

    async def complete(self, snapshot: Snapshot) -> bool:
        """The last part has arrived."""

        def finish() -> bool:
            term = self._disk.hard_state.term
            ensure(
                snapshot.term <= term,
                "a snapshot's term is known before it",
                f"at {snapshot.index} of {snapshot.term}, on disk is {term}",
            )
            ok = self._disk.complete(snapshot)
            if not ok:
                self._world.note("damaged snapshot refused")
            return ok

        return await self._job("complete", finish, self._perhaps(finish))

    async def create(
        self, base: Base, membership: Membership, data: AsyncIterator[bytes]
    ) -> Snapshot:
        """Store a snapshot of the state after `base`; other calls go on meanwhile."""
        whole = b"".join([part async for part in data])
        assert membership == base.membership

        def keep() -> Snapshot:
            snapshot = self._disk.create(base, whole)
            self._owner.captured(snapshot)
            return snapshot

        return await self._job("create", keep, self._perhaps(keep), beside=True)

    # --- Jobs ----------------------------------------------------------------------------------

    def _perhaps(self, work: Callable[[], object]) -> Callable[[], None]:
        def leave() -> None:
            self._world.note("power cut: snapshot")
            if self._rng.random() < 0.5:
                work()

        return leave

    async def _job(
        self,
        name: str,
        work: Callable[[], T],
        cut: Callable[[], object] = lambda: None,
        *,
        beside: bool = False,
    ) -> T:
        """Do `work` in some time; `cut` is what the end of the process leaves of it."""
        with self._world.judging:
            ensure(not self.closed, "stores are closed last", name)
            ensure(
                beside or self._busy is None,
                "calls of the stores do not overlap",
                f"{name} during {self._busy}",
            )
        if not beside:
            self._busy = name
        try:
            return await self._answer(name, work, cut)
        finally:
            if not beside:
                self._busy = None

    async def _answer(self, name: str, work: Callable[[], T], cut: Callable[[], object]) -> T:
        answer: asyncio.Future[T] = self._loop.create_future()
        self._at_work.append(cut)
        duration_ms = self._duration_ms()
        if name == "append":
            self._owner.write_begins(duration_ms)
        fault = self._fault(name)
        if not self._owner.disk_hangs:
            self._world.later(duration_ms, self._end, work, cut, answer, fault)
        return await answer

    def _duration_ms(self) -> float:
        duration_ms = self._rng.random() * self._plan.disk_ms
        if self._owner.calm:
            return min(duration_ms, _CALM_MS)
        if self._plan.hang and self._rng.random() < self._plan.hang:
            self._world.note("disk hangs")
            return self._rng.random() * _HANG_MS
        return duration_ms

    def _fault(self, name: str) -> BaseException | None:
        """What this call will raise."""
        if self._owner.calm or self._rng.random() >= self._plan.store_fault:
            return None
        cancelled = self._rng.random() < 0.5
        self._world.note("store cancels" if cancelled else "store fails")
        return asyncio.CancelledError(name) if cancelled else StoreError(name)

    def _end(
        self,
        work: Callable[[], T],
        cut: Callable[[], object],
        answer: asyncio.Future[T],
        fault: BaseException | None,
    ) -> None:
        """The disk is done."""
        if not self._alive:
            return
        self._at_work.remove(cut)
        result: Any = None
        if fault is None:
            try:
                result = work()
            except DamagedError as error:
                fault = error
        else:
            cut()  # nobody knows how far it came
        late_ms = 0.0
        if not self._owner.calm and self._rng.random() < self._plan.answer_late:
            self._world.counts["answer late"] += 1
            late_ms = self._rng.random() * _LATE_MS
        self._world.later(late_ms, self._loop.post, self._tell, answer, result, fault)

    def _tell(
        self, answer: asyncio.Future[Any], result: object, fault: BaseException | None
    ) -> None:
        if answer.done():
            return  # the call was cancelled meanwhile
        if fault is None:
            answer.set_result(result)
            return
        self._owner.must_fail(repr(fault))
        if isinstance(fault, asyncio.CancelledError):
            answer.cancel(str(fault))
        else:
            answer.set_exception(fault)
