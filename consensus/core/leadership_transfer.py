"""Handing leadership to another voter (thesis, 3.10). Pure.

Owns to whom it goes, for how long proposals wait for that, and how often a leader gives way to a
voter that is stuck.

    none ──begin──▶ waiting ──the heir has the whole log──▶ asked ──its election──▶ (leads no more)
     ▲                 │  ▲                                   │
     │                 │  └──── heartbeats are due: ──────────┤
     │                 │        the request may be lost       │
     └─── an election timeout has passed ─────────────────────┘
"""

from __future__ import annotations

from consensus.core.elections import ElectionState
from consensus.core.heartbeats import Heartbeats
from consensus.core.replication import Replication
from consensus.core.state import MemberState
from consensus.errors import MembershipError
from consensus.messages import TimeoutNow
from consensus.types import NodeId

_RENEWALS = 32
"""Election timeouts (13 s by default) between two transfers for the sake of a stuck voter."""


class LeadershipTransfer:
    """The transfers of one leadership; at most one is under way."""

    def __init__(
        self,
        state: MemberState,
        elections: ElectionState,
        replication: Replication,
        heartbeats: Heartbeats,
    ) -> None:
        self._state = state
        self._elections = elections
        self._replication = replication
        self._heartbeats = heartbeats
        self.heir: NodeId | None = None
        """To whom leadership is on its way."""
        self._ticks_left = 0
        """Until that has failed."""
        self._asked = False
        self._renewed_ticks = 0
        """How long this leader has led since it last gave way to a member that is stuck."""

    def begin(self, to: NodeId | None) -> NodeId:
        """See `RaftCore.transfer`."""
        state = self._state
        chosen = self._replication.best_voter() if to is None else to
        if chosen is None or chosen == state.config.node or chosen not in state.membership.voters:
            raise MembershipError(f"leadership cannot go to {chosen}")
        self.heir, self._ticks_left = chosen, state.config.election_ticks
        self._asked = False
        self.proceed()
        return chosen

    def cancel(self) -> None:
        """Leadership is lost, to whomever."""
        self.heir = None

    def tick(self) -> bool:
        """One tick has passed; whether a transfer has failed by that."""
        if self.heir is None:
            return False
        self._ticks_left -= 1
        if self._ticks_left > 0:
            return False
        self.heir = self._elections.heir = None
        return True

    def proceed(self) -> None:
        """Ask the heir to campaign as soon as it has the whole log."""
        heir = self.heir
        if heir is None or self._asked:
            return
        peer = self._replication.followers.get(heir)
        if peer is not None and peer.match == self._state.log.last_index:
            self._asked = True
            self.ask_to_lead(heir)

    def repeat(self) -> None:
        """The request may have been lost."""
        self._asked = False
        self.proceed()

    def ask_to_lead(self, heir: NodeId) -> None:
        """Tell everybody who may campaign, then the heir to do it."""
        self._heartbeats.reads.void_lease()
        self._elections.heir = heir
        self._heartbeats.send_all()
        self._state.outgoing.append((heir, TimeoutNow(self._state.term)))

    def free_stuck_voters(self) -> None:
        """Give way, now and then, to a voter that is in a higher term than all others.

        Its answers unseat nobody, and it cannot come back to this term: it may have promised not
        to. An orderly transfer reaches its term without a pause. A liar that plays stuck gains no
        more than that.
        """
        state, election_ticks = self._state, self._state.config.election_ticks
        self._renewed_ticks += election_ticks
        if self._renewed_ticks < _RENEWALS * election_ticks or not state.leads_safely:
            return
        stuck = [
            node
            for node, peer in self._replication.followers.items()
            if not peer.active and self._elections.terms.ahead(node, state.term, state.membership)
        ]
        heir = self._replication.best_voter(without=stuck)
        if stuck and heir is not None and not state.membership.joint and self.heir is None:
            self._renewed_ticks = 0
            self.begin(heir)
