"""How far a term may be believed. Owns what other voters claim to hold; pure.

In Raft any message of a higher term is obeyed, so one voter that lies could move the term of all at
will: unseat leaders, and take the term so far that no election can follow. With `liars_max` above 0
a term counts by who holds it, as far as they have said:

- *supported* is the highest term that `liars` + 1 voters other than this node hold. One of them is
  honest, so an honest node has really reached it.
- Who claims to lead is believed in a supported term only. A real leader has a majority of votes,
  from voters who hold its term: liars + 1 of them can always be asked (`TermRequest`), however far
  behind a node is.
- A candidate is believed one step beyond what is supported, since an election is one step. Each
  sender may lift a node so only once in half an election timeout.
- A leader obeys the answer of a follower in a supported term only: no liars unseat it.

Why that bounds the term: let M be the highest term of an honest node. Nobody honest believes beyond
M + 1, because what is supported is at most M; so M rises by steps, each paced, or by elections that
an honest majority grants. At a thousand steps a second it would take 146 million years to the end
of the numbers that messages carry (2^62). Why nobody is left behind: what liars + 1 voters hold,
any node learns by asking. This node's own term does not count for its own support: else one liar
could lift one node step by step, and then both of them would be liars + 1 for all others.

Both hold for the voters that a node knows. Who lags behind a change to so few voters that fewer may
lie (from four to three, say) believes only what liars + 1 of the former ones hold. If these are
gone, and its vote is needed before it has heard of the change, nobody is elected: let all voters
catch up before the former ones go.

With `liars_max` 0 (the crash model) every claim is true and is believed at once, as in the paper.
"""

from __future__ import annotations

from typing import TypeAlias

from consensus.config import RaftConfig
from consensus.membership import Membership
from consensus.messages import Heartbeat, VoteRequest
from consensus.types import NodeId, Term

Waiting: TypeAlias = VoteRequest | Heartbeat
_GRANTS = 4
"""Election timeouts in which a second vote for the same candidate gains it no more time."""


class Terms:
    """The terms that others claim, as one node hears of them."""

    def __init__(self, config: RaftConfig) -> None:
        self._config = config
        self._claims: dict[NodeId, Term] = {}
        self._waiting: dict[NodeId, Waiting] = {}
        """The newest message of each voter whose term could not be believed yet."""
        self._now = 0
        self._asked_at = -config.election_ticks
        self._ask_due = False
        """Something came that the last question cannot have been about."""
        self._lifted_at: dict[NodeId | None, int] = {}
        self._granted_at: dict[NodeId | None, int] = {}

    def tick(self) -> bool:
        """One tick has passed; True when all are to be asked now."""
        self._now += 1
        if self._waiting and self._now - self._asked_at > self._config.election_ticks:
            self._waiting.clear()  # nobody explained it for long enough
            self._ask_due = False
        return self._ask_due and self._may_ask()

    def liars(self, membership: Membership) -> int:
        """How many of these voters may lie: never so many that the others could not go on."""
        halves = [half for half in (membership.voters, membership.outgoing) if half]
        fewest = min(map(len, halves), default=0)
        return max(0, min(self._config.liars_max, (fewest - 1) // 3))

    def hear(self, sender: NodeId, term: Term, membership: Membership) -> None:
        """`sender` says that it holds `term`, durably."""
        if term > self._claims.get(sender, 0) and sender in membership.voting:
            self._claims[sender] = term

    def supported(self, membership: Membership) -> Term:
        """The highest term that at least one honest voter besides this node holds."""
        others = membership.voting - {self._config.node}
        held = sorted([self._claims.get(voter, Term(0)) for voter in others], reverse=True)
        liars = self.liars(membership)
        return held[liars] if len(held) > liars else Term(0)

    def is_supported(self, term: Term, membership: Membership) -> bool:
        """Whether `term` may be believed of whoever claims it; always when nobody lies."""
        return not self.liars(membership) or term <= self.supported(membership)

    def reach(self, sender: NodeId, term: Term, membership: Membership) -> Term:
        """As much of `term` as may be believed of `sender` in an election."""
        if not self.liars(membership):
            return term
        supported = self.supported(membership)
        lifted = self._lifted_at.get(self._name(sender, membership))
        paced = lifted is not None and self._now - lifted < self._config.election_ticks // 2
        return min(term, supported if paced else Term(supported + 1))

    def note_lift(self, sender: NodeId, term: Term, membership: Membership) -> None:
        """This node takes over `term` on the word of `sender`."""
        if not self.is_supported(term, membership):
            self._lifted_at[self._name(sender, membership)] = self._now

    def gains_time(self, sender: NodeId, membership: Membership) -> bool:
        """Whether a vote for `sender` puts off this node's own campaign.

        Else a liar could collect votes again and again, never lead, and keep all from trying.
        """
        if not self.liars(membership):
            return True
        name = self._name(sender, membership)
        granted = self._granted_at.get(name)
        if granted is not None and self._now - granted < _GRANTS * self._config.election_ticks:
            return False
        self._granted_at[name] = self._now
        return True

    # --- Asking ----------------------------------------------------------------------------------

    def wait(self, sender: NodeId, message: Waiting | None, membership: Membership) -> bool:
        """Keep a message until its term is explained; True when all are to be asked now."""
        if message is not None and sender in membership.voting:
            self._waiting[sender] = message
        self._ask_due = True
        return self._may_ask()

    def _may_ask(self) -> bool:
        if self._now - self._asked_at < self._config.heartbeat_ticks:
            return False
        self._asked_at = self._now
        self._ask_due = False
        return True

    def ahead(self, voter: NodeId, term: Term, membership: Membership) -> bool:
        """Whether an honest `voter` may be stuck in a term above `term` that nobody else reached.

        It won a pre-vote, and its campaign was heard by nobody. No further than a step for each
        voter: beyond that it is a lie, and no reason to move.
        """
        claim = self._claims.get(voter, Term(0))
        return bool(self.liars(membership)) and term < claim <= term + len(membership.voting)

    def explained(self, membership: Membership) -> list[tuple[NodeId, Waiting]]:
        """The kept messages that can be looked at again."""
        if not self._waiting:
            return []
        limit = self.supported(membership) + 1
        ready = [
            (node, message) for node, message in self._waiting.items() if message.term <= limit
        ]
        for node, _ in ready:
            del self._waiting[node]
        return ready

    @staticmethod
    def _name(sender: NodeId, membership: Membership) -> NodeId | None:
        """Strangers count as one: a newer membership may know them, but anybody can be one."""
        return sender if sender in membership.voting else None
