"""How the node is: status, readiness, and whether it may take writes. Owns no decision of others.

Implements `submitter.Vitals`. Knows consensus only through its status.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from consensus.core.status import RaftStatus
from consensus.driver.node import RaftNode
from consensus.errors import StoppedError
from consensus.types import LogIndex, Role, Term
from node import __version__
from node.chain.voters import Voter, VoterSet
from node.following.applier import Engine
from node.following.evidence_views import EvidenceSummary
from node.following.outcomes import WriteRefusal
from node.following.participants import Members
from node.following.standing import CLOCK_OFFSET_MS_MAX, Standing
from node.following.tracker import Tracker
from node.ledger.genesis import Genesis
from node.services.status import Check, NodeStatus, PeerView, PoolView, RaftView
from node.storage.ledger import Ledger
from node.submission.intake import Intake
from node.submission.pool import Pool
from node.system.clock import Clock
from node.system.disk import DiskRoom
from node.voting import pacing as proposer
from node.voting.signing_view import SigningView

CATCH_UP_ENTRIES = 64
"""A node further behind than this in applying is not ready."""

_RAFT_STATES: dict[Role, Literal["leader", "follower", "candidate", "observer"]] = {
    Role.FOLLOWER: "follower",
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
}
_NOT_STARTED = RaftStatus(
    role=Role.FOLLOWER,
    term=Term(0),
    leader=None,
    commit_index=LogIndex(0),
    applied_index=LogIndex(0),
    last_index=LogIndex(0),
    stable_index=LogIndex(0),
    protected_index=LogIndex(0),
    conflicts=0,
    suspect=False,
)


class NodeVitals:
    """Snapshots of a node. Cheap enough for every request."""

    def __init__(
        self,
        genesis: Genesis,
        voters: VoterSet,
        me: Voter,
        participant: str,
        members: Members,
        raft: RaftNode,
        engine: Engine,
        ledger: Ledger,
        intake: Intake,
        pool: Pool,
        tracker: Tracker,
        peers: Callable[[], list[PeerView]],
        evidence: Callable[[], EvidenceSummary],
        signing: Callable[[], SigningView],
        standing: Standing,
        disk: DiskRoom,
        clock: Clock,
    ) -> None:
        self._genesis = genesis
        self._voters = voters
        self._me = me
        self._participant = participant
        self._members = members
        self._raft = raft
        self._engine = engine
        self._ledger = ledger
        self._intake = intake
        self._pool = pool
        self._tracker = tracker
        self._peers = peers
        self._evidence = evidence
        self._signing = signing
        self._standing = standing
        self._disk = disk
        self._clock = clock
        self.stopping = False

    def raft(self) -> RaftStatus:
        """Consensus now; after a failure its last state, without a leader."""
        try:
            status = self._raft.status
        except StoppedError:
            return _NOT_STARTED
        if self._raft.failed.done() or self._engine.halted is not None:
            return msgspec.structs.replace(status, role=Role.FOLLOWER, leader=None)
        return status

    def status(self) -> NodeStatus:
        """A snapshot of the whole node."""
        raft = self.raft()
        head = self._ledger.head
        leader = self._voters.get(raft.leader) if raft.leader is not None else None
        row = self._members.get(self._participant)
        return NodeStatus(
            node=self._me.node,
            participant=self._participant,
            roles=() if row is None else tuple(role.name.lower() for role in row.roles),
            network_id=self._voters.network_id.hex(),
            version=__version__,
            raft=RaftView(
                state=_RAFT_STATES[raft.role],
                term=raft.term,
                leader=None if leader is None else leader.node,
                commit_index=raft.commit_index,
                applied_index=raft.applied_index,
                base_index=raft.base_index,
            ),
            height=head.height,
            final_height=self._tracker.final_height,
            tree_size=head.tree_size,
            root=head.root().hex(),
            state_digest=head.state_digest().hex(),
            head_time_ms=head.time_ms,
            rules_version=self._genesis.rules_version,
            outbox=self._intake.promised,
            peers=tuple(self._peers()),
            pool=PoolView(len(self._pool), self._pool.size_bytes),
            evidence=self._evidence(),
            rule_faults=self._engine.rule_faults,
            signing=self._signing(),
            clock_offset_ms=round(self._standing.clock_offset_ms(self._clock.monotonic_ms())),
            disk_free_bytes=self._disk.free_bytes,
        )

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        raft = self.raft()
        blocks, size = self._engine.backlog
        behind = raft.commit_index - raft.applied_index
        signing = self._signing().detail
        return (
            Check("ledger", self._engine.halted is None, self._engine.halted or ""),
            Check("quorum", raft.leader is not None, "no leader is known"),
            Check(
                "finality",
                not proposer.not_finalising(blocks, size),
                f"{blocks} blocks are not final",
            ),
            Check("applied", behind <= CATCH_UP_ENTRIES, f"{behind} entries behind"),
            Check("signing", not signing, f"{signing}; final is {self._tracker.final_height}"),
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
        if self._engine.halted is not None:
            return WriteRefusal("NOT_READY", self._engine.halted)
        if self.stopping:
            return WriteRefusal("NOT_READY", "stopping")
        if self._disk.full:
            return WriteRefusal("DISK_FULL", self._disk.complaint)
        if self.raft().leader is None:
            return WriteRefusal("NO_QUORUM", "no leader is known")
        if proposer.not_finalising(*self._engine.backlog):
            return WriteRefusal("NOT_FINALISING", f"{self._engine.backlog[0]} blocks are not final")
        complaint = self._standing.complaint(self._clock.monotonic_ms())
        if complaint is not None:  # its outcome would not be heard of here
            return WriteRefusal("NOT_READY", complaint)
        return None

    def _check_peers(self) -> Check:
        complaint = self._standing.complaint(self._clock.monotonic_ms())
        return Check("peers", complaint is None, complaint or "")

    def _check_clock(self) -> Check:
        offset_ms = self._standing.clock_offset_ms(self._clock.monotonic_ms())
        way = "ahead of" if offset_ms > 0 else "behind"
        return Check(
            "clock",
            abs(offset_ms) <= CLOCK_OFFSET_MS_MAX,
            f"this clock is {abs(offset_ms) / 1000:.1f} s {way} those of the peers",
        )
