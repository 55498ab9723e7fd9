"""Raft as a state machine without input or output. Owns term, vote, role, log and commit index.

The embedder feeds `step`, `tick`, `propose`, `on_persisted` and the other `on_…`, and then takes
one `ready()`: messages to send now, at most one write, and reads. Nothing here blocks, reads a
clock, draws unseeded randomness or logs; equal inputs give equal outputs.

Rules (Raft paper, figure 2, and the thesis where named):

- PreVote (thesis, 9.6) with the fresh-leader rule (4.2.3): who hears a leader gives no vote, unless
  that leader asked for the election.
- CheckQuorum: a leader that hears no majority for an election timeout steps down; so does one
  whose disk hangs, or whose entries so many followers refuse that none can be committed.
- Only entries of the present term are committed by counting (paper, 5.4.2), and a leader counts
  itself only up to what is on its own disk.
- A follower commits only what it has matched with the leader of this term.
- Members change by joint consensus (paper, 6), one change at a time, proposed only by a leader that
  has committed in its own term. A membership is in force from the moment its entry is in the log.
- Whoever is asked for a vote may give one, also a node that does not know itself to be a voter: its
  promotion may be in the part of the log that it lacks.
- Nothing at or below the commit index or the embedder's protected index is ever truncated, and a
  candidate gets a vote only if it shows that it holds the voter's protected entry.
- A suspect node (its disk lost something) gives no vote, does not campaign and is not counted,
  until the leader has committed, without it, all that the leader's log held at first contact, and
  this node has all that on its disk. So nothing that it once acknowledged can be lost by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.campaign import Campaign, Floors
from consensus.config import RaftConfig
from consensus.durability import Addressed, Durability, Write
from consensus.errors import (
    MembershipError,
    NotLeaderError,
    PayloadTooLargeError,
    ReadError,
    SnapshotError,
    TermChangedError,
    TransferringError,
    WindowFullError,
)
from consensus.log import RaftLog
from consensus.membership import Membership, MembershipHistory, decode_membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotChunk,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.ports import Admission, Authority, Recovered
from consensus.reads import FollowerReads, LeaderReads, ReadAnswer
from consensus.replication import Leadership, LogRead, Progress
from consensus.snapshot import Base, Snapshot
from consensus.transfer import ChunkRead, ChunkWrite, Incoming
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Rng, Role, Term

_NOWHERE = LogIndex(0)


class Ready(msgspec.Struct, frozen=True):
    """What the embedder does next. Messages may go before, while or after the write is done."""

    messages: list[Addressed]
    write: Write | None
    log_reads: list[LogRead]
    chunk_reads: list[ChunkRead]
    chunk_writes: list[ChunkWrite]
    """After `write`."""
    reads: list[ReadAnswer]
    snapshot_wanted: bool
    """A follower needs a snapshot newer than the newest: capture the state soon."""


class ProtectedConflict(msgspec.Struct, frozen=True):
    """A leader asked to replace what must not be replaced.

    No honest majority elects such a one, so it lies, or a majority has lost its memory: people have
    to look.
    """

    index: LogIndex
    held: bytes
    """Hash of the entry that stays."""
    offered: bytes
    """Hash of the entry that was not taken."""


class _Handover(msgspec.Struct):
    """Leadership on its way to another voter."""

    to: NodeId
    ticks_left: int
    asked: bool = False


class RaftCore:
    """One member."""

    def __init__(
        self,
        config: RaftConfig,
        recovered: Recovered,
        authority: Authority,
        rng: Rng,
        applied_index: LogIndex = _NOWHERE,
        protected_index: LogIndex = _NOWHERE,
        snapshot: Snapshot | None = None,
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
        self.conflict: ProtectedConflict | None = None
        """The newest append that was left unanswered because it would replace protected entries.
        To stop instead would let one lying voter end every honest one."""
        self._config = config
        self._authority = authority
        self._rng = rng
        self._memberships = MembershipHistory(
            config.founding if base.membership is None else base.membership, recovered.memberships
        )
        self._durability = Durability(self.log)
        self._outgoing: list[Addressed] = []
        self._reads: list[ReadAnswer] = []
        self._leadership: Leadership | None = None
        self._leader_reads: LeaderReads | None = None
        self._follower_reads = FollowerReads(config, rng)
        self._handover: _Handover | None = None
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
        self._write_elapsed = 0
        self._guard_ticks = config.election_ticks if config.lease_reads else 0
        """A lease that was confirmed by this node's earlier life may still run."""
        self._timeout = self._draw_timeout()
        self._matched = LogIndex(0)
        """Equal to the log of this term's leader up to here."""
        self._applied_at_start = applied_index
        self._suspect_until: LogIndex | None = None
        if applied_index < base.index:
            self._restore_at_start(snapshot)

    # --- What the embedder calls ---------------------------------------------------------------

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

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Create an entry at the end of the log; `ready` then sends and writes it.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term than `term`.
            TransferringError: while leadership is handed over.
            WindowFullError: when too much is uncommitted.
            PayloadTooLargeError: when no message could carry it.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        if term != self.term:
            raise TermChangedError(self.term)
        if self._handover is not None:
            raise TransferringError(f"leadership goes to {self._handover.to}")
        if len(payload) > self._config.payload_bytes_max:
            raise PayloadTooLargeError(f"a payload of {len(payload)} bytes")
        if not leadership.has_room(payload, self.commit_index):
            raise WindowFullError("too much is uncommitted")
        return self._create(leadership, EntryKind.DATA, payload).index

    def change_membership(
        self, voters: Sequence[NodeId], learners: Sequence[NodeId] = ()
    ) -> LogIndex:
        """Begin the change to these members; the leader ends it by itself.

        A change of voters is joint. Who is to vote must be a learner that has caught up, so that
        the new quorum can commit at once.

        Returns:
            Index of the entry that begins the change.

        Raises:
            NotLeaderError: with a hint.
            TransferringError: while leadership is handed over.
            MembershipError: when a change is under way, this leader has not committed in its own
                term yet, or the members are not possible; the message says which.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        if self._handover is not None:
            raise TransferringError(f"leadership goes to {self._handover.to}")
        current = self.membership
        if not self.leads_safely:
            raise MembershipError("the leader has not committed in its own term yet")
        if current.joint or self._memberships.index > self.commit_index:
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
        suspects = [node for node, peer in leadership.followers.items() if not peer.counted]
        if not wanted.left().can_reach_quorum(suspects):
            raise MembershipError(f"no quorum without {suspects}, whose disks are not trusted")
        return self._create(leadership, EntryKind.MEMBERSHIP, wanted.encode()).index

    def is_caught_up(self, node: NodeId) -> bool:
        """Whether that follower could be promoted: a window of appends would complete its log."""
        peer = self.followers().get(node)
        return (
            peer is not None
            and peer.replicating
            and peer.counted
            and peer.leaving_ticks is None
            and peer.match + self._config.message_entries_max >= self.commit_index
        )

    def transfer(self, to: NodeId | None = None) -> NodeId:
        """Hand leadership to a voter (thesis, 3.10), by default to the one with most of the log.

        No proposals are taken until it is done or an election timeout has passed.

        Returns:
            The voter that shall lead.

        Raises:
            NotLeaderError: with a hint.
            MembershipError: when it is no voter, or there is none.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        chosen = leadership.best_voter() if to is None else to
        if chosen is None or chosen == self._config.node or chosen not in self.membership.voters:
            raise MembershipError(f"leadership cannot go to {chosen}")
        self._handover = _Handover(chosen, self._config.election_ticks)
        self._continue_handover()
        return chosen

    def read_index(self, ticket: int, now_ms: float) -> None:
        """Ask for an index at which a read is linearizable; a `ReadAnswer` comes with `ready`.

        Args:
            ticket: The caller's name for the read.
            now_ms: The caller's monotonic clock.

        Raises:
            ReadError: when no leader is known or too many reads wait.
        """
        reads = self._leader_reads
        if reads is not None:
            if self.leads_safely and reads.holds_lease(now_ms):
                self._reads.append(ReadAnswer(ticket, self.commit_index))
            else:
                reads.add(self._config.node, ticket)
        elif self.leader is None:
            raise ReadError("no leader is known")
        else:
            self._follower_reads.add(ticket)

    def compact(self, index: LogIndex) -> LogIndex:
        """Give up log entries up to `index`, or fewer.

        What is not in the newest snapshot, not durable or needed by a follower stays.

        Returns:
            The index after which the log begins now.
        """
        if self._snapshot is None or self.restore is not None or self.suspect:
            return self.log.base.index
        index = min(index, self._snapshot.index, self.durable_commit_index)
        if self._leadership is not None:
            index = self._leadership.compactable(index)
        if index > self.log.base.index:
            base = self.position(index)
            self.log.compact(base)
            self._memberships.compact(index)
            self.protect(index)
            self._durability.rebase(base, reset=False)
        return self.log.base.index

    def position(self, index: LogIndex) -> Base:
        """Where a log begins whose last forgotten entry is the one at `index`."""
        return Base(
            index, self.log.term_at(index), self.log.hash_at(index), self._memberships.at(index)
        )

    def snapshot_made(self, snapshot: Snapshot) -> None:
        """The snapshot store has a newer complete snapshot."""
        if self._snapshot is None or snapshot.index >= self._snapshot.index:
            self._snapshot = snapshot

    def restored(self, snapshot: Snapshot) -> None:
        """The embedder's state is that of `snapshot` now."""
        if self.restore is snapshot:
            self.restore = None

    def protect(self, index: LogIndex) -> None:
        """Never give up entries up to `index`: the embedder signed them or knows them final."""
        self.protected_index = max(self.protected_index, index)

    def tick(self) -> None:
        """One tick of time has passed."""
        self._election_elapsed += 1
        self._guard_ticks = max(0, self._guard_ticks - 1)
        self._write_elapsed = self._write_elapsed + 1 if self._durability.busy else 0
        self._reads += self._follower_reads.tick()
        if self._leadership is not None:
            self._tick_leader(self._leadership)
        elif self._election_elapsed >= self._timeout:
            self._reset_timeout()
            if self._may_campaign:
                self._start_campaign(pre=True)

    def step(self, sender: NodeId, message: Message) -> None:
        """Take in a message of `sender`; messages that no honest member sends are ignored.

        The sender need not be a member that this node knows of: its membership may be newer.
        """
        if sender == self._config.node:
            return
        match message:
            case VoteRequest():
                self._on_vote_request(sender, message)
            case VoteResponse():
                self._on_vote_response(sender, message)
            case AppendRequest():
                if self._follow(sender, message.term):
                    self._on_append(sender, message)
            case Heartbeat():
                if self._follow(sender, message.term):
                    self._on_heartbeat(sender, message)
            case SnapshotChunk():
                if self._follow(sender, message.term):
                    self._on_chunk(sender, message)
            case TimeoutNow():
                self._on_timeout_now(sender, message)
            case ReadIndexRequest():
                self._on_read_request(sender, message)
            case ReadIndexResponse():
                if message.term == self.term and sender == self.leader:
                    self._reads += self._follower_reads.answered(message.ticket, message.index)
            case AppendResponse() | HeartbeatResponse() | ChunkResponse():
                self._on_follower_response(sender, message)

    def on_persisted(self, seq: int) -> None:
        """The write `seq` of an earlier `ready` is durable."""
        self._durability.done(seq)
        self._write_elapsed = 0
        self._count_own_vote()
        self._count_commit()
        self._check_suspect()

    def on_read(self, request: LogRead, entries: list[Entry]) -> None:
        """The entries of a read of an earlier `ready`; empty if the store could not tell."""
        if self._leadership is not None and request.term == self.term:
            self._outgoing += self._leadership.on_read(request, entries, self.commit_index)

    def on_chunk_read(self, request: ChunkRead, data: bytes | None) -> None:
        """The bytes of a read of an earlier `ready`; None when the snapshot is gone."""
        if self._leadership is not None and request.term == self.term:
            self._outgoing += self._leadership.on_chunk_read(request, data)

    def on_chunk_written(self, write: ChunkWrite, held: int, *, ok: bool) -> None:
        """The snapshot store has taken a part.

        Args:
            write: The part, of an earlier `ready`.
            held: Bytes of the snapshot that are durable.
            ok: When all are: what `SnapshotStore.complete` said.
        """
        self._incoming.written(write)
        if write.leader != self.leader or write.term != self.term:
            return
        if held < write.snapshot.size or not ok:
            held = held if ok else 0
            self._answer_chunk(write.leader, write.snapshot, held)
        elif not self._holds(write.leader, write.snapshot):
            self._install(write.leader, write.snapshot)

    def committed(self, first: LogIndex) -> list[Entry] | None:
        """Entries from `first` that may be applied, bounded; None when the store must be read.

        `first` is at most `durable_commit_index`.
        """
        if first < self.log.tail_first:
            return None
        return self.log.slice(
            first,
            self.durable_commit_index,
            self._config.apply_entries_max,
            self._config.apply_bytes_max,
        )

    def ready(self, now_ms: float = 0.0) -> Ready:
        """Everything to be done since the last call. `now_ms`: the caller's monotonic clock."""
        log_reads: list[LogRead] = []
        chunk_reads: list[ChunkRead] = []
        wanted = False
        if self._leadership is not None:
            self._begin_round(now_ms)
            collected = self._leadership.collect(self.commit_index, self._snapshot)
            self._outgoing += collected.messages
            log_reads, chunk_reads = collected.log_reads, collected.chunk_reads
            wanted = self._leadership.snapshot_wanted
        elif self.leader is not None:
            number = self._follower_reads.take_request()
            if number is not None:
                self._outgoing.append((self.leader, ReadIndexRequest(self.term, number)))
        write = self._durability.next_write(HardState(self.term, self.vote))
        messages = self._outgoing
        messages += self._durability.release()
        self._outgoing = []
        reads, self._reads = self._reads, []
        chunk_writes = self._incoming.next_write()
        return Ready(messages, write, log_reads, chunk_reads, chunk_writes, reads, wanted)

    # --- Elections -----------------------------------------------------------------------------

    def _start_campaign(self, *, pre: bool) -> None:
        self.leader = None
        self._reads += self._follower_reads.abandon()
        membership = self.membership
        if pre:
            self.role = Role.PRE_CANDIDATE
            self._campaign = Campaign(membership, Term(self.term + 1), pre=True)
        else:
            self.role = Role.CANDIDATE
            self.term = Term(self.term + 1)
            self.vote = self._config.node
            self._durability.touch_hard_state()
            self._campaign = Campaign(membership, self.term, pre=False)
        self._reset_timeout()
        for peer in sorted(membership.voting - {self._config.node}):
            self._ask_for_vote(self._campaign, peer)
        if pre:  # a pre-vote promises nothing; a vote for itself counts when it is durable
            self._campaign.record(self._config.node, granted=True)
            self._count_votes(self._campaign)

    def _ask_for_vote(self, campaign: Campaign, peer: NodeId) -> None:
        floor = self._floors.of(peer, self.commit_index, self.log.base.index, self.log.last_index)
        request = VoteRequest(
            campaign.term,
            campaign.pre,
            self.log.last_index,
            self.log.last_term,
            floor,
            self.log.hash_at(floor),
        )
        self._durability.hold_for_hard_state(peer, request)

    def _on_vote_request(self, sender: NodeId, request: VoteRequest) -> None:
        fresh = self._hears_leader and sender != self._heir
        if request.term > self.term and (fresh or self._guard_ticks):
            if request.pre:
                self._answer_vote(sender, request, granted=False)
            return  # no answer, no new term: a rejoining node cannot disturb a live leader
        if request.term > self.term and not request.pre:
            self._become_follower(request.term, None)
        free = self.vote == sender or (self.vote is None and self.leader is None)
        granted = (
            not self.suspect
            and (free if request.term == self.term else request.term > self.term)
            and (request.last_term, request.last_index) >= (self.log.last_term, self.log.last_index)
            and self._shows_protected(request)
        )
        if granted and not request.pre:
            if self.vote != sender:
                self.vote = sender
                self._durability.touch_hard_state()
            self._election_elapsed = 0
        self._answer_vote(sender, request, granted=granted)

    def _answer_vote(self, to: NodeId, request: VoteRequest, *, granted: bool) -> None:
        response = VoteResponse(self.term, request.term, request.pre, granted, self.protected_index)
        self._durability.hold_for_hard_state(to, response)

    def _shows_protected(self, request: VoteRequest) -> bool:
        protected = self.protected_index
        if protected > self.log.last_index:  # known final by others, not held here yet
            return request.last_index >= protected
        # Hashes are chained: an equal entry at or above the protected one includes it.
        shown = request.floor_index
        if not protected <= shown <= request.last_index:
            return protected == 0
        if shown <= self.log.last_index and self.log.hash_at(shown) == request.floor_hash:
            return True
        # The candidate's log may begin above what is protected here. Then it can only show a place
        # where this log is no more than a guess, or has ended: nothing follows from a difference.
        return protected == 0 or shown > max(protected, self.commit_index)

    def _on_vote_response(self, sender: NodeId, response: VoteResponse) -> None:
        new_floor = self._floors.learn(sender, response.floor)
        if response.term > self.term:
            self._become_follower(response.term, None)
            return
        campaign = self._campaign
        if campaign is None or (campaign.term, campaign.pre) != (response.campaign, response.pre):
            return
        if (
            not response.granted
            and new_floor
            and response.floor <= self.log.last_index
            and campaign.may_ask_again(sender)
        ):
            self._ask_for_vote(campaign, sender)
            return
        campaign.record(sender, granted=response.granted)
        self._count_votes(campaign)

    def _count_own_vote(self) -> None:
        campaign = self._campaign
        if campaign and not campaign.pre and self._durability.hard_state_durable:
            campaign.record(self._config.node, granted=True)
            self._count_votes(campaign)

    def _count_votes(self, campaign: Campaign) -> None:
        if campaign.won and campaign.pre:
            self._start_campaign(pre=False)
        elif campaign.won:
            self._become_leader()
        elif campaign.lost:
            self._become_follower(self.term, None)

    def _on_timeout_now(self, sender: NodeId, message: TimeoutNow) -> None:
        if message.term == self.term and sender == self.leader and self._may_campaign:
            self._start_campaign(pre=False)

    def _become_leader(self) -> None:
        self.role = Role.LEADER
        self.leader = self._config.node
        self._campaign = None
        self._election_elapsed = 0
        self._heartbeat_elapsed = self._config.heartbeat_ticks  # the first one at the next tick
        self._leadership = Leadership(self._config, self.log, self.term, self.membership)
        self._leader_reads = LeaderReads(self._config)
        self._incoming.abandon()
        self._create(self._leadership, EntryKind.NOOP, b"")

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
        self._matched = LogIndex(0)
        self._suspect_until = None
        self._incoming.abandon()
        self._reset_timeout()

    def _tick_leader(self, leadership: Leadership) -> None:
        if self._election_elapsed >= self._config.election_ticks:
            self._election_elapsed = 0
            if not leadership.keeps_quorum():
                self._become_follower(self.term, None)
                return
        if self._disk_stalls:
            self._become_follower(self.term, None)
            return
        leadership.tick()
        if self._handover is not None:
            self._handover.ticks_left -= 1
            if self._handover.ticks_left <= 0:
                self._handover = self._heir = None
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed >= self._config.heartbeat_ticks:
            self._heartbeat_elapsed = 0
            self._beat_due = True
            if self._handover is not None:
                self._handover.asked = False  # the request may have been lost
                self._continue_handover()

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
        return self._write_elapsed >= self._config.disk_stall_ticks

    def _reset_timeout(self) -> None:
        self._election_elapsed = 0
        self._timeout = self._draw_timeout()

    def _draw_timeout(self) -> int:
        least = self._config.election_ticks
        later = self._config.priority * least // 2
        return later + self._rng.randrange(least, 2 * least)

    # --- Following -----------------------------------------------------------------------------

    def _follow(self, sender: NodeId, term: Term) -> bool:
        """Accept `sender` as the leader of `term`; False when it is not."""
        if term < self.term:
            # A stale leader learns of the new term and steps down.
            stale = AppendResponse(self.term, AppendStatus.MISMATCH, LogIndex(0))
            self._durability.hold_for_hard_state(sender, stale)
            return False
        if term == self.term and self.leader not in {None, sender}:
            return False  # two leaders in one term: one of them lies
        if term > self.term or self.leader is None:
            self._become_follower(term, sender)
        self._election_elapsed = 0
        return True

    def _on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        if self.suspect and self._suspect_until is None:
            # Only an entry that is made after the loss and committed without this node shows that
            # this leader is not one that was deposed with a vote which this node has forgotten.
            self._suspect_until = LogIndex(max(heartbeat.last_index + 1, self._applied_at_start))
        self._heir = heartbeat.heir
        self._commit_matched(heartbeat.commit, self._matched)
        response = HeartbeatResponse(self.term, heartbeat.round, counted=not self.suspect)
        self._durability.hold_for_hard_state(sender, response)

    def _on_append(self, sender: NodeId, append: AppendRequest) -> None:
        if append.prev_index < self.log.base.index:
            # From before a snapshot or compaction; all of that is committed, so it matches.
            self._acknowledge(sender, min(self.commit_index, self.log.last_index))
            return
        if not self.log.matches(append.prev_index, append.prev_term, append.prev_hash):
            hint, hint_term = self.log.hint(max(0, append.prev_index - 1), append.prev_term)
            mismatch = AppendResponse(
                self.term,
                AppendStatus.MISMATCH,
                append.prev_index,
                hint,
                hint_term,
                counted=not self.suspect,
            )
            self._durability.hold_for_hard_state(sender, mismatch)
            return
        if self.log.unstable_bytes > self._config.unstable_bytes_max:
            return
        known = self._known(append.entries)
        admitted, status = self._admit(append.entries[known:])
        if status is Admission.FORGED:
            return
        if admitted and self._is_protected(admitted[0].index):
            offered = admitted[0]
            self.conflict = ProtectedConflict(
                offered.index, self.log.hash_at(offered.index), offered.hash
            )
            return
        if admitted:
            self._replace(admitted)
        matched = LogIndex(append.prev_index + known + len(admitted))
        self._matched = max(self._matched, matched)
        self._commit_matched(append.commit, matched)
        outcome = AppendStatus.OK if status is Admission.ACCEPT else AppendStatus.REFUSED
        self._acknowledge(sender, matched, outcome)

    def _acknowledge(
        self, leader: NodeId, index: LogIndex, status: AppendStatus = AppendStatus.OK
    ) -> None:
        response = AppendResponse(self.term, status, index, counted=not self.suspect)
        self._durability.hold_for_all(leader, response)

    def _known(self, entries: tuple[Entry, ...]) -> int:
        """How many of `entries` the log has already."""
        if entries and entries[0].index > self.log.last_index:
            return 0
        for known, entry in enumerate(entries):
            if not self.log.matches(entry.index, entry.term, entry.hash):
                return known
        return len(entries)

    def _admit(self, entries: tuple[Entry, ...]) -> tuple[list[Entry], Admission]:
        """The entries that the authority accepts, up to the first that it does not."""
        admitted: list[Entry] = []
        for entry in entries:
            admission = self._authority.admit(entry)
            if admission is not Admission.ACCEPT:
                return admitted, admission
            admitted.append(entry)
        return admitted, Admission.ACCEPT

    def _is_protected(self, index: LogIndex) -> bool:
        """Whether what stands at `index` must not be replaced, whoever asks.

        A suspect log may hold something else than what was protected, and give it up.
        """
        protected = self.commit_index if self.suspect else self.protected_index
        return index <= min(self.log.last_index, max(self.commit_index, protected))

    def _replace(self, entries: list[Entry]) -> None:
        """Append `entries`, which differ from what the log has in their place."""
        first = entries[0]
        if first.index <= self.log.last_index:
            self.log.truncate(first.index)
            self._memberships.truncate(first.index)
            self._durability.drop_acknowledgements(first.index)
        for entry in entries:
            self.log.append(entry)
            if entry.kind is EntryKind.MEMBERSHIP:
                self._memberships.append(entry.index, decode_membership(entry.payload))

    def _commit_matched(self, commit: LogIndex, matched: LogIndex) -> None:
        """Commit what the leader says, as far as this log is known to equal its log."""
        self.commit_index = max(self.commit_index, min(commit, matched))
        self._check_suspect()

    def _check_suspect(self) -> None:
        until = self._suspect_until
        if not self.suspect or until is None or self.leader is None:
            return
        if self.durable_commit_index < until or self._matched < until:
            return
        # It may have voted in this term and lost the vote; now it can vote for the leader only.
        self.suspect = False
        self.vote = self.leader
        self._durability.touch_hard_state(caught_up=True)
        self._acknowledge(self.leader, self._matched)

    # --- Snapshots -----------------------------------------------------------------------------

    def _on_chunk(self, sender: NodeId, chunk: SnapshotChunk) -> None:
        snapshot = chunk.snapshot
        if self._holds(sender, snapshot):
            return
        if self._config.node not in snapshot.membership.members or self._lacks(snapshot):
            self._answer_chunk(sender, snapshot, 0, refused=True)
        else:
            self._incoming.take(ChunkWrite(sender, self.term, snapshot, chunk.offset, chunk.data))

    def _holds(self, leader: NodeId, snapshot: Snapshot) -> bool:
        """Whether the log has all that `snapshot` could bring; the leader is told so."""
        if snapshot.index <= self.commit_index:
            # Committed entries are in every later leader's log.
            self._acknowledge(leader, min(self.commit_index, self.log.last_index))
            return True
        if self.log.matches(snapshot.index, snapshot.term, snapshot.hash):
            self._matched = max(self._matched, snapshot.index)
            self._commit_matched(snapshot.index, snapshot.index)
            self._acknowledge(leader, snapshot.index)
            return True
        return False

    def _lacks(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot, which differs from the log, would replace what is protected."""
        held = min(self.protected_index, self.log.last_index)
        return not self.suspect and snapshot.index <= held

    def _answer_chunk(
        self, to: NodeId, snapshot: Snapshot, held: int, *, refused: bool = False
    ) -> None:
        response = ChunkResponse(self.term, snapshot.index, snapshot.checksum, held, refused)
        self._durability.hold_for_hard_state(to, response)

    def _install(self, leader: NodeId, snapshot: Snapshot) -> None:
        """Let the log begin after `snapshot`, which the snapshot store holds, whole and checked."""
        self._durable_before_reset = self.durable_commit_index
        self._reset(snapshot)
        self._matched = snapshot.index
        self.snapshot_made(snapshot)
        self._check_suspect()
        self._acknowledge(leader, snapshot.index)

    def _reset(self, snapshot: Snapshot) -> None:
        self.log.reset(snapshot.base)
        self._memberships.reset(snapshot.membership)
        self._durability.rebase(snapshot.base, reset=True)
        self.commit_index = snapshot.index
        if snapshot.index > self._applied_at_start:  # else only the log was older
            self.restore = snapshot
        self.protect(snapshot.index)

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

    # --- Leading -------------------------------------------------------------------------------

    def _create(self, leadership: Leadership, kind: EntryKind, payload: bytes) -> Entry:
        entry = self.log.create(self.term, kind, self._config.node, payload, self._authority.attest)
        if kind is EntryKind.MEMBERSHIP:
            membership = decode_membership(payload)
            self._memberships.append(entry.index, membership)
            leadership.set_membership(membership)
        return entry

    def _on_follower_response(
        self, sender: NodeId, response: AppendResponse | HeartbeatResponse | ChunkResponse
    ) -> None:
        if response.term > self.term:
            self._become_follower(response.term, None)
        leadership, reads = self._leadership, self._leader_reads
        if leadership is None or reads is None or response.term < self.term:
            return
        if sender not in leadership.followers:
            return
        if isinstance(response, HeartbeatResponse):
            leadership.on_heartbeat_response(sender, counted=response.counted)
            if response.counted:
                reads.acknowledge(sender, response.round)
                self._answer_reads(reads)
            elif self.leads_safely and leadership.wants_proof(sender):
                self._create(leadership, EntryKind.NOOP, b"")
            return
        if isinstance(response, ChunkResponse):
            leadership.on_chunk_response(sender, response)
            return
        leadership.on_append_response(sender, response)
        if leadership.is_refused():
            self._become_follower(self.term, None)
            self._election_elapsed = -self._config.election_ticks  # let others go first
        else:
            self._count_commit()
            self._continue_handover()

    def _count_commit(self) -> None:
        leadership = self._leadership
        if leadership is None:
            return
        agreed = leadership.agreed_index()
        if agreed > self.commit_index and self.log.term_at(agreed) == self.term:
            self.commit_index = agreed
            self._advance_membership(leadership)

    def _advance_membership(self, leadership: Leadership) -> None:
        """End a change whose joint membership is committed; go when this node has no part."""
        membership = self.membership
        if self._memberships.index > self.commit_index:
            return
        if membership.joint:
            self._create(leadership, EntryKind.MEMBERSHIP, membership.left().encode())
        elif self._config.node not in membership.voters:
            successor = leadership.best_voter()
            if successor is not None:  # nobody need wait for an election timeout
                self._outgoing += leadership.collect(self.commit_index, self._snapshot).messages
                self._ask_to_lead(successor)
            self._become_follower(self.term, None)

    def _continue_handover(self) -> None:
        """Ask the successor to campaign as soon as it has the whole log."""
        handover, leadership = self._handover, self._leadership
        if handover is None or leadership is None or handover.asked:
            return
        peer = leadership.followers.get(handover.to)
        if peer is not None and peer.match == self.log.last_index:
            handover.asked = True
            self._ask_to_lead(handover.to)

    def _ask_to_lead(self, heir: NodeId) -> None:
        """Tell everybody who may campaign, then the heir to do it."""
        assert self._leader_reads is not None
        self._leader_reads.void_lease()
        self._heir = heir
        self._send_heartbeats()
        self._outgoing.append((heir, TimeoutNow(self.term)))

    def _send_heartbeats(self) -> None:
        assert self._leader_reads is not None
        heartbeat = Heartbeat(
            self.term, self.commit_index, self.log.last_index, self._leader_reads.round, self._heir
        )
        self._outgoing += [(peer, heartbeat) for peer in sorted(self.followers())]

    def _begin_round(self, now_ms: float) -> None:
        """Send heartbeats when they are due, and a round of reads when one can begin."""
        reads = self._leader_reads
        assert reads is not None
        beat, self._beat_due = self._beat_due, False
        begun = self.leads_safely and reads.begin_round(self.commit_index, now_ms, beat=beat)
        if beat or begun:
            self._send_heartbeats()
        if begun:
            self._answer_reads(reads)  # a lone voter confirms itself

    def _answer_reads(self, reads: LeaderReads) -> None:
        for asker, ticket, index in reads.take_confirmed(self.membership, self._config.node):
            if asker == self._config.node:
                self._reads.append(ReadAnswer(ticket, index))
            else:
                self._outgoing.append((asker, ReadIndexResponse(self.term, ticket, index)))

    def _on_read_request(self, sender: NodeId, request: ReadIndexRequest) -> None:
        if self._leader_reads is None or request.term != self.term:
            return
        try:
            self._leader_reads.add(sender, request.ticket)
        except ReadError:
            return  # the asker retries after its timeout
