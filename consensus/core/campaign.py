"""One attempt to become leader. Owns the count of votes, by voter and not by message; pure."""

from __future__ import annotations

from consensus.membership import Membership
from consensus.types import LogIndex, NodeId, Term


class Campaign:
    """Votes for this node in one (pre-)election of `term`, among the voters of `membership`."""

    def __init__(self, membership: Membership, term: Term, *, pre: bool) -> None:
        self.term = term
        self.pre = pre
        self._membership = membership
        self._granted: set[NodeId] = set()
        self._rejected: set[NodeId] = set()
        self._asked_again: set[NodeId] = set()

    def asks(self, node: NodeId) -> bool:
        """Whether `node` was asked for its vote."""
        return node in self._membership.voting

    def record(self, voter: NodeId, *, granted: bool) -> None:
        """Note the answer of `voter`; a grant stands, whatever else it says."""
        if granted:
            self._granted.add(voter)
            self._rejected.discard(voter)
        elif voter not in self._granted:
            self._rejected.add(voter)

    def may_ask_again(self, voter: NodeId) -> bool:
        """True once for each voter that refused only for what it protects."""
        if voter in self._asked_again:
            return False
        self._asked_again.add(voter)
        return True

    @property
    def won(self) -> bool:
        """Whether a quorum granted."""
        return self._membership.has_quorum(self._granted)

    @property
    def lost(self) -> bool:
        """Whether no quorum is possible any more."""
        return not self._membership.can_reach_quorum(self._rejected)


class Floors:
    """What the other voters protect, as far as they have said."""

    def __init__(self) -> None:
        self._floors: dict[NodeId, LogIndex] = {}

    def learn(self, voter: NodeId, floor: LogIndex) -> bool:
        """Note the floor of `voter`; True when it differs from what was known."""
        changed = self._floors.get(voter, 0) != floor
        self._floors[voter] = floor
        return changed

    def of(self, voter: NodeId, default: LogIndex, base: LogIndex, last: LogIndex) -> LogIndex:
        """The entry to show to `voter`, of a log between `base` and `last`."""
        floor = self._floors.get(voter, default)
        return max(floor, base) if floor <= last else default
