"""What every store must do, asked of the one in memory and of the one on SQLite."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consensus.membership import Membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base, Snapshot
from consensus.stores.memory import MemoryStore
from consensus.stores.sqlite import SqliteStore, open_sqlite_store
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Term
from tests.consensus.lab import chain

STATE = HardState(Term(3), NodeId(1))
MEMBERS = Membership((NodeId(1), NodeId(2)), (), (NodeId(3),))
MANY = 1 << 30
Store = MemoryStore | SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = await open_sqlite_store(tmp_path / "raft.db")
    await opened.load()
    yield opened
    await opened.close()


async def holds(store: Store, log: list[Entry], base: Base = BEGINNING) -> bool:
    """Whether the store has exactly these entries after `base`."""
    first, last = LogIndex(base.index + 1), LogIndex(base.index + len(log))
    assert not base.index or await store.read(base.index, last, MANY) == []
    return await store.read(first, last, MANY) == log if log else True


def base_at(entry: Entry) -> Base:
    return Base(entry.index, entry.term, entry.hash, MEMBERS)


# --- The log -------------------------------------------------------------------------------------


async def test_entries_replace_what_is_at_or_above_them(store: Store) -> None:
    old = chain(1, 1, 1, 1)
    new = chain(2, 2, first=old[:2])
    await store.append(AppendBatch(STATE, old))
    await store.append(AppendBatch(None, new[2:3]))
    await store.append(AppendBatch(None, new[3:]))

    assert await holds(store, new)


async def test_reads_are_bounded_but_never_empty(store: Store) -> None:
    log = chain(1, 1, 1)
    await store.append(AppendBatch(STATE, log))
    size = len(log[0].encoded)
    for bytes_max, count in ((1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (MANY, 3)):
        assert await store.read(LogIndex(1), LogIndex(3), bytes_max) == log[:count]


async def test_the_log_begins_after_a_base_and_is_discarded_by_a_reset(store: Store) -> None:
    log = chain(1, 1, 2, 2)
    await store.append(AppendBatch(STATE, log))
    await store.append(AppendBatch(None, [], base=base_at(log[1])))
    assert await holds(store, log[2:], base_at(log[1]))
    other = chain(*[3] * 9)
    await store.append(AppendBatch(None, [], base=base_at(other[6]), reset=True))
    assert await holds(store, [], base_at(other[6]))
    await store.append(AppendBatch(None, other[7:]))
    assert await holds(store, other[7:], base_at(other[6]))


async def test_base_and_entries_in_one_batch(store: Store) -> None:
    log = chain(1, 1, 2, 2)
    new = chain(3, 3, 3, first=log[:3])
    await store.append(AppendBatch(STATE, log))
    await store.append(AppendBatch(None, new[3:], base=base_at(log[2])))
    assert await holds(store, new[3:], base_at(log[2]))


@pytest.mark.parametrize("first", [2, 5])
async def test_a_gap_is_refused(store: Store, first: int) -> None:
    log = chain(*[1] * 6)
    if first == 5:
        await store.append(AppendBatch(STATE, log[:3]))
    with pytest.raises(Exception, match=f"{first}"):
        await store.append(AppendBatch(STATE, log[first - 1 :]))


async def test_what_memory_loads_is_what_was_appended() -> None:
    store = MemoryStore(suspect=True)
    log = chain(1, 1)
    log.append(
        Entry(
            Term(2),
            LogIndex(3),
            EntryKind.MEMBERSHIP,
            NodeId(0),
            log[-1].hash,
            MEMBERS.encode(),
            b"",
        )
    )
    await store.append(AppendBatch(STATE, log))
    await store.append(AppendBatch(None, [], base=base_at(log[0])))
    positions = [(entry.term, entry.hash) for entry in log[1:]]
    assert await store.load() == Recovered(
        STATE, positions, True, base_at(log[0]), [(LogIndex(3), MEMBERS)]
    )

    await store.append(AppendBatch(STATE, [], caught_up=True))
    assert not (await store.load()).suspect


# --- Snapshots -----------------------------------------------------------------------------------


def snapshot_of(data: bytes, index: int = 7) -> Snapshot:
    checksum = hashlib.sha256(data).digest()
    return Snapshot(LogIndex(index), Term(2), bytes([index]) * 32, MEMBERS, len(data), checksum)


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for part in data:
        yield part


async def make(store: Store, data: bytes, index: int = 7) -> Snapshot:
    name = snapshot_of(data, index)
    return await store.create(name.base, MEMBERS, parts(data[:5], b"", data[5:]))


async def receive(store: Store, snapshot: Snapshot, data: bytes, size: int = 4) -> bool:
    """Send all of it in chunks, as a leader does."""
    held = await store.write_chunk(snapshot, 0, b"")
    while held < snapshot.size:
        held = await store.write_chunk(snapshot, held, data[held : held + size])
    return await store.complete(snapshot)


async def content(store: Store, snapshot: Snapshot) -> bytes | None:
    return await store.read_chunk(snapshot, 0, snapshot.size)


@pytest.mark.parametrize("data", [b"", b"1", b"the state of it all", bytes(1_000_000)])
async def test_a_snapshot_made_here_is_named_and_found(store: Store, data: bytes) -> None:
    assert await store.newest() is None
    snapshot = await make(store, data)

    assert snapshot == snapshot_of(data)
    assert await store.newest() == snapshot
    assert await content(store, snapshot) == data


async def test_any_part_can_be_read(store: Store) -> None:
    data = bytes(range(20))
    snapshot = snapshot_of(data)
    await receive(store, snapshot, data, size=6)
    for offset in range(21):
        for size in range(1, 22):
            part = await store.read_chunk(snapshot, offset, size)
            assert part == data[offset : offset + size]


@pytest.mark.parametrize("data", [b"", b"1", b"the state of it all"])
async def test_an_arriving_snapshot_is_the_newest_once_it_is_complete(
    store: Store, data: bytes
) -> None:
    snapshot = snapshot_of(data)
    assert await store.write_chunk(snapshot, 0, data[:3]) == len(data[:3])
    assert await store.newest() is None
    assert await store.read_chunk(snapshot, 0, 3) is None
    assert await receive(store, snapshot, data)

    assert await store.newest() == snapshot
    assert await content(store, snapshot) == data
    assert await store.write_chunk(snapshot, 0, b"") == len(data)
    assert await store.complete(snapshot)


async def test_a_part_that_does_not_begin_where_the_held_bytes_end_is_ignored(store: Store) -> None:
    data = b"0123456789"
    snapshot = snapshot_of(data)
    assert await store.write_chunk(snapshot, 2, data[2:4]) == 0
    assert await store.write_chunk(snapshot, 0, data[:4]) == 4
    assert await store.write_chunk(snapshot, 0, data[:4]) == 4
    assert await store.write_chunk(snapshot, 2, data[2:8]) == 4
    assert await store.write_chunk(snapshot, 6, data[6:]) == 4
    assert await store.write_chunk(snapshot, 4, data[4:] + b"surplus") == 10
    assert await store.complete(snapshot)
    assert await content(store, snapshot) == data


async def test_bytes_that_do_not_match_the_checksum_are_all_forgotten(store: Store) -> None:
    data = b"0123456789"
    snapshot = snapshot_of(data)
    assert not await receive(store, snapshot, b"012345678x")
    assert await store.newest() is None
    assert await store.write_chunk(snapshot, 0, b"") == 0
    assert await receive(store, snapshot, data)
    assert await store.newest() == snapshot


async def test_another_arriving_snapshot_discards_the_first(store: Store) -> None:
    first, second = snapshot_of(b"0123456789", 7), snapshot_of(b"abcdefghij", 8)
    await store.write_chunk(first, 0, b"01234")
    assert await store.write_chunk(second, 0, b"abc") == 3
    assert await store.write_chunk(first, 0, b"") == 0
    assert not await store.complete(second)


async def test_what_is_not_whole_is_not_completed(store: Store) -> None:
    snapshot = snapshot_of(b"0123456789")
    assert not await store.complete(snapshot)
    await store.write_chunk(snapshot, 0, b"01234")
    assert not await store.complete(snapshot)
    assert await store.newest() is None


async def test_the_newest_two_are_kept(store: Store) -> None:
    made = [await make(store, b"state %d" % index, index) for index in (3, 4)]
    data = b"state 5"
    made.append(snapshot_of(data, 5))
    await receive(store, made[2], data)

    assert await store.newest() == made[2]
    assert await content(store, made[0]) is None
    assert await content(store, made[1]) == b"state 4"
    assert await content(store, made[2]) == data


async def test_a_snapshot_that_cannot_be_captured_is_never_the_newest(store: Store) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise RuntimeError("no more")

    before = await make(store, b"state", 3)
    with pytest.raises(RuntimeError, match="no more"):
        await store.create(snapshot_of(b"", 4).base, MEMBERS, broken())
    assert await store.newest() == before
