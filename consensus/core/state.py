"""What a member knows whatever its role (Raft paper, figure 2: the state of all servers). Pure.

Owns term, vote, role and leader, the log with its memberships, how far it is committed, protected
and on the disk, and what goes out with the next turn. Knows no message and no rule of votes: those
who decide (`elections`, `following`, `leading`) share one object of this, and change it.

    durable_commit_index ≤ commit_index ≤ last_index     applied ≤ committed ≤ held
    base.index ≤ protected_index                         never given up, but by a suspect
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from consensus.config import RaftConfig
from consensus.core.durability import Addressed, Durability
from consensus.core.log import RaftLog
from consensus.core.reads import FollowerReads, ReadAnswer
from consensus.core.watchdog import DiskWatchdog
from consensus.errors import SnapshotError
from consensus.membership import Membership, MembershipHistory
from consensus.ports import Authority, Recovered
from consensus.snapshot import Base, Snapshot
from consensus.types import LogIndex, NodeId, Role, Term

_NOWHERE = LogIndex(0)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a member begins with, in one of its lives."""

    recovered: Recovered
    """What the log store found."""
    applied_index: LogIndex = _NOWHERE
    """The embedder's state includes everything up to here, so it is committed."""
    protected_index: LogIndex = _NOWHERE
    """See `RaftCore.protect`."""
    snapshot: Snapshot | None = None
    """The newest complete one of the snapshot store."""
    life: int = 0
    """Greater at each start, also after the disk was lost: the system's clock will do."""
    secret: bytes = b""
    """Known to this member only, the same in each life: see `receipts`."""


class Transitions(Protocol):
    """The changes of role, which touch every part; `RaftCore` makes them."""

    def become_follower(self, term: Term, leader: NodeId | None) -> None:
        """Follow `leader`, or nobody yet, in `term`; a vote cast in the same term stands."""
        ...

    def become_leader(self) -> None:
        """A quorum has granted."""
        ...


class MemberState:
    """One member, without its rules."""

    def __init__(
        self, config: RaftConfig, start: Start, authority: Authority, asked: FollowerReads
    ) -> None:
        """Know what the disk and the embedder's state tell.

        Args:
            config: Founding voters, pace and limits.
            start: What it begins with.
            authority: Attests and admits entries.
            asked: The reads that it asks its leader for.

        Raises:
            SnapshotError: when the log begins after the embedder's state and no snapshot helps.
        """
        recovered, applied_index = start.recovered, start.applied_index
        base = recovered.base
        self.config = config
        self.authority = authority
        self.log = RaftLog(recovered.positions, config.tail_bytes_max, base, config.entries)
        self.memberships = MembershipHistory(
            config.founding if base.membership is None else base.membership, recovered.memberships
        )
        self.durability = Durability(self.log)
        self.watchdog = DiskWatchdog(config.disk_stall_ticks)
        self.term = recovered.hard_state.term
        self.vote = recovered.hard_state.vote
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.suspect = recovered.suspect or applied_index > self.log.last_index
        """Its disk may have lost something; `suspicion` has the rules."""
        self.commit_index = base.index
        if not self.suspect:  # else this log need not hold the entries that were applied
            self.commit_index = max(base.index, applied_index)
        self.protected_index = max(start.protected_index, base.index)
        self.applied_at_start = applied_index
        self.snapshot = start.snapshot
        """The newest complete one of the snapshot store."""
        self.restore: Snapshot | None = None
        """The embedder's state must be replaced by this snapshot before anything is applied."""
        self.outgoing: list[Addressed] = []
        """What promises nothing of this disk, for the next turn."""
        self.asked = asked
        self.answers: list[ReadAnswer] = []
        """For the next turn."""
        self._durable_before_reset = _NOWHERE
        if applied_index < base.index or (
            applied_index == 0 and self._holds_all_of(start.snapshot)
        ):
            self._restore_at_start(start.snapshot)

    # --- What is in force ------------------------------------------------------------------------

    @property
    def membership(self) -> Membership:
        """The membership in force."""
        return self.memberships.current

    @property
    def durable_commit_index(self) -> LogIndex:
        """Entries up to here are committed and on this node's disk: they may be applied."""
        if not self.durability.reset_durable:
            return self._durable_before_reset
        return min(self.commit_index, self.log.stable_index)

    @property
    def leads_safely(self) -> bool:
        """Whether this node leads and has committed an entry of its own term."""
        return self.role is Role.LEADER and self.log.term_at(self.commit_index) == self.term

    @property
    def may_vote(self) -> bool:
        """Whether this node's own vote can count."""
        # Who is to go counts until that is committed (thesis, 4.2.2): it may hold the only log that
        # can be elected. Its own vote counts only where the membership in force says so.
        return any(
            self.config.node in membership.voting
            for membership in self.memberships.since(self.commit_index)
        )

    def position(self, index: LogIndex) -> Base:
        """Where a log begins whose last forgotten entry is the one at `index`."""
        return Base(
            index, self.log.term_at(index), self.log.hash_at(index), self.memberships.at(index)
        )

    # --- What changes it -------------------------------------------------------------------------

    def enter_term(self, term: Term) -> None:
        """Take over a higher term, in which no vote is cast yet."""
        self.term = term
        self.vote = None
        self.durability.touch_hard_state()

    def follow(self, leader: NodeId | None) -> None:
        """Another leader, or none: what the last one was asked for fails."""
        self.answers += self.asked.abandon()
        self.leader = leader

    def protect(self, index: LogIndex) -> None:
        """Never give up entries up to `index`."""
        self.protected_index = max(self.protected_index, index)

    def note_snapshot(self, snapshot: Snapshot) -> None:
        """The snapshot store has a newer complete snapshot."""
        if self.snapshot is None or snapshot.index >= self.snapshot.index:
            self.snapshot = snapshot

    def compact(self, index: LogIndex) -> None:
        """Forget the log up to `index`, which the newest snapshot reaches."""
        base = self.position(index)
        self.log.compact(base)
        self.memberships.compact(index)
        self.protect(index)
        self.durability.rebase(base, reset=False)

    def install(self, snapshot: Snapshot) -> None:
        """Let the log begin after `snapshot`; until the disk knows, what was durable before is."""
        self._durable_before_reset = self.durable_commit_index
        self._begin_after(snapshot)
        self.note_snapshot(snapshot)

    def _begin_after(self, snapshot: Snapshot) -> None:
        self.log.reset(snapshot.base)
        self.memberships.reset(snapshot.membership)
        self.durability.rebase(snapshot.base, reset=True)
        self.commit_index = snapshot.index
        if snapshot.index > self.applied_at_start:  # else only the log was older
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
            self._begin_after(snapshot)
