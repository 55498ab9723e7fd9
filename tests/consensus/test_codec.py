"""The wire format: what goes through, and what is refused before it can change anything."""

from __future__ import annotations

import hashlib
from random import Random  # noqa: TID251 - seeded
from typing import Any

import msgspec
import pytest

from consensus import codec
from consensus.config import RaftConfig
from consensus.errors import ProtocolError
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
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
from consensus.receipts import Receipt
from consensus.snapshot import Snapshot
from consensus.types import (
    ENTRY_FORMAT,
    ZERO_HASH,
    Entry,
    EntryFormat,
    EntryKind,
    LogIndex,
    NodeId,
    Term,
)
from tests.consensus.lab import chain

CONFIG = RaftConfig(
    node=NodeId(1),
    voters=(NodeId(0), NodeId(1), NodeId(2)),
    payload_bytes_max=1_000,
    message_bytes_max=4_000,
    message_entries_max=8,
)
LEADER = NodeId(0)
LOG = chain(1, 1, 2)
MEMBERS = Membership((NodeId(0), NodeId(1)), (NodeId(1), NodeId(2)), (NodeId(2), NodeId(5)))
SNAPSHOT = Snapshot(LogIndex(4), Term(2), b"h" * 32, MEMBERS, 8, b"c" * 32)


def an_append(entries: list[Entry], term: int = 3, after: int = 0, **changes: Any) -> AppendRequest:
    prev = LOG[after - 1] if after else None
    append = AppendRequest(
        Term(term),
        LogIndex(after),
        prev.term if prev else Term(0),
        prev.hash if prev else ZERO_HASH,
        LogIndex(1),
        tuple(entries),
    )
    return msgspec.structs.replace(append, **changes)


