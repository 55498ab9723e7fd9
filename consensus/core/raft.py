"""Raft as a state machine without input or output. Owns what an embedder may call and gets.

The embedder feeds `step`, `tick`, `propose`, `on_persisted` and the other `on_…`, and then takes
one `ready()`: messages to send now, at most one write, and reads. Nothing here blocks, reads a
clock, draws unseeded randomness or logs; equal inputs give equal outputs.

Rules (Raft paper, figure 2, and the thesis where named), each kept by a part of `roles`:

- PreVote (thesis, 9.6) with the fresh-leader rule (4.2.3): who hears a leader gives no vote, unless
  that leader asked for the election.
- CheckQuorum: a leader that hears no majority for an election timeout steps down; so does one
  whose disk hangs, or whose entries so many followers refuse that none can be committed.
- A term is taken over only as far as enough voters hold it, or as an election explains (`terms`);
  an answer counts only for who asked for it.
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
  until the leader has committed, without it, all that the leader's log held at first contact and an
  entry made after that, and this node has all that on its disk. So nothing that it once
  acknowledged can be lost by it, and no leader that was deposed with a forgotten vote misuses it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.config import RaftConfig
from consensus.core.durability import Addressed, Write
from consensus.core.progress import LogRead, Progress
from consensus.core.reads import ReadAnswer
from consensus.core.roles import Roles
from consensus.core.snapshot_transfer import ChunkRead, ChunkWrite
from consensus.core.state import Start
from consensus.errors import NotLeaderError, ReadError, TransferringError
from consensus.membership import Membership
from consensus.messages import (
    Message,
    ReadIndexRequest,
)
from consensus.ports import Authority
from consensus.snapshot import Base, Snapshot
from consensus.types import Entry, HardState, LogIndex, NodeId, Rng, Role, Term


class Ready(msgspec.Struct, frozen=True):
    """What the embedder does next. Messages may go before, while or after the write is done."""

    messages: list[Addressed]
    write: Write | None
    log_reads: list[LogRead]
    chunk_reads: list[ChunkRead]
    chunk_writes: list[ChunkWrite]
    reads: list[ReadAnswer]
    snapshot_wanted: bool
    """A follower needs a snapshot newer than the newest: capture the state soon."""


class RaftCore:
    """One member."""

    def __init__(self, config: RaftConfig, start: Start, authority: Authority, rng: Rng) -> None:
        """Start as a follower.

        Args:
            config: Founding voters, pace and limits.
            start: What the disk holds, and who this is.
            authority: Attests and admits entries.
            rng: Draws election timeouts; seeded differently at each start.

        Raises:
            SnapshotError: when the log begins after the embedder's state and no snapshot helps.
        """
        self.roles = Roles(config, start, authority, rng)
        self.state = self.roles.state
        self.log = self.state.log
        self._beat_due = False
        """Heartbeats go out with the next turn of a leader."""

    # --- What the embedder may look at -----------------------------------------------------------

    @property
    def role(self) -> Role:
        """The role in the present term."""
        return self.state.role

    @property
    def term(self) -> Term:
        """The present term."""
        return self.state.term

    @property
    def vote(self) -> NodeId | None:
        """For whom this node voted in the present term."""
        return self.state.vote

    @property
    def leader(self) -> NodeId | None:
        """Who leads in the present term, as far as this node has heard."""
        return self.state.leader

    @property
    def commit_index(self) -> LogIndex:
        """What this node knows to be committed."""
        return self.state.commit_index

    @property
    def protected_index(self) -> LogIndex:
        """Up to here nothing is given up."""
        return self.state.protected_index

    @property
    def suspect(self) -> bool:
        """Whether its disk may have lost something."""
        return self.state.suspect

    @property
    def restore(self) -> Snapshot | None:
        """The embedder's state must be replaced by this snapshot before anything is applied.

        Say `restored` when that is done.
        """
        return self.state.restore

    @property
    def conflicts(self) -> int:
        """Appends that were left unanswered because they would replace protected entries."""
        return self.roles.follower.conflicts

    @property
    def membership(self) -> Membership:
        """The membership in force."""
        return self.state.memberships.current

    @property
    def membership_index(self) -> LogIndex:
        """Index of the entry that put it in force; 0 when it comes from the start of the log."""
        return self.state.memberships.index

    @property
    def durable_commit_index(self) -> LogIndex:
        """Entries up to here are committed and on this node's disk: they may be applied."""
        return self.state.durable_commit_index

    @property
    def leads_safely(self) -> bool:
        """Whether this node leads and has committed an entry of its own term."""
        return self.state.leads_safely

    @property
    def handing_over(self) -> bool:
        """Whether leadership is on its way to another voter."""
        return self.roles.leading is not None and self.roles.leading.transfer.heir is not None

    def followers(self) -> dict[NodeId, Progress]:
        """What this leader knows of its followers; empty when it does not lead."""
        return {} if self.roles.leading is None else self.roles.leading.replication.followers

    def position(self, index: LogIndex) -> Base:
        """Where a log begins whose last forgotten entry is the one at `index`."""
        return self.state.position(index)

    # --- What the embedder asks for --------------------------------------------------------------

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Create an entry at the end of the log; `ready` then sends and writes it.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term than `term`.
            TransferringError: while leadership is handed over.
            WindowFullError: when too much is uncommitted.
            PayloadTooLargeError: when no message could carry it.
        """
        leading = self.roles.leading
        if leading is None:
            raise NotLeaderError(self.state.leader)
        return leading.propose(payload, term)

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
        leading = self.roles.leading
        if leading is None:
            raise NotLeaderError(self.state.leader)
        if leading.transfer.heir is not None:
            raise TransferringError(f"leadership goes to {leading.transfer.heir}")
        return leading.change.begin(voters, learners)

    def is_caught_up(self, node: NodeId) -> bool:
        """Whether that follower could be promoted: a window of appends would complete its log."""
        return self.roles.leading is not None and self.roles.leading.change.is_caught_up(node)

    def transfer(self, to: NodeId | None = None) -> NodeId:
        """Hand leadership to a voter (thesis, 3.10), by default to the one with most of the log.

        No proposals are taken until it is done or an election timeout has passed.

        Returns:
            The voter that shall lead.

        Raises:
            NotLeaderError: with a hint.
            MembershipError: when it is no voter, or there is none.
        """
        if self.roles.leading is None:
            raise NotLeaderError(self.state.leader)
        return self.roles.leading.transfer.begin(to)

    def read_index(self, ticket: int, now_ms: float) -> None:
        """Ask for an index at which a read is linearizable; a `ReadAnswer` comes with `ready`.

        Args:
            ticket: The caller's name for the read.
            now_ms: The caller's monotonic clock.

        Raises:
            ReadError: when no leader is known or too many reads wait.
        """
        state = self.state
        if self.roles.leading is not None:
            reads = self.roles.leading.heartbeats.reads
            if state.leads_safely and reads.holds_lease(now_ms):
                state.answers.append(ReadAnswer(ticket, state.commit_index))
            else:
                reads.add(state.config.node, ticket)
        elif state.leader is None:
            raise ReadError("no leader is known")
        else:
            state.asked.add(ticket)

    def protect(self, index: LogIndex) -> None:
        """Never give up entries up to `index`: the embedder signed them or knows them final."""
        self.state.protect(index)

    def distrust(self) -> None:
        """This node's memory turned out to be older than its promises: see `Suspicion`."""
        self.roles.suspicion.distrust()

    # --- Time, messages, and what comes of them --------------------------------------------------

    def tick(self) -> None:
        """One tick of time has passed."""
        if self.roles.tick():
            self._beat_due = True

    def step(self, sender: NodeId, message: Message) -> None:
        """Take in a message of `sender`; messages that no honest member sends are ignored.

        The sender need not be a member that this node knows of: its membership may be newer.
        """
        self.roles.step(sender, message)

    def ready(self, now_ms: float = 0.0) -> Ready:
        """Everything to be done since the last call. `now_ms`: the caller's monotonic clock."""
        state, leading = self.state, self.roles.leading
        log_reads: list[LogRead] = []
        chunk_reads: list[ChunkRead] = []
        wanted = False
        if leading is not None:
            # What became due in an earlier leadership, in the turn that ended it, counts for this.
            due, self._beat_due = self._beat_due, False
            leading.heartbeats.begin_round(now_ms, due=due)
            collected = leading.replication.collect(state.commit_index, state.snapshot)
            state.outgoing += collected.messages
            log_reads, chunk_reads = collected.log_reads, collected.chunk_reads
            state.watchdog.asked(len(log_reads) + len(chunk_reads))
            wanted = leading.replication.snapshot_wanted
        elif state.leader is not None:
            number = state.asked.take_request()
            if number is not None:
                state.outgoing.append((state.leader, ReadIndexRequest(state.term, number)))
        write = state.durability.next_write(HardState(state.term, state.vote))
        messages = state.outgoing
        messages += state.durability.release()
        state.outgoing = []
        reads, state.answers = state.answers, []
        chunk_writes = self.roles.installation.next_write()
        return Ready(
            messages=messages,
            write=write,
            log_reads=log_reads,
            chunk_reads=chunk_reads,
            chunk_writes=chunk_writes,
            reads=reads,
            snapshot_wanted=wanted,
        )

    # --- What was asked for is done --------------------------------------------------------------

    def on_persisted(self, seq: int) -> None:
        """The write `seq` of an earlier `ready` is durable."""
        state = self.state
        state.durability.done(seq)
        state.watchdog.written()
        self.roles.elections.count_own_vote()
        if self.roles.leading is not None:
            self.roles.leading.count_commit()
        if state.suspect:
            self.roles.follower.check_suspicion()

    def on_read(self, request: LogRead, entries: list[Entry]) -> None:
        """The entries of a read of an earlier `ready`; empty if the store could not tell."""
        state = self.state
        state.watchdog.read()
        if self.roles.leading is not None and request.term == state.term:
            replication = self.roles.leading.replication
            state.outgoing += replication.on_read(request, entries, state.commit_index)

    def on_chunk_read(self, request: ChunkRead, data: bytes | None) -> None:
        """The bytes of a read of an earlier `ready`; None when the snapshot is gone."""
        state = self.state
        state.watchdog.read()
        if self.roles.leading is not None and request.term == state.term:
            state.outgoing += self.roles.leading.replication.on_chunk_read(request, data)

    def on_chunk_written(self, write: ChunkWrite, held: int, *, ok: bool) -> None:
        """The snapshot store has taken a part.

        Args:
            write: The part, of an earlier `ready`.
            held: Bytes of the snapshot that are durable.
            ok: When all are: what `SnapshotStore.complete` said.
        """
        self.roles.installation.on_chunk_written(write, held, ok=ok)

    def snapshot_made(self, snapshot: Snapshot) -> None:
        """The snapshot store has a newer complete snapshot."""
        self.state.note_snapshot(snapshot)

    # --- Applying and compaction -----------------------------------------------------------------

    def committed(self, first: LogIndex) -> list[Entry] | None:
        """Entries from `first` that may be applied, bounded; None when the store must be read.

        `first` is at most `durable_commit_index`.
        """
        state = self.state
        if first < state.log.tail_first:
            return None
        config = state.config
        return state.log.slice(
            first, state.durable_commit_index, config.apply_entries_max, config.apply_bytes_max
        )

    def compact(self, index: LogIndex) -> LogIndex:
        """Give up log entries up to `index`, or fewer.

        What is not in the newest snapshot, not durable or needed by a follower stays.

        Returns:
            The index after which the log begins now.
        """
        state = self.state
        if state.snapshot is None or state.restore is not None or state.suspect:
            return state.log.base.index
        index = min(index, state.snapshot.index, state.durable_commit_index)
        if self.roles.leading is not None:
            index = self.roles.leading.replication.compactable(index)
        if index > state.log.base.index:
            state.compact(index)
        return state.log.base.index

    def restored(self, snapshot: Snapshot) -> None:
        """The embedder's state is that of `snapshot` now."""
        if self.state.restore is snapshot:
            self.state.restore = None
