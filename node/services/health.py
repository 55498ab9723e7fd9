"""How the node is: status, readiness, and whether it may take writes. Owns no decision of others.

Implements `submitter.Health`. Nothing here is read by what the node decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from consensus.core.status import RaftStatus
from consensus.types import Role
from node import __version__
from node.following.applier import Applier
from node.following.identity import NodeIdentity
from node.following.outcomes import WriteRefusal
from node.following.parts import Following
from node.peers.router import Router
from node.services.status import Check, NodeStatus, PeerView, PoolView, RaftView
from node.submission.intake import Intake
from node.system.disk import DiskRoom
from node.voting import pacing
from node.voting.consensus_access import ConsensusAccess
from node.voting.entry_authority import AHEAD_MS_MAX
from node.voting.rejoining import Rejoining

CATCH_UP_ENTRIES = 64
"""A node further behind than this in applying is not ready."""

_RAFT_STATES: dict[Role, Literal["leader", "follower", "candidate", "observer"]] = {
    Role.FOLLOWER: "follower",
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
}


class NodeHealth:
    """Snapshots of a node. Cheap enough for every request."""

    def __init__(
        self,
        identity: NodeIdentity,
        following: Following,
        applier: Applier,
        intake: Intake,
        consensus: ConsensusAccess,
        rejoining: Rejoining,
        router: Router,
        disk: DiskRoom,
    ) -> None:
        self._identity = identity
        self._following = following
        self._applier = applier
        self._intake = intake
        self._consensus = consensus
        self._rejoining = rejoining
        self._router = router
        self._disk = disk
        self.stopping = False

    def status(self) -> NodeStatus:
        """A snapshot of the whole node."""
        identity, following, raft = self._identity, self._following, self._consensus.status()
        head = following.books.ledger.head
        row = following.participants.get(identity.participant)
        pool = self._intake.pool
        return NodeStatus(
            node=identity.me.node,
            participant=identity.participant,
            roles=() if row is None else tuple(role.name.lower() for role in row.roles),
            network_id=identity.voters.network_id.hex(),
            version=__version__,
            raft=self._raft_view(raft),
            height=head.height,
            final_height=following.tracker.final_height,
            tree_size=head.tree_size,
            root=head.root().hex(),
            state_digest=head.state_digest().hex(),
            head_time_ms=head.time_ms,
            rules_version=identity.genesis.rules_version,
            outbox=self._intake.promised,
            peers=self._peer_views(),
            pool=PoolView(len(pool), pool.size_bytes),
            evidence=following.evidence.keeper.summary(),
            rule_faults=self._applier.rule_faults,
            signing=self._rejoining.view(),
            clock_offset_ms=round(following.peers.clock_offset_ms),
            disk_free_bytes=self._disk.free_bytes,
        )

    def _raft_view(self, raft: RaftStatus) -> RaftView:
        leader = self._identity.voters.get(raft.leader) if raft.leader is not None else None
        return RaftView(
            state=_RAFT_STATES[raft.role],
            term=raft.term,
            leader=None if leader is None else leader.node,
            commit_index=raft.commit_index,
            applied_index=raft.applied_index,
            base_index=raft.base_index,
        )

    def _peer_views(self) -> tuple[PeerView, ...]:
        views = []
        for link in self._router.links():
            height = self._following.peers.states[link.number].height
            rtt_ms = None if link.rtt_ms is None else round(link.rtt_ms)
            views.append(PeerView(link.node, link.connected, height, rtt_ms, link.strikes))
        return tuple(views)

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        raft, halted = self._consensus.status(), self._following.halt.reason
        blocks, size = self._following.certificates.backlog
        behind = raft.commit_index - raft.applied_index
        signing = self._rejoining.view().detail
        final_height = self._following.tracker.final_height
        return (
            Check("ledger", halted is None, halted or ""),
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
            self._check_peers(),
            self._check_clock(),
            Check("disk", not self._disk.full, self._disk.complaint),
            Check("running", not self.stopping, "stopping"),
        )

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        following = self._following
        if following.halt.reason is not None:
            return WriteRefusal("NOT_READY", following.halt.reason)
        if self.stopping:
            return WriteRefusal("NOT_READY", "stopping")
        if self._disk.full:
            return WriteRefusal("DISK_FULL", self._disk.complaint)
        if self._consensus.leader() is None:
            return WriteRefusal("NO_QUORUM", "no leader is known")
        backlog = following.certificates.backlog
        if pacing.not_finalising(*backlog):
            return WriteRefusal("NOT_FINALISING", f"{backlog[0]} blocks are not final")
        complaint = following.peers.complaint()
        if complaint is not None:  # its outcome would not be heard of here
            return WriteRefusal("NOT_READY", complaint)
        return None

    def _check_peers(self) -> Check:
        complaint = self._following.peers.complaint()
        return Check("peers", complaint is None, complaint or "")

    def _check_clock(self) -> Check:
        head = self._following.books.ledger.head
        complaint = self._following.peers.clock_complaint(head.time_ms, AHEAD_MS_MAX)
        return Check("clock", complaint is None, complaint or "")
