"""The node among its peers: what arrives on a link, and what is told to whom.

Owns the dispatch of messages, the gossip of transactions and the periodic status. Knows p2p, and
of consensus only a function that takes a message. Implements `p2p`'s handler,
`intake.Carrier`, `catchup.Carrier`, `rejoining.Carrier` and the peers' half of `applier.Outside`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from node.chain.certificate import CertificateError
from node.chain.cosigned import Cosigned
from node.chain.evidence import EvidenceError, RootStatement
from node.chain.excuse import ExcuseError
from node.chain.run import LeafRun
from node.chain.voters import VoterSet
from node.following.applier import Engine
from node.following.blockserver import BlockServer
from node.following.blocksync import Request, UnaskedError
from node.following.catchup import CatchUp
from node.following.dissent import Dissent
from node.following.excuses import Excuses
from node.following.finality import DivergedError
from node.following.history import HistoryCheck
from node.following.standing import Claim, Standing
from node.following.tracker import Tracker
from node.ledger.codes import Code
from node.ledger.transaction import Transaction
from node.peers.allowance import Allowance
from node.peers.messages import (
    AnswerMessage,
    BlocksMessage,
    BlocksWantedMessage,
    CertificateMessage,
    ControlMessage,
    DissentMessage,
    EvidenceMessage,
    HistoryMessage,
    HistoryWantedMessage,
    Kind,
    MalformedControlError,
    QuestionMessage,
    ResumptionMessage,
    StatementMessage,
    StatusMessage,
    decode_control,
    encode_control,
)
from node.services.status import PeerView
from node.submission.intake import Intake
from node.submission.pool import Pool
from node.system.clock import Clock
from node.voting.rejoining import Rejoining
from p2p.errors import RemoteProtocolError
from p2p.gossip import HAVE, ITEMS, WANT, Gossip, Outgoing
from p2p.network import PeerNetwork
from p2p.types import ItemId, Link, PeerId

CONTROL_KINDS = 16
RAFT_MESSAGE = 0
DISHONEST = frozenset({Code.MALFORMED, Code.BAD_SIGNATURE, Code.WRONG_NETWORK})
"""An honest node relays nothing of these: they need no knowledge of the ledger. An author's keys do
need it, and the peer's ledger may be ahead of or behind this one."""

_NOT_HONEST = (
    MalformedControlError,
    CertificateError,
    EvidenceError,
    ExcuseError,
    UnaskedError,
)

_log = structlog.get_logger("node.peers.router")


class PeerState(msgspec.Struct):
    """The newest status of a peer."""

    height: int = 0
    final_height: int = 0
    work: bool = False


