"""A whole cluster in one thread: virtual clock, unreliable network, disks that forget. Seeded.

Only `RaftCore` is real. Everything else is drawn from one `Random(seed)`, so a seed is a run.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random  # noqa: TID251 - the seeded source of the whole run

from consensus import codec
from consensus.config import RaftConfig
from consensus.core import RaftCore
from consensus.durability import Write
from consensus.errors import WindowFullError
from consensus.messages import Message
from consensus.ports import Admission, AppendBatch, Recovered
from consensus.replication import ReadRequest
from consensus.types import Entry, HardState, LogIndex, NodeId, Role
from tests.sim.checker import Checker

TICK_MS = 50


@dataclass(frozen=True)
class Faults:
    """How bad the world is. Probabilities are per thousand."""

    loss: int = 0
    duplicate: int = 0
    delay_ms_max: int = 5
    disk_ms_max: int = 5
    disk_stall: int = 0
    refuse: int = 0
    crash_every_ms: int = 0
    partition_every_ms: int = 0
    crash_on_election: int = 0
    """A new leader dies within a round trip: logs diverge."""
    crash_on_commit: int = 0
    """A leader dies in the moment in which it commits."""
    election_ticks: int = 10
    message_entries: int = 5
    window_messages: int = 4
    burst: int = 4
    """Up to so many proposals at once."""
    amnesia: bool = False
    """A crash may cost the crashed disk its newest entries, noticed at restart."""

    @classmethod
    def draw(cls, rng: Random, *, amnesia: bool) -> Faults:
        """Some world."""
        return cls(
            loss=rng.choice([0, 10, 50, 200]),
            duplicate=rng.choice([0, 20, 100]),
            delay_ms_max=rng.choice([2, 20, 120]),
            disk_ms_max=rng.choice([1, 10, 60]),
            disk_stall=rng.choice([0, 0, 5]),
            refuse=rng.choice([0, 0, 20]),
            crash_every_ms=rng.choice([0, 400, 1_000, 2_500]),
            partition_every_ms=rng.choice([0, 300, 700, 2_500]),
            crash_on_election=rng.choice([0, 100, 500]),
            crash_on_commit=rng.choice([0, 10, 200]),
            election_ticks=rng.choice([4, 10]),
            message_entries=rng.choice([1, 1, 2, 5]),
            window_messages=rng.choice([1, 2, 4]),
            burst=rng.choice([2, 4, 12]),
            amnesia=amnesia,
        )


@dataclass
class Disk:
    """What survives a crash."""

    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    suspect: bool = False

    def write(self, batch: AppendBatch) -> None:
        """Make a batch durable, all of it."""
        if batch.entries:
            first = batch.entries[0].index
            assert first <= len(self.entries) + 1, "a gap on disk"
            del self.entries[first - 1 :]
            self.entries.extend(batch.entries)
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.caught_up:
            self.suspect = False

    def has(self, index: int, entry_hash: bytes) -> bool:
        """Whether that entry is durable here."""
        return index <= len(self.entries) and self.entries[index - 1].hash == entry_hash


class SimAuthority:
    """Attests with a digest; refuses some entries for now."""

    def __init__(self, rng: Random, refuse: Callable[[], int]) -> None:
        self._rng = rng
        self._refuse = refuse

    def attest(self, header: bytes) -> bytes:
        return hashlib.sha256(b"attested" + header).digest()

    def admit(self, entry: Entry) -> Admission:
        assert entry.attestation == hashlib.sha256(b"attested" + entry.header).digest()
        if self._rng.randrange(1_000) < self._refuse():
            return Admission.REFUSE
        return Admission.ACCEPT


class SimNode:
    """One voter: a core when it runs, a disk always."""

    def __init__(self, node: NodeId) -> None:
        self.id = node
        self.disk = Disk()
        self.core: RaftCore | None = None
        self.life = 0
        """Counts starts; what was scheduled in an earlier life is void."""
        self.write: Write | None = None
        self.applied = LogIndex(0)
        self.applied_durable = LogIndex(0)
        self.protected = LogIndex(0)


class Cluster:
    """The world."""

    def __init__(self, voters: int, seed: int, faults: Faults) -> None:
        self.rng = Random(seed)
        self.now_ms = 0
        self.faults = faults
        self.nodes = [SimNode(NodeId(number)) for number in range(voters)]
        self.checker = Checker(self.nodes, durable_quorum=not faults.amnesia)
        self.trace = hashlib.sha256()
        self._cut: set[tuple[NodeId, NodeId]] = set()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._proposals = itertools.count()
        for node in self.nodes:
            self._start(node)
        self._every(lambda: 40, self._propose)
        if faults.crash_every_ms:
            self._every(lambda: self.faults.crash_every_ms, self._crash_some)
        if faults.partition_every_ms:
            self._every(lambda: self.faults.partition_every_ms, self._repartition)

    # --- Running -------------------------------------------------------------------------------

    def run(self, duration_ms: int) -> None:
        """Let time pass."""
        end = self.now_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
        self.now_ms = end

    def heal(self) -> None:
        """No more faults; every node runs."""
        self.faults = replace(
            Faults(),
            election_ticks=self.faults.election_ticks,
            message_entries=self.faults.message_entries,
            window_messages=self.faults.window_messages,
        )
        self._cut.clear()
        for node in self.nodes:
            if node.core is None:
                self._start(node)

    def committed_count(self) -> int:
        """Entries known to be committed."""
        return len(self.checker.committed)

    def leader(self) -> SimNode | None:
        """The leader of the highest term, if there is one."""
        leaders = [n for n in self.nodes if n.core is not None and n.core.role is Role.LEADER]
        return max(leaders, key=lambda n: n.core.term if n.core else 0, default=None)

    @contextmanager
    def inside(self, node: SimNode) -> Iterator[RaftCore]:
        """Give input to a core, then carry out what it wants and check everything."""
        core = node.core
        assert core is not None
        role, commit = core.role, core.commit_index
        yield core
        self._pump(node, core)
        if core.role is Role.LEADER:
            if role is not Role.LEADER and self._strikes(self.faults.crash_on_election):
                self._crash_for_a_while(node, self.rng.randrange(2 * self.faults.delay_ms_max))
            if commit != core.commit_index and self._strikes(self.faults.crash_on_commit):
                self._crash_for_a_while(node, 0)

    def crash(self, node: SimNode) -> None:
        """Power off, now; a write under way may or may not have reached the disk."""
        if node.core is None:
            return
        if node.write is not None and self.rng.randrange(2):
            node.disk.write(node.write.batch)
        if self.faults.amnesia and node.disk.entries and self._may_forget(node):
            keep = self.rng.randrange(len(node.disk.entries))
            del node.disk.entries[keep:]
            node.disk.suspect = True
            node.protected = LogIndex(0)
        node.core = node.write = None
        node.life += 1
        self.checker.crashed(node)

    def cut(self, one: int, other: int) -> None:
        """Nothing gets from `one` to `other` any more."""
        self._cut.add((NodeId(one), NodeId(other)))

    # --- One node ------------------------------------------------------------------------------

    def _start(self, node: SimNode) -> None:
        config = RaftConfig(
            node=node.id,
            voters=tuple(n.id for n in self.nodes),
            window_messages=self.faults.window_messages,
            window_bytes=65_536,
            message_bytes_max=4_096,
            message_entries_max=self.faults.message_entries,
            election_ticks=self.faults.election_ticks,
            catch_up_ticks_max=3,
            tail_bytes_max=8_192,
            apply_entries_max=4,
            payload_bytes_max=1_024,
        )
        disk = node.disk
        positions = [(entry.term, entry.hash) for entry in disk.entries]
        node.applied = node.applied_durable
        node.core = RaftCore(
            config,
            Recovered(disk.hard_state, positions, disk.suspect),
            SimAuthority(self.rng, lambda: self.faults.refuse),
            self.rng,
            node.applied,
            node.protected,
        )
        node.life += 1
        self._tick_later(node, self.rng.randrange(TICK_MS))
        self._pump(node, node.core)

    def _tick_later(self, node: SimNode, delay_ms: int) -> None:
        life = node.life

        def tick() -> None:
            if node.life == life:
                with self.inside(node) as core:
                    core.tick()
                self._tick_later(node, TICK_MS - 2 + self.rng.randrange(5))

        self._later(delay_ms, tick)

    def _pump(self, node: SimNode, core: RaftCore) -> None:
        ready = core.ready()
        for to, message in ready.messages:
            self.checker.sent(node, to, message)
            self._send(node.id, to, message)
        if ready.write is not None:
            self._write(node, ready.write)
        for request in ready.reads:
            self._read(node, request)
        self.checker.check(node, core)
        self._apply(node, core)

    def _write(self, node: SimNode, write: Write) -> None:
        assert node.write is None, "one write at a time"
        node.write = write
        life = node.life

        def done() -> None:
            if node.life == life:
                node.write = None
                node.disk.write(write.batch)
                with self.inside(node) as core:
                    core.on_persisted(write.seq)

        stalled = self.rng.randrange(1_000) < self.faults.disk_stall
        self._later(5_000 if stalled else self.rng.randrange(self.faults.disk_ms_max + 1), done)

    def _read(self, node: SimNode, request: ReadRequest) -> None:
        life = node.life

        def done() -> None:
            if node.life == life:
                with self.inside(node) as core:
                    core.on_read(request, node.disk.entries[request.first - 1 : request.last])

        self._later(self.rng.randrange(self.faults.disk_ms_max + 1), done)

    def _apply(self, node: SimNode, core: RaftCore) -> None:
        while node.applied < core.durable_commit_index:
            first = LogIndex(node.applied + 1)
            entries = core.committed(first)
            if entries is None:
                entries = node.disk.entries[first - 1 : core.durable_commit_index]
            assert entries[0].index == first
            self.checker.applied(entries)
            node.applied = entries[-1].index
            if self.rng.randrange(3) == 0:
                node.applied_durable = node.applied
            if self.rng.randrange(5) == 0:
                node.protected = node.applied
                core.protect(node.protected)

    # --- The world around ----------------------------------------------------------------------

    def _send(self, sender: NodeId, to: NodeId, message: Message) -> None:
        data = codec.encode(message)
        self.trace.update(b"%d %d %d " % (self.now_ms, sender, to) + data)
        if (sender, to) in self._cut or self.rng.randrange(1_000) < self.faults.loss:
            return
        copies = 2 if self.rng.randrange(1_000) < self.faults.duplicate else 1
        for _ in range(copies):
            delay = 1 + self.rng.randrange(self.faults.delay_ms_max)
            self._later(delay, lambda: self._deliver(sender, to, data))

    def _deliver(self, sender: NodeId, to: NodeId, data: bytes) -> None:
        node = self.nodes[to]
        if node.core is not None:
            config = RaftConfig(node=to, voters=tuple(n.id for n in self.nodes))
            with self.inside(node) as core:
                core.step(sender, codec.decode(data, sender, config))

    def _propose(self) -> None:
        for node in self.nodes:
            if node.core is None or node.core.role is not Role.LEADER or self.rng.randrange(2):
                continue
            with self.inside(node) as core, suppress(WindowFullError):
                for _ in range(1 + self.rng.randrange(self.faults.burst)):
                    payload = b"%d" % next(self._proposals) + bytes(self.rng.randrange(600))
                    core.propose(payload, core.term)

    def _may_forget(self, node: SimNode) -> bool:
        # At most one disk at a time is untrustworthy, else data may really be gone.
        others = [other for other in self.nodes if other is not node]
        return not any(other.disk.suspect for other in others) and not self.rng.randrange(3)

    def _crash_some(self) -> None:
        if not self.faults.crash_every_ms:
            return
        leader = self.leader()
        unlucky = leader is not None and self.rng.randrange(2)
        victims = [leader if leader and unlucky else self.rng.choice(self.nodes)]
        if self.rng.randrange(8) == 0:
            victims = list(self.nodes)
        for victim in victims:
            self._crash_for_a_while(victim, 0)

    def _strikes(self, chance: int) -> bool:
        return chance > 0 and self.rng.randrange(1_000) < chance

    def _crash_for_a_while(self, node: SimNode, after_ms: int) -> None:
        life = node.life
        down_ms = self.rng.randrange(self.rng.choice([100, 3_000]))

        def down() -> None:
            if node.life == life:
                self.crash(node)

        def up() -> None:
            if node.core is None:
                self._start(node)

        self._later(after_ms, down)
        self._later(after_ms + 1 + down_ms, up)

    def _repartition(self) -> None:
        self._cut.clear()
        kind = self.rng.randrange(5) if self.faults.partition_every_ms else 0
        pairs = [(a.id, b.id) for a in self.nodes for b in self.nodes if a is not b]
        if kind == 1:  # two sides
            side = {node.id for node in self.nodes if self.rng.randrange(2)}
            self._cut.update((a, b) for a, b in pairs if (a in side) != (b in side))
        elif kind == 2:  # one node cannot send, or cannot receive
            alone = (self.leader() or self.rng.choice(self.nodes)).id
            place = self.rng.randrange(2)
            self._cut.update(pair for pair in pairs if pair[place] == alone)
        elif kind == 3:  # the leader alone
            alone = (self.leader() or self.rng.choice(self.nodes)).id
            self._cut.update(pair for pair in pairs if alone in pair)
        elif kind == 4:  # any links, each in one direction
            self._cut.update(pair for pair in pairs if self.rng.randrange(4) == 0)

    def _every(self, interval: Callable[[], int], action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self._every(interval, action)

        base = interval()
        if base:
            self._later(base // 2 + self.rng.randrange(base), again)

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._order), action))
