"""Records and framing: round trips, bounds, and what ends a connection."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import LocalProtocolError, RecordError, RemoteProtocolError
from p2p.frames import (
    ACCEPT,
    BYE,
    HEADER,
    MESSAGE_COST_BYTES,
    MORE,
    PIECE_BYTES_MIN,
    PING,
    PLAINTEXT_BYTES_MAX,
    RECORD_BYTES_MAX,
    RECORD_OVERHEAD_BYTES,
    REKEY_RECORDS,
    SESSION,
    URGENT_RESERVE_BYTES,
    FrameReader,
    Opener,
    Outbox,
    Sealer,
    session_piece,
)
from p2p.types import MESSAGE_BYTES_MAX, Link

KEY = b"\x07" * 32
QUEUE_BYTES = 16 * 1024 * 1024


def piece(flags: int, kind: int, body: bytes) -> bytes:
    return HEADER.pack(flags, kind, len(body)) + body


# --- Records ---------------------------------------------------------------------------------


def test_records_open_in_order_across_rekeying() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    for number in range(2 * REKEY_RECORDS + 3):
        assert opener.open(sealer.seal(number.to_bytes(4, "big"))) == number.to_bytes(4, "big")


def test_a_record_carries_65519_bytes_and_no_more() -> None:
    record = Sealer(KEY).seal(bytes(PLAINTEXT_BYTES_MAX))
    assert len(record) == RECORD_BYTES_MAX == PLAINTEXT_BYTES_MAX + 16 == 65_535
    assert Opener(KEY).open(record) == bytes(PLAINTEXT_BYTES_MAX)
    for size in (0, PLAINTEXT_BYTES_MAX + 1):
        with pytest.raises(LocalProtocolError):
            Sealer(KEY).seal(bytes(size))


DAMAGE: dict[str, Callable[[list[bytes]], tuple[list[bytes], bytes]]] = {
    "a flipped bit": lambda r: (r[:1], bytes([r[1][0] ^ 1]) + r[1][1:]),
    "a dropped record": lambda r: (r[:1], r[2]),
    "a repeated record": lambda r: (r[:2], r[1]),
    "a swapped record": lambda r: ([], r[1]),
    "a truncated record": lambda r: (r[:1], r[1][:-1]),
    "an empty record": lambda r: (r[:1], b""),
    "a record without plaintext": lambda r: ([], bytes(RECORD_OVERHEAD_BYTES)),
    "an oversize record": lambda r: ([], bytes(RECORD_BYTES_MAX + 1)),
    "a record of another key": lambda r: ([], Sealer(b"\x08" * 32).seal(b"x")),
}
"""From three records: those that arrive intact, and what arrives next."""


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_stream_ends_for_good_at_its_first_bad_record(
    damage: Callable[[list[bytes]], tuple[list[bytes], bytes]],
) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    records = [sealer.seal(bytes([n]) * 20) for n in range(3)]
    intact, bad = damage(records)
    for record in intact:
        opener.open(record)
    with pytest.raises(RecordError):
        opener.open(bad)
    with pytest.raises(RecordError, match="after a bad one"):
        opener.open(records[len(intact)])


def test_a_peer_that_does_not_rekey_in_time_is_not_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    for _ in range(REKEY_RECORDS):
        opener.open(sealer.seal(b"x"))
    monkeypatch.setattr("p2p.frames.REKEY_RECORDS", 10**9)
    late = sealer.seal(b"x")
    monkeypatch.undo()
    with pytest.raises(RecordError, match="does not authenticate"):
        opener.open(late)


# --- Messages --------------------------------------------------------------------------------

messages = st.lists(
    st.tuples(
        st.integers(0, 255),
        st.one_of(
            st.binary(max_size=40),
            st.integers(0, 200_000).map(lambda n: bytes([n % 251]) * n),
        ),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(sent=messages, link=st.sampled_from(Link))
def test_what_is_queued_arrives_once_and_in_the_order_of_its_lane(
    sent: list[tuple[int, bytes]], link: Link
) -> None:
    outbox, reader = Outbox(link, QUEUE_BYTES), FrameReader(link)
    accepted = [m for m in sent if outbox.put(*m)]
    arrived: list[tuple[int, bytes]] = []
    while outbox:
        plaintext = outbox.take()
        assert 0 < len(plaintext) <= PLAINTEXT_BYTES_MAX
        arrived += [(kind, body) for _, kind, body in reader.feed(plaintext)]
    assert outbox.queued_bytes == 0
    urgent_kinds = 16 if link is Link.GOSSIP else 0
    for lane in (True, False):
        assert [m for m in arrived if (m[0] < urgent_kinds) is lane] == [
            m for m in accepted if (m[0] < urgent_kinds) is lane
        ]


def test_many_small_messages_share_one_record() -> None:
    outbox = Outbox(Link.GOSSIP, QUEUE_BYTES)
    for number in range(200):
        assert outbox.put(20, number.to_bytes(300, "big"))
    assert len(FrameReader(Link.GOSSIP).feed(outbox.take())) == 200
    assert not outbox


def test_records_of_a_long_queue_are_full() -> None:
    outbox = Outbox(Link.RAFT, QUEUE_BYTES)
    for _ in range(100):
        outbox.put(0, bytes(40_000))
    sizes = []
    while outbox:
        sizes.append(len(outbox.take()))
    assert all(size > PLAINTEXT_BYTES_MAX - 1_100 for size in sizes[:-1])


def test_control_messages_overtake_bulk_that_has_begun() -> None:
    outbox, reader = Outbox(Link.GOSSIP, QUEUE_BYTES), FrameReader(Link.GOSSIP)
    outbox.put(20, bytes(MESSAGE_BYTES_MAX))
    assert reader.feed(outbox.take()) == []
    outbox.put(3, b"urgent")
    outbox.put_session(PING, bytes(8))
    assert reader.feed(outbox.take()) == [(True, PING, bytes(8)), (False, 3, b"urgent")]
    rest = []
    while outbox:
        rest += reader.feed(outbox.take())
    assert rest == [(False, 20, bytes(MESSAGE_BYTES_MAX))]


def test_a_message_of_4_mib_passes_and_a_larger_one_is_our_own_bug() -> None:
    outbox = Outbox(Link.RAFT, QUEUE_BYTES)
    assert outbox.put(0, bytes(MESSAGE_BYTES_MAX))
    for kind, size in ((0, MESSAGE_BYTES_MAX + 1), (256, 1), (-1, 1)):
        with pytest.raises(LocalProtocolError):
            outbox.put(kind, bytes(size))


def test_a_full_queue_refuses_and_keeps_room_for_control() -> None:
    outbox = Outbox(Link.GOSSIP, 8 * 1024 * 1024)
    while outbox.put(20, bytes(100_000)):
        pass
    assert outbox.queued_bytes <= 8 * 1024 * 1024 - URGENT_RESERVE_BYTES
    assert outbox.put(1, bytes(100_000))
    while outbox.put(1, b""):
        pass
    assert outbox.queued_bytes <= 8 * 1024 * 1024
    small = Outbox(Link.RAFT, 8 * 1024 * 1024)
    count = 0
    while small.put(0, b""):
        count += 1
    assert count == 8 * 1024 * 1024 // MESSAGE_COST_BYTES


def test_session_pieces_are_bounded() -> None:
    outbox = Outbox(Link.RAFT, QUEUE_BYTES)
    assert sum(outbox.put_session(PING, bytes(8)) for _ in range(1_000)) == 64


BIG = bytes(PIECE_BYTES_MIN)
BAD_PLAINTEXTS = {
    "empty": b"",
    "too long": bytes(PLAINTEXT_BYTES_MAX + 1),
    "truncated header": b"\x00\x10\x00",
    "truncated body": HEADER.pack(0, 16, 10) + b"short",
    "length beyond the record": HEADER.pack(0, 16, 65_535),
    "unknown flags": piece(0x02, 16, b"x"),
    "session flag with MORE": piece(SESSION | MORE, PING, BIG),
    "unknown session piece": session_piece(9),
    "a ping of seven bytes": session_piece(PING, bytes(7)),
    "an accept with a body": session_piece(ACCEPT, b"x"),
    "a long goodbye": session_piece(BYE, bytes(129)),
    "a small piece that is not the last": piece(MORE, 16, bytes(PIECE_BYTES_MIN - 1)),
    "another message within a message": piece(MORE, 16, BIG) + piece(0, 17, b"x"),
    "an empty last piece": piece(MORE, 16, BIG) + piece(0, 16, b""),
    "trailing bytes": piece(0, 16, b"x") + b"\x00",
}


@pytest.mark.parametrize("plaintext", BAD_PLAINTEXTS.values(), ids=BAD_PLAINTEXTS.keys())
def test_bad_framing_is_the_peers_fault(plaintext: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        FrameReader(Link.GOSSIP).feed(plaintext)


def test_a_message_beyond_4_mib_ends_at_the_limit() -> None:
    reader = FrameReader(Link.GOSSIP)
    full = piece(MORE, 16, bytes(PLAINTEXT_BYTES_MAX - HEADER.size))
    for _ in range(MESSAGE_BYTES_MAX // (PLAINTEXT_BYTES_MAX - HEADER.size)):
        assert reader.feed(full) == []
    with pytest.raises(RemoteProtocolError, match="4 MiB"):
        reader.feed(full)


def test_declared_lengths_allocate_nothing() -> None:
    tracemalloc.start()
    try:
        for _ in range(1_000):
            with pytest.raises(RemoteProtocolError):
                FrameReader(Link.RAFT).feed(HEADER.pack(MORE, 0, 65_535))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(Link))
def test_any_bytes_are_read_or_refused(plaintext: bytes, link: Link) -> None:
    reader = FrameReader(link)
    try:
        reader.feed(plaintext)
        reader.feed(plaintext)
    except RemoteProtocolError:
        pass


def test_5000_fuzzed_records_are_refused_and_nothing_else() -> None:
    rng = random.Random(11)
    for _ in range(5_000):
        record = bytearray(Sealer(KEY).seal(rng.randbytes(rng.randrange(1, 300))))
        original = bytes(record)
        for _ in range(rng.randrange(1, 4)):
            record[rng.randrange(len(record))] ^= rng.randrange(1, 256)
        if rng.random() < 0.3:
            del record[rng.randrange(len(record)) :]
        if bytes(record) != original:
            with pytest.raises(RecordError):
                Opener(KEY).open(bytes(record))


def test_5000_fuzzed_plaintexts_are_read_or_refused() -> None:
    rng = random.Random(13)
    refused = 0
    for _ in range(5_000):
        outbox, reader = Outbox(Link.GOSSIP, QUEUE_BYTES), FrameReader(Link.GOSSIP)
        for _ in range(rng.randrange(1, 5)):
            outbox.put(rng.randrange(256), bytes(rng.choice([0, 1, 100, 1_500])))
        plaintext = bytearray(outbox.take())
        for _ in range(rng.randrange(1, 6)):
            plaintext[rng.randrange(min(len(plaintext), 40))] = rng.randrange(256)
        try:
            reader.feed(bytes(plaintext))
        except RemoteProtocolError:
            refused += 1
    assert refused > 1_000
