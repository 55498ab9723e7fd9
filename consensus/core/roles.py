"""The parts of a member, and what a change of its role takes along. Pure.

Owns who gets which message, and the changes of role; the rules are the parts' own.

    Roles ─┬─ MemberState       term, vote, role, leader, log, commit index: what every part reads
           ├─ ElectionState     timer, campaign, votes, the terms of others
           ├─ Suspicion         whether its disk is trusted
           ├─ FollowerState     entries and commits of a leader, acknowledgements
           ├─ Installation      a snapshot in place of a log
           └─ LeaderState       while it leads: followers, heartbeats and reads, transfer, changes

    follower ──timeout──▶ pre-candidate ──a quorum would vote──▶ candidate ──a quorum did──▶ leader
        │                  ▲    │                                 ▲   │  │                      │
        │                  └────┼───────────── timeout ───────────┼───┘  │                      │
        └── its leader hands over: `TimeoutNow` ──────────────────┘      │                      │
                                └────────────────────────────────────────┤                      │
    follower ◀── a leader is heard, a higher term is believed, ──────────┘                      │
                 or no quorum can be reached any more                                           │
    follower ◀── a higher term is supported; no quorum is heard, the disk hangs, or too many ───┘
                 refuse an entry
"""

from __future__ import annotations

from consensus.config import RaftConfig
from consensus.core.elections import ElectionState
from consensus.core.following import FollowerState
from consensus.core.installing import Installation
from consensus.core.leading import LeaderState
from consensus.core.reads import FollowerReads
from consensus.core.state import MemberState, Start
from consensus.core.suspicion import Suspicion
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
from consensus.ports import Authority
from consensus.receipts import Sealer
from consensus.types import LogIndex, NodeId, Rng, Role, Term


class Roles:
    """One member, put together."""

    def __init__(self, config: RaftConfig, start: Start, authority: Authority, rng: Rng) -> None:
        """See `RaftCore`."""
        sealer = Sealer(start.secret)
        asked = FollowerReads(config, rng)
        self.state = state = MemberState(config, start, authority, asked)
        self.elections = ElectionState(state, rng, self)
        self.suspicion = Suspicion(state, start.life, sealer, self)
        self.follower = FollowerState(state, self.elections, self.suspicion, sealer, self)
        self.installation = Installation(state, self.follower)
        self.leading: LeaderState | None = None
        """Of this member's present leadership."""

    # --- Changes of role -------------------------------------------------------------------------

    def become_follower(self, term: Term, leader: NodeId | None) -> None:
        """Follow `leader`, or nobody yet, in `term`; a vote cast in the same term stands."""
        state = self.state
        if term > state.term:
            state.enter_term(term)
        if self.leading is not None:
            state.answers += self.leading.close()
            self.leading = None
        state.role = Role.FOLLOWER
        state.follow(leader)
        self.elections.end()
        self.follower.matched = LogIndex(0)
        self.suspicion.until = None
        self.installation.abandon()
        self.elections.reset_timeout()

    def become_leader(self) -> None:
        """A quorum has granted."""
        state = self.state
        state.role = Role.LEADER
        state.leader = state.config.node
        self.elections.win()
        self.leading = LeaderState(state, self.elections, self)
        self.installation.abandon()
        self.leading.open()

    # --- Time and messages -----------------------------------------------------------------------

    def tick(self) -> bool:
        """One tick of time has passed; whether heartbeats of a leader are due."""
        state, elections = self.state, self.elections
        elections.tick()
        state.watchdog.tick(writing=state.durability.busy)
        state.answers += state.asked.tick()
        elections.tick_terms()
        if self.leading is not None:
            return self.leading.tick()
        elections.time_out()
        return False

    def step(  # noqa: C901, PLR0912 - one branch for each kind of message, and nothing else
        self, sender: NodeId, message: Message
    ) -> None:
        """See `RaftCore.step`."""
        state, elections, follower = self.state, self.elections, self.follower
        if sender == state.config.node:
            return
        match message:
            case VoteRequest():
                elections.on_vote_request(sender, message)
            case VoteResponse():
                elections.on_vote_response(sender, message)
            case AppendRequest():
                if follower.accepts(sender, message):
                    follower.on_append(sender, message)
            case Heartbeat():
                if follower.accepts(sender, message):
                    follower.on_heartbeat(sender, message)
            case SnapshotChunk():
                if follower.accepts(sender, message):
                    self.installation.on_chunk(sender, message)
            case TimeoutNow():
                elections.on_timeout_now(sender, message)
            case ReadIndexRequest():
                if self.leading is not None:
                    self.leading.on_read_request(sender, message)
            case ReadIndexResponse():
                if message.term == state.term and sender == state.leader:
                    state.answers += state.asked.answered(message.ticket, message.index)
            case AppendResponse() | HeartbeatResponse() | ChunkResponse():
                if self.leading is not None:
                    self.leading.on_response(sender, message)
            case TermRequest():
                elections.on_term_request(sender, message)
            case TermResponse():
                for claimant, kept in elections.on_term_response(sender, message):
                    self.step(claimant, kept)
