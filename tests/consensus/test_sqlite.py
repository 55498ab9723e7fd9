"""The store on SQLite: what is appended is found again; failures are final."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consensus.errors import StoreFullError
from consensus.membership import Membership
from consensus.ports import AppendBatch
from consensus.stores.frames import FRAME_BYTES_MAX
from consensus.stores.marker import Marker, MarkerError
from consensus.stores.sqlite import (
    DamagedLogError,
    StoreFailedError,
    WrongFileError,
    open_sqlite_store,
)
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Term
from tests.consensus.lab import chain
from tests.consensus.stored import (
    MANY,
    STATE,
    base_at,
    batch,
    found,
    load,
    opened,
    read,
    sql,
    write,
)

# --- Append and load -----------------------------------------------------------------------------


async def test_a_new_log_is_empty_and_trusted(tmp_path: Path) -> None:
    assert await load(tmp_path) == found(HardState(), [])
    assert await load(tmp_path) == found(HardState(), [])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (5,), (2, 3), (1, 4)])
async def test_entries_and_hard_state_are_found_again(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    log = chain(1, 1, 2, 3, 3)
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    await write(tmp_path, *[batch(log[e - s : e]) for s, e in zip(sizes, ends, strict=True)])

    assert await load(tmp_path) == found(STATE, log)
    for first in range(1, 6):
        for last in range(first, 6):
            assert await read(tmp_path, first, last) == log[first - 1 : last]


async def test_a_batch_replaces_what_is_stored_from_its_first_index_on(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1, 1)
    await write(tmp_path, batch(old[:2]), batch(old[2:]))
    for keep in (4, 2, 1, 0):  # inside a frame, between two, inside the first, nothing
        new = chain(2, 3, first=old[:keep])
        await write(tmp_path, batch(new[keep:]))

        assert await load(tmp_path) == found(STATE, new)
        assert await read(tmp_path, 1, len(new)) == new
        old = chain(3, 3, 3, first=new)
        await write(tmp_path, batch(old[len(new) :]))


async def test_a_batch_with_only_hard_state_keeps_the_entries(tmp_path: Path) -> None:
    log = chain(1, 1)
    later = HardState(Term(4))
    await write(tmp_path, batch(log), batch(state=later))

    assert await load(tmp_path) == found(later, log)


async def test_a_batch_without_hard_state_keeps_it(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log[:1]), batch(log[1:], None))

    assert await load(tmp_path) == found(STATE, log)


@pytest.mark.parametrize("first", [3, 7])
async def test_a_gap_is_refused_and_nothing_is_written(tmp_path: Path, first: int) -> None:
    log = chain(*[1] * 7)
    await write(tmp_path, batch(log[:1]))
    async with opened(tmp_path) as store:
        await store.load()
        with pytest.raises(DamagedLogError):
            await store.append(batch(log[first - 1 :], HardState(Term(9))))

    assert await load(tmp_path) == found(STATE, log[:1])


async def test_a_large_batch_is_split_so_that_reads_stay_small(tmp_path: Path) -> None:
    payload = bytes(FRAME_BYTES_MAX // 4)
    log: list[Entry] = []
    for index in range(1, 12):
        size = 3 * FRAME_BYTES_MAX if index == 6 else len(payload)
        prev = log[-1].hash if log else bytes(32)
        log.append(
            Entry(Term(1), LogIndex(index), EntryKind.DATA, NodeId(0), prev, bytes(size), b"")
        )
    await write(tmp_path, batch(log))

    assert await load(tmp_path) == found(STATE, log)
    assert await read(tmp_path, 1, 11) == log
    assert sql(tmp_path, "SELECT first, last FROM frames ORDER BY first") == [
        (1, 3),
        (4, 5),
        (6, 6),
        (7, 9),
        (10, 11),
    ]


@pytest.mark.parametrize(
    ("first", "last", "fitting"), [(2, 5, 0), (2, 5, 4), (2, 5, 2), (3, 3, 0), (1, 6, 5)]
)
async def test_reads_are_bounded_but_never_empty(
    tmp_path: Path, first: int, last: int, fitting: int
) -> None:
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:3]), batch(log[3:]))
    bytes_max = sum(len(entry.encoded) for entry in log[first - 1 :][:fitting])
    expected = log[first - 1 :][: max(fitting, 1)]

    assert await read(tmp_path, first, last, bytes_max) == expected
    if last > first - 1 + fitting:  # one byte less than the next one needs
        bytes_max += len(log[first - 1 + fitting].encoded) - 1
        assert await read(tmp_path, first, last, bytes_max) == expected


@pytest.mark.parametrize(("first", "last"), [(4, 4), (3, 4)])
async def test_reading_what_is_not_there_is_an_error(tmp_path: Path, first: int, last: int) -> None:
    await write(tmp_path, batch(chain(1, 1, 1)))
    with pytest.raises(DamagedLogError):
        await read(tmp_path, first, last)


async def test_membership_entries_are_found_among_many_others(tmp_path: Path) -> None:
    members = [Membership((NodeId(n),)) for n in (1, 2, 3)]
    log = chain(1, 1)
    for membership in members:
        log.append(
            Entry(
                Term(1),
                LogIndex(len(log) + 1),
                EntryKind.MEMBERSHIP,
                NodeId(0),
                log[-1].hash,
                membership.encode(),
                b"",
            )
        )
        log = chain(1, 1, first=log)
    await write(tmp_path, batch(log[:4]), batch(log[4:]))

    memberships = [(3, members[0]), (6, members[1]), (9, members[2])]
    assert (await load(tmp_path)).memberships == memberships
    await write(tmp_path, batch(chain(2, first=log[:7])[7:]))
    assert (await load(tmp_path)).memberships == memberships[:2]
    await write(tmp_path, AppendBatch(None, [], base=base_at(log[2], members[0])))
    recovered = await load(tmp_path)
    assert (recovered.memberships, recovered.base.membership) == (memberships[1:2], members[0])


@pytest.mark.parametrize("size", [10, 30_000])
async def test_the_write_ahead_log_does_not_grow_for_ever(tmp_path: Path, size: int) -> None:
    prev = bytes(32)
    async with opened(tmp_path) as store:
        store._file._checkpoint_bytes = 400_000
        await store.load()
        for index in range(1, 201):
            entry = Entry(
                Term(1), LogIndex(index), EntryKind.DATA, NodeId(0), prev, bytes(size), b""
            )
            await store.append(batch([entry]))
            prev = entry.hash
        wal = (tmp_path / "raft.db-wal").stat().st_size

    assert 100_000 < wal < 800_000


# --- Compaction and reset ------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
async def test_what_is_compacted_is_gone_and_the_rest_stays(tmp_path: Path, at: int) -> None:
    log = chain(1, 1, 2, 2, 3)
    base = base_at(log[at - 1], Membership((NodeId(1), NodeId(2))))
    await write(tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]))
    await write(tmp_path, AppendBatch(None, [], base=base))

    assert await load(tmp_path) == found(STATE, log[at:], base=base)
    async with opened(tmp_path) as store:
        await store.load()
        assert await store.read(LogIndex(at), LogIndex(5), MANY) == []
        if at < 5:
            assert await store.read(LogIndex(at + 1), LogIndex(5), MANY) == log[at:]
    more = chain(3, 3, first=log)
    await write(tmp_path, batch(more[5:]))
    assert await load(tmp_path) == found(STATE, more[at:], base=base)
    assert await read(tmp_path, 6, 7) == more[5:]


async def test_frames_before_the_base_go_a_few_at_a_time(tmp_path: Path) -> None:
    log = chain(*[1] * 100)
    await write(tmp_path, *[batch([entry]) for entry in log[:60]])
    await write(tmp_path, AppendBatch(None, [], base=base_at(log[49])))
    count = "SELECT count(*) FROM frames"
    before = sql(tmp_path, count)[0][0]
    await write(tmp_path, *[batch([entry]) for entry in log[60:]])

    assert isinstance(before, int)
    assert 50 <= before < 60
    assert sql(tmp_path, count) == [(50,)]
    assert await load(tmp_path) == found(STATE, log[50:], base=base_at(log[49]))


async def test_a_base_beyond_the_log_is_refused(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(log[:2]))
        with pytest.raises(DamagedLogError):
            await store.append(AppendBatch(None, [], base=base_at(log[2])))


@pytest.mark.parametrize("entries", [0, 2])
async def test_a_reset_discards_everything_and_begins_after_the_base(
    tmp_path: Path, entries: int
) -> None:
    old, other = chain(1, 1, 1, 1), chain(2, 2, 2, 2, 2)
    base = base_at(other[1], Membership((NodeId(4),)))
    await write(tmp_path, batch(old))
    await write(tmp_path, AppendBatch(STATE, other[2 : 2 + entries], base=base, reset=True))

    assert await load(tmp_path) == found(STATE, other[2 : 2 + entries], base=base)
    await write(tmp_path, batch(other[2:]))
    assert await load(tmp_path) == found(STATE, other[2:], base=base)


# --- Failure -------------------------------------------------------------------------------------


@contextmanager
def files_stop_growing_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_after_a_failed_write_nothing_more_is_promised(tmp_path: Path) -> None:
    log = chain(1, 1)
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(log[:1]))
        wal = (tmp_path / "raft.db-wal").stat().st_size
        with files_stop_growing_at(wal), pytest.raises(sqlite3.Error):
            await store.append(batch(log[1:], HardState(Term(9))))
        with pytest.raises(StoreFailedError):
            await store.append(batch(log[1:]))

    assert await load(tmp_path) == found(STATE, log[:1])


async def test_a_failed_marker_fails_the_write_and_all_later_ones(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    store = await open_sqlite_store(tmp_path / "raft.db", marker)
    await store.load()
    marker.close()
    with pytest.raises(MarkerError):
        await store.append(batch(chain(1)))
    with pytest.raises(StoreFailedError):
        await store.append(batch(chain(1)))
    await store.close()


@pytest.mark.parametrize("second", [False, True], ids=["first mark", "second mark"])
async def test_a_vote_without_room_for_its_mark_is_none_and_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    """The log's file has it already: the mark is what makes it a promise."""
    log = chain(1, 1, 2)
    marker = Marker.open(tmp_path / "marker")
    store = await open_sqlite_store(tmp_path / "raft.db", marker)
    await store.load()
    await store.append(batch(log[:2]))
    vote = AppendBatch(HardState(Term(9), NodeId(1)), log[2:], distrusted=second)
    write, writes = os.pwrite, 0

    def full(*arguments: Any) -> int:
        nonlocal writes
        writes += 1
        if writes > int(second):
            raise OSError(errno.ENOSPC, "full")
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreFullError):
            await store.append(vote)
        assert second or marker.promises.term == STATE.term, "nobody could be told"
    await store.append(vote)
    assert marker.promises.hard_state == HardState(Term(9), NodeId(1))
    await store.close()
    marker.close()
    loaded = await load(tmp_path)
    assert loaded.hard_state == HardState(Term(9), NodeId(1))
    assert len(loaded.positions) == 3


async def test_one_process_opens_the_file_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.load()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sql(tmp_path, "SELECT count(*) FROM frames")


async def test_another_programs_file_is_not_touched(tmp_path: Path) -> None:
    sql(tmp_path, "CREATE TABLE entries (idx INTEGER PRIMARY KEY)")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")}
    assert before
    with pytest.raises(WrongFileError):
        await load(tmp_path)

    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")}
    assert {name: after[name] for name in before} == before
