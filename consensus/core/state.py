"""What a member knows at one instant, and the transitions that every rule may cause.

Owns the fields of `RaftCore`; the rules are in `elections`, `following` and `leading`. Pure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from consensus.config import RaftConfig
from consensus.core.campaign import Campaign, Floors
from consensus.core.durability import Addressed, Durability
from consensus.core.log import RaftLog
from consensus.core.progress import Progress
from consensus.core.reads import FollowerReads, LeaderReads, ReadAnswer
from consensus.core.replication import Leadership
from consensus.core.snapshot_transfer import Incoming
from consensus.core.terms import Terms, Waiting
from consensus.errors import SnapshotError
from consensus.membership import Membership, MembershipHistory
from consensus.messages import AppendResponse, AppendStatus, TermRequest
from consensus.ports import Authority, Recovered
from consensus.receipts import Sealer
from consensus.snapshot import Base, Snapshot
from consensus.types import LogIndex, NodeId, Rng, Role, Term

_NOWHERE = LogIndex(0)


class Handover(msgspec.Struct):
    """Leadership on its way to another voter."""

    to: NodeId
    ticks_left: int
    asked: bool = False


class State(ABC):
    """One member, without its rules."""

    def __init__(
        self,
        config: RaftConfig,
        recovered: Recovered,
        authority: Authority,
        rng: Rng,
        applied_index: LogIndex = _NOWHERE,
        protected_index: LogIndex = _NOWHERE,
        snapshot: Snapshot | None = None,
        life: int = 0,
        secret: bytes = b"",
    ) -> None:
        """Start as a follower.

        Args:
            config: Founding voters, pace and limits.
            recovered: What the log store found.
            authority: Attests and admits entries.
            rng: Draws election timeouts; seeded differently at each start.
            applied_index: The embedder's state includes everything up to here, so it is committed.
            protected_index: See `protect`.
            snapshot: The newest complete one of the snapshot store.
            life: Greater at each start, also after the disk was lost: the system's clock will do.
            secret: Known to this member only, the same in each life: see `receipts`.

        Raises:
            SnapshotError: when the log begins after the embedder's state and no snapshot helps.
        """
        base = recovered.base
        self.log = RaftLog(recovered.positions, config.tail_bytes_max, base)
        self.term = recovered.hard_state.term
        self.vote = recovered.hard_state.vote
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.suspect = recovered.suspect or applied_index > self.log.last_index
        self.commit_index = base.index
        if not self.suspect:  # else this log need not hold the entries that were applied
            self.commit_index = max(base.index, applied_index)
        self.protected_index = max(protected_index, base.index)
        self.restore: Snapshot | None = None
        """The embedder's state must be replaced by this snapshot before anything is applied; say
        `restored` when that is done."""
        self.conflicts = 0
        """Appends that were left unanswered because they would replace protected entries. Nothing
        else comes of them here: to stop instead would let one lying voter end every honest one."""
        self._config = config
        self._authority = authority
        self._rng = rng
        self._life = life
        self._sealer = Sealer(secret)
        self._sealed: tuple[tuple[int, Term, LogIndex, bytes] | None, bytes] = (None, b"")
        """The newest acknowledgement, and its seal."""
        self._terms = Terms(config)
        self._memberships = MembershipHistory(
            config.founding if base.membership is None else base.membership, recovered.memberships
        )
        self._durability = Durability(self.log)
        self._outgoing: list[Addressed] = []
        self._reads: list[ReadAnswer] = []
        self._leadership: Leadership | None = None
        self._leader_reads: LeaderReads | None = None
        self._follower_reads = FollowerReads(config, rng)
        self._handover: Handover | None = None
        self._renewed_ticks = 0
        """Of a leader: how long it has led since it last gave way to a member that is stuck."""
        self._heir: NodeId | None = None
        """Who may campaign although the leader is fresh: that leader said so."""
        self._campaign: Campaign | None = None
        self._floors = Floors()
        self._snapshot = snapshot
        self._incoming = Incoming()
        self._durable_before_reset = _NOWHERE
        self._beat_due = False
        self._election_elapsed = 0
        self._heartbeat_elapsed = 0
        self._disk_elapsed = 0
        """Ticks since the store last did something, while it has something to do."""
        self._reading = 0
        """Reads of the store that were asked for and not answered."""
        self._guard_ticks = config.election_ticks if config.lease_reads else 0
        """A lease that was confirmed by this node's earlier life may still run."""
        self._timeout = self._draw_timeout()
        self._matched = LogIndex(0)
        """Equal to the log of this term's leader up to here."""
        self._applied_at_start = applied_index
        self._suspect_until: LogIndex | None = None
        self._replaced = False
        """In this life a leader has replaced entries, rightly or not."""
        if applied_index < base.index or (applied_index == 0 and self._holds_all_of(snapshot)):
            self._restore_at_start(snapshot)

    # --- What the embedder may look at -----------------------------------------------------------

    @property
    def membership(self) -> Membership:
        """The membership in force."""
        return self._memberships.current

    @property
    def membership_index(self) -> LogIndex:
        """Index of the entry that put it in force; 0 when it comes from the start of the log."""
        return self._memberships.index

    @property
    def durable_commit_index(self) -> LogIndex:
        """Entries up to here are committed and on this node's disk: they may be applied."""
        if not self._durability.reset_durable:
            return self._durable_before_reset
        return min(self.commit_index, self.log.stable_index)

    @property
    def leads_safely(self) -> bool:
        """Whether this node leads and has committed an entry of its own term."""
        return self._leadership is not None and self.log.term_at(self.commit_index) == self.term

    @property
    def handing_over(self) -> bool:
        """Whether leadership is on its way to another voter."""
        return self._handover is not None

    def followers(self) -> dict[NodeId, Progress]:
        """What this leader knows of its followers; empty when it does not lead."""
        return {} if self._leadership is None else self._leadership.followers

    def position(self, index: LogIndex) -> Base:
        """Where a log begins whose last forgotten entry is the one at `index`."""
        return Base(
            index, self.log.term_at(index), self.log.hash_at(index), self._memberships.at(index)
        )

    # --- Transitions -----------------------------------------------------------------------------

    @abstractmethod
    def _become_leader(self) -> None:
        """A quorum has granted."""

    def protect(self, index: LogIndex) -> None:
        """Never give up entries up to `index`: the embedder signed them or knows them final."""
        self.protected_index = max(self.protected_index, index)

    def distrust(self) -> None:
        """This node's memory turned out to be older than its promises: it is suspect from now on.

        What it said before stays said, but nothing that waits for the disk goes out any more. A new
        life begins, since within one a leader takes nothing back: see `Leadership.hears`.
        """
        if self.suspect:
            return
        self.suspect = True
        self._life += 1
        self._suspect_until = None
        self._durability.withdraw()
        self._durability.distrust()
        if self.role is not Role.FOLLOWER:
            self._become_follower(self.term, None)

    def snapshot_made(self, snapshot: Snapshot) -> None:
        """The snapshot store has a newer complete snapshot."""
        if self._snapshot is None or snapshot.index >= self._snapshot.index:
            self._snapshot = snapshot

    def _become_follower(self, term: Term, leader: NodeId | None) -> None:
        """Follow `leader`, or nobody yet, in `term`; a vote cast in the same term stands."""
        if term > self.term:
            self.term = term
            self.vote = None
            self._durability.touch_hard_state()
        if self._leader_reads is not None:
            self._reads += self._leader_reads.abandon(self._config.node)
        self._reads += self._follower_reads.abandon()
        self.role = Role.FOLLOWER
        self.leader = leader
        self._leadership = self._leader_reads = self._campaign = None
        self._handover = self._heir = None
        self._renewed_ticks = 0
        self._matched = LogIndex(0)
        self._suspect_until = None
        self._incoming.abandon()
        self._reset_timeout()

    def _acknowledge(
        self, leader: NodeId, index: LogIndex, status: AppendStatus = AppendStatus.OK
    ) -> None:
        log = self.log
        entry_hash = log.last_hash if index == log.last_index else log.hash_at(index)
        place = (self._life, self.term, index, entry_hash)
        if self._sealed[0] != place:  # the commit index is often told after the entries
            self._sealed = (place, self._sealer.seal(*place))
        seal = self._sealed[1]
        response = AppendResponse(
            self.term, status, index, counted=not self.suspect, life=self._life, seal=seal
        )
        self._durability.hold_for_all(leader, response)

    def _ask_terms(self, sender: NodeId, message: Waiting | None) -> None:
        """`sender` claims a term that is not explained; hear what the other voters hold.

        Args:
            sender: Who claims it.
            message: To be looked at again when it is explained; None: it will be repeated.
        """
        if self._terms.wait(sender, message, self.membership):
            self._send_term_requests()

    def _rise(self, sender: NodeId, held: Term) -> None:
        """`sender` holds a term: without a leader, take over as much of it as is believed.

        Who has no leader comes so to the term of the others before it is asked for its vote. In
        the crash model it comes there with the vote.
        """
        reach = self._terms.reach(sender, held, self.membership)
        quiet = self.leader is None or self._election_elapsed >= self._config.election_ticks
        if self._config.liars_max and quiet and reach > self.term and self.role is not Role.LEADER:
            self._lift(sender, reach)

    def _lift(self, sender: NodeId, term: Term) -> None:
        """Take over `term` on the word of `sender`, but not its time.

        Only a vote puts off this node's own campaign (see `Terms.gains_time`).
        """
        elapsed, timeout = self._election_elapsed, self._timeout
        self._terms.note_lift(sender, term, self.membership)
        self._become_follower(term, None)
        if self._config.liars_max:
            self._election_elapsed, self._timeout = elapsed, timeout

    def _send_term_requests(self) -> None:
        request = TermRequest(self.term)
        for voter in sorted(self.membership.voting - {self._config.node}):
            self._durability.hold_for_hard_state(voter, request)

    def _reset(self, snapshot: Snapshot) -> None:
        self.log.reset(snapshot.base)
        self._memberships.reset(snapshot.membership)
        self._durability.rebase(snapshot.base, reset=True)
        self.commit_index = snapshot.index
        if snapshot.index > self._applied_at_start:  # else only the log was older
            self.restore = snapshot
        self.protect(snapshot.index)

    def _holds_all_of(self, snapshot: Snapshot | None) -> bool:
        """Whether the snapshot saves a state in memory the entries up to there."""
        return snapshot is not None and self.log.matches(
            snapshot.index, snapshot.term, snapshot.hash
        )

    def _restore_at_start(self, snapshot: Snapshot | None) -> None:
        base = self.log.base
        if snapshot is None or snapshot.index < base.index:
            raise SnapshotError(f"the log begins after {base.index}, and no snapshot reaches there")
        self.restore = snapshot
        if self.log.matches(snapshot.index, snapshot.term, snapshot.hash):
            self.commit_index = max(self.commit_index, snapshot.index)
        else:  # it was complete when the node stopped, and the log was not reset yet
            self._durable_before_reset = base.index
            self._reset(snapshot)

    # --- Time ------------------------------------------------------------------------------------

    @property
    def _hears_leader(self) -> bool:
        # One tick is conceded: two nodes that heard the last heartbeat of a dead leader at once may
        # count one tick more or less since then, and must not hold up each other's election.
        return self.role is Role.LEADER or (
            self.leader is not None and self._election_elapsed < self._config.election_ticks - 1
        )

    @property
    def _may_campaign(self) -> bool:
        complete = self.protected_index <= self.log.last_index
        return complete and not self.suspect and not self._disk_stalls and self._may_vote

    @property
    def _may_vote(self) -> bool:
        # Who is to go counts until that is committed (thesis, 4.2.2): it may hold the only log that
        # can be elected. Its own vote counts only where the membership in force says so.
        return any(
            self._config.node in membership.voting
            for membership in self._memberships.since(self.commit_index)
        )

    @property
    def _disk_stalls(self) -> bool:
        return self._disk_elapsed >= self._config.disk_stall_ticks

    def _reset_timeout(self) -> None:
        self._election_elapsed = 0
        self._timeout = self._draw_timeout()

    def _draw_timeout(self) -> int:
        least = self._config.election_ticks
        later = self._config.priority * least // 2
        return later + self._rng.randrange(least, 2 * least)
