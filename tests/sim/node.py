"""One simulated node: the real `RaftNode`, as a process in virtual time.

Owns the process: it starts, is killed, is stopped and goes on, fails, ends itself, and is started
again. Its loop is in `tests.sim.loop`, its stores in `tests.sim.stores`, its state machine in
`tests.sim.state`, what survives it in `tests.sim.disk`. Everything of `consensus` is under test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from typing_extensions import override

import consensus
from consensus import codec
from consensus.config import RaftConfig
from consensus.core.raft import RaftCore
from consensus.driver.node import RaftNode
from consensus.errors import ReadError, SnapshotError, StoppedError
from consensus.messages import AppendResponse, HeartbeatResponse, Message, VoteResponse
from consensus.outcomes import Committed, Outcome, Rejected, Unknown
from consensus.ports import Life
from consensus.snapshot import Snapshot
from consensus.types import LogIndex, NodeId, Role
from tests.sim.authority import Authority
from tests.sim.clock import Clock
from tests.sim.disk import DamagedError, Disk
from tests.sim.loop import VirtualLoop
from tests.sim.machine import Machine, Request, Value
from tests.sim.network import Network
from tests.sim.plan import Plan
from tests.sim.record import shown
from tests.sim.state import ApplyJudge, State, StateError
from tests.sim.stores import StoreError, Stores
from tests.sim.violation import ensure
from tests.sim.world import World

_PACKAGE = Path(consensus.__file__).parent
_REPAIR_MS = 500
_NOTICE_MS = 5
Settled: TypeAlias = Callable[[str, "NodeId | Value"], None]
"""Hears `committed` with the result, `rejected` with a hint at the leader, or `unknown`."""
Answered: TypeAlias = Callable[["Machine | None"], None]
"""Hears the state that may be read now, or that it may not."""


class Judge(ApplyJudge, Protocol):
    """Sees everything."""

    def sent(self, node: SimNode, to: NodeId, message: Message) -> None:
        """A message is about to leave."""

    def turned(self, node: SimNode, core: RaftCore) -> None:
        """The core has taken something in."""

    def changed(self, node: SimNode, outcome: Committed, members: Sequence[set[NodeId]]) -> None:
        """An operator was told that these are the voters and learners."""

    def stopped(self, node: SimNode) -> None:
        """The process is gone."""


class Watched(RaftNode):
    """The node under test, looked at in each turn."""

    look: Callable[[RaftCore], None]

    @override
    def _carry_out(self, core: RaftCore) -> None:
        super()._carry_out(core)
        self.look(core)


class SimNode:
    """A member, or who may become one."""

    def __init__(
        self,
        config: RaftConfig,
        plan: Plan,
        world: World,
        network: Network,
        judge: Judge,
        disk: Disk,
    ) -> None:
        self.id = config.node
        self.config = config
        self.disk = disk
        self.life = 0
        """Counts starts and ends; what was scheduled in another life is void."""
        self.calm = False
        """Nothing goes wrong here any more."""
        self.disk_hangs = False
        """Nothing that its disk begins from now on will end."""
        self.on_turn: Callable[[SimNode, Role, int], None] = lambda *_: None
        """Hears of a new role or commit index, with those before."""
        self.on_write: Callable[[SimNode, float], None] = lambda *_: None
        """Hears of a write that takes so many milliseconds from now."""
        self._plan = plan
        self._world = world
        self._network = network
        self._judge = judge
        self._rng = world.stream(f"node {self.id}")
        self.clock = Clock(plan, world, self._rng)
        self.authority = Authority(plan.refuse, self._rng, world)
        self.state = State(self.id, disk, plan, world, self._rng, judge)
        self.state.look = self._look
        self.state.protect = self._protect
        self.state.must_fail = self.must_fail
        self._stores: Stores | None = None
        self._loop: VirtualLoop | None = None
        """None: the process is gone."""
        self._raft: Watched | None = None
        """None: the process is gone, or has not begun."""
        self._up = False
        """It started, and has neither failed nor stopped."""
        self._reasons: list[str] = []
        """To fail, in this life."""
        self._pending: dict[int, Callable[[], None]] = {}
        """What the end of the process means for who waits for it."""
        self._waiters = 0
        self._before = Role.FOLLOWER, 0
        """Role and commit index after the last turn."""

    # --- The process ---------------------------------------------------------------------------

    @property
    def core(self) -> RaftCore | None:
        """Of a node that runs."""
        return self._raft._core if self._up and self._raft is not None else None

    @property
    def leads(self) -> bool:
        """Whether it believes so."""
        core = self.core
        return core is not None and core.role is Role.LEADER

    def start(self) -> None:
        """Start the process, from what the disk holds."""
        if self._loop is not None:
            if self._up or self._raft is None or not self._raft.failed.done():
                return
            self.crash()
        self.life += 1
        self._reasons = []
        self.state.begin()
        loop = self._loop = VirtualLoop(  # type: ignore[abstract]
            self._world, self.clock, self._rng, self._plan.turn_ms
        )
        loop.calm = self.calm
        self._stores = Stores(self.disk, self._plan, self._world, self._rng, loop, self)
        loop.post(self._begin)

    def _begin(self) -> None:
        assert self._loop is not None
        raft = self._raft = Watched(
            self.config,
            self._stores,  # type: ignore[arg-type]
            self,
            self.state,
            self.authority,
            lambda _: None,
            self._stores if self._plan.snapshot_entries else None,
            Life(
                rng=self._world.stream(f"core {self.id} {self.life}"),
                number=self.clock.next_life(),
                secret=b"secret of %d" % self.id,
            ),
        )
        raft.look = self._turned
        raft.protect(self.state.protected)
        raft.failed.add_done_callback(self._failed)
        self._loop.create_task(self._start(raft))

    async def _start(self, raft: Watched) -> None:
        try:
            await raft.start()
        except SnapshotError:
            self._world.later(0, self._replace, self.life)  # what people do then
            return
        except (StoreError, DamagedError, asyncio.CancelledError):
            self._world.note("start failed", self.id)
            self._world.later(0, self._end_failed, self.life)
            return
        core = raft._core
        assert core is not None
        self._before = core.role, core.commit_index
        self._up = True
        self._world.note("start", self.id, "suspect" if core.suspect else "")

    def crash(self) -> None:
        """Power off, now."""
        if self._loop is None:
            return
        self._world.note("crash", self.id)
        self._end()

    def _end(self) -> None:
        assert self._loop is not None
        assert self._stores is not None
        loop, self._loop, self._raft = self._loop, None, None
        self.life += 1
        self._up = False
        loop.kill()
        self._stores.cut_power()
        self._judge.stopped(self)
        pending, self._pending = self._pending, {}
        for tell in pending.values():
            tell()

    def wipe(self) -> None:
        """The disk is replaced by an empty one, and people say that the node is not new."""
        self.crash()
        self._world.note("wipe", self.id)
        self.disk.replace()
        self.state.wipe()

    def _replace(self, life: int) -> None:
        if self.life == life:
            self.wipe()
            self._world.later(_REPAIR_MS, self.start)

    def settle_down(self) -> None:
        """Nothing goes wrong here from now on."""
        self.calm = self.state.calm = True
        self.authority.share = 0.0
        if self._loop is not None:
            self._loop.calm = True

    def pause(self) -> None:
        """Stop the process; its disk and its clock go on."""
        if self._loop is not None and not self._loop.stopped:
            self._world.note("pause", self.id)
            self._loop.stop_process()

    def resume(self) -> None:
        """Let it go on."""
        if self._loop is not None and self._loop.stopped:
            self._world.note("resume", self.id)
            self._loop.continue_process()

    # --- Its ends ------------------------------------------------------------------------------

    def must_fail(self, why: str) -> None:
        """It was given a reason to end: it must not go on as if nothing had been."""
        self._reasons.append(why)
        self._world.later(_NOTICE_MS + 20 * self._plan.turn_ms, self._has_failed, self.life, why)

    def _has_failed(self, life: int, why: str) -> None:
        if life != self.life or self._loop is None:
            return
        if self._loop.stopped:
            self._world.later(_NOTICE_MS + 20 * self._plan.turn_ms, self._has_failed, life, why)
        else:
            ensure(not self._up, "a fault fails the node", f"{self.id} goes on after {why}")

    def _failed(self, failed: asyncio.Future[None]) -> None:
        """The embedder hears that it must end the process."""
        self._up = False
        error = failed.exception()
        lost = isinstance(error, SnapshotError)
        expected = lost or isinstance(error, DamagedError | StoreError | StateError)
        if not expected and not self._reasons:
            with self._world.judging:
                raise AssertionError(f"{self.id} failed") from error
        self._world.note("lost state" if lost else "failed", self.id, error)
        if lost:
            self._world.later(0, self._replace, self.life)
            return
        self._world.later(self._rng.random() * 20, self._end_failed, self.life)

    def _end_failed(self, life: int) -> None:
        if self.life == life and self._loop is not None:
            self._end()
            self._world.later(0 if self.calm else _REPAIR_MS, self.start)

    def cancel_something(self) -> None:
        """A library, or somebody in this process, cancels a task of the node."""
        loop, raft = self._loop, self._raft
        if loop is None or raft is None or not self._up or loop.stopped:
            return
        tasks = [task for task in loop.unfinished() if _is_of_the_node(task)]
        if tasks:
            task = self._rng.choice(tasks)
            self._world.note("task cancelled", self.id)
            self.must_fail("a cancelled task")
            loop.post(task.cancel)

    def shut_down(self, *, cancelled_after_ms: float | None, down_ms: float) -> None:
        """End the process in good order; somebody may not have the patience for that."""
        if self._loop is not None and self._up:
            self._loop.post(self._shut_down, cancelled_after_ms, down_ms)

    def _shut_down(self, cancelled_after_ms: float | None, down_ms: float) -> None:
        raft = self._raft
        if raft is None or self._loop is None or not self._up:
            return
        task = self._loop.create_task(self._stop(raft, down_ms))
        if cancelled_after_ms is not None:
            self._loop.call_later(cancelled_after_ms / 1_000, task.cancel)

    async def _stop(self, raft: Watched, down_ms: float) -> None:
        self._world.note("stop", self.id)
        hand_over = self._rng.random() < 0.7
        try:
            await raft.stop(hand_over=hand_over)
        except asyncio.CancelledError:
            self._world.note("stop cancelled", self.id)
            self._up = False
            with self._world.judging:
                await self._is_silent(raft)
            await raft.stop()
        self._up = False
        assert self._stores is not None
        self._stores.closed = True
        with self._world.judging:
            await self._is_silent(raft)
        self._world.later(0, self._ended, self.life, down_ms)

    async def _is_silent(self, raft: Watched) -> None:
        outcome = await raft.submit(b"")
        ensure(
            isinstance(outcome, Rejected) and outcome.reason.value == "stopped",
            "a stopped node takes nothing",
            f"{self.id}: {outcome}",
        )

    def _ended(self, life: int, down_ms: float) -> None:
        if self.life == life and self._loop is not None:
            self._end()
            self._world.later(down_ms, self.start)

    # --- Input ---------------------------------------------------------------------------------

    def deliver(self, sender: NodeId, data: bytes) -> None:
        """A message arrives."""
        if self._loop is not None:
            self._loop.post(self._receive, sender, data)

    def _receive(self, sender: NodeId, data: bytes) -> None:
        if self._raft is not None:
            self._raft.receive(sender, data)

    def propose(self, request: Request, settled: Settled) -> None:
        """A client asks for a change."""
        if self.core is None or self._loop is None:
            settled("rejected", None)
            return
        number = self._await(lambda: settled("unknown", None))
        self._loop.post(self._submit, request, number, settled)

    def _submit(self, request: Request, number: int, settled: Settled) -> None:
        raft = self._raft
        assert raft is not None
        if self._rng.random() < 0.2:
            self._run(self._execute(raft, request, number, settled))
        else:
            future = raft.submit(request.encode())
            future.add_done_callback(lambda done: self._settle(number, done.result(), settled))

    async def _execute(
        self, raft: Watched, request: Request, number: int, settled: Settled
    ) -> None:
        core = raft._core
        assert core is not None
        place = LogIndex(core.log.last_index + 1), core.term
        outcome = await raft.execute(request.encode(), self._rng.choice([0.0, 0.05, 0.5, 5.0]))
        if isinstance(outcome, Unknown | Committed):
            with self._world.judging:
                told = outcome.index, outcome.term
                ensure(told == place, "an outcome names its entry", f"{told}, and it is {place}")
        self._settle(number, outcome, settled)

    def _settle(self, number: int, outcome: Outcome, settled: Settled) -> None:
        if self._pending.pop(number, None) is None:
            return
        match outcome:
            case Committed():
                settled("committed", outcome.result)  # type: ignore[arg-type]
            case Rejected():
                settled("rejected", outcome.leader)
            case _:
                settled("unknown", None)

    def read(self, answered: Answered) -> None:
        """A client asks for the state."""
        if self.core is None or self._loop is None:
            answered(None)
            return
        number = self._await(lambda: answered(None))
        self._loop.post(self._begin_read, number, answered)

    def _begin_read(self, number: int, answered: Answered) -> None:
        assert self._raft is not None
        self._run(self._read(self._raft, number, answered))

    async def _read(self, raft: Watched, number: int, answered: Answered) -> None:
        machine: Machine | None = None
        try:
            await raft.read_index()
            machine = self.state.machine
        except (ReadError, StoppedError):
            pass
        if self._pending.pop(number, None) is not None:
            answered(machine)

    def change(self, voters: set[NodeId], learners: set[NodeId]) -> None:
        """An operator wants other members."""
        self._ask(lambda raft: self._change(raft, voters, learners))

    async def _change(self, raft: Watched, voters: set[NodeId], learners: set[NodeId]) -> None:
        outcome = await raft.change_membership(sorted(voters), sorted(learners))
        self._world.say("change:", outcome)
        if isinstance(outcome, Committed):
            # The answer of a store may have committed it just now, before the turn that follows.
            self._look()
            with self._world.judging:
                self._judge.changed(self, outcome, (voters, learners))

    def hand_over(self, to: NodeId | None) -> None:
        """An operator wants another leader."""
        self._ask(lambda raft: self._hand_over(raft, to))

    async def _hand_over(self, raft: Watched, to: NodeId | None) -> None:
        try:
            await raft.transfer_leadership(to)
        except StoppedError:
            return

    def take_snapshot(self) -> None:
        """An operator wants a snapshot; an impatient one gives up waiting for it."""
        self._ask(self._take_snapshot)

    async def _take_snapshot(self, raft: Watched) -> None:
        try:
            async with asyncio.timeout(self._rng.choice([0.001, 0.02, 30])):
                await raft.take_snapshot()
        except (TimeoutError, StoppedError):
            return

    def _ask(self, action: Callable[[Watched], Coroutine[Any, Any, None]]) -> None:
        if self._loop is not None and self._up:
            self._loop.post(self._act, action)

    def _act(self, action: Callable[[Watched], Coroutine[Any, Any, None]]) -> None:
        if self._raft is not None and self._up:
            self._run(action(self._raft))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        self._loop.create_task(work)

    def _await(self, gone: Callable[[], None]) -> int:
        self._waiters += 1
        self._pending[self._waiters] = gone
        return self._waiters

    # --- Output --------------------------------------------------------------------------------

    def send(self, to: NodeId, data: bytes) -> None:
        """The node's `Sender`."""
        with self._world.judging:
            assert self._raft is not None
            ensure(not self._raft.failed.done(), "a failed node is silent", f"{self.id} to {to}")
            message = codec.decode(data, self.id, self.config)
            self._judge.sent(self, to, message)
        if self._world.tail is not None:
            self._world.say(self.id, "->", to, shown(message))
        answer = isinstance(message, VoteResponse | AppendResponse | HeartbeatResponse)
        self._network.send(self.id, to, data, answer=answer)

    def write_begins(self, duration_ms: float) -> None:
        """Its disk begins a write."""
        self.on_write(self, duration_ms)

    def captured(self, snapshot: Snapshot) -> None:
        """A snapshot was made here."""
        self._world.note("snapshot made", self.id, snapshot.index)
        self._judge.captured(self.id, snapshot)

    def _turned(self, core: RaftCore) -> None:
        with self._world.judging:
            self._judge.turned(self, core)
        before, self._before = self._before, (core.role, core.commit_index)
        if before != self._before:
            self.on_turn(self, *before)

    def _look(self) -> None:
        core = self.core
        if core is not None:
            with self._world.judging:
                self._judge.turned(self, core)

    def _protect(self, index: LogIndex) -> None:
        if self._raft is not None:
            self._raft.protect(index)


def _is_of_the_node(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and Path(code.co_filename).is_relative_to(_PACKAGE)
