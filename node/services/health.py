"""How the node is: status, readiness, and whether it may take writes. Owns no decision of others.

Implements `submitter.Health`. Nothing here is read by what the node decides. What only a voter, or
only an observer has, is told by its `Role`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from node import __version__
from node.following.applier import Applier
from node.following.identity import NodeIdentity
from node.following.outcomes import WriteRefusal
from node.following.parts import Following
from node.peers.router import Router
from node.services.status import Check, NodeStatus, PeerView, PoolView, RaftView
from node.submission.intake import Intake
from node.system.disk import DiskRoom
from node.voting.entry_authority import AHEAD_MS_MAX
from node.voting.signing_view import SigningView


class RoleHealth(Protocol):
    """How a voter is as a voter, or an observer as one."""

    def raft_view(self) -> RaftView:
        """Consensus as this node sees it."""
        ...

    def signing_view(self) -> SigningView:
        """Whether it signs checkpoints."""
        ...

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        ...

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        ...


class NodeHealth:
    """Snapshots of a node. Cheap enough for every request."""

    def __init__(
        self,
        identity: NodeIdentity,
        following: Following,
        applier: Applier,
        intake: Intake,
        role: RoleHealth,
        router: Router,
        disk: DiskRoom,
    ) -> None:
        self._identity = identity
        self._following = following
        self._applier = applier
        self._intake = intake
        self._role = role
        self._router = router
        self._disk = disk
        self.stopping = False

    def status(self) -> NodeStatus:
        """A snapshot of the whole node."""
        identity, following = self._identity, self._following
        head = following.books.ledger.head
        row = following.participants.get(identity.participant)
        pool = self._intake.pool
        return NodeStatus(
            node=identity.node,
            participant=identity.participant,
            roles=() if row is None else tuple(role.name.lower() for role in row.roles),
            network_id=identity.voters.network_id.hex(),
            version=__version__,
            raft=self._role.raft_view(),
            height=head.height,
            final_height=following.tracker.final_height,
            tree_size=head.tree_size,
            root=head.root().hex(),
            state_digest=head.state_digest().hex(),
            head_time_ms=head.time_ms,
            rules_version=identity.genesis.rules_version,
            outbox=self._intake.promised,
            peers=self._peer_views(),
            observers=self._router.guests.participants(),
            pool=PoolView(len(pool), pool.size_bytes),
            evidence=following.evidence.keeper.summary(),
            rule_faults=self._applier.rule_faults,
            signing=self._role.signing_view(),
            clock_offset_ms=round(following.peers.clock_offset_ms),
            disk_free_bytes=self._disk.free_bytes,
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
        halted = self._following.halt.reason
        return (
            Check("ledger", halted is None, halted or ""),
            *self._role.checks(),
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
        refusal = self._role.write_refusal()
        if refusal is not None:
            return refusal
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
