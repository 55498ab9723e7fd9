"""Who leads: asking for votes, giving them, counting them (Raft paper, 5.2 and 5.4.1). Pure.

Owns the election timer, the campaign, what others protect, whom a leader named as its heir, and how
far the terms of others are taken over. Knows nothing of entries but where logs end.
"""

from __future__ import annotations

from consensus.core.campaign import Campaign, Floors
from consensus.core.state import MemberState, Transitions
from consensus.core.terms import Terms, Waiting
from consensus.messages import TermRequest, TermResponse, TimeoutNow, VoteRequest, VoteResponse
from consensus.types import NodeId, Rng, Role, Term


class ElectionState:
    """A member that votes and campaigns."""

    def __init__(self, state: MemberState, rng: Rng, transitions: Transitions) -> None:
        config = state.config
        self.elapsed = 0
        """Ticks since a leader was heard; of a leader, since it last checked its quorum."""
        self.campaign: Campaign | None = None
        self.heir: NodeId | None = None
        """Who may campaign although the leader is fresh: that leader said so."""
        self.terms = Terms(config)
        self._state = state
        self._config = config
        self._rng = rng
        self._transitions = transitions
        self._floors = Floors()
        self._guard_ticks = config.election_ticks if config.lease_reads else 0
        """A lease that was confirmed by this node's earlier life may still run."""
        self._timeout = self._draw_timeout()

    # --- Time ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One tick has passed, whatever the role."""
        self.elapsed += 1
        self._guard_ticks = max(0, self._guard_ticks - 1)

    def time_out(self) -> None:
        """Campaign, if no leader was heard for long enough."""
        if self.elapsed < self._timeout:
            return
        if self._may_campaign:
            self._start(pre=True)
        else:  # look again later; a dead leader is not taken for fresh by that
            self._timeout = self.elapsed + self._draw_timeout()

    def reset_timeout(self) -> None:
        """Time runs anew."""
        self.elapsed = 0
        self._timeout = self._draw_timeout()

    def end(self) -> None:
        """Nobody campaigns here any more, and nobody is an heir."""
        self.campaign = self.heir = None

    def win(self) -> None:
        """This member leads now."""
        self.campaign = None
        self.elapsed = 0

    @property
    def _hears_leader(self) -> bool:
        # One tick is conceded: two nodes that heard the last heartbeat of a dead leader at once may
        # count one tick more or less since then, and must not hold up each other's election.
        state = self._state
        return state.role is Role.LEADER or (
            state.leader is not None and self.elapsed < self._config.election_ticks - 1
        )

    @property
    def _may_campaign(self) -> bool:
        state = self._state
        complete = state.protected_index <= state.log.last_index
        return complete and not state.suspect and not state.watchdog.stalls and state.may_vote

    def _draw_timeout(self) -> int:
        least = self._config.election_ticks
        later = self._config.priority * least // 2
        return later + self._rng.randrange(least, 2 * least)

    # --- Campaigning -----------------------------------------------------------------------------

    def _start(self, *, pre: bool) -> None:
        state, own = self._state, self._config.node
        self.heir = None  # whom the last leader named is none of the next one's
        state.follow(None)
        membership = state.membership
        if pre:
            state.role = Role.PRE_CANDIDATE
            self.campaign = Campaign(membership, Term(state.term + 1), pre=True)
        else:
            state.role = Role.CANDIDATE
            state.term = Term(state.term + 1)
            state.vote = own
            state.durability.touch_hard_state()
            self.campaign = Campaign(membership, state.term, pre=False)
        self.reset_timeout()
        for peer in sorted(membership.voting - {own}):
            self._ask_for_vote(self.campaign, peer)
        if pre:  # a pre-vote promises nothing; a vote for itself counts when it is durable
            self.campaign.record(own, granted=True)
            self._count_votes(self.campaign)

    def _ask_for_vote(self, campaign: Campaign, peer: NodeId) -> None:
        state, log = self._state, self._state.log
        floor = self._floors.of(peer, state.commit_index, log.base.index, log.last_index)
        request = VoteRequest(
            term=campaign.term,
            pre=campaign.pre,
            last_index=log.last_index,
            last_term=log.last_term,
            floor_index=floor,
            floor_hash=log.hash_at(floor),
        )
        state.durability.hold_for_hard_state(peer, request)

    def on_vote_response(self, sender: NodeId, response: VoteResponse) -> None:
        """A voter answers the campaign of this member, or one of before."""
        state, campaign = self._state, self.campaign
        if campaign is None or not campaign.asks(sender):
            return  # too late, or a stranger: nobody who hears a leader forgets it for an answer
        self.terms.hear(sender, response.term, state.membership)
        new_floor = self._floors.learn(sender, response.floor)
        if response.term > state.term:
            reach = self.terms.reach(sender, response.term, state.membership)
            if reach < response.term:
                self.ask_terms(sender, None)
            if reach > state.term:
                self.terms.note_lift(sender, reach, state.membership)
                self._transitions.become_follower(reach, None)
                return
        if (campaign.term, campaign.pre) != (response.campaign, response.pre):
            return
        # Refused for what the voter protects: show it that very entry, once.
        if (
            not response.granted
            and new_floor
            and response.floor <= state.log.last_index
            and campaign.may_ask_again(sender)
        ):
            self._ask_for_vote(campaign, sender)
            return
        campaign.record(sender, granted=response.granted)
        self._count_votes(campaign)

    def count_own_vote(self) -> None:
        """The disk knows more than before: the vote of a candidate for itself may count now."""
        campaign = self.campaign
        if campaign and not campaign.pre and self._state.durability.hard_state_durable:
            campaign.record(self._config.node, granted=True)
            self._count_votes(campaign)

    def _count_votes(self, campaign: Campaign) -> None:
        if campaign.won and campaign.pre:
            self._start(pre=False)
        elif campaign.won:
            self._transitions.become_leader()
        elif campaign.lost:
            self._transitions.become_follower(self._state.term, None)

    def on_timeout_now(self, sender: NodeId, message: TimeoutNow) -> None:
        """The leader hands over to this member: no pre-vote, since the others were told."""
        state = self._state
        if message.term == state.term and sender == state.leader and self._may_campaign:
            self._start(pre=False)

    # --- Voting ----------------------------------------------------------------------------------

    def on_vote_request(self, sender: NodeId, request: VoteRequest) -> None:
        """Somebody campaigns."""
        state, log = self._state, self._state.log
        held = Term(request.term - 1) if request.pre and request.term else request.term
        self.terms.hear(sender, held, state.membership)
        fresh = self._hears_leader and sender != self.heir
        if request.term > state.term and (fresh or self._guard_ticks):
            if request.pre:
                self._answer_vote(sender, request, granted=False)
            return  # no answer, no new term: a rejoining node cannot disturb a live leader
        if request.pre:
            self._rise(sender, held)
        if request.term > state.term and not self._believes(sender, request):
            return
        free = state.vote == sender or (state.vote is None and state.leader is None)
        granted = (
            not state.suspect
            and (free if request.term == state.term else request.term > state.term)
            and (request.last_term, request.last_index) >= (log.last_term, log.last_index)
            and self._shows_protected(request)
        )
        if granted and not request.pre and state.vote != sender:
            state.vote = sender
            state.durability.touch_hard_state()
            if self.terms.gains_time(sender, state.membership):
                self.elapsed = 0
        self._answer_vote(sender, request, granted=granted)

    def _believes(self, candidate: NodeId, request: VoteRequest) -> bool:
        """Whether an election explains the term of the request; a campaign takes it over."""
        state = self._state
        reach = self.terms.reach(candidate, request.term, state.membership)
        if not request.pre and reach > state.term:
            self._lift(candidate, reach)
        if reach < request.term:
            self.ask_terms(candidate, request)
        return reach == request.term

    def _answer_vote(self, to: NodeId, request: VoteRequest, *, granted: bool) -> None:
        state = self._state
        response = VoteResponse(
            term=state.term,
            campaign=request.term,
            pre=request.pre,
            granted=granted,
            floor=state.protected_index,
        )
        state.durability.hold_for_hard_state(to, response)

    def _shows_protected(self, request: VoteRequest) -> bool:
        state, log = self._state, self._state.log
        protected = state.protected_index
        if protected > log.last_index:  # known final by others, not held here yet
            return request.last_index >= protected
        # Hashes are chained: an equal entry at or above the protected one includes it.
        shown = request.floor_index
        if not protected <= shown <= request.last_index:
            return protected == 0
        if shown <= log.last_index and log.hash_at(shown) == request.floor_hash:
            return True
        # The candidate's log may begin above what is protected here. Then it can only show a place
        # where this log is no more than a guess, or has ended: nothing follows from a difference.
        return protected == 0 or shown > max(protected, state.commit_index)

    # --- The terms of others ---------------------------------------------------------------------

    def tick_terms(self) -> None:
        """One tick has passed for what others were asked."""
        if self.terms.tick():
            self._send_term_requests()

    def ask_terms(self, sender: NodeId, message: Waiting | None) -> None:
        """`sender` claims a term that is not explained; hear what the other voters hold.

        Args:
            sender: Who claims it.
            message: To be looked at again when it is explained; None: it will be repeated.
        """
        if self.terms.wait(sender, message, self._state.membership):
            self._send_term_requests()

    def on_term_request(self, sender: NodeId, request: TermRequest) -> None:
        """`sender` asks for this member's term, and says its own."""
        self._hear_term(sender, request.term)
        self._state.durability.hold_for_hard_state(sender, TermResponse(self._state.term))

    def on_term_response(
        self, sender: NodeId, response: TermResponse
    ) -> list[tuple[NodeId, Waiting]]:
        """`sender` says its term; the messages that it explains, which were kept."""
        self._hear_term(sender, response.term)
        return self.terms.explained(self._state.membership)

    def _hear_term(self, sender: NodeId, held: Term) -> None:
        self.terms.hear(sender, held, self._state.membership)
        self._rise(sender, held)

    def _rise(self, sender: NodeId, held: Term) -> None:
        """`sender` holds a term: without a leader, take over as much of it as is believed.

        Who has no leader comes so to the term of the others before it is asked for its vote. In
        the crash model it comes there with the vote.
        """
        state = self._state
        reach = self.terms.reach(sender, held, state.membership)
        quiet = state.leader is None or self.elapsed >= self._config.election_ticks
        leads = state.role is Role.LEADER
        if self._config.liars_max and quiet and reach > state.term and not leads:
            self._lift(sender, reach)

    def _lift(self, sender: NodeId, term: Term) -> None:
        """Take over `term` on the word of `sender`, but not its time.

        Only a vote puts off this node's own campaign (see `Terms.gains_time`).
        """
        elapsed, timeout = self.elapsed, self._timeout
        self.terms.note_lift(sender, term, self._state.membership)
        self._transitions.become_follower(term, None)
        if self._config.liars_max:
            self.elapsed, self._timeout = elapsed, timeout

    def _send_term_requests(self) -> None:
        state = self._state
        request = TermRequest(state.term)
        for voter in sorted(state.membership.voting - {self._config.node}):
            state.durability.hold_for_hard_state(voter, request)
