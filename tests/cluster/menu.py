"""Every kind of message that a peer can send, with any value that its type allows, and some more.

Owns the values; knows no connection. What a liar knows of the network comes in as `Known`, so that
values can be near the truth: stale, equal, one more. `RAFT`, `CONTROL` and `ITEMS` are the menu; a
test holds them against the kinds that exist.
"""

from __future__ import annotations

import hashlib
import random  # noqa: TID251 - seeded
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import inspect

from consensus import codec
from consensus.membership import Membership
from consensus.messages import AppendRequest, Message, SnapshotChunk
from consensus.snapshot import Snapshot
from consensus.types import ZERO_HASH, Entry, EntryKind, LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.entry import attest
from node.chain.evidence.kinds import (
    EntryEvidence,
    EntryStatement,
    RootEvidence,
    RootStatement,
    encode_evidence,
)
from node.chain.voters import Voter, VoterSet
from node.peers import messages as gossip
from node.peers.messages import ControlMessage, Kind, encode_control
from node.peers.router import RAFT_MESSAGE
from node.storage.raft_log import ENTRY_FORMAT
from p2p.gossip import HAVE, HAVE_IDS_MAX, ITEMS, WANT, WANT_IDS_MAX, pack_items
from p2p.types import Link

Said = tuple[Link, int, bytes]

EXTREMES = (0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, 2**32, 2**53, 2**62 - 1, 2**62)
BEYOND = (2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1, -1)
"""What no field takes."""
TOLERATED = 0.97
"""Of gossip: what honest nodes take. The rest costs the link, and more and more time."""
LARGE_BYTES = 3 * 1_048_576


@dataclass
class Known:
    """What a liar knows of the network, kept up to date by `Liar`."""

    voters: VoterSet
    me: Voter
    identity: bytes
    cosign_key: bytes
    term: int = 1
    log: dict[int, Entry] = field(default_factory=dict)
    """Entries that honest leaders sent."""
    places: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Term and hash at an index."""
    last: int = 0
    commit: int = 0
    height: int = 0
    heads: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Size and root by height, as honest voters stated them."""
    evidence: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Certificates."""
    wires: list[bytes] = field(default_factory=list)
    heard: list[Said] = field(default_factory=list)
    """What others said: to be repeated as one's own."""
    name: bytes = b"no name"
    """Of a true final head, as a snapshot holds it."""

    def place(self, index: int) -> tuple[int, bytes]:
        """Term and hash at an index; of the empty log when nothing is known."""
        return self.places.get(index, (0, ZERO_HASH))


