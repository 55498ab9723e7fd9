"""One simulated node: a real `RaftCore`, and around it what a driver does, in virtual time.

Owns a process: it starts, is killed, is paused and goes on. Its jobs are in `tests.sim.stores`, its
state machine in `tests.sim.state`, what survives it in `tests.sim.disk`. Only the core is under
test; the real driver has tests of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from consensus import codec
from consensus.config import RaftConfig
from consensus.core import RaftCore
from consensus.errors import NotLeaderError, ProposalError, ReadError, SnapshotError
from consensus.messages import Message
from consensus.snapshot import Snapshot
from consensus.types import NodeId, Role
from tests.sim.authority import Authority
from tests.sim.clock import Clock
from tests.sim.disk import DamagedError, Disk
from tests.sim.machine import Request
from tests.sim.network import Network
from tests.sim.plan import Plan
from tests.sim.record import shown
from tests.sim.state import Answered, ApplyJudge, LostStateError, Settled, State
from tests.sim.stores import Stores
from tests.sim.world import World

_REPAIR_MS = 500


class Judge(ApplyJudge, Protocol):
    """Sees everything."""

    def sent(self, node: SimNode, to: NodeId, message: Message) -> None:
        """A message is about to leave."""

    def turned(self, node: SimNode, core: RaftCore) -> None:
        """The core has taken something in."""

    def stopped(self, node: SimNode) -> None:
        """The process is gone."""


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
        self.core: RaftCore | None = None
        self.life = 0
        """Counts starts and ends; what was scheduled in another life is void."""
        self.paused = False
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
        self._stores: Stores | None = None
        self._mail: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._turn_due = False
        self._ticks_missed = 0
        self._before = Role.FOLLOWER, 0
        """Role and commit index after the last turn."""

    # --- The process ---------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether it believes so."""
        return self.core is not None and self.core.role is Role.LEADER

    def start(self) -> None:
        """Start the process, from what the disk holds."""
        if self.core is not None:
            return
        recovered = self.disk.load()
        applied = self.state.begin()
        rng = self._world.stream(f"core {self.id} {self.life}")
        snapshot = self.disk.newest()
        try:
            core = RaftCore(
                self.config,
                recovered,
                self.authority,
                rng,
                applied,
                self.state.protected,
                snapshot,
                self.clock.next_life(),
            )
        except SnapshotError:
            self.wipe()  # what people do then
            self.start()
            return
        self.life += 1
        self.core = core
        self._before = core.role, core.commit_index
        self._world.note("start", self.id, "suspect" if core.suspect else "")
        self._stores = Stores(
            core,
            self.disk,
            self._plan,
            self._world,
            self._rng,
            report=self._input,
            captured=self._captured,
            failed=self._fail,
            on_write=self._write_begins,
            hangs=lambda: self.disk_hangs,
        )
        self._stores.calm = self.calm
        self._world.later(self._rng.random() * self._plan.tick_ms, self._tick, self.life)
        self._pump(core)

    def crash(self) -> None:
        """Power off, now."""
        if self.core is None:
            return
        self._world.note("crash", self.id)
        self.life += 1
        self.core = None
        self.paused = self._turn_due = False
        self._ticks_missed = 0
        self._mail.clear()
        assert self._stores is not None
        self._stores.cut_power()
        self._judge.stopped(self)
        self.state.end()

    def wipe(self) -> None:
        """The disk is replaced by an empty one, and people say that the node is not new."""
        self.crash()
        self._world.note("wipe", self.id)
        self.disk.replace()
        self.state.wipe()

    def settle_down(self) -> None:
        """Nothing goes wrong here from now on."""
        self.calm = True
        self.authority.share = 0.0
        if self._stores is not None:
            self._stores.calm = True

    def pause(self) -> None:
        """Stop the process; its disk and its clock go on."""
        if self.core is not None and not self.paused:
            self._world.note("pause", self.id)
            self.paused = True

    def resume(self) -> None:
        """Let it go on: mail has queued, and ticks were missed."""
        core = self.core
        if not self.paused or core is None:
            return
        self._world.note("resume", self.id)
        self.paused = False
        ticks = min(self._ticks_missed, self.config.catch_up_ticks_max)
        self._ticks_missed = 0
        if self._rng.random() < 0.5:  # clients and members have sockets of their own
            mail = sorted(self._mail, key=lambda item: item[0] == self._step)
            self._mail = deque(mail)
        if self._rng.random() < 0.5:
            self._read_mail(core)
        for _ in range(ticks):
            core.tick()
        self._read_mail(core)
        if self.core is core:
            self._pump(core)

    def _tick(self, life: int) -> None:
        core = self.core
        if life != self.life or core is None:
            return
        self._world.later(self.clock.tick_after_ms(), self._tick, life)
        if self.paused:
            self._ticks_missed += 1
        else:
            core.tick()
            self._pump(core)

    # --- Input ---------------------------------------------------------------------------------

    def deliver(self, sender: NodeId, data: bytes) -> None:
        """A message arrives."""
        self._input(self._step, sender, data)

    def propose(self, request: Request, settled: Settled) -> None:
        """A client asks for a change."""
        if self.core is None:
            settled("rejected", None)
        else:
            self._input(self._propose, request, settled)

    def read(self, answered: Answered) -> None:
        """A client asks for the state."""
        if self.core is None:
            answered(None)
        else:
            self._input(self._read, answered)

    def ask(self, action: Callable[[RaftCore], None]) -> None:
        """An operator asks for something."""
        if self.core is not None:
            self._input(action, self.core)

    def _input(self, action: Callable[..., None], *arguments: object) -> None:
        core = self.core
        if core is None:
            return
        if self.paused or self._plan.turn_ms:
            self._mail.append((action, arguments))
            if not self.paused and not self._turn_due:
                self._turn_due = True
                self._world.later(self._plan.turn_ms, self._turn, self.life)
        else:
            action(*arguments)
            self._pump(core)

    def _turn(self, life: int) -> None:
        core = self.core
        if life != self.life or core is None:
            return
        self._turn_due = False
        if not self.paused:
            self._read_mail(core)
            self._pump(core)

    def _read_mail(self, core: RaftCore) -> None:
        while self._mail and self.core is core:
            action, arguments = self._mail.popleft()
            action(*arguments)

    def _step(self, sender: NodeId, data: bytes) -> None:
        assert self.core is not None
        self.core.step(sender, codec.decode(data, sender, self.config))

    def _propose(self, request: Request, settled: Settled) -> None:
        core = self.core
        assert core is not None
        try:
            index = core.propose(request.encode(), core.term)
        except NotLeaderError as error:
            settled("rejected", error.leader)
        except ProposalError:
            settled("rejected", self.id)
        else:
            self.state.proposed(index, core.term, settled)

    def _read(self, answered: Answered) -> None:
        core = self.core
        assert core is not None
        ticket = self.state.asked(answered)
        try:
            core.read_index(ticket, self.clock.now_ms())
        except ReadError:
            self.state.unasked(ticket)

    # --- Output --------------------------------------------------------------------------------

    def _pump(self, core: RaftCore) -> None:
        """Carry out what the core wants, and have everything looked at."""
        ready = core.ready(self.clock.now_ms())
        for to, message in ready.messages:
            self._judge.sent(self, to, message)
            if self._world.tail is not None:
                self._world.say(self.id, "->", to, shown(message))
            self._network.send(self.id, to, codec.encode(message))
        self._judge.turned(self, core)
        assert self._stores is not None
        self._stores.take(ready)
        try:
            self.state.apply(core)
        except DamagedError as error:
            self._fail(error)
            return
        except LostStateError:
            self.wipe()  # what people do then
            self._world.later(_REPAIR_MS, self.start)
            return
        self.state.answer(ready.reads)
        image = self.state.capture(core, wanted=ready.snapshot_wanted)
        if image is not None:
            self._stores.capture(*image)
        before, self._before = self._before, (core.role, core.commit_index)
        if before != self._before:
            self.on_turn(self, *before)

    def _fail(self, error: Exception) -> None:
        """A process that finds its disk damaged stops; somebody starts it again."""
        self._world.note("damage found", self.id, error)
        self.crash()
        self._world.later(_REPAIR_MS, self.start)

    def _captured(self, snapshot: Snapshot) -> None:
        assert self.core is not None
        self.state.captured(self.core, snapshot)

    def _write_begins(self, duration_ms: float) -> None:
        self.on_write(self, duration_ms)