class Links:
    """Everything this node says to and hears from its peers."""

    def __init__(
        self,
        voters: VoterSet,
        number: int,
        engine: Engine,
        intake: Intake,
        pool: Pool,
        tracker: Tracker,
        gossip: Gossip,
        clock: Clock,
        catch_up: CatchUp,
        rejoining: Rejoining,
        standing: Standing,
        on_raft: Callable[[int, bytes], None],
        leader: Callable[[], int | None],
        on_evidence: Callable[[bytes], None],
        on_diverged: Callable[[DivergedError], None],
    ) -> None:
        self._voters = voters
        self._number = number
        self._engine = engine
        self._intake = intake
        self._pool = pool
        self._tracker = tracker
        self._gossip = gossip
        self._clock = clock
        self._catch_up = catch_up
        self._rejoining = rejoining
        self._standing = standing
        self._on_raft = on_raft
        self._leader = leader
        self._on_evidence = on_evidence
        self._on_diverged = on_diverged
        self._numbers = {PeerId(v.identity_key): v.number for v in voters.voters}
        self._peers = {v.number: PeerId(v.identity_key) for v in voters.voters}
        self.states = {n: PeerState() for n in self._peers if n != number}
        self.allowance = Allowance(self.states, clock)
        self.network: PeerNetwork | None = None
        self.server: BlockServer | None = None
        self.dissent: Dissent | None = None
        self.excuses: Excuses | None = None
        self.history: HistoryCheck | None = None
        self.evidence: Callable[[], Sequence[bytes]] = tuple
        """All evidence kept here."""

    # --- p2p handler -------------------------------------------------------------------------

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        """A link is authenticated and open."""
        _log.info("link up", peer=self._name(peer), link=link.name.lower())
        if link is Link.GOSSIP:
            self._gossip.peer_up(peer, [ItemId(txid) for txid in self._pool.txids()])
            self._send(peer, self._status())
            self._rejoining.link_up(self._numbers[peer])
            if self.excuses is not None:
                for body in self.excuses.bodies():  # before what they may excuse
                    self._send(peer, ResumptionMessage(body))
            for body in self.evidence():
                self._send(peer, EvidenceMessage(body))
            for message in self.dissent.recent() if self.dissent is not None else ():
                self._send(peer, message)

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        """A link is gone."""
        _log.info("link down", peer=self._name(peer), link=link.name.lower(), reason=reason)
        if link is Link.GOSSIP:
            self._gossip.peer_down(peer)
            number = self._numbers[peer]
            self.states[number].work = False
            self._catch_up.link_down(number)
            self._standing.forget(number)
            if self.server is not None:
                self.server.forget(number)

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        """Handle one message; the next of this link waits until it returns.

        Raises:
            RemoteProtocolError: no honest node sends this; the link is closed.
        """
        number = self._numbers[peer]
        if link is Link.RAFT:
            if kind != RAFT_MESSAGE:
                raise RemoteProtocolError(f"unknown kind {kind} on the raft link")
            self._on_raft(number, body)
        elif kind < CONTROL_KINDS or kind == Kind.BLOCKS:
            await self.allowance.pay(number, kind)
            try:
                self._on_control(peer, number, decode_control(kind, body))
            except _NOT_HONEST as error:
                raise RemoteProtocolError(str(error)) from error
            except DivergedError as error:
                self._on_diverged(error)
        elif kind == ITEMS:
            await self._on_items(peer, body)
        elif kind == HAVE:
            self._send_all(self._gossip.receive_have(peer, body, self._clock.monotonic_ms()))
        elif kind == WANT:
            self._send_all(self._gossip.receive_want(peer, body))
        else:
            raise RemoteProtocolError(f"unknown kind {kind} on the gossip link")

    async def _on_items(self, peer: PeerId, body: bytes) -> None:
        judged = await self._intake.judge(self._gossip.decode_items(body), DISHONEST)
        if judged and judged[-1].code in DISHONEST:
            raise RemoteProtocolError(f"relayed a transaction that is {judged[-1].code.name}")
        new = self._intake.received(judged)
        ids = [ItemId(j.txid) for j in judged if j.txid is not None]
        accepted = [ItemId(transaction.txid) for transaction in new]
        self._gossip.learned(peer, ids, accepted, self._clock.monotonic_ms())

    def _on_control(self, peer: PeerId, number: int, message: ControlMessage) -> None:
        match message:
            case StatusMessage():
                state = self.states[number]
                had_work = state.work
                state.height, state.final_height = message.height, message.final_height
                state.work = message.work
                self._note_standing(peer, number, message)
                if message.work and not had_work:
                    self._engine.work()
                newest = self._engine.newest_certificate
                if newest is not None and newest[0] > message.final_height:
                    self._send(peer, CertificateMessage(*newest))
            case StatementMessage():
                self._on_statement(number, message)
            case CertificateMessage():
                self._engine.receive_certificate(message.height, message.note)
            case EvidenceMessage():
                self._on_evidence(message.body)
            case HistoryWantedMessage() | HistoryMessage():
                self._on_history(number, message)
            case ResumptionMessage():
                if self.excuses is not None:
                    self.excuses.receive(message.body)
            case DissentMessage():
                self._on_dissent(message)
            case BlocksWantedMessage():
                if self.server is not None:
                    self.server.want(number, message.number, message.first)
            case BlocksMessage():
                self._catch_up.receive(number, message.number, message.run)
            case QuestionMessage():
                answer = self._rejoining.answer(number, message.nonce)
                if answer is not None:
                    self._send(peer, answer)
            case AnswerMessage():
                self._rejoining.receive(number, message)

    def _note_standing(self, peer: PeerId, number: int, message: StatusMessage) -> None:
        rtt_ms = 0.0 if self.network is None else self.network.rtt_ms(peer) or 0.0
        offset_ms = message.time_ms + rtt_ms / 2 - self._clock.time_ms()
        claim = Claim(message.final_height, offset_ms, self._clock.monotonic_ms())
        self._standing.heard(number, claim)

    # --- Statements and evidence -------------------------------------------------------------

    def _on_statement(self, number: int, message: StatementMessage) -> None:
        # A cosignature does not cover the height: a stranger could put it beside another one.
        if message.voter != number:
            raise MalformedControlError("a statement of another voter")
        try:
            self._engine.receive_statement(number, message.statement())
        except ValueError as error:
            raise MalformedControlError(str(error)) from error

    def _on_dissent(self, message: DissentMessage) -> None:
        try:
            if self.dissent is not None:
                self.dissent.hear(message)
        except ValueError as error:
            raise MalformedControlError(str(error)) from error
        for voter, size, root, cosignature in message.roots:
            if not self._engine.hear(voter, RootStatement(size, root, cosignature)):
                raise MalformedControlError("a cosignature that its voter did not make")

    def _on_history(self, number: int, message: HistoryWantedMessage | HistoryMessage) -> None:
        if self.history is None:
            return
        if isinstance(message, HistoryWantedMessage):
            self.history.want(number, message.size)
            return
        try:
            self.history.receive(number, message)
        except ValueError as error:
            raise MalformedControlError(str(error)) from error

    def tell(self, number: int, message: ControlMessage) -> bool:
        """Send a message to one peer; False when that cannot be."""
        return self._send(self._peers[number], message)

    def tell_dissent(self, message: DissentMessage) -> None:
        """Tell all peers what was signed to this node."""
        self._broadcast(message)

    def tell_resumption(self, body: bytes) -> None:
        """Pass a new resumption on."""
        self._broadcast(ResumptionMessage(body))

    def tell_evidence(self, body: bytes) -> None:
        """Pass new evidence on."""
        self._broadcast(EvidenceMessage(body))

    # --- Blocks -------------------------------------------------------------------------------

    def final_heights(self) -> Mapping[int, int]:
        """The final height of each peer that is connected, as it says."""
        network = self.network
        return {
            number: state.final_height
            for number, state in self.states.items()
            if network is not None and network.connected(self._peers[number], Link.GOSSIP)
        }

    def want_blocks(self, request: Request) -> bool:
        """Ask a peer for blocks; False when that cannot be sent."""
        message = BlocksWantedMessage(request.number, request.first)
        return self._send(self._peers[request.peer], message)

    def give_blocks(self, number: int, request: int, run: LeafRun | None) -> None:
        """Answer a peer that asked for blocks."""
        self._send(self._peers[number], BlocksMessage(request, run))

    # --- Rejoining ------------------------------------------------------------------------------

    def ask(self, number: int, nonce: bytes) -> bool:
        """Ask a voter what it knows; False when that cannot be sent."""
        return self._send(self._peers[number], QuestionMessage(nonce))

    # --- What the engine and the intake say --------------------------------------------------

    def tell_cosigned(self, statement: Cosigned) -> None:
        """Gossip this voter's statement."""
        self._broadcast(self._own(statement))

    def work_reported(self) -> bool:
        """Some voter, this one included, has pending or lapsing work."""
        return self._has_work() or any(state.work for state in self.states.values())

    def work(self) -> None:
        """The pool has work."""
        self._engine.work()

    def spread(self, transactions: Sequence[Transaction]) -> None:
        """Push to the leader and enough voters, announce to the others."""
        items = [(ItemId(t.txid), t.wire) for t in transactions]
        self._send_all(self._gossip.originate(items, self._eager()))

    def _eager(self) -> list[PeerId]:
        """The leader, and voters enough that f + 1 others hold the transaction at once.

        A leader pushes to nobody: its entry, on the way at once, carries the transaction.
        """
        leader = self._leader()
        if leader == self._number:
            return []
        order = [n for n in self._peers if n != self._number]
        order.sort(key=lambda n: (n != leader, (n - self._number) % self._voters.n))
        return [self._peers[n] for n in order[: self._voters.f + 1]]

    # --- Periodic ----------------------------------------------------------------------------

    def tick(self) -> None:
        """Every 50 ms: announcements and retries."""
        self._send_all(self._gossip.tick(self._clock.monotonic_ms()))

    def tell_status(self) -> None:
        """Every half second: where this node stands, and statements that may have been lost."""
        status = self._status()
        self._broadcast(status)
        for number, state in self.states.items():
            for statement in self._engine.repeat(state.final_height):
                self._send(self._peers[number], self._own(statement))

    def _status(self) -> StatusMessage:
        return StatusMessage(
            self._tracker.height,
            self._tracker.final_height,
            self._has_work(),
            self._clock.time_ms(),
        )

    def _has_work(self) -> bool:
        # A voter that rejoins waits for heights above what it may have signed.
        return len(self._pool) > 0 or self._intake.promised > 0 or self._rejoining.waits

    def _own(self, statement: Cosigned) -> StatementMessage:
        return StatementMessage(
            self._number, statement.height, statement.size, statement.root, statement.cosignature
        )

    # --- Sending -----------------------------------------------------------------------------

    def send_raft(self, number: int, message: bytes) -> None:
        """Queue a Raft message; dropped when the link is down or full."""
        if self.network is not None:
            self.network.send(self._peers[number], Link.RAFT, RAFT_MESSAGE, message)

    def forged_entry(self, number: int) -> None:
        """A Raft message of a peer held an entry that no honest node sends."""
        if self.network is not None:
            reason = "sent an entry that no leader may sign"
            self.network.strike(self._peers[number], Link.RAFT, reason)

    def connected(self, number: int) -> bool:
        """Whether both links to a voter are up."""
        peer = self._peers[number]
        return self.network is not None and all(self.network.connected(peer, k) for k in Link)

    def peer_views(self) -> list[PeerView]:
        """Every peer as this node sees it."""
        views = []
        for status in self.network.statuses() if self.network is not None else ():
            state = self.states[self._numbers[status.peer]]
            rtt_ms = None if status.rtt_ms is None else round(status.rtt_ms)
            views.append(
                PeerView(status.name, status.connected, state.height, rtt_ms, status.strikes)
            )
        return views

    def _broadcast(self, message: ControlMessage) -> None:
        for number in self.states:
            self._send(self._peers[number], message)

    def _send(self, peer: PeerId, message: ControlMessage) -> bool:
        if self.network is None:
            return False
        return self.network.send(peer, Link.GOSSIP, *encode_control(message))

    def _send_all(self, outgoing: Sequence[Outgoing]) -> None:
        if self.network is not None:
            for out in outgoing:
                self.network.send(out.peer, Link.GOSSIP, out.kind, out.body)

    def _name(self, peer: PeerId) -> str:
        return self._voters.voters[self._numbers[peer]].node
