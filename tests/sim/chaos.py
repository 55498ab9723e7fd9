"""Who brings down nodes and links, and when. Owns the schedule of faults; `Plan` owns their mix.

In the first part of a run anything may happen to any number of nodes; whoever falls gets up again.
For the second part a core is chosen, a quorum or everybody: it is healed, and the rest stays as
broken as it is (`heal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.types import NodeId, Role
from tests.sim.damage import Atlas, strike
from tests.sim.late_answer import LateAnswer
from tests.sim.network import CUTS, Link, Network, draw_cut
from tests.sim.node import SimNode
from tests.sim.plan import Plan
from tests.sim.violation import is_quorum
from tests.sim.world import World


class Chaos:
    """All that goes wrong on purpose, but for the single message and the single write."""

    def __init__(
        self, world: World, plan: Plan, nodes: Sequence[SimNode], network: Network, atlas: Atlas
    ) -> None:
        self.over = False
        self.noisy = False
        """Bad links to the rest remain: a leader need not last."""
        self._world = world
        self._plan = plan
        self._nodes = nodes
        self._network = network
        self._atlas = atlas
        self._rng = world.stream("chaos")
        self._late_answer = LateAnswer(world, plan, nodes, network)
        self._heir: NodeId | None = None
        """Who was named by a leader that died."""
        for node in nodes:
            node.on_turn = self._turned
            node.on_write = self._write_begins
        self._every(plan.crash_every_ms, self._crash_some)
        self._every(plan.pause_every_ms, self._pause_some)
        self._every(plan.partition_every_ms, self._cut_some)
        self._every(plan.doze_every_ms, self._let_doze)
        self._every(plan.late_answer_every_ms, self._let_stray)
        self._every(plan.stop_every_ms, self._stop_some)
        self._every(plan.cancel_every_ms, self._cancel_some)
        self._every(plan.snapshot_every_ms, self._ask_for_snapshot)

    def heal(self) -> list[SimNode]:
        """End it. Choose a core that must live, and repair that; the rest is left as it is."""
        self.over = True
        self._late_answer.end()
        core = self._choose_core()
        names = {node.id for node in core}
        rest = [node.id for node in self._nodes if node.id not in names]
        self._world.note("core", sorted(names), "rest", rest)
        self._leave(sorted(names), rest)
        for node in core:
            node.settle_down()
            node.resume()
            node.start()
        return core

    def _leave(self, names: list[NodeId], rest: list[NodeId]) -> None:
        """Leave the rest broken in one of these ways.

        Cut off; not heard; not hearing; in touch over bad links; fine, but its disks hang; fine,
        but each lacks the link to one of the core.
        """
        shape = self._rng.randrange(6)
        self.noisy = shape == 3 and bool(rest)
        links = [(a, b) for a in rest for b in names]
        if shape == 5:
            links = [(a, self._rng.choice(names)) for a in rest]
        cut = {link for link in links if shape in {0, 1, 5}}
        cut |= {(b, a) for a, b in links if shape in {0, 2, 5}}
        self._network.cut = frozenset(cut)
        self._network.calm = frozenset([*names, *rest] if shape in {4, 5} else names)
        for node in self._nodes:
            if node.id in rest and shape in {4, 5}:
                node.disk_hangs = shape == 4
                if shape == 5:
                    node.settle_down()
                node.resume()
                node.start()

    def isolate(self, node: NodeId) -> None:
        """Cut all links of a node for a while."""
        if self.over:
            return
        self._world.note("cut: at a change of leaders", node)
        before = self._network.cut
        self._network.cut = now = before.union(self._links(node))
        timeout_ms = self._plan.election_ticks * self._plan.tick_ms
        self._world.later(self._rng.random() * 3 * timeout_ms, self._rejoin, now, before)

    def heir_away(self, leader: SimNode, heir: NodeId) -> None:
        """The heir is out of touch, and the leader that has named it dies."""
        if self.over or heir == leader.id:
            return
        self._world.note("heir away", heir)
        self._heir = heir
        self._network.cut = frozenset(self._links(heir))
        self._world.later(self._rng.random() * 4 * self._plan.delay_ms, self._die, leader.id)

    def _die(self, leader: NodeId) -> None:
        node = self._nodes[leader]
        if node.core is not None and not self.over:
            node.crash()
            self._world.later(20, self._up, node)

    def _leads(self, leader: NodeId) -> None:
        """Another leader than before. Who was to lead catches up, and then loses its link to it."""
        timeout_ms = self._plan.election_ticks * self._plan.tick_ms
        self._network.release(timeout_ms)
        heir, self._heir = self._heir, None
        if heir is not None and heir != leader:
            self._network.cut = frozenset()
            after_ms = self._rng.random() * 2 * timeout_ms
            self._world.later(after_ms, self._cut_one_link, leader, heir, 6 * timeout_ms)

    def _cut_one_link(self, leader: NodeId, heir: NodeId, time_ms: float) -> None:
        if self._nodes[leader].leads and not self.over:
            self._world.note("cut: leader and heir", leader, heir)
            self._network.cut = now = frozenset({(leader, heir), (heir, leader)})
            self._world.later(time_ms, self._rejoin, now, frozenset())

    def _links(self, node: NodeId) -> list[Link]:
        others = [other.id for other in self._nodes if other.id != node]
        return [(node, other) for other in others] + [(other, node) for other in others]

    def _rejoin(self, now: frozenset[Link], before: frozenset[Link]) -> None:
        if self._network.cut is now and not self.over:
            self._network.cut = before

    def crash_for_a_while(self, node: SimNode, after_ms: float = 0.0) -> None:
        """Power off, and on again later; what the disk lost meanwhile is drawn."""
        if not self.over:
            down_ms = self._rng.random() * self._rng.choice([50, 300, 2_000])
            self._world.later(after_ms, self._down, node, node.life, down_ms)

    def _down(self, node: SimNode, life: int, down_ms: float) -> None:
        if node.life != life or node.core is None or self.over:
            return
        node.crash()
        self._harm(node)
        self._world.later(1 + down_ms, self._up, node)

    def _up(self, node: SimNode) -> None:
        if not self.over:
            node.start()

    def _harm(self, node: SimNode) -> None:
        plan, random = self._plan, self._rng.random
        if not self._atlas.spares(node.id):
            return
        if random() < plan.damage:
            name = strike(node.disk, self._rng)
            if name is not None:
                self._world.note(name, node.id)
        elif random() < plan.wipe:
            node.wipe()

    def _choose_core(self) -> list[SimNode]:
        nodes = list(self._nodes)
        if self._rng.random() < 0.4:
            return nodes
        untrusted = self._atlas.untrusted()
        memberships = self._atlas.memberships()
        self._rng.shuffle(nodes)
        if self._rng.random() < 0.5:  # leave the ignorant to themselves
            nodes.sort(key=lambda node: -node.disk.log.last_index)
        core = {node.id for node in nodes}
        for node in nodes:  # leave out whoever can be spared
            smaller = core - {node.id}
            trusted = smaller - untrusted
            quorum = all(is_quorum(membership, trusted) for membership in memberships)
            if quorum and self._atlas.can_believe(smaller):
                core = smaller
        return [node for node in self._nodes if node.id in core]

    # --- Faults --------------------------------------------------------------------------------

    def _crash_some(self) -> None:
        chance = self._rng.random()
        if chance < 0.12:
            victims = [node for node in self._nodes if self._rng.random() < 0.8]
        elif chance < 0.55:
            victims = [self._leader() or self._rng.choice(self._nodes)]
        else:
            victims = [self._rng.choice(self._nodes)]
        for victim in victims:
            self.crash_for_a_while(victim)

    def _pause_some(self) -> None:
        leader = self._leader()
        victim = leader if leader and self._rng.random() < 0.6 else self._rng.choice(self._nodes)
        victim.pause()
        timeout_ms = self._plan.election_ticks * self._plan.tick_ms
        self._world.later(self._rng.random() * timeout_ms * 4, self._resume, victim, victim.life)

    def _let_doze(self) -> None:
        leader = self._leader()
        if leader is None:
            return
        others = [node for node in self._nodes if node is not leader]
        sleeper, campaigner = self._rng.sample(others, 2)
        self._world.note("doze", sleeper.id)
        pair = frozenset({(leader.id, campaigner.id), (campaigner.id, leader.id)})
        self._network.cut = pair
        sleeper.pause()
        timeout_ms = self._plan.election_ticks * self._plan.tick_ms
        asleep_ms = (0.4 + 0.5 * self._rng.random()) * timeout_ms
        self._world.later(asleep_ms, self._resume, sleeper, sleeper.life)
        answered_ms = asleep_ms + 2 * self._plan.delay_ms
        self._world.later(answered_ms, self._cut_off, leader.id, pair, 2 * timeout_ms)

    def _let_stray(self) -> None:
        leader = self._leader()
        if leader is not None:
            self._late_answer.begin(leader)

    def _cut_off(self, leader: NodeId, before: frozenset[Link], time_ms: float) -> None:
        if self._network.cut is before and not self.over:
            self._network.cut = now = frozenset(self._links(leader))
            self._world.later(time_ms, self._rejoin, now, frozenset())

    def _resume(self, node: SimNode, life: int) -> None:
        if node.life == life and not self.over:
            node.resume()

    def _stop_some(self) -> None:
        leader = self._leader()
        victim = leader if leader and self._rng.random() < 0.7 else self._rng.choice(self._nodes)
        timeout_ms = self._plan.election_ticks * self._plan.tick_ms
        impatient = self._rng.random() < 0.4
        victim.shut_down(
            cancelled_after_ms=self._rng.random() * timeout_ms / 2 if impatient else None,
            down_ms=1 + self._rng.random() * self._rng.choice([50, 300, 2_000]),
        )

    def _cancel_some(self) -> None:
        leader = self._leader()
        victim = leader if leader and self._rng.random() < 0.7 else self._rng.choice(self._nodes)
        victim.cancel_something()

    def _ask_for_snapshot(self) -> None:
        self._rng.choice(self._nodes).take_snapshot()

    def _cut_some(self) -> None:
        names = [node.id for node in self._nodes]
        leader = self._leader()
        focus = leader.id if leader and self._rng.random() < 0.7 else self._rng.choice(names)
        shape, cut = draw_cut(self._rng.randrange(CUTS), names, focus, self._rng.random)
        self._world.note(shape, focus)
        self._network.cut = cut

    def _turned(self, node: SimNode, role: Role, commit: int) -> None:
        core = node.core
        if core is None or self.over:
            return
        self._late_answer.turned(node, role)
        plan, random = self._plan, self._rng.random
        if core.role is Role.CANDIDATE is not role and random() < plan.cut_on_candidacy:
            self.isolate(node.id)
        if core.role is not Role.LEADER:
            return
        if role is not Role.LEADER:
            self._leads(node.id)
        if role is not Role.LEADER and random() < plan.crash_on_election:
            self.crash_for_a_while(node, random() * 2 * plan.delay_ms)
        if core.commit_index > commit and random() < plan.crash_on_commit:
            self.crash_for_a_while(node)

    def _write_begins(self, node: SimNode, duration_ms: float) -> None:
        if self._plan.crash_on_write and self._rng.random() < self._plan.crash_on_write:
            self.crash_for_a_while(node, self._rng.random() * duration_ms)

    def _leader(self) -> SimNode | None:
        leaders = [node for node in self._nodes if node.leads]
        return max(leaders, key=_term, default=None)

    def _every(self, mean_ms: int, action: Callable[[], None]) -> None:
        if mean_ms:
            delay_ms = mean_ms * (0.3 + 1.4 * self._rng.random())
            self._world.later(delay_ms, self._again, mean_ms, action)

    def _again(self, mean_ms: int, action: Callable[[], None]) -> None:
        if not self.over:
            action()
            self._every(mean_ms, action)


def _term(node: SimNode) -> int:
    return 0 if node.core is None else node.core.term