@pytest.mark.parametrize(
    "message",
    [
        VoteRequest(Term(3), True, LogIndex(7), Term(2), LogIndex(5), bytes(32)),
        VoteResponse(Term(3), Term(4), False, True, LogIndex(0)),
        an_append([]),
        an_append(LOG),
        an_append(LOG[1:], after=1),
        AppendResponse(Term(1), AppendStatus.REFUSED, LogIndex(5)),
        AppendResponse(
            Term(1), AppendStatus.MISMATCH, LogIndex(5), LogIndex(4), Term(1), counted=False
        ),
        Heartbeat(Term(9), LogIndex(5), LogIndex(6)),
        Heartbeat(Term(9), LogIndex(5), LogIndex(6), 3, NodeId(2)),
        Heartbeat(
            Term(9),
            LogIndex(5),
            LogIndex(6),
            life=7,
            held=Receipt(6, LogIndex(5), b"h" * 32, b"s" * 16),
        ),
        TermRequest(Term(9)),
        TermResponse(Term(9)),
        HeartbeatResponse(Term(9)),
        HeartbeatResponse(Term(9), 3),
        TimeoutNow(Term(9)),
        ReadIndexRequest(Term(9), 2**61),
        ReadIndexResponse(Term(9), 2**61, LogIndex(4)),
        SnapshotChunk(Term(9), SNAPSHOT, 3, b"bytes"),
        ChunkResponse(Term(9), LogIndex(4), bytes(32), 8, refused=True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert codec.decode(codec.encode(message), LEADER, CONFIG) == message


def test_an_entry_keeps_the_bytes_that_it_came_in() -> None:
    decoded = codec.decode(codec.encode(an_append(LOG)), LEADER, CONFIG)

    assert isinstance(decoded, AppendRequest)
    assert [e.encoding for e in decoded.entries] == [e.encoded for e in LOG]
    assert ENTRY_FORMAT.decode(LOG[0].encoded) == LOG[0]


def test_a_peer_does_not_supply_what_follows_from_an_entry() -> None:
    fields = msgspec.msgpack.decode(LOG[0].encoded)
    for more in ([b"h" * 32], [b"h" * 32, b"h" * 32], [b"h" * 32, b"h" * 32, b"e"]):
        with pytest.raises(msgspec.ValidationError):
            ENTRY_FORMAT.decode(msgspec.msgpack.encode([*fields, *more]))


def test_an_entry_knows_its_hashes() -> None:
    made = ENTRY_FORMAT.make(
        Term(2), LogIndex(3), EntryKind.DATA, NodeId(0), LOG[1].hash, LOG[2].payload, lambda _: b"s"
    )
    plain = Entry(
        Term(2), LogIndex(3), EntryKind.DATA, NodeId(0), LOG[1].hash, LOG[2].payload, b"s"
    )

    assert made == plain == ENTRY_FORMAT.decode(made.encoded)
    assert made != LOG[2]
    assert made.hash == plain.hash == LOG[2].hash == hashlib.sha256(LOG[2].header).digest()
    assert made.payload_hash == plain.payload_hash == hashlib.sha256(LOG[2].payload).digest()


def test_the_header_layout_is_fixed() -> None:
    header = ENTRY_FORMAT.header(1, 2, 1, 3, b"p" * 32, b"q" * 32)

    assert header == (
        b"raft-entry/v1\n"
        + (1).to_bytes(8, "big")
        + (2).to_bytes(8, "big")
        + b"\x01"
        + (3).to_bytes(4, "big")
        + b"p" * 32
        + b"q" * 32
    )


def test_entries_are_bound_to_the_tag_of_their_embedder() -> None:
    own, other = EntryFormat(b"mine/v1\n"), EntryFormat(b"mine/v2\n")
    place = (Term(2), LogIndex(1), EntryKind.DATA, NodeId(0), ZERO_HASH, b"payload")
    signed: list[bytes] = []

    def attest(header: bytes) -> bytes:
        signed.append(header)
        return b"s"

    made = own.make(*place, attest)
    assert signed == [made.header] == [own.header(*place[:5], made.payload_hash)]
    assert made.header.startswith(b"mine/v1\n")
    assert made.hash == hashlib.sha256(made.header).digest()
    assert made == own.entry_type(*place, b"s") == own.decode(made.encoded)
    assert own.decode(made.encoded).hash == made.hash
    assert len({each.decode(made.encoded).hash for each in (own, other, ENTRY_FORMAT)}) == 3


@pytest.mark.parametrize("tag", [b"", b"x" * 65])
def test_a_tag_has_one_to_sixty_four_bytes(tag: bytes) -> None:
    with pytest.raises(ValueError, match="tag"):
        EntryFormat(tag)


def test_an_append_of_another_tag_is_refused() -> None:
    theirs = msgspec.structs.replace(CONFIG, entries=EntryFormat(b"theirs/v1\n"))
    message = codec.encode(an_append(LOG))

    assert codec.decode(message, LEADER, CONFIG) == an_append(LOG)
    with pytest.raises(ProtocolError, match="chained"):
        codec.decode(message, LEADER, theirs)


def remade(entry: Entry, **changes: Any) -> Entry:
    """A copy with other fields, also ones that no header can hold."""
    fields = {name: getattr(entry, name) for name in Entry.__struct_fields__[:7]} | changes
    return Entry(**fields, hash=b"not looked at")


@pytest.mark.parametrize(
    ("append", "reason"),
    [
        (an_append([LOG[1]]), "out of order"),
        (an_append([LOG[0], LOG[2]]), "out of order"),
        (an_append([remade(LOG[0], index=2)]), "out of order"),
        (an_append([remade(LOG[0], index=-1)]), "not a message"),
        (an_append([remade(LOG[0], term=4)]), "out of order"),
        (an_append([remade(LOG[0], term=0)]), "out of order"),
        (an_append([remade(LOG[0], term=-1)]), "not a message"),
        (an_append([LOG[0], remade(LOG[1], prev_hash=bytes(32))]), "chained"),
        (an_append([remade(LOG[0], prev_hash=b"short")]), "not a message"),
        (an_append([remade(LOG[0], leader=2**32)]), "not a message"),
        (an_append([remade(LOG[0], leader=-1)]), "not a message"),
        (an_append([remade(LOG[0], kind=EntryKind.MEMBERSHIP)]), "holds no membership"),
        (
            an_append([remade(LOG[0], kind=EntryKind.MEMBERSHIP, payload=Membership(()).encode())]),
            "holds no membership",
        ),
        (an_append([remade(LOG[0], leader=2)], term=1), "not of its sender"),
        (an_append([remade(LOG[0], payload=bytes(1_001))]), "too large"),
        (an_append([remade(LOG[0], attestation=bytes(257))]), "too large"),
        (an_append([remade(LOG[0], kind=EntryKind.NOOP)]), "too large"),
        (an_append(chain(*[1] * 9)), "9 entries"),
        (an_append([], prev_term=Term(1)), "previous term"),
        (an_append([], term=1, after=3), "previous term"),
        (an_append([], prev_hash=b"short"), "not a message"),
        (an_append([], term=-1), "not a message"),
        (an_append([], prev_index=LogIndex(2**63)), "not a message"),
    ],
)
def test_an_append_that_contradicts_itself_is_refused(append: AppendRequest, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        codec.decode(codec.encode(append), LEADER, CONFIG)


@pytest.mark.parametrize(
    ("changes", "offset", "reason"),
    [
        ({"index": LogIndex(0)}, 0, "no entry"),
        ({"term": Term(0)}, 0, "no entry"),
        ({"term": Term(10)}, 0, "no entry"),
        ({}, 4, "beyond the end"),
        ({"membership": Membership(())}, 0, "no membership"),
        ({"membership": Membership((NodeId(2), NodeId(1)))}, 0, "no membership"),
        ({"membership": Membership((NodeId(1), NodeId(1)))}, 0, "no membership"),
        ({"membership": Membership((NodeId(1),), (), (NodeId(1),))}, 0, "no membership"),
    ],
)
def test_a_chunk_that_contradicts_itself_is_refused(
    changes: dict[str, Any], offset: int, reason: str
) -> None:
    snapshot = msgspec.structs.replace(SNAPSHOT, **changes)
    with pytest.raises(ProtocolError, match=reason):
        codec.decode(
            codec.encode(SnapshotChunk(Term(9), snapshot, offset, b"bytes")), LEADER, CONFIG
        )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff" * 100,
        b"\x91" * 4_000,
        msgspec.msgpack.encode([5, 1, 2]),
        msgspec.msgpack.encode([5, 1, 2, 3, 4, None, 6, None, 8]),
        msgspec.msgpack.encode([5, 1, 2, "3"]),
        msgspec.msgpack.encode([5, 1, 2, 3.0]),
        msgspec.msgpack.encode([5, -1, 2, 3]),
        msgspec.msgpack.encode([99, 1]),
        msgspec.msgpack.encode([3, 1, 0, 0, bytes(32), 0, [[1, 1, 7, 0, bytes(32), b"", b""]]]),
        msgspec.msgpack.encode([3, 1, 0, 0, bytes(32), 0, [1]]),
        msgspec.msgpack.encode([3, 1, 0, 0, bytes(32), 0, [b"entry"]]),
        codec.encode(Heartbeat(Term(1), LogIndex(1), LogIndex(1))) + b"\x00",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a message"):
        codec.decode(data, LEADER, CONFIG)


def test_a_message_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        codec.decode(bytes(CONFIG.wire_bytes_max + 1), LEADER, CONFIG)


def test_the_largest_honest_message_is_within_the_limit() -> None:
    entry = remade(LOG[0], payload=bytes(1_000), attestation=bytes(256))

    assert len(codec.encode(an_append([entry]))) <= CONFIG.wire_bytes_max


def test_mutated_messages_are_refused_or_are_messages() -> None:
    rng = Random(4)
    seeds = [
        codec.encode(an_append(LOG)),
        codec.encode(AppendResponse(Term(1), AppendStatus.OK, LogIndex(2))),
    ]
    passed = 0
    for _ in range(5_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            codec.decode(bytes(data), LEADER, CONFIG)
            passed += 1
        except ProtocolError:
            pass

    assert 0 < passed < 5_000
