"""People who change the members and move the leadership, at bad moments too. Owns their wishes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from consensus.membership import Membership
from consensus.types import NodeId
from tests.sim.damage import Atlas
from tests.sim.node import SimNode
from tests.sim.plan import Plan
from tests.sim.world import World

VOTERS_MIN = 2
VOTERS_MAX = 7
_Wish: TypeAlias = tuple[str, set[NodeId], set[NodeId]]
"""Its name, and the voters and learners that shall be."""


class Operators:
    """They repeat a wish until it is granted, or they have another."""

    def __init__(
        self,
        plan: Plan,
        world: World,
        nodes: Sequence[SimNode],
        atlas: Atlas,
        isolate: Callable[[NodeId], None],
        heir_away: Callable[[SimNode, NodeId], None],
    ) -> None:
        self.stopped = False
        self._plan = plan
        self._world = world
        self._nodes = nodes
        self._atlas = atlas
        self._isolate = isolate
        self._heir_away = heir_away
        self._rng = world.stream("operators")
        self._every(plan.membership_every_ms, self._change_members)
        self._every(plan.transfer_every_ms, self._transfer)

    def _change_members(self) -> None:
        # Whoever believes that it leads is asked, also one that leads no more.
        leaders = [node for node in self._nodes if node.leads]
        if leaders:
            self._change(self._rng.choice(leaders))

    def _change(self, node: SimNode) -> None:
        core = node.core
        assert core is not None
        name, voters, learners = self._wish(core.membership, core.leader)
        if not VOTERS_MIN <= len(voters) <= VOTERS_MAX:
            return
        # They look first: no quorum may depend on a disk that cannot be trusted.
        wanted = core.membership.entering(sorted(voters), sorted(learners))
        if not wanted.can_reach_quorum(self._atlas.untrusted()):
            return
        self._world.note(f"change: {name}")
        node.change(voters, learners)

    def _wish(self, now: Membership, leader: NodeId | None) -> _Wish:
        voters, learners = set(now.voters), set(now.learners)
        rng = self._rng
        strangers = sorted({node.id for node in self._nodes} - now.members)
        kind = rng.randrange(10)
        if kind < 3 and strangers:
            return "add learner", voters, learners | {rng.choice(strangers)}
        if kind < 6 and learners:
            learner = rng.choice(sorted(learners))
            if kind == 5:
                victim = rng.choice(sorted(voters))
                return "replace voter", voters - {victim} | {learner}, learners - {learner}
            return "promote", voters | {learner}, learners - {learner}
        if kind == 6 and leader in voters:
            return "remove leader", voters - {leader}, learners
        victim = rng.choice(sorted(voters))
        if kind == 7:
            return "demote", voters - {victim}, learners | {victim}
        if kind == 8 and len(learners) > 1:
            return "swap many", voters - {victim} | learners, {victim}
        if kind == 9 and learners:
            return "remove learner", voters, learners - {rng.choice(sorted(learners))}
        return "remove voter", voters - {victim}, learners

    def _transfer(self) -> None:
        leaders = [node for node in self._nodes if node.leads]
        if leaders:
            leader = self._rng.choice(leaders)
            heir = self._hand_over(leader)
            if heir is not None and self._rng.random() < self._plan.heir_away:
                self._heir_away(leader, heir)
            if self._rng.random() < self._plan.cut_on_transfer:
                delay_ms = self._rng.random() * 3 * self._plan.delay_ms
                self._world.later(delay_ms, self._isolate, leader.id)

    def _hand_over(self, leader: SimNode) -> NodeId | None:
        assert leader.core is not None
        voters = leader.core.membership.voters
        others = [voter for voter in voters if voter != leader.id or self._rng.random() < 0.1]
        to = self._rng.choice(others) if others and self._rng.random() < 0.7 else None
        self._world.note("transfer", to)
        leader.hand_over(to)
        return to

    def _every(self, mean_ms: int, action: Callable[[], None]) -> None:
        if mean_ms:
            delay_ms = mean_ms * (0.3 + 1.4 * self._rng.random())
            self._world.later(delay_ms, self._again, mean_ms, action)

    def _again(self, mean_ms: int, action: Callable[[], None]) -> None:
        if not self.stopped:
            action()
            self._every(mean_ms, action)
