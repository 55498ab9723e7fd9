"""Changing the members by joint consensus (Raft paper, 6). Pure.

Owns when a change may begin, and how a leader ends it. What a membership is, and what a quorum,
is `membership`'s matter; which one is in force follows from the log.

    final ──begin: voters change──▶ joint ──committed──▶ final ──committed──▶ the leader goes, if it
      └──── begin: learners only ────────────────────────▶ ▲                  has no vote in it

A membership is in force as soon as its entry is in the log, and the next change waits until that
entry is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.core.leadership_transfer import LeadershipTransfer
from consensus.core.replication import Replication
from consensus.core.state import MemberState, Transitions
from consensus.errors import MembershipError
from consensus.membership import decode_membership
from consensus.types import Entry, EntryKind, LogIndex, NodeId


class MembershipChange:
    """The changes that one leadership makes."""

    def __init__(
        self,
        state: MemberState,
        replication: Replication,
        transfer: LeadershipTransfer,
        create: Callable[[EntryKind, bytes], Entry],
        transitions: Transitions,
    ) -> None:
        self._state = state
        self._replication = replication
        self._transfer = transfer
        self._create = create
        self._transitions = transitions

    def begin(self, voters: Sequence[NodeId], learners: Sequence[NodeId]) -> LogIndex:
        """See `RaftCore.change_membership`."""
        state, current = self._state, self._state.membership
        if not state.leads_safely:
            raise MembershipError("the leader has not committed in its own term yet")
        if current.joint or state.memberships.index > state.commit_index:
            raise MembershipError("a change is under way")
        wanted = current.entering(voters, learners)
        try:
            decode_membership(wanted.encode())
        except ValueError as error:
            raise MembershipError(str(error)) from error
        if wanted == current:
            raise MembershipError("nothing would change")
        for node in sorted(wanted.voting - current.voting):
            if not self.is_caught_up(node):
                raise MembershipError(f"{node} must become a learner and catch up first")
        followers = self._replication.followers
        suspects = [node for node, peer in followers.items() if not peer.counted]
        if not wanted.left().can_reach_quorum(suspects):
            raise MembershipError(f"no quorum without {suspects}, whose disks are not trusted")
        return self._create(EntryKind.MEMBERSHIP, wanted.encode()).index

    def is_caught_up(self, node: NodeId) -> bool:
        """See `RaftCore.is_caught_up`."""
        state = self._state
        peer = self._replication.followers.get(node)
        return (
            peer is not None
            and peer.replicating
            and peer.counted
            and peer.leaving_ticks is None
            and peer.match + state.config.message_entries_max >= state.commit_index
        )

    def advance(self) -> None:
        """End a change whose joint membership is committed; go when this node has no part."""
        state, membership = self._state, self._state.membership
        if state.memberships.index > state.commit_index:
            return
        if membership.joint:
            self._create(EntryKind.MEMBERSHIP, membership.left().encode())
        elif state.config.node not in membership.voters:
            if self._transfer.heir in membership.voters:
                return  # leadership goes where it was sent, or here again when that has failed
            successor = self._replication.best_voter()
            if successor is not None:  # nobody need wait for an election timeout
                collected = self._replication.collect(state.commit_index, state.snapshot)
                state.outgoing += collected.messages
                self._transfer.ask_to_lead(successor)
            self._transitions.become_follower(state.term, None)
