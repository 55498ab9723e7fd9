"""What a leader does: create, replicate, commit, change members, hand over, confirm reads. Pure.

Owns the rules of leadership (Raft paper, 5.3, 5.4.2, 6; thesis, 3.10, 6.4); what is known of each
follower is in `replication`.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from consensus.core.following import Following
from consensus.core.reads import LeaderReads, ReadAnswer
from consensus.core.replication import Leadership
from consensus.core.state import Handover
from consensus.errors import (
    MembershipError,
    NotLeaderError,
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
    Heartbeat,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    TimeoutNow,
)
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Role, Term

_RENEWALS = 32
"""Election timeouts (13 s by default) between two hand-overs for the sake of a stuck voter."""


class Leading(Following):
    """A member that leads."""

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Create an entry at the end of the log; `ready` then sends and writes it.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term than `term`.
            TransferringError: while leadership is handed over.
            WindowFullError: when too much is uncommitted.
            PayloadTooLargeError: when no message could carry it.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        if term != self.term:
            raise TermChangedError(self.term)
        if self._handover is not None:
            raise TransferringError(f"leadership goes to {self._handover.to}")
        if len(payload) > self._config.payload_bytes_max:
            raise PayloadTooLargeError(f"a payload of {len(payload)} bytes")
        if not leadership.has_room(payload, self.commit_index):
            raise WindowFullError("too much is uncommitted")
        return self._create(leadership, EntryKind.DATA, payload).index

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
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        if self._handover is not None:
            raise TransferringError(f"leadership goes to {self._handover.to}")
        current = self.membership
        if not self.leads_safely:
            raise MembershipError("the leader has not committed in its own term yet")
        if current.joint or self._memberships.index > self.commit_index:
            raise MembershipError("a change is under way")
        wanted = current.entering(voters, learners)
        try:
            decode_membership(wanted.encode())
        except ValueError as error:
            raise MembershipError(str(error)) from error
        if wanted == current:
            raise MembershipError("nothing would change")
        for node in sorted(wanted.voting - current.voting):
            if not self.is_caught_up(node):
                raise MembershipError(f"{node} must become a learner and catch up first")
        suspects = [node for node, peer in leadership.followers.items() if not peer.counted]
        if not wanted.left().can_reach_quorum(suspects):
            raise MembershipError(f"no quorum without {suspects}, whose disks are not trusted")
        return self._create(leadership, EntryKind.MEMBERSHIP, wanted.encode()).index

    def is_caught_up(self, node: NodeId) -> bool:
        """Whether that follower could be promoted: a window of appends would complete its log."""
        peer = self.followers().get(node)
        return (
            peer is not None
            and peer.replicating
            and peer.counted
            and peer.leaving_ticks is None
            and peer.match + self._config.message_entries_max >= self.commit_index
        )

    def transfer(self, to: NodeId | None = None) -> NodeId:
        """Hand leadership to a voter (thesis, 3.10), by default to the one with most of the log.

        No proposals are taken until it is done or an election timeout has passed.

        Returns:
            The voter that shall lead.

        Raises:
            NotLeaderError: with a hint.
            MembershipError: when it is no voter, or there is none.
        """
        leadership = self._leadership
        if leadership is None:
            raise NotLeaderError(self.leader)
        chosen = leadership.best_voter() if to is None else to
        if chosen is None or chosen == self._config.node or chosen not in self.membership.voters:
            raise MembershipError(f"leadership cannot go to {chosen}")
        self._handover = Handover(chosen, self._config.election_ticks)
        self._continue_handover()
        return chosen

    # --- Entries ---------------------------------------------------------------------------------

    @override
    def _become_leader(self) -> None:
        self.role = Role.LEADER
        self.leader = self._config.node
        self._campaign = None
        self._election_elapsed = 0
        self._heartbeat_elapsed = self._config.heartbeat_ticks  # the first one at the next tick
        self._renewed_ticks = 0
        self._leadership = Leadership(self._config, self.log, self.term, self.membership)
        self._leader_reads = LeaderReads(self._config)
        self._incoming.abandon()
        self._create(self._leadership, EntryKind.NOOP, b"")

    def _create(self, leadership: Leadership, kind: EntryKind, payload: bytes) -> Entry:
        entry = self.log.create(self.term, kind, self._config.node, payload, self._authority.attest)
        if kind is EntryKind.MEMBERSHIP:
            membership = decode_membership(payload)
            self._memberships.append(entry.index, membership)
            leadership.set_membership(membership)
        return entry

    def _tick_leader(self, leadership: Leadership) -> None:
        if self._election_elapsed >= self._config.election_ticks:
            self._election_elapsed = 0
            self._free_stuck_voters(leadership)
            if not leadership.keeps_quorum():
                self._become_follower(self.term, None)
                return
        if self._disk_stalls:
            self._become_follower(self.term, None)
            return
        leadership.tick()
        if self._handover is not None:
            self._handover.ticks_left -= 1
            if self._handover.ticks_left <= 0:
                self._handover = self._heir = None
                if self.leads_safely:  # no change before a commit in its own term
                    self._advance_membership(leadership)
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed >= self._config.heartbeat_ticks:
            self._heartbeat_elapsed = 0
            self._beat_due = True
            leadership.beat()
            newest = LogIndex(-1) if self._snapshot is None else self._snapshot.index
            if leadership.snapshot_wanted and newest >= self.log.last_index and self.leads_safely:
                self._favour(leadership)  # else there is no later state to capture
            if self._handover is not None:
                self._handover.asked = False  # the request may have been lost
                self._continue_handover()

    def _on_follower_response(
        self, sender: NodeId, response: AppendResponse | HeartbeatResponse | ChunkResponse
    ) -> None:
        leadership, reads = self._leadership, self._leader_reads
        if leadership is None or reads is None or sender not in leadership.followers:
            return
        if self._config.liars_max:
            self._terms.hear(sender, response.term, self.membership)
        if response.term > self.term and self._terms.is_supported(response.term, self.membership):
            self._become_follower(response.term, None)
            return
        if response.term != self.term:
            return
        if isinstance(response, ChunkResponse):
            leadership.on_chunk_response(sender, response)
            return
        before = leadership.followers[sender].life
        if not leadership.hears(sender, response.life, counted=response.counted):
            return
        if response.life > before and not response.counted:
            self._send_heartbeat(sender)  # made after its loss: it need not wait for the next one
        if isinstance(response, HeartbeatResponse):
            leadership.on_heartbeat_response(sender)
            if response.counted:
                reads.acknowledge(sender, response.round)
                self._answer_reads(reads)
            elif response.until == self.log.last_index + 1 and self.leads_safely:
                self._favour(leadership)  # it waits for an entry that is made after its loss
            return
        leadership.on_append_response(sender, response)
        if leadership.is_refused():
            self._become_follower(self.term, None)
            self._election_elapsed = -self._config.election_ticks  # let others go first
        else:
            self._count_commit()
            self._continue_handover()

    def _favour(self, leadership: Leadership) -> None:
        """Make an entry that a follower needs, if none was made for one just now."""
        if leadership.may_favour():
            self._create(leadership, EntryKind.NOOP, b"")

    def _count_commit(self) -> None:
        leadership = self._leadership
        if leadership is None:
            return
        agreed = leadership.agreed_index()
        if agreed > self.commit_index and self.log.term_at(agreed) == self.term:
            self.commit_index = agreed
            self._advance_membership(leadership)

    def _advance_membership(self, leadership: Leadership) -> None:
        """End a change whose joint membership is committed; go when this node has no part."""
        membership = self.membership
        if self._memberships.index > self.commit_index:
            return
        if membership.joint:
            self._create(leadership, EntryKind.MEMBERSHIP, membership.left().encode())
        elif self._config.node not in membership.voters:
            handover = self._handover
            if handover is not None and handover.to in membership.voters:
                return  # leadership goes where it was sent, or here again when that has failed
            successor = leadership.best_voter()
            if successor is not None:  # nobody need wait for an election timeout
                self._outgoing += leadership.collect(self.commit_index, self._snapshot).messages
                self._ask_to_lead(successor)
            self._become_follower(self.term, None)

    def _free_stuck_voters(self, leadership: Leadership) -> None:
        """Give way, now and then, to a voter that is in a higher term than all others.

        Its answers unseat nobody, and it cannot come back to this term: it may have promised not
        to. An orderly hand-over reaches its term without a pause. A liar that plays stuck gains no
        more than that.
        """
        self._renewed_ticks += self._config.election_ticks
        if self._renewed_ticks < _RENEWALS * self._config.election_ticks or not self.leads_safely:
            return
        stuck = [
            node
            for node, peer in leadership.followers.items()
            if not peer.active and self._terms.ahead(node, self.term, self.membership)
        ]
        heir = leadership.best_voter(without=stuck)
        if stuck and heir is not None and not self.membership.joint and self._handover is None:
            self._renewed_ticks = 0
            self.transfer(heir)

    # --- Hand-over and reads ---------------------------------------------------------------------

    def _continue_handover(self) -> None:
        """Ask the successor to campaign as soon as it has the whole log."""
        handover, leadership = self._handover, self._leadership
        if handover is None or leadership is None or handover.asked:
            return
        peer = leadership.followers.get(handover.to)
        if peer is not None and peer.match == self.log.last_index:
            handover.asked = True
            self._ask_to_lead(handover.to)

    def _ask_to_lead(self, heir: NodeId) -> None:
        """Tell everybody who may campaign, then the heir to do it."""
        assert self._leader_reads is not None
        self._leader_reads.void_lease()
        self._heir = heir
        self._send_heartbeats()
        self._outgoing.append((heir, TimeoutNow(self.term)))

    def _send_heartbeats(self) -> None:
        for follower in sorted(self.followers()):
            self._send_heartbeat(follower)

    def _send_heartbeat(self, follower: NodeId) -> None:
        assert self._leader_reads is not None
        assert self._leadership is not None
        heartbeat = Heartbeat(
            self.term,
            self.commit_index,
            self.log.last_index,
            self._leader_reads.round,
            self._heir,
            max(0, self._leadership.followers[follower].life),
            self._leadership.receipt(follower),
        )
        self._outgoing.append((follower, heartbeat))

    def _begin_round(self, now_ms: float) -> None:
        """Send heartbeats when they are due, and a round of reads when one can begin."""
        reads = self._leader_reads
        assert reads is not None
        beat, self._beat_due = self._beat_due, False
        begun = self.leads_safely and reads.begin_round(self.commit_index, now_ms, beat=beat)
        if beat or begun:
            self._send_heartbeats()
        if begun:
            self._answer_reads(reads)  # a lone voter confirms itself

    def _answer_reads(self, reads: LeaderReads) -> None:
        for asker, ticket, index in reads.take_confirmed(self.membership, self._config.node):
            if asker == self._config.node:
                self._reads.append(ReadAnswer(ticket, index))
            else:
                self._outgoing.append((asker, ReadIndexResponse(self.term, ticket, index)))

    def _on_read_request(self, sender: NodeId, request: ReadIndexRequest) -> None:
        followers = self.followers()
        if self._leader_reads is None or request.term != self.term or sender not in followers:
            return
        try:
            self._leader_reads.add(sender, request.ticket, len(followers))
        except ReadError:
            return  # the asker retries after its timeout
