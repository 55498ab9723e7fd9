"""A whole cluster in one process and one thread, and the two parts of its run.

In the first part nothing bad is left out, and nothing may be lost. In the second a core is healed,
and life must come back within a bound: a leader, a commit, the end of a change of members, and
everybody in touch caught up. All of `consensus` but its stores is real; the seed decides the rest.
"""

from __future__ import annotations

from consensus.config import RaftConfig
from consensus.membership import Membership
from consensus.types import NodeId
from tests.sim.chaos import Chaos
from tests.sim.checker import Checker
from tests.sim.clients import SET, Client, History
from tests.sim.damage import Atlas
from tests.sim.disk import Disk, founded
from tests.sim.linearizability import Action, Operation, check_registers, check_set
from tests.sim.machine import Machine, Request, Value
from tests.sim.network import Network
from tests.sim.node import SimNode
from tests.sim.operators import Operators
from tests.sim.plan import Plan
from tests.sim.violation import Violation, ensure
from tests.sim.world import World

_RECOVERY_TIMEOUTS = 60
"""Election timeouts within which a healed core must be well again."""
_QUIET_TIMEOUTS = 4
_LOOK_MS = 100


class Cluster:
    """One run."""

    def __init__(self, plan: Plan, *, tail: int = 0) -> None:
        self.plan = plan
        self.world = World(plan.seed, tail=tail)
        self.history = History()
        self.checker = Checker(self.world)
        self.network = Network(self.world, plan, self._deliver)
        count = plan.voters + plan.learners + plan.spares
        names = [NodeId(number) for number in range(count)]
        founders = Membership(
            tuple(names[: plan.voters]),
            (),
            tuple(names[plan.voters : plan.voters + plan.learners]),
        )
        rng = self.world.stream("priorities")
        self.nodes = [
            SimNode(
                self._config(name, founders, rng.randrange(3) if plan.priorities else 0),
                plan,
                self.world,
                self.network,
                self.checker,
                Disk(founded(name, founders)),
            )
            for name in names
        ]
        self.checker.nodes = self.nodes
        self.atlas = Atlas(self.nodes, self.checker, founders)
        self.chaos = Chaos(self.world, plan, self.nodes, self.network, self.atlas)
        self.clients = [
            Client(
                number + 1,
                plan,
                self.world,
                self.nodes,
                self.history,
                reads_only=number >= plan.clients,
            )
            for number in range(plan.clients + plan.readers)
        ]
        self.operators = Operators(
            plan, self.world, self.nodes, self.atlas, self.chaos.isolate, self.chaos.heir_away
        )
        for node in self.nodes:
            node.start()

    def run(self) -> None:
        """Both parts, and the verdict on what the clients saw.

        Raises:
            Violation: when something did not hold.
        """
        self._suffer()
        self.operators.stopped = True
        core = self.chaos.heal()
        self._recover(core)
        self._stay_well()
        self._read_everything()
        for client in self.clients:
            client.close()
        self.judge()

    def close(self) -> None:
        """End all processes, so that nothing of a run is left to the next one."""
        for node in self.nodes:
            node.crash()

    def judge(self) -> None:
        """Whether the history is linearizable."""
        operations = self.history.operations
        found = check_registers(operation for operation in operations if operation.key != SET)
        found += check_set([operation for operation in operations if operation.key == SET])
        ensure(not found, "linearizability", "; ".join(found))

    def _config(self, name: NodeId, founders: Membership, priority: int) -> RaftConfig:
        plan = self.plan
        return RaftConfig(
            node=name,
            voters=founders.voters if name in founders.members else (),
            priority=priority,
            liars_max=(len(founders.voters) - 1) // 3,
            tick_ms=plan.tick_ms,
            election_ticks=plan.election_ticks,
            heartbeat_ticks=plan.heartbeat_ticks,
            disk_stall_ticks=2 * plan.election_ticks,
            catch_up_ticks_max=plan.election_ticks - 1 if plan.sleepy else plan.election_ticks // 2,
            window_messages=plan.window_messages,
            window_bytes=65_536,
            message_bytes_max=4_096,
            message_entries_max=plan.message_entries,
            payload_bytes_max=2_048,
            uncommitted_entries_max=30,
            uncommitted_bytes_max=65_536,
            unstable_bytes_max=65_536,
            tail_bytes_max=plan.tail_bytes,
            apply_entries_max=4,
            lease_reads=plan.lease_reads,
            chunk_bytes=plan.chunk_bytes,
            snapshot_entries=plan.snapshot_entries or 1_000_000,
            trailing_entries=plan.trailing_entries,
        )

    def _deliver(self, sender: NodeId, to: NodeId, data: bytes) -> None:
        self.nodes[to].deliver(sender, data)

    def _suffer(self) -> None:
        """The first part. It may end early, just when a change of members is committed."""
        plan, world = self.plan, self.world
        if world.stream("end").random() < plan.end_on_change:
            world.run(plan.duration_ms * 0.6)
            before = self.checker.membership
            while world.now_ms < plan.duration_ms and self.checker.membership == before:
                world.run(world.now_ms + 20)
        else:
            world.run(plan.duration_ms)

    # --- The second part -----------------------------------------------------------------------

    def _recover(self, core: list[SimNode]) -> None:
        timeout_ms = self.plan.election_ticks * self.plan.tick_ms
        began_ms = self.world.now_ms
        until_ms = began_ms + _RECOVERY_TIMEOUTS * timeout_ms
        probe = _Probe()
        complaint = "time is too short"
        while self.world.now_ms < until_ms:
            self.world.run(self.world.now_ms + _LOOK_MS)
            complaint = self._complaint(core, probe)
            if not complaint:
                self.world.counts["recovery ms"] += int(self.world.now_ms - began_ms)
                return
        raise Violation("liveness", complaint)

    def _stay_well(self) -> None:
        """Where nothing goes wrong, nobody is elected any more."""
        timeout_ms = self.plan.election_ticks * self.plan.tick_ms
        self.world.run(self.world.now_ms + _QUIET_TIMEOUTS * timeout_ms)  # a last one may be due
        before = self.world.counts["elected"]
        self.world.run(self.world.now_ms + _QUIET_TIMEOUTS * timeout_ms)
        elections = self.world.counts["elected"] - before
        ensure(elections == 0 or self.chaos.noisy, "stability", f"{elections} more elections")

    def _complaint(self, core: list[SimNode], probe: _Probe) -> str:
        """What is still missing; empty when all is well."""
        leader = self._leader()
        if leader is None or leader.core is None:
            return "nobody leads"
        raft = leader.core
        if raft.membership.joint or raft.membership_index > raft.commit_index:
            return f"the change to {raft.membership} is not finished"
        if not probe.committed:
            return probe.make(leader)
        cut = self.network.cut
        for node in core:
            if (leader.id, node.id) in cut or (node.id, leader.id) in cut:
                continue
            if node.id in raft.membership.members:
                if node.core is None or node.core.suspect:
                    return f"{node.id} is {'suspect' if node.core else 'down'}"
                if node.state.machine.applied < probe.index:
                    return f"{node.id} applied {node.state.machine.applied} of {probe.index}"
        return ""

    def _leader(self) -> SimNode | None:
        """Who leads, and may answer reads."""
        best: SimNode | None = None
        term = 0
        for node in self.nodes:
            if node.core is not None and node.core.leads_safely and node.core.term > term:
                best, term = node, node.core.term
        return best

    def _read_everything(self) -> None:
        """A last look at all keys, so that nothing that was lost stays unseen."""
        operations = self.history.operations
        for key in [SET, *(f"r{number}" for number in range(self.plan.keys))]:
            call = self.history.moment()
            seen: list[Value | tuple[int, ...]] = []

            def take(machine: Machine | None, key: str = key, seen: list[object] = seen) -> None:  # type: ignore[assignment]
                if machine is not None:
                    seen.append(machine.read(key))

            for _ in range(100):
                leader = self._leader()
                if leader is not None:
                    leader.read(take)
                self.world.run(self.world.now_ms + _LOOK_MS)
                if seen:
                    break
            ensure(bool(seen), "liveness", f"nobody answers a read of {key}")
            operations.append(
                Operation(key, Action.READ, call, self.history.moment(), result=seen[0])
            )


class _Probe:
    """A proposal that must be committed in the end; made again when another node leads."""

    def __init__(self) -> None:
        self.committed = False
        self.index = 0
        self._asked: tuple[NodeId, int] | None = None

    def make(self, leader: SimNode) -> str:
        """Propose, if this leader was not asked yet; what is missing."""
        assert leader.core is not None
        asked = (leader.id, leader.core.term)

        def settled(outcome: str, _: object) -> None:
            if outcome == "committed":
                self.committed = True
                self.index = leader.state.machine.applied
            elif self._asked == asked:
                self._asked = None

        if self._asked != asked:
            self._asked = asked
            leader.propose(Request(0, 0, Action.WRITE.value, "probe", None, None), settled)
        return "" if self.committed else "a proposal is not committed"
