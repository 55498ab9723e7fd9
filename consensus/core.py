"""Raft as a state machine without input or output. Owns term, vote, role, log and commit index.

The embedder feeds `step`, `tick`, `propose`, `on_persisted` and `on_read`, and then takes one
`ready()`: messages to send now, at most one write, and reads. Nothing here blocks, reads a clock,
draws unseeded randomness or logs; equal inputs give equal outputs.

Rules (Raft paper, figure 2, and the thesis where named):

- PreVote (thesis, 9.6) with the fresh-leader rule (4.2.3): who hears a leader gives no vote.
- CheckQuorum: a leader that hears no majority for an election timeout steps down; so does one
  whose disk hangs, or whose entries so many followers refuse that none can be committed.
- Only entries of the present term are committed by counting (paper, 5.4.2), and a leader counts
  itself only up to what is on its own disk.
- A follower commits only what it has matched with the leader of this term.
- Nothing at or below the commit index or the embedder's protected index is ever truncated, and a
  candidate gets a vote only if it shows that it holds the voter's protected entry.
- A suspect node (its disk lost something) gives no vote, does not campaign and is not counted,
  until the leader has committed, without it, all that the leader's log held at first contact, and
  this node has all that on its disk. So nothing that it once acknowledged can be lost by it.
"""

from __future__ import annotations

import msgspec

from consensus.campaign import Campaign, Floors
from consensus.config import RaftConfig
from consensus.durability import Addressed, Durability, Write
from consensus.errors import (
    NotLeaderError,
    PayloadTooLargeError,
    TermChangedError,
    WindowFullError,
)
from consensus.log import RaftLog
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    Message,
    VoteRequest,
    VoteResponse,
)
from consensus.ports import Admission, Authority, Recovered
from consensus.replication import Leadership, ReadRequest
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Rng, Role, Term

_NOWHERE = LogIndex(0)


class Ready(msgspec.Struct, frozen=True):
    """What the embedder does next. Messages may go before, while or after the write is done."""

    messages: list[Addressed]
    write: Write | None
    reads: list[ReadRequest]


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


