"""Who leads: asking for votes, giving them, counting them (Raft paper, 5.2 and 5.4.1). Pure.

Owns the rules of votes; knows nothing of entries but where logs end.
"""

from __future__ import annotations

from consensus.core.campaign import Campaign
from consensus.core.state import State
from consensus.messages import TimeoutNow, VoteRequest, VoteResponse
from consensus.types import NodeId, Role, Term


class Elections(State):
    """A member that votes and campaigns."""

    def _start_campaign(self, *, pre: bool) -> None:
        self.leader = self._heir = None  # whom the last leader named is none of the next one's
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
        held = Term(request.term - 1) if request.pre and request.term else request.term
        self._terms.hear(sender, held, self.membership)
        fresh = self._hears_leader and sender != self._heir
        if request.term > self.term and (fresh or self._guard_ticks):
            if request.pre:
                self._answer_vote(sender, request, granted=False)
            return  # no answer, no new term: a rejoining node cannot disturb a live leader
        if request.pre:
            self._rise(sender, held)
        if request.term > self.term and not self._believes(sender, request):
            return
        free = self.vote == sender or (self.vote is None and self.leader is None)
        granted = (
            not self.suspect
            and (free if request.term == self.term else request.term > self.term)
            and (request.last_term, request.last_index) >= (self.log.last_term, self.log.last_index)
            and self._shows_protected(request)
        )
        if granted and not request.pre and self.vote != sender:
            self.vote = sender
            self._durability.touch_hard_state()
            if self._terms.gains_time(sender, self.membership):
                self._election_elapsed = 0
        self._answer_vote(sender, request, granted=granted)

    def _believes(self, candidate: NodeId, request: VoteRequest) -> bool:
        """Whether an election explains the term of the request; a campaign takes it over."""
        reach = self._terms.reach(candidate, request.term, self.membership)
        if not request.pre and reach > self.term:
            self._lift(candidate, reach)
        if reach < request.term:
            self._ask_terms(candidate, request)
        return reach == request.term

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
        campaign = self._campaign
        if campaign is None or not campaign.asks(sender):
            return  # too late, or a stranger: nobody who hears a leader forgets it for an answer
        self._terms.hear(sender, response.term, self.membership)
        new_floor = self._floors.learn(sender, response.floor)
        if response.term > self.term:
            reach = self._terms.reach(sender, response.term, self.membership)
            if reach < response.term:
                self._ask_terms(sender, None)
            if reach > self.term:
                self._terms.note_lift(sender, reach, self.membership)
                self._become_follower(reach, None)
                return
        if (campaign.term, campaign.pre) != (response.campaign, response.pre):
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
