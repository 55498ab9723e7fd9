"""What a leader does: create entries, replicate and commit them (Raft paper, 5.3 and 5.4.2). Pure.

Owns one leadership, from the election to the step down, and composes its parts: `replication`
(what is known of each follower), `heartbeats` with the reads that they confirm,
`leadership_transfer` and `membership_change`. Nothing of it outlives the leadership.
"""

from __future__ import annotations

from consensus.core.elections import ElectionState
from consensus.core.heartbeats import Heartbeats
from consensus.core.leadership_transfer import LeadershipTransfer
from consensus.core.membership_change import MembershipChange
from consensus.core.reads import ReadAnswer
from consensus.core.replication import Replication
from consensus.core.state import MemberState, Transitions
from consensus.errors import (
    PayloadTooLargeError,
    ReadError,
    TermChangedError,
    TransferringError,
    WindowFullError,
)
from consensus.membership import decode_membership
from consensus.messages import (
    AppendResponse,
    ChunkResponse,
    HeartbeatResponse,
    ReadIndexRequest,
)
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Term


class LeaderState:
    """A member that leads."""

    def __init__(
        self, state: MemberState, elections: ElectionState, transitions: Transitions
    ) -> None:
        self.replication = replication = Replication(
            state.config, state.log, state.term, state.membership
        )
        self.heartbeats = Heartbeats(state, elections, replication)
        self.transfer = LeadershipTransfer(state, elections, replication, self.heartbeats)
        self.change = MembershipChange(state, replication, self.transfer, self.create, transitions)
        self._state = state
        self._config = state.config
        self._elections = elections
        self._transitions = transitions

    def open(self) -> None:
        """Begin with an entry of this term, since only that can be committed by counting."""
        self.create(EntryKind.NOOP, b"")

    def close(self) -> list[ReadAnswer]:
        """Leadership is lost; the reads of this node that fail by that."""
        self.transfer.cancel()
        return self.heartbeats.reads.abandon(self._config.node)

    # --- Entries ---------------------------------------------------------------------------------

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """See `RaftCore.propose`."""
        state = self._state
        if term != state.term:
            raise TermChangedError(state.term)
        heir = self.transfer.heir
        if heir is not None:
            raise TransferringError(f"leadership goes to {heir}")
        config = self._config
        if len(payload) > config.payload_bytes_max:
            raise PayloadTooLargeError(f"a payload of {len(payload)} bytes")
        if not self.replication.has_room(payload, state.commit_index):
            raise WindowFullError("too much is uncommitted")
        # As `create`, without what data needs not: every proposal comes this way.
        attest = state.authority.attest
        return state.log.create(state.term, EntryKind.DATA, config.node, payload, attest).index

    def create(self, kind: EntryKind, payload: bytes) -> Entry:
        """A new entry at the end of the log; a membership is in force from here on."""
        state = self._state
        entry = state.log.create(
            state.term, kind, self._config.node, payload, state.authority.attest
        )
        if kind is EntryKind.MEMBERSHIP:
            membership = decode_membership(payload)
            state.memberships.append(entry.index, membership)
            self.replication.set_membership(membership)
        return entry

    def _favour(self) -> None:
        """Make an entry that a follower needs, if none was made for one just now."""
        if self.replication.may_favour():
            self.create(EntryKind.NOOP, b"")

    def count_commit(self) -> None:
        """Commit what is durable at a quorum, if it is of this term (paper, figure 8)."""
        state = self._state
        agreed = self.replication.agreed_index()
        if agreed > state.commit_index and state.log.term_at(agreed) == state.term:
            state.commit_index = agreed
            self.change.advance()

    # --- Time ------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """One tick has passed; whether heartbeats are due."""
        state, elections = self._state, self._elections
        if elections.elapsed >= self._config.election_ticks:
            elections.elapsed = 0
            self.transfer.free_stuck_voters()
            if not self.replication.keeps_quorum():
                self._step_down()
                return False
        if state.watchdog.stalls:
            self._step_down()
            return False
        self.replication.tick()
        if self.transfer.tick() and state.leads_safely:  # no change before a commit in its own term
            self.change.advance()
        if not self.heartbeats.tick():
            return False
        newest = LogIndex(-1) if state.snapshot is None else state.snapshot.index
        wanted = self.replication.snapshot_wanted and newest >= state.log.last_index
        if wanted and state.leads_safely:
            self._favour()  # else there is no later state to capture
        self.transfer.repeat()
        return True

    def _step_down(self) -> None:
        self._transitions.become_follower(self._state.term, None)

    # --- What followers say ----------------------------------------------------------------------

    def on_response(
        self, sender: NodeId, response: AppendResponse | HeartbeatResponse | ChunkResponse
    ) -> None:
        """A follower, or somebody who was never one, answers."""
        state, replication = self._state, self.replication
        peer = replication.followers.get(sender)
        if peer is None:
            return
        terms = self._elections.terms
        if self._config.liars_max:
            terms.hear(sender, response.term, state.membership)
        if response.term > state.term and terms.is_supported(response.term, state.membership):
            self._transitions.become_follower(response.term, None)
            return
        if response.term != state.term:
            return
        if isinstance(response, ChunkResponse):
            replication.on_chunk_response(sender, response)
            return
        before = peer.life
        if not replication.hears(sender, response.life, counted=response.counted):
            return
        if response.life > before and not response.counted:
            self.heartbeats.send(sender)  # made after its loss: need not wait for the next one
        if isinstance(response, HeartbeatResponse):
            self._on_heartbeat_response(sender, response)
            return
        replication.on_append_response(sender, response)
        if replication.is_refused():
            self._step_down()
            self._elections.elapsed = -self._config.election_ticks  # let others go first
        else:
            self.count_commit()
            self.transfer.proceed()

    def _on_heartbeat_response(self, sender: NodeId, response: HeartbeatResponse) -> None:
        state = self._state
        self.replication.on_heartbeat_response(sender)
        if response.counted:
            self.heartbeats.acknowledge(sender, response.round)
        elif response.until == state.log.last_index + 1 and state.leads_safely:
            self._favour()  # it waits for an entry that is made after its loss

    def on_read_request(self, sender: NodeId, request: ReadIndexRequest) -> None:
        """A follower asks at which index it may read."""
        followers = self.replication.followers
        if request.term != self._state.term or sender not in followers:
            return
        try:
            self.heartbeats.reads.add(sender, request.ticket, len(followers))
        except ReadError:
            return  # the asker retries after its timeout