class RaftCore:
    """One voter."""

    def __init__(
        self,
        config: RaftConfig,
        recovered: Recovered,
        authority: Authority,
        rng: Rng,
        applied_index: LogIndex = _NOWHERE,
        protected_index: LogIndex = _NOWHERE,
    ) -> None:
        """Start as a follower.

        Args:
            config: Who votes, pace and limits.
            recovered: What the log store found.
            authority: Attests and admits entries.
            rng: Draws election timeouts.
            applied_index: The embedder's state includes everything up to here, so it is committed.
            protected_index: See `protect`.
        """
        self.log = RaftLog(recovered.positions, config.tail_bytes_max)
        self.term = recovered.hard_state.term
        self.vote = recovered.hard_state.vote
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.commit_index = min(applied_index, self.log.last_index)
        self.protected_index = protected_index
        self.suspect = recovered.suspect or applied_index > self.log.last_index
        self._config = config
        self._authority = authority
        self._rng = rng
        self._durability = Durability(self.log)
        self._outgoing: list[Addressed] = []
        self._leadership: Leadership | None = None
        self._campaign: Campaign | None = None
        self._floors = Floors()
        self._election_elapsed = 0
        self._heartbeat_elapsed = 0
        self._write_elapsed = 0
        self._timeout = self._draw_timeout()
        self._matched = LogIndex(0)
        """Equal to the log of this term's leader up to here."""
        self._applied_at_start = applied_index
        self._suspect_until: LogIndex | None = None
        self.conflict: ProtectedConflict | None = None
        """The newest append that was left unanswered because it would replace protected entries.
        To stop instead would let one lying voter end every honest one."""

    # --- What the embedder calls ---------------------------------------------------------------

    @property
    def durable_commit_index(self) -> LogIndex:
        """Entries up to here are committed and on this node's disk: they may be applied."""
        return min(self.commit_index, self.log.stable_index)

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Create an entry at the end of the log; `ready` then sends and writes it.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term than `term`.
            WindowFullError: when too much is uncommitted.
            PayloadTooLargeError: when no message could carry it.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        if term != self.term:
            raise TermChangedError(self.term)
        if len(payload) > self._config.payload_bytes_max:
            raise PayloadTooLargeError(f"a payload of {len(payload)} bytes")
        if not leadership.has_room(payload):
            raise WindowFullError("too much is uncommitted")
        return self._create(leadership, EntryKind.DATA, payload)

    def protect(self, index: LogIndex) -> None:
        """Never give up entries up to `index`: the embedder signed them or knows them final."""
        self.protected_index = max(self.protected_index, index)

    def tick(self) -> None:
        """One tick of time has passed."""
        self._election_elapsed += 1
        self._write_elapsed = self._write_elapsed + 1 if self._durability.busy else 0
        if self._leadership is not None:
            self._tick_leader(self._leadership)
        elif self._election_elapsed >= self._timeout:
            self._reset_timeout()
            if self._may_campaign:
                self._start_campaign(pre=True)

    def step(self, sender: NodeId, message: Message) -> None:
        """Take in a message of `sender`; messages that no honest voter sends are ignored."""
        if sender not in self._config.peers:
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
            case AppendResponse() | HeartbeatResponse():
                self._on_follower_response(sender, message)

    def on_persisted(self, seq: int) -> None:
        """The write `seq` of an earlier `ready` is durable."""
        self._durability.done(seq)
        self._write_elapsed = 0
        self._count_own_vote()
        self._count_commit()
        self._check_suspect()

    def on_read(self, request: ReadRequest, entries: list[Entry]) -> None:
        """The entries of a read of an earlier `ready`; empty if the store could not tell."""
        if self._leadership is not None and request.term == self.term:
            self._outgoing += self._leadership.on_read(request, entries, self.commit_index)

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

    def ready(self) -> Ready:
        """Everything to be done since the last call."""
        reads: list[ReadRequest] = []
        if self._leadership is not None:
            appends, reads = self._leadership.collect(self.commit_index)
            self._outgoing += appends
        write = self._durability.next_write(HardState(self.term, self.vote))
        messages = self._outgoing
        messages += self._durability.release()
        self._outgoing = []
        return Ready(messages, write, reads)

    # --- Elections -----------------------------------------------------------------------------

    def _start_campaign(self, *, pre: bool) -> None:
        self.leader = None
        if pre:
            self.role = Role.PRE_CANDIDATE
            self._campaign = Campaign(self._config, Term(self.term + 1), pre=True)
        else:
            self.role = Role.CANDIDATE
            self.term = Term(self.term + 1)
            self.vote = self._config.node
            self._durability.touch_hard_state()
            self._campaign = Campaign(self._config, self.term, pre=False)
        self._reset_timeout()
        for peer in self._config.peers:
            self._ask_for_vote(self._campaign, peer)
        if pre:  # a pre-vote promises nothing; a vote for itself counts when it is durable
            self._campaign.record(self._config.node, granted=True)
            self._count_votes(self._campaign)

    def _ask_for_vote(self, campaign: Campaign, peer: NodeId) -> None:
        floor = self._floors.of(peer, self.commit_index, self.log.last_index)
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
        if request.term > self.term and self._hears_leader:
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
        if self.protected_index > self.log.last_index:  # known final by others, not held here yet
            return request.last_index >= self.protected_index
        # Hashes are chained: an equal entry at or above the protected one includes it.
        shown = request.floor_index
        return self.protected_index == 0 or (
            self.protected_index <= shown <= min(request.last_index, self.log.last_index)
            and self.log.hash_at(shown) == request.floor_hash
        )

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

    def _become_leader(self) -> None:
        self.role = Role.LEADER
        self.leader = self._config.node
        self._campaign = None
        self._election_elapsed = 0
        self._heartbeat_elapsed = self._config.heartbeat_ticks  # the first one at the next tick
        self._leadership = Leadership(self._config, self.log, self.term)
        self._create(self._leadership, EntryKind.NOOP, b"")

    def _become_follower(self, term: Term, leader: NodeId | None) -> None:
        """Follow `leader`, or nobody yet, in `term`; a vote cast in the same term stands."""
        if term > self.term:
            self.term = term
            self.vote = None
            self._durability.touch_hard_state()
        self.role = Role.FOLLOWER
        self.leader = leader
        self._leadership = self._campaign = None
        self._matched = LogIndex(0)
        self._suspect_until = None
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
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed >= self._config.heartbeat_ticks:
            self._heartbeat_elapsed = 0
            heartbeat = Heartbeat(self.term, self.commit_index, self.log.last_index)
            self._outgoing += [(peer, heartbeat) for peer in self._config.peers]

    @property
    def _hears_leader(self) -> bool:
        return self.role is Role.LEADER or (
            self.leader is not None and self._election_elapsed < self._config.election_ticks
        )

    @property
    def _may_campaign(self) -> bool:
        complete = self.protected_index <= self.log.last_index
        return complete and not self.suspect and not self._disk_stalls

    @property
    def _disk_stalls(self) -> bool:
        return self._write_elapsed >= self._config.disk_stall_ticks

    def _reset_timeout(self) -> None:
        self._election_elapsed = 0
        self._timeout = self._draw_timeout()

    def _draw_timeout(self) -> int:
        return self._rng.randrange(self._config.election_ticks, 2 * self._config.election_ticks)

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
            self._suspect_until = max(heartbeat.last_index, self._applied_at_start)
        self._commit_matched(heartbeat.commit, self._matched)
        self._durability.hold_for_hard_state(sender, HeartbeatResponse(self.term))

    def _on_append(self, sender: NodeId, append: AppendRequest) -> None:
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
        response = AppendResponse(self.term, outcome, matched, counted=not self.suspect)
        self._durability.hold_for_all(sender, response)

    def _known(self, entries: tuple[Entry, ...]) -> int:
        """How many of `entries` the log has already."""
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
        """Whether what stands at `index` must not be replaced, whoever asks."""
        return index <= min(self.log.last_index, max(self.commit_index, self.protected_index))

    def _replace(self, entries: list[Entry]) -> None:
        """Append `entries`, which differ from what the log has in their place."""
        first = entries[0]
        if first.index <= self.log.last_index:
            self.log.truncate(first.index)
            self._durability.drop_acknowledgements(first.index)
        for entry in entries:
            self.log.append(entry)

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
        response = AppendResponse(self.term, AppendStatus.OK, self._matched)
        self._durability.hold_for_all(self.leader, response)

    # --- Leading -------------------------------------------------------------------------------

    def _create(self, leadership: Leadership, kind: EntryKind, payload: bytes) -> LogIndex:
        attest = self._authority.attest
        entry = self.log.create(self.term, kind, self._config.node, payload, attest)
        leadership.proposed(entry)
        return entry.index

    def _on_follower_response(
        self, sender: NodeId, response: AppendResponse | HeartbeatResponse
    ) -> None:
        if response.term > self.term:
            self._become_follower(response.term, None)
        leadership = self._leadership
        if leadership is None or response.term < self.term:
            return
        if isinstance(response, HeartbeatResponse):
            leadership.on_heartbeat_response(sender)
            return
        leadership.on_append_response(sender, response)
        if leadership.is_refused():
            self._become_follower(self.term, None)
            self._election_elapsed = -self._config.election_ticks  # let others go first
        else:
            self._count_commit()

    def _count_commit(self) -> None:
        leadership = self._leadership
        if leadership is None:
            return
        agreed = leadership.agreed_index()
        if agreed > self.commit_index and self.log.term_at(agreed) == self.term:
            self.commit_index = agreed
            leadership.committed(agreed)
