"""One schedule, played on purpose: a voter that has a leader gets a late answer of a higher term.

1. Both followers of three lose the leader. It goes on leading, if this does not last.
2. One follower gets the other's pre-vote, but its request for the vote itself is lost. It strays:
   it is alone in a term above the leader's.
3. The other follower, the voter, campaigns too. The stray answers in its own term; the answer is
   kept.
4. The voter hears the leader again and follows it. The leader renews its lease.
5. The stray campaigns again. The kept answer arrives just before its request, and the leader loses
   all links. A voter that forgets its leader for such an answer elects another within the lease.

Random faults hardly ever meet this: an answer of an earlier leadership is of a lower term than the
leader's, not of a higher one, and a hand-over, which makes such terms, ends the lease. Owns these
steps. What does not fit them (a leader that gave up, say) ends the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from consensus.types import NodeId, Role
from tests.sim.network import Link, Network
from tests.sim.node import SimNode
from tests.sim.plan import Plan
from tests.sim.world import World

_PATIENCE_TIMEOUTS = 5
"""Election timeouts after which an attempt ends in any case."""


class _Step(Enum):
    IDLE = auto()
    LEADERLESS = auto()
    STRAYED = auto()
    ANSWERED = auto()
    CUT = auto()


class LateAnswer:
    """At most one attempt at a time."""

    def __init__(
        self, world: World, plan: Plan, nodes: Sequence[SimNode], network: Network
    ) -> None:
        self._world = world
        self._nodes = nodes
        self._network = network
        self._timeout_ms = plan.election_ticks * plan.tick_ms
        self._step = _Step.IDLE
        self._attempts = 0
        self._leader = self._stray = self._voter = NodeId(0)

    def begin(self, leader: SimNode) -> None:
        """Try it with this leader."""
        if self._step is not _Step.IDLE:
            return
        self._world.note("late answer: leaderless")
        self._attempts += 1
        self._step, self._leader = _Step.LEADERLESS, leader.id
        self._network.cut = frozenset(self._both_ways(leader.id))
        patience_ms = _PATIENCE_TIMEOUTS * self._timeout_ms
        self._world.later(patience_ms, self._give_up, self._attempts)

    def end(self) -> None:
        """No more of it."""
        self._attempts += 1  # what was scheduled is void
        self._step = _Step.IDLE
        self._network.keep = None

    def turned(self, node: SimNode, before: Role) -> None:
        """A node may be in another role than `before`."""
        if self._step is _Step.IDLE or node.core is None or node.core.role is before:
            return
        role = node.core.role
        if self._step is _Step.LEADERLESS and role is Role.CANDIDATE:
            self._strays(node.id)
        elif self._step is _Step.STRAYED and role is Role.PRE_CANDIDATE and node.id == self._voter:
            # Its question is on the way, and the answer will be kept.
            self._step = _Step.ANSWERED
            self._network.cut = frozenset(
                {(self._leader, self._stray), (self._stray, self._leader)}
            )
        elif self._step is _Step.ANSWERED and role is Role.PRE_CANDIDATE and node.id == self._stray:
            self._arrives()

    def _strays(self, stray: NodeId) -> None:
        others = [node.id for node in self._nodes if node.id not in {stray, self._leader}]
        if stray == self._leader or len(others) != 1:
            self._give_up(self._attempts)
            return
        self._world.note("late answer: strayed", stray)
        self._step, self._stray, self._voter = _Step.STRAYED, stray, others[0]
        self._network.keep = (stray, self._voter)
        self._network.cut = frozenset([*self._both_ways(self._leader), (stray, self._voter)])

    def _arrives(self) -> None:
        voter = self._nodes[self._voter].core
        if voter is None or voter.leader != self._leader:
            self._give_up(self._attempts)
            return
        self._world.note("late answer: arrives", self._voter)
        self._step = _Step.CUT
        self._network.keep = None
        self._network.release(0.0)
        self._network.cut = frozenset(self._both_ways(self._leader))
        self._world.later(2 * self._timeout_ms, self._give_up, self._attempts)

    def _give_up(self, attempt: int) -> None:
        if attempt == self._attempts and self._step is not _Step.IDLE:
            self._network.cut = frozenset()
            self.end()

    def _both_ways(self, node: NodeId) -> list[Link]:
        others = [other.id for other in self._nodes if other.id != node]
        return [(node, other) for other in others] + [(other, node) for other in others]
