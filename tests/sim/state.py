"""A node's state machine, as its driver sees it, in virtual time. Owns what survives its process.

Entries are applied in order, whole calls at a time; a call takes time, may be answered late, and
may raise or let a cancellation out: then the process has to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random  # noqa: TID251 - seeded
from typing import Protocol

from consensus.errors import SnapshotError
from consensus.snapshot import Snapshot
from consensus.types import Entry, LogIndex, NodeId
from tests.sim.disk import Disk
from tests.sim.machine import Machine
from tests.sim.plan import Plan
from tests.sim.violation import ensure
from tests.sim.world import World

_PART_BYTES = 97
_LATE_MS = 300


class ApplyJudge(Protocol):
    """Sees what becomes of the state."""

    def applied(self, node: NodeId, entry: Entry) -> None:
        """An entry is about to be applied."""

    def captured(self, node: NodeId, snapshot: Snapshot) -> None:
        """A snapshot was made, or is about to replace the state."""


class StateError(Exception):
    """A state machine that failed on purpose."""


class State:
    """The state of one node, over all its lives. A `SnapshotApplier`."""

    def __init__(
        self, node: NodeId, disk: Disk, plan: Plan, world: World, rng: Random, judge: ApplyJudge
    ) -> None:
        self.machine = Machine()
        self.protected = LogIndex(0)
        """What the node must not give up; survives a crash."""
        self.calm = False
        self.look: Callable[[], None] = lambda: None
        """Has the node looked at, before it applies."""
        self.protect: Callable[[LogIndex], None] = lambda _: None
        self.must_fail: Callable[[str], None] = lambda _: None
        """Hears of a reason for the process to end."""
        self._node = node
        self._disk = disk
        self._plan = plan
        self._world = world
        self._rng = rng
        self._judge = judge
        self._durable = Machine()
        self._busy: str | None = None

    def begin(self) -> None:
        """A process starts."""
        self.machine = self._durable.copy()
        self._busy = None

    def wipe(self) -> None:
        """The disk is a new one."""
        self._durable = Machine()
        self.protected = LogIndex(0)

    @property
    def applied_index(self) -> LogIndex:
        """Where the state is."""
        return self.machine.applied

    async def apply(self, entries: Sequence[Entry]) -> Sequence[object]:
        """Bring the state up to date."""
        with self._alone("apply"):
            self.look()
            await self._take_time()
            with self._world.judging:
                results = [self._apply_one(entry) for entry in entries]
            if self._plan.durable_state and self._rng.random() < 0.3:
                self._durable = self.machine.copy()
            if self._rng.random() < 0.1:
                self.protected = self.machine.applied
                self.protect(self.protected)
            await self._take_time()
            return results

    @property
    def captured_index(self) -> LogIndex:
        """Every entry may change this state."""
        return self.machine.applied

    async def capture(self) -> AsyncIterator[bytes]:
        """The state as it is now."""
        with self._alone("capture"):
            data = self.machine.encode()
            if not self.calm and self._rng.random() < self._plan.answer_late:
                await asyncio.sleep(self._rng.random() * _LATE_MS / 1_000)
        return self._parts(data)

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        """Take the state of a snapshot."""
        with self._alone("restore"):
            whole = b"".join([part async for part in data])
            with self._world.judging:
                self._world.note("state restored", self._node, snapshot.index)
                ensure(
                    snapshot.index > self.machine.applied,
                    "snapshots are newer than the state",
                    f"{self._node} goes back from {self.machine.applied} to {snapshot.index}",
                )
                self._judge.captured(self._node, snapshot)
            self.machine = Machine.decode(whole, snapshot.index)
            if self._plan.durable_state:
                self._durable = self.machine.copy()

    async def _parts(self, data: bytes) -> AsyncIterator[bytes]:
        declines = not self.calm and self._rng.random() < self._plan.decline
        for offset in range(0, len(data), _PART_BYTES):
            await asyncio.sleep(0 if self.calm else self._rng.random() * 0.01)
            if declines:
                self._world.note("state not vouched for", self._node)
                raise SnapshotError("not now")
            yield data[offset : offset + _PART_BYTES]

    def _apply_one(self, entry: Entry) -> object:
        self._judge.applied(self._node, entry)
        return self.machine.apply(entry)

    async def _take_time(self) -> None:
        """As a slow disk does, and faults may come at the end."""
        if self.calm:
            return
        random, plan = self._rng.random, self._plan
        if plan.apply_ms and random() < 0.5:
            await asyncio.sleep(random() * plan.apply_ms / 1_000)
        if plan.apply_fault and random() < plan.apply_fault:
            cancelled = random() < 0.5
            self._world.note("state machine cancels" if cancelled else "state machine fails")
            self.must_fail("state machine")
            raise asyncio.CancelledError("apply") if cancelled else StateError("apply")

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with self._world.judging:
            ensure(
                self._busy is None,
                "calls of the state machine do not overlap",
                f"{name} during {self._busy}",
            )
        self._busy = name
        try:
            yield
        finally:
            self._busy = None
