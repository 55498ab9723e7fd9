"""A leader's heartbeats, and the reads that they confirm (thesis, 6.4). Pure.

Owns what a heartbeat says and when one is due. The rounds of reads go with heartbeats, so both are
sent from here; who waits for which round is kept in `reads`.
"""

from __future__ import annotations

from consensus.core.elections import ElectionState
from consensus.core.reads import LeaderReads, ReadAnswer
from consensus.core.replication import Replication
from consensus.core.state import MemberState
from consensus.messages import Heartbeat, ReadIndexResponse
from consensus.types import NodeId


class Heartbeats:
    """The heartbeats of one leadership."""

    def __init__(
        self, state: MemberState, elections: ElectionState, replication: Replication
    ) -> None:
        self.reads = LeaderReads(state.config)
        self._state = state
        self._elections = elections
        self._replication = replication
        self._elapsed = state.config.heartbeat_ticks  # the first one at the next tick

    def tick(self) -> bool:
        """One tick has passed; whether heartbeats are due."""
        self._elapsed += 1
        if self._elapsed < self._state.config.heartbeat_ticks:
            return False
        self._elapsed = 0
        self._replication.beat()
        return True

    def send_all(self) -> None:
        """To every follower."""
        for follower in sorted(self._replication.followers):
            self.send(follower)

    def send(self, follower: NodeId) -> None:
        """To one follower, without regard to any disk."""
        state, replication = self._state, self._replication
        heartbeat = Heartbeat(
            term=state.term,
            commit=state.commit_index,
            last_index=state.log.last_index,
            round=self.reads.round,
            heir=self._elections.heir,
            life=max(0, replication.followers[follower].life),
            held=replication.receipt(follower),
        )
        state.outgoing.append((follower, heartbeat))

    def begin_round(self, now_ms: float, *, due: bool) -> None:
        """Send heartbeats when they are due, and a round of reads when one can begin."""
        state, reads = self._state, self.reads
        begun = state.leads_safely and reads.begin_round(state.commit_index, now_ms, beat=due)
        if due or begun:
            self.send_all()
        if begun:
            self.answer_reads()  # a lone voter confirms itself

    def acknowledge(self, follower: NodeId, number: int) -> None:
        """A follower whose disk is trusted has answered the heartbeat of that round."""
        self.reads.acknowledge(follower, number)
        self.answer_reads()

    def answer_reads(self) -> None:
        """Answer the reads whose rounds a quorum has confirmed."""
        state = self._state
        own = state.config.node
        for asker, ticket, index in self.reads.take_confirmed(state.membership, own):
            if asker == own:
                state.answers.append(ReadAnswer(ticket, index))
            else:
                state.outgoing.append((asker, ReadIndexResponse(state.term, ticket, index)))
