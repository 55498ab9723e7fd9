"""The bytes of frames: exact round trips, and nothing that is not what was written."""

from __future__ import annotations

import msgspec
import pytest

from consensus.membership import Membership
from consensus.stores.frames import FRAME_BYTES_MAX, DamagedLogError, Frame, encode_frames
from consensus.types import ENTRY_FORMAT, ZERO_HASH, Entry, EntryKind, LogIndex, NodeId, Term
from tests.consensus.lab import chain


def framed(entries: list[Entry]) -> tuple[Frame, bytes]:
    """The only frame of these entries."""
    ((first, last, positions, data),) = encode_frames(entries)
    return Frame(first, last, positions), data


def replaced(entry: Entry, **fields: object) -> Entry:
    return msgspec.structs.replace(entry, **fields)


@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_frame_is_what_was_put_in(first: int) -> None:
    log = chain(1, 1, 2, 2, 3, 3)
    frame, data = framed(log[first - 1 :])

    assert (frame.first, frame.last, frame.last_term) == (first, 6, 3)
    assert frame.hash_at(first - 1) == log[first - 1].prev_hash
    for start in range(first, 7):
        positions = [(entry.term, entry.hash) for entry in log[start - 1 :]]
        assert frame.positions(start) == positions
        assert frame.hash_at(start) == log[start - 1].hash
        assert list(frame.entries(data, start, 6, ENTRY_FORMAT)) == log[start - 1 :]


def test_a_cut_frame_is_that_of_fewer_entries() -> None:
    log = chain(1, 1, 2, 2, 3, 3)
    frame, data = framed(log)
    for last in range(1, 7):
        ((_, _, positions, shorter),) = encode_frames(log[:last])
        assert frame.cut(last, data) == (positions, shorter)


def test_every_flipped_bit_of_the_positions_is_noticed() -> None:
    ((first, last, positions, _),) = encode_frames(chain(1, 2))
    Frame(first, last, positions)
    for at in range(8 * len(positions)):
        damaged = bytearray(positions)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(ValueError, match="checksum"):
            Frame(first, last, bytes(damaged))


@pytest.mark.parametrize(("first", "last"), [(2, 3), (1, 3), (2, 2), (3, 2), (0, 1), (-1, 0)])
def test_positions_belong_to_their_indexes(first: int, last: int) -> None:
    ((_, _, positions, _),) = encode_frames(chain(1, 2))
    with pytest.raises(ValueError, match="checksum"):
        Frame(first, last, positions)


def test_every_flipped_bit_of_the_data_is_noticed_at_its_entry() -> None:
    log = chain(1, 1, 2)
    frame, data = framed(log)
    ends = [len(log[0].encoded), len(log[0].encoded + log[1].encoded)]
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 4
        with pytest.raises(DamagedLogError) as error:
            list(frame.entries(bytes(damaged), 1, 3, ENTRY_FORMAT))
        assert error.value.index == 1 + sum(at >= end for end in ends)


@pytest.mark.parametrize(
    ("liar", "reason"),
    [
        ({"encoding": b"rubbish"}, "decoded"),
        ({"encoding": chain(1, 1)[1].encoded + b"\0"}, "decoded"),
        ({"encoding": chain(1)[0].encoded}, "chained"),
        ({"prev_hash": bytes(32), "encoding": b"", "hash": b""}, "chained"),
        ({"hash": bytes([7]) * 32}, "another"),
    ],
)
def test_records_with_good_checksums_are_still_not_believed(
    liar: dict[str, object], reason: str
) -> None:
    log = chain(1, 1)
    log[1] = replaced(log[1], **liar)
    frame, data = framed(log)
    with pytest.raises(DamagedLogError, match=reason) as error:
        list(frame.entries(data, 1, 2, ENTRY_FORMAT))
    assert error.value.index == 2


def test_what_follows_is_recognized() -> None:
    log = chain(1, 1, 2, 2, 5)
    frame, data = framed(log[2:])
    size = len(data)

    assert frame.follows(2, 1, log[1].hash, size)
    assert frame.follows(2, 2, log[1].hash, size)
    assert frame.follows(3, 2, log[2].hash, size)  # compacted into the frame
    assert frame.follows(5, 5, log[4].hash, size)  # to its end
    assert not frame.follows(2, 3, log[1].hash, size)  # terms never fall
    assert not frame.follows(3, 3, log[2].hash, size)
    assert not frame.follows(2, 1, log[0].hash, size)
    assert not frame.follows(1, 1, log[0].hash, size)
    assert not frame.follows(6, 5, log[4].hash, size)
    assert not frame.follows(2, 1, log[1].hash, size - 1)


def test_terms_that_fall_inside_a_frame_are_no_log() -> None:
    log = chain(1, 3, 2)
    frame, data = framed(log)

    assert not frame.follows(0, 0, ZERO_HASH, len(data))


def test_membership_entries_are_marked() -> None:
    log = chain(1, 1, 1, 1)
    payload = Membership((NodeId(1),)).encode()
    for at in (1, 3):
        log[at] = Entry(
            Term(1), LogIndex(at + 1), EntryKind.MEMBERSHIP, NodeId(0), ZERO_HASH, payload, b""
        )
    frame, _ = framed(log)

    assert frame.of_kind(EntryKind.MEMBERSHIP, 1) == [2, 4]
    assert frame.of_kind(EntryKind.MEMBERSHIP, 3) == [4]
    assert frame.of_kind(EntryKind.NOOP, 1) == []


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([10, 10], [2]),
        ([FRAME_BYTES_MAX, 10], [1, 1]),
        ([10, FRAME_BYTES_MAX], [1, 1]),
        ([10, 2 * FRAME_BYTES_MAX, 10], [1, 1, 1]),
        ([2 * FRAME_BYTES_MAX], [1]),
        ([2 * FRAME_BYTES_MAX, 2 * FRAME_BYTES_MAX], [1, 1]),
        ([400_000] * 5, [2, 2, 1]),
    ],
)
def test_a_large_batch_is_split(sizes: list[int], expected: list[int]) -> None:
    log: list[Entry] = []
    for size in sizes:
        prev = log[-1].hash if log else ZERO_HASH
        index = LogIndex(len(log) + 1)
        log.append(Entry(Term(1), index, EntryKind.DATA, NodeId(0), prev, bytes(size), b""))
    frames = list(encode_frames(log))

    assert [last - first + 1 for first, last, _, _ in frames] == expected
    entries = [
        entry
        for first, last, positions, data in frames
        for entry in Frame(first, last, positions).entries(data, first, last, ENTRY_FORMAT)
    ]
    assert entries == log
