"""A lying member at work: its honest daemon is stopped, and this takes its place on its identity.

Owns what the liar knows, what it answers when it behaves, and what it has signed. What it does on
purpose is in `courses`; the values are `menu`'s.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress

from typing_extensions import override

from consensus import codec
from consensus.config import RaftConfig
from consensus.errors import ProtocolError
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    Message,
    SnapshotChunk,
    TermRequest,
    TermResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.types import LogIndex, NodeId, Term
from node.chain.block import MalformedBlockError, decode_block
from node.chain.checkpoint import Checkpoint, cosign, verify_cosignature
from node.chain.entry import MalformedHeaderError, decode_header
from node.chain.leaf_range import LeafRange
from node.ledger.signing import secret_key
from node.peers.messages import (
    AnswerMessage,
    BlocksMessage,
    BlocksWantedMessage,
    CertificateMessage,
    DissentMessage,
    EvidenceMessage,
    Kind,
    MalformedControlError,
    QuestionMessage,
    StatementMessage,
    StatusMessage,
    decode_control,
    encode_control,
)
from node.peers.router import RAFT_MESSAGE
from node.storage.raft_log import ENTRY_FORMAT
from p2p.gossip import HAVE, ITEMS, WANT, Gossip
from p2p.types import MESSAGE_BYTES_MAX, Link, PeerId
from tests.cluster.arrivals import Arrivals
from tests.cluster.cluster import Cluster
from tests.cluster.impostor import Impostor, end_of_log
from tests.cluster.menu import Known, Menu, Said

HEARD_MAX = 64
LOG_MAX = 2_000


class Liar(Impostor):
    """Speaks as a voter to the honest nodes, and listens."""

    def __init__(self, cluster: Cluster, name: str, seed: object) -> None:
        super().__init__(cluster, name)
        self.cluster = cluster
        self.rng = random.Random(f"{name} {seed}")
        self.known = Known(
            cluster.voters,
            self.me,
            secret_key(self.keys.identity),
            secret_key(self.keys.cosign),
        )
        self.menu = Menu(self.rng, self.known)
        self.behaves = True
        self.courses: Counter[str] = Counter()
        self.reigns = 0
        """Elections won."""
        self.sent: Counter[str] = Counter()
        """Messages by kind that went into a link."""
        self.entries: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
        """Headers that it signed, by term and index, and that an honest node was sent."""
        self.roots: defaultdict[int, set[bytes]] = defaultdict(set)
        """Roots that it signed, by tree size, likewise."""
        self.chosen = False
        """A leader asked it to campaign."""
        self.arrivals = Arrivals(self.closed_count, self._ask)
        self.votes: set[int] = set()
        self.campaign = 0
        self.matched: dict[int, int] = {}
        """Index that a follower acknowledged in the term that this liar leads."""
        self.leads = 0
        """That term; 0: none."""
        self.life = time.time_ns() // 1_000
        self._cosign_key = secret_key(self.keys.cosign)
        self.config = RaftConfig(
            node=NodeId(self.me.number),
            voters=tuple(NodeId(v.number) for v in cluster.voters.voters),
            entries=ENTRY_FORMAT,
        )
        self._heard: deque[Said] = deque(maxlen=HEARD_MAX)
        self._numbers = {
            peer: cluster.voters.by_node[node].number for node, peer in self.peers.items()
        }
        self.names = {cluster.voters.by_node[node].number: node for node in self.peers}

    def learn(self) -> None:
        """Know what the stopped node knew, and where the log of another ends."""
        witness = self.honest()[0]
        index, term, entry_hash = end_of_log(self.cluster, witness)
        status = self.cluster[witness].status()
        known = self.known
        known.last = known.commit = index
        known.places[index] = (term, entry_hash)
        known.term = status["raft"]["term"]
        known.height = status["final_height"]
        for height in range(max(1, known.height - 8), known.height + 1):
            block = self.cluster[witness].get(f"/v1/blocks/{height}")
            if block["certificate"]:
                known.notes.append(block["certificate"])

    def honest(self) -> list[str]:
        """Names of the honest nodes."""
        return [member.name for member in self.cluster.living]

    def some(self) -> list[str]:
        """One of them, or more."""
        names = self.honest()
        return self.rng.sample(names, self.rng.randint(1, len(names)))

    # --- Speaking ----------------------------------------------------------------------------

    def tell(self, name: str, said: Said) -> bool:
        """Send if the link is up; remember what that signed."""
        link, kind, body = said
        if len(body) > MESSAGE_BYTES_MAX:
            return False  # no link carries it
        if not self._network.send(self.peers[name], link, kind, body):
            return False
        label = f"kind {kind}"
        if link is Link.RAFT and kind == RAFT_MESSAGE:
            label = self._note_raft(body)
        elif kind in {int(k) for k in Kind}:
            label = Kind(kind).name
        self.sent[label] += 1
        return True

    def _note_raft(self, body: bytes) -> str:
        try:
            message = codec.decode(body, NodeId(self.me.number), self.config)
        except ProtocolError:
            return "malformed"
        return type(message).__name__

    def raft(self, name: str, message: Message) -> bool:
        """Send a Raft message."""
        return self.tell(name, (Link.RAFT, RAFT_MESSAGE, codec.encode(message)))

    def answer(self, number: int, message: Message) -> None:
        """Answer a node by its number."""
        self.raft(self.names[number], message)

    def state(self, name: str, height: int, size: int, root: bytes) -> bool:
        """Send a cosignature of its own."""
        checkpoint = Checkpoint(self.cluster.voters.origin, size, root)
        blob = cosign(checkpoint, self.me.cosigner, self._cosign_key, time.time_ns() // 10**9)
        message = StatementMessage(self.me.number, height, size, root, blob)
        return self.tell(name, (Link.GOSSIP, *encode_control(message)))

    def sign(self, name: str, append: AppendRequest) -> None:
        """Send an append, and remember what it signs."""
        if self.raft(name, append):
            for entry in append.entries:
                if entry.leader == self.me.number:
                    place = self.entries[entry.term, entry.index]
                    self.note(name, Link.RAFT, place, entry.header)

    def note(self, name: str, link: Link, said: set[bytes], statement: bytes) -> None:
        """A signed statement went into a link."""
        self.arrivals.sent(name, link, said, statement)

    def _ask(self, name: str, question: QuestionMessage) -> bool:
        return self.tell(name, (Link.GOSSIP, *encode_control(question)))

    def note_control(self, name: str, link: Link, kind: int, body: bytes) -> None:
        """Statements of its own that went into a link within a control message."""
        if link is not Link.GOSSIP or kind not in {Kind.COSIGNED, Kind.DISSENT}:
            return
        try:
            message = decode_control(kind, body)
        except MalformedControlError:
            return
        if isinstance(message, StatementMessage):
            checkpoint = Checkpoint(self.cluster.voters.origin, message.size, message.root)
            key = self.me.cosign_key
            if verify_cosignature(checkpoint, self.me.cosigner, key, message.cosignature):
                self.note(name, link, self.roots[message.size], message.root)
        elif isinstance(message, DissentMessage):
            for header, _ in message.entries:
                with suppress(MalformedHeaderError):
                    fields = decode_header(header)
                    if fields.leader == self.me.number:
                        self.note(name, link, self.entries[fields.term, fields.index], header)

    # --- Listening ---------------------------------------------------------------------------

    @override
    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        number = self._numbers[peer]
        self._heard.append((link, kind, body))
        self.known.heard = list(self._heard)
        if link is Link.RAFT:
            self._on_raft(number, codec.decode(body, NodeId(number), self.config))
        elif kind == ITEMS:
            self._keep_wires(Gossip.decode_items(body))
        elif kind == HAVE and self.behaves:
            self.tell(self.names[number], (Link.GOSSIP, WANT, body[: 32 * 64]))
        elif kind not in {HAVE, WANT}:
            self._on_control(number, kind, body)

    def _on_control(self, number: int, kind: int, body: bytes) -> None:
        known = self.known
        try:
            message = decode_control(kind, body)
        except MalformedControlError:
            return
        match message:
            case StatusMessage():
                known.height = max(known.height, message.final_height)
            case StatementMessage():
                known.heads[message.height] = (message.size, message.root)
                if len(known.heads) > LOG_MAX:
                    del known.heads[min(known.heads)]
            case AnswerMessage():
                self.arrivals.answered(message.nonce)
            case EvidenceMessage():
                known.evidence = [*known.evidence[-20:], message.body]
            case BlocksWantedMessage():
                run = self.menu.struct(LeafRange)
                said = encode_control(BlocksMessage(message.number, run))
                self.tell(self.names[number], (Link.GOSSIP, *said))
            case CertificateMessage():
                known.notes = [*known.notes[-20:], message.note]
            case _:
                if kind == Kind.BLOCKS:
                    self.blocks = [body]

    def _keep_wires(self, wires: list[bytes]) -> None:
        self.known.wires = [*self.known.wires[-50:], *wires[:10]]

    def _on_raft(self, number: int, message: Message) -> None:
        known = self.known
        match message:
            case AppendRequest() | Heartbeat() | SnapshotChunk():
                if message.term >= known.term:
                    known.term = message.term
                    if message.term > self.leads:
                        self.leads = 0
            case VoteResponse():
                if message.granted and not message.pre and message.campaign == self.campaign:
                    self.votes.add(number)
                known.term = max(known.term, message.term)
            case VoteRequest():
                known.term = max(known.term, message.term - message.pre)
            case AppendResponse():
                known.term = max(known.term, message.term)
                if message.status is AppendStatus.OK and message.term == self.leads:
                    self.matched[number] = max(self.matched.get(number, 0), message.index)
            case _:
                pass
        if self.behaves:
            self._behave(number, message)

    def _behave(self, number: int, message: Message) -> None:
        """Answer as an honest follower would, as far as it matters."""
        known = self.known
        match message:
            case AppendRequest() if message.term >= known.term:
                self.answer(number, self._follow(message))
            case Heartbeat() if message.term >= known.term:
                known.commit = max(known.commit, min(message.commit, known.last))
                self.answer(number, HeartbeatResponse(message.term, message.round, life=self.life))
            case VoteRequest():
                term = Term(known.term)
                vote = VoteResponse(term, message.term, message.pre, True, LogIndex(0))
                self.answer(number, vote)
            case TermRequest():
                self.answer(number, TermResponse(Term(known.term)))
            case TimeoutNow() if message.term == known.term:
                self.chosen = True
            case _:
                pass

    def _follow(self, append: AppendRequest) -> AppendResponse:
        known = self.known
        term = append.term
        if known.place(append.prev_index) != (append.prev_term, append.prev_hash):
            hint = LogIndex(max((i for i in known.places if i < append.prev_index), default=0))
            hint_term = Term(known.place(hint)[0])
            return AppendResponse(
                term, AppendStatus.MISMATCH, append.prev_index, hint, hint_term, life=self.life
            )
        matched = append.prev_index
        for entry in append.entries:
            matched = entry.index
            known.log = {**dict(list(known.log.items())[-5:]), matched: entry}
            if known.place(matched) != (entry.term, entry.hash):
                for index in [i for i in known.places if i >= matched]:
                    known.places.pop(index)
                known.places[matched] = (entry.term, entry.hash)
                with suppress(MalformedBlockError):
                    self._keep_wires(list(decode_block(entry.payload).transactions))
        known.last = max(known.places)
        for index in sorted(known.places)[:-LOG_MAX]:
            known.places.pop(index)
        known.commit = max(known.commit, min(append.commit, matched))
        return AppendResponse(term, AppendStatus.OK, matched, life=self.life)

    async def pause(self, seconds: float) -> None:
        """Let time pass, and answer as its mood is."""
        await asyncio.sleep(seconds)