class Menu:
    """Draws messages from a seed."""

    def __init__(self, rng: random.Random, known: Known) -> None:
        self.rng = rng
        self.known = known
        self.tolerated = TOLERATED
        self._types: dict[type, Any] = {}

    # --- Values ------------------------------------------------------------------------------

    def number(self, name: str, low: int = 0, high: int = 2**62) -> int:
        """An integer for a field of this name."""
        rng, known = self.rng, self.known
        if "term" in name or name == "campaign":
            near = [known.term - 1, known.term, known.term + 1, known.term + rng.randrange(4)]
        elif "height" in name or name in {"first", "size", "number"}:
            near = [known.height, known.height + 1, known.height - 1, known.height + 5_000]
            near += [size for size, _ in list(known.heads.values())[-2:]]
        elif "index" in name or name in {"commit", "floor"}:
            near = [known.last, known.last + 1, known.last - 1, known.commit, known.commit + 7]
        else:
            near = [rng.randrange(100), rng.randrange(2**40)]
        drawn = rng.choice(near) if rng.random() < 0.6 else rng.choice(EXTREMES)
        return max(low, min(high, drawn))

    def some_hash(self) -> bytes:
        """32 bytes: known, zero or invented."""
        known = [entry_hash for _, entry_hash in list(self.known.places.values())[-3:]]
        return self.rng.choice([*known, ZERO_HASH, self.rng.randbytes(32)])

    def value(self, kind: Any, name: str = "") -> Any:
        """A value that msgspec's description of a type allows."""
        rng = self.rng
        match kind:
            case inspect.StructType():
                if kind.cls is Membership:
                    return self.membership()
                fields = {f.name: self.value(f.type, f.name) for f in kind.fields}
                return kind.cls(**fields)
            case inspect.IntType():
                high = 2**62 if kind.le is None else kind.le
                return self.number(name, kind.ge or 0, high)
            case inspect.StrType():
                texts = [*self.known.notes[-3:], "", "x" * min(kind.max_length or 100, 2_000)]
                return rng.choice(texts)
            case inspect.BytesType():
                return self._bytes(kind)
            case inspect.BoolType():
                return rng.random() < 0.5
            case inspect.NoneType():
                return None
            case inspect.EnumType():
                return rng.choice(list(kind.cls))
            case inspect.UnionType():
                return self.value(rng.choice(kind.types), name)
            case inspect.VarTupleType():
                count = rng.randint(kind.min_length or 0, min(kind.max_length or 3, 3))
                return tuple(self.value(kind.item_type, name) for _ in range(count))
            case inspect.TupleType():
                return tuple(self.value(item) for item in kind.item_types)
            case inspect.CustomType():
                return self.number(name)
            case _:
                raise AssertionError(f"no value of {kind}")

    def _bytes(self, kind: Any) -> bytes:
        if kind.min_length == kind.max_length == 32:
            return self.some_hash()
        if kind.min_length is not None and kind.min_length == kind.max_length:
            return self.rng.randbytes(kind.min_length)
        most = min(kind.max_length or 1_000, LARGE_BYTES)
        size = self.rng.choice((0, 1, 100, 4_000, 70_000, most))
        return self.rng.randbytes(min(most, size))

    def membership(self) -> Membership:
        """The true one, or one with the liar alone."""
        everyone = Membership(tuple(NodeId(v.number) for v in self.known.voters.voters))
        return self.rng.choice((everyone, Membership((NodeId(self.known.me.number),))))

    def struct(self, shape: type) -> Any:
        """A message of this type."""
        if shape not in self._types:
            self._types[shape] = inspect.type_info(shape)
        return self.value(self._types[shape])

    # --- Entries -----------------------------------------------------------------------------

    def entry(
        self,
        term: int,
        index: int,
        prev_hash: bytes,
        payload: bytes,
        kind: EntryKind = EntryKind.DATA,
    ) -> Entry:
        """An entry that the liar signs as a leader."""
        place = (Term(term), LogIndex(index), kind, NodeId(self.known.me.number))
        header = ENTRY_FORMAT.entry_type(*place, prev_hash, payload, b"").header
        signature = attest(self.known.voters.network_id, header, self.known.identity)
        return ENTRY_FORMAT.entry_type(*place, prev_hash, payload, signature)

    def payload(self, term: int, time_ms: int = 0) -> bytes:
        """A block, mostly one that honest nodes can apply."""
        rng = self.rng
        wires = tuple(rng.sample(self.known.wires, min(len(self.known.wires), rng.randrange(3))))
        times = (time_ms, 1, 2**53, 2**40)
        match rng.randrange(8):
            case 0:
                return rng.randbytes(rng.choice((0, 1, 50)))
            case 1:
                return rng.randbytes(LARGE_BYTES)
            case 2:
                return encode_block(Block(rng.choice((0, term + 1, 2**62)), times[0], wires))
            case 3:
                return encode_block(
                    Block(term, rng.choice(times), (b"", b"\xc0", rng.randbytes(60)))
                )
            case _:
                return encode_block(Block(term, rng.choice(times), wires))

    def append(self) -> AppendRequest:
        """An append in its place or out of it, signed or forged."""
        rng, known = self.rng, self.known
        term = self.number("term", 1)
        at = rng.choice(
            (known.last, known.last, known.last - 1, known.commit, self.number("index"))
        )
        prev_term, prev_hash = known.place(max(0, at))
        if at and not prev_term:
            prev_term, prev_hash = max(1, min(term, known.term)), self.some_hash()
        commit = LogIndex(self.number("commit"))
        prev = (LogIndex(max(0, at)), Term(prev_term), prev_hash)
        entries: list[Entry] = []
        if rng.random() < 0.8:
            kind = rng.choice(
                (EntryKind.DATA, EntryKind.DATA, EntryKind.NOOP, EntryKind.MEMBERSHIP)
            )
            for number in range(rng.choice((1, 1, 2, 5))):
                payload = self._payload_of(kind, term)
                after = entries[-1].hash if entries else prev_hash
                made = self.entry(term, prev[0] + 1 + number, after, payload, kind)
                if rng.random() < 0.1:
                    made = msgspec.structs.replace(made, attestation=rng.randbytes(64))
                entries.append(made)
        return AppendRequest(Term(term), *prev, commit, tuple(entries))

    def chunk(self) -> SnapshotChunk:
        """A part of a snapshot: of a true head, of invented bytes, or of none; at any place."""
        rng = self.rng
        if rng.random() < 0.3:
            drawn: SnapshotChunk = self.struct(SnapshotChunk)
            return drawn
        term = self.number("term", 1)
        data = rng.choice((self.known.name, self.known.name, rng.randbytes(300), rng.randbytes(9)))
        index = LogIndex(self.number("index", 1))
        checksum = rng.choice((hashlib.sha256(data).digest(), self.some_hash()))
        place = (index, Term(rng.choice((1, term))), self.some_hash())
        snapshot = Snapshot(*place, self.membership(), len(data), checksum)
        return SnapshotChunk(Term(term), snapshot, 0, rng.choice((b"", data, data[:50])))

    def _payload_of(self, kind: EntryKind, term: int) -> bytes:
        if kind is EntryKind.NOOP:
            return b""
        if kind is EntryKind.MEMBERSHIP:
            return self.membership().encode()
        return self.payload(term)

    # --- Messages ----------------------------------------------------------------------------

    def raft(self, shape: type) -> Said:
        """A Raft message of this type."""
        message: Message
        if shape is AppendRequest:
            message = self.append()
        elif shape is SnapshotChunk:
            message = self.chunk()
        else:
            message = self.struct(shape)
        return Link.RAFT, RAFT_MESSAGE, codec.encode(message)

    def control(self, kind: Kind) -> Said:
        """A control message of this kind."""
        shape = gossip.SHAPES[kind]
        message: ControlMessage = self.struct(shape)
        if kind is Kind.EVIDENCE:
            message = self.evidence()
        elif self.rng.random() < self.tolerated:
            match kind:
                case Kind.COSIGNED:
                    message = self.statement()
                case Kind.DISSENT:
                    message = gossip.DissentMessage(self.headers(), ())
                case Kind.CERTIFICATE if self.known.notes:
                    note = self.rng.choice(self.known.notes)
                    message = gossip.CertificateMessage(self.number("height", 0, 2**53), note)
                case Kind.BLOCKS:  # nobody asked for any
                    return self.control(Kind.STATUS)
                case _:
                    pass  # any of these is tolerated
        return Link.GOSSIP, *encode_control(message)

    def statement(self) -> gossip.StatementMessage:
        """A cosignature of its own, of any tree at any height."""
        me, size, root = self.known.me, self.number("size", 0, 2**53), self.some_hash()
        checkpoint = Checkpoint(self.known.voters.origin, size, root)
        blob = cosign(checkpoint, me.cosigner, self.known.cosign_key, 1_700_000_000)
        height = self.number("height", 0, 2**53)
        return gossip.StatementMessage(me.number, height, size, root, blob)

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What honest leaders signed, and what nobody has seen of this one."""
        own = self.entry(self.number("term", 1), self.number("index", 1), self.some_hash(), b"")
        seen = list(self.known.log.values())[-3:]
        return tuple((entry.header, entry.attestation) for entry in (*seen, own))

    def evidence(self) -> Any:
        """What others keep, or (which costs the link) evidence that shows no lie."""
        rng = self.rng
        if self.known.evidence and rng.random() < self.tolerated:
            return gossip.EvidenceMessage(rng.choice(self.known.evidence))
        accused = rng.randrange(self.known.voters.n + 1)
        roots = [RootStatement(5, rng.randbytes(32), rng.randbytes(76)) for _ in range(2)]
        headers = [
            EntryStatement(self.entry(1, 1, ZERO_HASH, bytes([n])).header, rng.randbytes(64))
            for n in range(2)
        ]
        body = rng.choice(
            (
                encode_evidence(RootEvidence(accused % 256, *sorted(roots))),
                encode_evidence(EntryEvidence(*sorted(headers))),
                b"",
                rng.randbytes(rng.choice((1, 200, 16_385))),
            )
        )
        return gossip.EvidenceMessage(body)

    def items(self, kind: int) -> Said:
        """Transactions, or their names."""
        rng = self.rng
        if kind == ITEMS:
            bodies = rng.sample(self.known.wires, min(len(self.known.wires), 3))
            bodies = [*bodies, *([rng.randbytes(80)] if rng.random() < 0.3 or not bodies else [])]
            return Link.GOSSIP, ITEMS, pack_items(bodies)[0]
        most = HAVE_IDS_MAX if kind == HAVE else WANT_IDS_MAX
        return Link.GOSSIP, kind, rng.randbytes(32 * rng.choice((1, 64, most)))

    def out_of_range(self, said: Said) -> Said:
        """The same with a number that its field does not take, or a field too many or too few."""
        link, kind, body = said
        try:
            fields = msgspec.msgpack.decode(body)
        except (msgspec.DecodeError, UnicodeError):
            return link, kind, body[:-1]
        if not isinstance(fields, list) or not fields:
            return link, kind, body + b"\x00"
        numbers = [n for n, value in enumerate(fields) if type(value) is int]
        if numbers and self.rng.random() < 0.7:
            fields[self.rng.choice(numbers)] = self.rng.choice(BEYOND)
        else:
            fields = [*fields, 0] if self.rng.random() < 0.5 else fields[:-1]
        return link, kind, msgspec.msgpack.encode(fields)

    def kinds(self) -> list[Callable[[], Said]]:
        """One way to draw each kind, all of them."""
        return [
            *(lambda shape=shape: self.raft(shape) for shape in RAFT),
            *(lambda kind=kind: self.control(kind) for kind in CONTROL),
            *(lambda kind=kind: self.items(kind) for kind in ITEM_KINDS),
        ]


RAFT: Sequence[type] = typing.get_args(Message)
CONTROL: Sequence[Kind] = tuple(Kind)
ITEM_KINDS: Sequence[int] = (ITEMS, HAVE, WANT)
