"""Raft as a state machine without input or output. Owns term, vote, role, log and commit index.

The embedder feeds `step`, `tick`, `propose`, `on_persisted` and the other `on_…`, and then takes
one `ready()`: messages to send now, at most one write, and reads. Nothing here blocks, reads a
clock, draws unseeded randomness or logs; equal inputs give equal outputs.

Rules (Raft paper, figure 2, and the thesis where named):

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

import msgspec

from consensus.core.durability import Addressed, Write
from consensus.core.leading import Leading
from consensus.core.progress import LogRead
from consensus.core.reads import ReadAnswer
from consensus.core.snapshot_transfer import ChunkRead, ChunkWrite
from consensus.errors import ReadError
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotChunk,
    TermRequest,
    TermResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.snapshot import Snapshot
from consensus.types import Entry, HardState, LogIndex, NodeId


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


class RaftCore(Leading):
    """One member."""

    def tick(self) -> None:
        """One tick of time has passed."""
        self._election_elapsed += 1
        self._guard_ticks = max(0, self._guard_ticks - 1)
        working = self._durability.busy or self._reading
        self._disk_elapsed = self._disk_elapsed + 1 if working else 0
        self._reads += self._follower_reads.tick()
        if self._terms.tick():
            self._send_term_requests()
        if self._leadership is not None:
            self._tick_leader(self._leadership)
        elif self._election_elapsed >= self._timeout:
            if self._may_campaign:
                self._start_campaign(pre=True)
            else:  # look again later; a dead leader is not taken for fresh by that
                self._timeout = self._election_elapsed + self._draw_timeout()

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
                if self._follow(sender, message):
                    self._on_append(sender, message)
            case Heartbeat():
                if self._follow(sender, message):
                    self._on_heartbeat(sender, message)
            case SnapshotChunk():
                if self._follow(sender, message):
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
            case TermRequest():
                self._terms.hear(sender, message.term, self.membership)
                self._rise(sender, message.term)
                self._durability.hold_for_hard_state(sender, TermResponse(self.term))
            case TermResponse():
                self._terms.hear(sender, message.term, self.membership)
                self._rise(sender, message.term)
                for claimant, kept in self._terms.explained(self.membership):
                    self.step(claimant, kept)

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
            self._reading += len(log_reads) + len(chunk_reads)
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
        # A complete snapshot must not be on a disk that does not know its term: the next start
        # would let a log of a later term follow a hard state of an earlier one.
        chunk_writes: list[ChunkWrite] = []
        if self._incoming.waits and self._durability.hard_state_durable:
            chunk_writes = self._incoming.next_write()
        return Ready(messages, write, log_reads, chunk_reads, chunk_writes, reads, wanted)

    # --- What was asked for is done --------------------------------------------------------------

    def on_persisted(self, seq: int) -> None:
        """The write `seq` of an earlier `ready` is durable."""
        self._durability.done(seq)
        self._disk_elapsed = 0
        self._count_own_vote()
        self._count_commit()
        self._check_suspect()

    def on_read(self, request: LogRead, entries: list[Entry]) -> None:
        """The entries of a read of an earlier `ready`; empty if the store could not tell."""
        self._read_done()
        if self._leadership is not None and request.term == self.term:
            self._outgoing += self._leadership.on_read(request, entries, self.commit_index)

    def on_chunk_read(self, request: ChunkRead, data: bytes | None) -> None:
        """The bytes of a read of an earlier `ready`; None when the snapshot is gone."""
        self._read_done()
        if self._leadership is not None and request.term == self.term:
            self._outgoing += self._leadership.on_chunk_read(request, data)

    def _read_done(self) -> None:
        self._reading = max(0, self._reading - 1)
        self._disk_elapsed = 0

    # --- Applying and compaction -----------------------------------------------------------------

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

    def restored(self, snapshot: Snapshot) -> None:
        """The embedder's state is that of `snapshot` now."""
        if self.restore is snapshot:
            self.restore = None
