"""The state machine's side of a node, and who waits for it. Owns what is applied, and when.

As `consensus.applying` and `consensus.waiting` do it: entries in order, a snapshot in place of the
state between them, proposals settled by what stands at their index, reads when it is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random  # noqa: TID251 - seeded
from typing import Protocol, TypeAlias

from consensus.core import RaftCore
from consensus.reads import ReadAnswer
from consensus.snapshot import Base, Snapshot
from consensus.types import Entry, LogIndex, NodeId, Term
from tests.sim.disk import Disk
from tests.sim.machine import Machine, Value
from tests.sim.plan import Plan
from tests.sim.violation import ensure
from tests.sim.world import World

_READ_BYTES_MAX = 8_192
Settled: TypeAlias = Callable[[str, "NodeId | Value"], None]
"""Hears `committed` with the result, `rejected` with a hint at the leader, or `unknown`."""
Answered: TypeAlias = Callable[["Machine | None"], None]
"""Hears the state that may be read now, or that it may not."""


class ApplyJudge(Protocol):
    """Sees what becomes of the state."""

    def applied(self, node: NodeId, entry: Entry) -> None:
        """An entry is about to be applied."""

    def captured(self, node: NodeId, snapshot: Snapshot) -> None:
        """A snapshot was made, or is about to replace the state."""


class LostStateError(Exception):
    """The snapshot without which the state cannot be had is garbled."""


class State:
    """The state of one node, over all its lives."""

    def __init__(
        self,
        node: NodeId,
        disk: Disk,
        plan: Plan,
        world: World,
        rng: Random,
        judge: ApplyJudge,
    ) -> None:
        self.machine = Machine()
        self.protected = LogIndex(0)
        """What the node must not give up; survives a crash."""
        self._node = node
        self._disk = disk
        self._plan = plan
        self._world = world
        self._rng = rng
        self._judge = judge
        self._durable = Machine()
        self._capturing = False
        self._proposals: dict[LogIndex, tuple[Term, Settled]] = {}
        self._ticket = 0
        self._asking: dict[int, Answered] = {}
        self._reading: list[tuple[LogIndex, Answered]] = []

    def begin(self) -> LogIndex:
        """A process starts; the index up to which its state reaches."""
        self.machine = self._durable.copy()
        self._capturing = False
        return self.machine.applied

    def end(self) -> None:
        """The process is gone: nobody will learn any more what became of a proposal."""
        proposals, self._proposals = self._proposals, {}
        reads = [*self._asking.values(), *(answered for _, answered in self._reading)]
        self._asking, self._reading = {}, []
        for _, settled in proposals.values():
            settled("unknown", None)
        for answered in reads:
            answered(None)

    def wipe(self) -> None:
        """The disk is a new one."""
        self._durable = Machine()
        self.protected = LogIndex(0)

    def proposed(self, index: LogIndex, term: Term, settled: Settled) -> None:
        """A client waits for its place."""
        before = self._proposals.get(index)
        self._proposals[index] = (term, settled)
        if before is not None:  # this node led twice, and its first entry there was truncated
            before[1]("unknown", None)

    def asked(self, answered: Answered) -> int:
        """A client waits for an index; the ticket of its read."""
        self._ticket += 1
        self._asking[self._ticket] = answered
        return self._ticket

    def unasked(self, ticket: int) -> None:
        """The core did not take it."""
        self._asking.pop(ticket)(None)

    def answer(self, answers: Sequence[ReadAnswer]) -> None:
        """Indexes are known, or reads failed."""
        for answer in answers:
            answered = self._asking.pop(answer.ticket)
            if answer.index is None:
                answered(None)
            elif answer.index <= self.machine.applied:
                answered(self.machine)
            else:
                self._reading.append((answer.index, answered))

    def apply(self, core: RaftCore) -> None:
        """Bring the state up to date.

        Raises:
            DamagedError: when the disk has garbled an entry.
            LostStateError: when it has garbled the snapshot that is needed.
        """
        if core.restore is not None:
            if core.durable_commit_index < core.restore.index:
                return
            self._restore(core, core.restore)
        if self.machine.applied >= core.durable_commit_index:
            return
        while self.machine.applied < core.durable_commit_index:
            first = LogIndex(self.machine.applied + 1)
            entries = core.committed(first)
            if entries is None:
                entries = self._disk.read(first, core.durable_commit_index, _READ_BYTES_MAX)
            for entry in entries:
                self._apply_one(entry)
        if self._plan.durable_state and self._rng.random() < 0.3:
            self._durable = self.machine.copy()
        if self._rng.random() < 0.1:
            self.protected = self.machine.applied
            core.protect(self.protected)
        self._serve_reads()

    def capture(self, core: RaftCore, *, wanted: bool) -> tuple[Base, bytes] | None:
        """A snapshot to be stored, if one is due; say `captured` afterwards."""
        if not self._plan.snapshot_entries or self._capturing or core.restore is not None:
            return None
        newest = self._disk.newest()
        known = max(0 if newest is None else newest.index, core.log.base.index)
        due = 1 if wanted else self._plan.snapshot_entries
        if self.machine.applied - known < due or core.log.last_index < self.machine.applied:
            return None
        self._capturing = True
        return core.position(self.machine.applied), self.machine.encode()

    def captured(self, core: RaftCore, snapshot: Snapshot) -> None:
        """It is stored: the log may be compacted."""
        self._capturing = False
        self._world.note("snapshot made", self._node, snapshot.index)
        self._judge.captured(self._node, snapshot)
        core.snapshot_made(snapshot)
        core.compact(LogIndex(max(0, snapshot.index - self._plan.trailing_entries)))

    def _apply_one(self, entry: Entry) -> None:
        self._judge.applied(self._node, entry)
        result = self.machine.apply(entry)
        waiting = self._proposals.pop(entry.index, None)
        if waiting is not None:
            term, settled = waiting
            if term == entry.term:
                settled("committed", result)
            else:
                settled("rejected", entry.leader)

    def _restore(self, core: RaftCore, snapshot: Snapshot) -> None:
        data = self._disk.read_snapshot(snapshot)
        if data is None:
            stored = self._disk.has_snapshot(snapshot)
            ensure(stored, "only whole snapshots are installed", f"{self._node}: {snapshot}")
            raise LostStateError
        self._world.note("state restored", self._node, snapshot.index)
        ensure(
            snapshot.index > self.machine.applied,
            "snapshots are newer than the state",
            f"{self._node} goes back from {self.machine.applied} to {snapshot.index}",
        )
        self._judge.captured(self._node, snapshot)
        self.machine = Machine.decode(data, snapshot.index)
        if self._plan.durable_state:
            self._durable = self.machine.copy()
        core.restored(snapshot)
        for index in [index for index in self._proposals if index <= snapshot.index]:
            self._proposals.pop(index)[1]("unknown", None)
        self._serve_reads()

    def _serve_reads(self) -> None:
        applied = self.machine.applied
        if any(index <= applied for index, _ in self._reading):
            served = [answered for index, answered in self._reading if index <= applied]
            self._reading = [item for item in self._reading if item[0] > applied]
            for answered in served:
                answered(self.machine)
