"""How a voter is as a voter: consensus, finality, its memory of what it signed. Decides nothing.

Implements `node.services.health.RoleHealth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from consensus.types import Role
from node.chain.voters import VoterSet
from node.following.outcomes import WriteRefusal
from node.following.parts import Following
from node.services.status import Check, RaftView
from node.voting import pacing
from node.voting.consensus_access import ConsensusAccess
from node.voting.rejoining import Rejoining
from node.voting.signing_view import SigningView

CATCH_UP_ENTRIES = 64
"""A node further behind than this in applying is not ready."""

_STATES: dict[Role, Literal["leader", "follower", "candidate", "observer"]] = {
    Role.FOLLOWER: "follower",
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
}


class VoterHealth:
    """Snapshots of one voter."""

    def __init__(
        self,
        voters: VoterSet,
        following: Following,
        consensus: ConsensusAccess,
        rejoining: Rejoining,
    ) -> None:
        self._voters = voters
        self._following = following
        self._consensus = consensus
        self._rejoining = rejoining

    def raft_view(self) -> RaftView:
        """Consensus as this node sees it."""
        raft = self._consensus.status()
        leader = self._voters.get(raft.leader) if raft.leader is not None else None
        return RaftView(
            state=_STATES[raft.role],
            term=raft.term,
            leader=None if leader is None else leader.node,
            commit_index=raft.commit_index,
            applied_index=raft.applied_index,
            base_index=raft.base_index,
        )

    def signing_view(self) -> SigningView:
        """Whether it signs checkpoints."""
        return self._rejoining.view()

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        raft = self._consensus.status()
        blocks, size = self._following.certificates.backlog
        behind = raft.commit_index - raft.applied_index
        signing = self._rejoining.view().detail
        final_height = self._following.tracker.final_height
        return (
            Check("quorum", raft.leader is not None, "no leader is known"),
            Check(
                "finality",
                not pacing.not_finalising(blocks, size),
                f"{blocks} blocks are not final",
            ),
            Check("applied", behind <= CATCH_UP_ENTRIES, f"{behind} entries behind"),
            Check("signing", not signing, f"{signing}; final is {final_height}"),
            Check(
                "voting",
                not raft.suspect,
                "the log may have lost something: it votes once it has caught up",
            ),
        )

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        if self._consensus.leader() is None:
            return WriteRefusal("NO_QUORUM", "no leader is known")
        backlog = self._following.certificates.backlog
        if pacing.not_finalising(*backlog):
            return WriteRefusal("NOT_FINALISING", f"{backlog[0]} blocks are not final")
        return None
