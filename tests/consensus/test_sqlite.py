"""The store on SQLite: what a restart finds, and what it refuses to believe."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from consensus.frames import FRAME_BYTES_MAX
from consensus.marker import Marker, MarkerError
from consensus.membership import Membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.sqlite import (
    DamagedLogError,
    SqliteStore,
    StoreFailedError,
    WrongFileError,
    open_sqlite_store,
)
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Term
from tests.consensus.lab import chain

STATE = HardState(Term(3), NodeId(1))
MANY = 1 << 30


@asynccontextmanager
async def opened(folder: Path, *, rejoin: bool = False) -> AsyncIterator[SqliteStore]:
    store = await open_sqlite_store(folder / "raft.db", rejoin=rejoin)
    try:
        yield store
    finally:
        await store.close()


async def write(folder: Path, *batches: AppendBatch) -> Recovered:
    """Open, append `batches`, close; what was loaded before."""
    async with opened(folder) as store:
        recovered = await store.load()
        for batch in batches:
            await store.append(batch)
        return recovered


def batch(entries: Sequence[Entry] = (), state: HardState | None = STATE) -> AppendBatch:
    return AppendBatch(state, entries)


async def load(folder: Path) -> Recovered:
    return await write(folder)


async def read(folder: Path, first: int, last: int, bytes_max: int = MANY) -> list[Entry]:
    async with opened(folder) as store:
        await store.load()
        return await store.read(LogIndex(first), LogIndex(last), bytes_max)


def sql(folder: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Look at the closed file, or do to it what a fault would do."""
    connection = sqlite3.connect(folder / "raft.db", isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def flip(folder: Path, column: str, first: int, at: int) -> None:
    """Flip a bit of byte `at` of a frame's column."""
    ((blob,),) = sql(folder, f"SELECT {column} FROM frames WHERE first = ?", first)
    assert isinstance(blob, bytes)
    damaged = bytearray(blob)
    damaged[at] ^= 0x10
    sql(folder, f"UPDATE frames SET {column} = ? WHERE first = ?", bytes(damaged), first)


def positions(entries: Sequence[Entry]) -> list[tuple[Term, bytes]]:
    return [(entry.term, entry.hash) for entry in entries]


def found(
    state: HardState, log: Sequence[Entry], *, suspect: bool = False, base: Base = BEGINNING
) -> Recovered:
    """What a load says of a log without membership entries."""
    return Recovered(state, positions(log), suspect, base, [])


def base_at(entry: Entry, membership: Membership | None = None) -> Base:
    return Base(entry.index, entry.term, entry.hash, membership)


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


# --- Agreement with the marker -------------------------------------------------------------------


def marker_file(folder: Path) -> Path:
    return folder / "raft.db.marker"


async def test_the_marker_is_written_with_every_batch(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log))
    marker = Marker.open(marker_file(tmp_path))
    marker.close()

    assert marker.promises.hard_state == STATE
    assert (marker.promises.last_index, marker.promises.last_hash) == (2, log[1].hash)


async def test_a_handed_in_marker_stays_its_owners(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "promises")
    marker.record_extra(b"the embedder's")
    store = await open_sqlite_store(tmp_path / "raft.db", marker)
    await store.load()
    await store.append(batch(chain(1)))
    await store.close()
    marker.record_extra(b"more of it")
    marker.close()
    again = Marker.open(tmp_path / "promises")
    again.close()

    assert (again.promises.extra, again.promises.last_index) == (b"more of it", 1)
    assert not marker_file(tmp_path).exists()


async def test_a_log_shorter_than_the_marker_is_suspect(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    await write(tmp_path, batch(log[:2]), batch(log[2:]))
    sql(tmp_path, "DELETE FROM frames WHERE first = 3")

    assert await load(tmp_path) == found(STATE, log[:2], suspect=True)


async def test_a_lost_log_file_is_suspect_and_term_and_vote_are_the_markers(
    tmp_path: Path,
) -> None:
    await write(tmp_path, batch(chain(1)))
    (tmp_path / "raft.db").unlink()

    assert await load(tmp_path) == found(STATE, [], suspect=True)


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
async def test_a_lost_marker_is_suspect(tmp_path: Path, content: bytes | None) -> None:
    log = chain(1)
    await write(tmp_path, batch(log))
    if content is None:
        marker_file(tmp_path).unlink()
    else:
        marker_file(tmp_path).write_bytes(content)

    assert await load(tmp_path) == found(STATE, log, suspect=True)
    assert await load(tmp_path) == found(STATE, log, suspect=True)


async def test_a_log_ahead_of_the_marker_is_a_crash_between_the_two_and_trusted(
    tmp_path: Path,
) -> None:
    log = chain(1, 1, 3)
    await write(tmp_path, batch(log[:1], HardState(Term(1))))
    before = marker_file(tmp_path).read_bytes()
    await write(tmp_path, batch(log[1:]))
    marker_file(tmp_path).write_bytes(before)

    assert await load(tmp_path) == found(STATE, log)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_crash_after_entries_were_replaced_is_trusted_too(
    tmp_path: Path, reset: bool
) -> None:
    old = chain(1, 1, 1, 1)
    new = chain(2, first=old[:1])
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(old))
        before = marker_file(tmp_path).read_bytes()
        if reset:
            await store.append(AppendBatch(STATE, [], base=base_at(new[1]), reset=True))
        else:
            await store.append(batch(new[1:]))
    marker_file(tmp_path).write_bytes(before)

    assert not (await load(tmp_path)).suspect


async def test_a_replacement_that_was_lost_is_suspect(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1)
    await write(tmp_path, batch(old))
    before = (tmp_path / "raft.db").read_bytes()
    await write(tmp_path, batch(chain(2, first=old[:1])[1:]))
    (tmp_path / "raft.db").write_bytes(before)

    assert (await load(tmp_path)).suspect


async def test_an_older_replacement_excuses_no_later_loss(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1)
    await write(tmp_path, batch(old))
    new = chain(2, 2, 2, 2, first=old[:1])
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(new[1:3]))
        await store.append(batch(new[3:]))
    sql(tmp_path, "DELETE FROM frames WHERE first = 4")

    assert (await load(tmp_path)).suspect


async def test_suspicion_outlives_restarts_until_the_node_has_caught_up(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    await write(tmp_path, batch(log[:1]), batch(log[1:]))
    sql(tmp_path, "DELETE FROM frames WHERE first > 1")
    await write(tmp_path, batch(log[1:2]))
    assert (await load(tmp_path)).suspect

    await write(tmp_path, AppendBatch(STATE, log[2:], caught_up=True))
    assert await load(tmp_path) == found(STATE, log)


@pytest.mark.parametrize("slot", [0, 1])
async def test_no_damage_to_one_slot_takes_suspicion_back(tmp_path: Path, slot: int) -> None:
    await write(tmp_path, batch(chain(1)))
    async with opened(tmp_path, rejoin=True) as store:
        assert (await store.load()).suspect
    content = bytearray(marker_file(tmp_path).read_bytes())
    content[slot * len(content) // 2 + 100] ^= 1
    marker_file(tmp_path).write_bytes(content)

    assert (await load(tmp_path)).suspect


async def test_a_node_whose_disk_is_new_comes_back_suspect(tmp_path: Path) -> None:
    async with opened(tmp_path, rejoin=True) as store:
        assert await store.load() == found(HardState(), [], suspect=True)

    assert (await load(tmp_path)).suspect


# --- Damage --------------------------------------------------------------------------------------


DAMAGE = [
    ("positions", 0, 3),
    ("positions", 10, 3),
    ("positions", 40, 3),
    ("data", 5, 4),
    ("data", -1, 6),
]
"""Column, byte, and the index from which the entries of the frame 4..6 are lost to it."""


@pytest.mark.parametrize(("column", "at", "intact"), DAMAGE)
async def test_the_beginning_up_to_the_damage_is_presented_and_nothing_is_cut(
    tmp_path: Path, column: str, at: int, intact: int
) -> None:
    intact = {3: 3, 4: 3, 6: 5}[intact]
    log = chain(*[1] * 9)
    await write(tmp_path, batch(log[:3]), batch(log[3:6]), batch(log[6:]))
    flip(tmp_path, column, 4, at)
    stored = sql(tmp_path, "SELECT * FROM frames")
    for _ in range(2):
        assert await load(tmp_path) == found(STATE, log[:intact], suspect=True)

    assert sql(tmp_path, "SELECT * FROM frames") == stored


@pytest.mark.parametrize(("column", "at", "intact"), DAMAGE)
async def test_a_leaders_entries_take_the_places_of_damaged_ones(
    tmp_path: Path, column: str, at: int, intact: int
) -> None:
    intact = {3: 3, 4: 3, 6: 5}[intact]
    log = chain(*[1] * 9)
    await write(tmp_path, batch(log[:3]), batch(log[3:6]), batch(log[6:]))
    flip(tmp_path, column, 4, at)
    await write(tmp_path, batch(log[intact:8]), AppendBatch(STATE, log[8:], caught_up=True))

    assert await load(tmp_path) == found(STATE, log)
    assert await read(tmp_path, 1, 9) == log


@pytest.mark.parametrize(
    ("statement", "intact"),
    [
        ("DELETE FROM frames WHERE first = 3", 2),
        ("DELETE FROM frames WHERE first = 1", 0),
        ("UPDATE frames SET last = 3 WHERE first = 3", 2),
        ("UPDATE frames SET data = x'' WHERE first = 3", 2),
        ("UPDATE frames SET data = substr(data, 1, length(data) - 1) WHERE first = 3", 2),
        ("UPDATE frames SET first = 1000 WHERE first = 3", 2),
        (
            "UPDATE frames SET data = (SELECT data FROM frames WHERE first = 1) WHERE first = 3",
            2,
        ),
    ],
)
async def test_what_is_missing_or_misplaced_is_damage(
    tmp_path: Path, statement: str, intact: int
) -> None:
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]))
    sql(tmp_path, statement)
    assert await load(tmp_path) == found(STATE, log[:intact], suspect=True)

    await write(tmp_path, AppendBatch(STATE, log[intact:], caught_up=True))
    assert await load(tmp_path) == found(STATE, log)


async def test_a_frame_of_another_history_is_damage_although_its_checksums_hold(
    tmp_path: Path,
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    log, foreign = chain(1, 1, 1, 1), chain(1, 2, 2, 2)
    await write(mine, batch(log[:2]), batch(log[2:]))
    await write(other, batch(foreign[:2]), batch(foreign[2:]))
    ((positions_of, data),) = sql(other, "SELECT positions, data FROM frames WHERE first = 3")
    sql(mine, "UPDATE frames SET positions = ?, data = ? WHERE first = 3", positions_of, data)

    assert await load(mine) == found(STATE, log[:2], suspect=True)


@pytest.mark.parametrize("record", [b"", b"rubbish", None])
async def test_hard_state_that_fails_its_checksum_is_the_markers(
    tmp_path: Path, record: bytes | None
) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log))
    if record is None:
        sql(tmp_path, "DELETE FROM facts WHERE name = 'hard state'")
    else:
        sql(tmp_path, "UPDATE facts SET record = ? WHERE name = 'hard state'", record)

    assert await load(tmp_path) == found(STATE, log)
    marker_file(tmp_path).unlink()
    assert await load(tmp_path) == found(HardState(Term(1)), log, suspect=True)


async def test_without_its_base_a_log_presents_nothing_and_is_mended_by_a_leader(
    tmp_path: Path,
) -> None:
    log = chain(1, 1, 2, 2)
    await write(tmp_path, batch(log), AppendBatch(None, [], base=base_at(log[1])))
    sql(tmp_path, "UPDATE facts SET record = zeroblob(40) WHERE name = 'base'")
    assert await load(tmp_path) == found(STATE, [], suspect=True)

    await write(tmp_path, AppendBatch(STATE, log[:3], caught_up=True))
    assert await load(tmp_path) == found(STATE, log[:3])


async def test_a_record_damaged_long_ago_is_found_when_it_is_read_and_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.sqlite_log.VERIFIED_BYTES", 1)
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:3]), batch(log[3:]))
    flip(tmp_path, "data", 1, 0)
    async with opened(tmp_path) as store:
        assert await store.load() == found(STATE, log)
        assert await store.read(LogIndex(4), LogIndex(6), MANY) == log[3:]
        with pytest.raises(DamagedLogError) as error:
            await store.read(LogIndex(1), LogIndex(3), MANY)
        assert error.value.index == 1

    assert await load(tmp_path) == found(STATE, [], suspect=True)
    await write(tmp_path, AppendBatch(STATE, log, caught_up=True))
    assert await load(tmp_path) == found(STATE, log)
    assert sql(tmp_path, "SELECT name FROM facts") == [("hard state",)]  # the doubt is gone too


async def test_a_file_that_sqlite_cannot_read_is_damaged(tmp_path: Path) -> None:
    await write(tmp_path, batch(chain(*[1] * 50)))
    content = bytearray((tmp_path / "raft.db").read_bytes())
    content[4_096:] = bytes(len(content) - 4_096)
    (tmp_path / "raft.db").write_bytes(content)

    with pytest.raises(DamagedLogError) as error:
        await load(tmp_path)
    assert error.value.index == 0


async def test_another_programs_file_is_not_touched(tmp_path: Path) -> None:
    sql(tmp_path, "CREATE TABLE entries (idx INTEGER PRIMARY KEY)")
    before = sql(tmp_path, "SELECT name FROM sqlite_schema")
    with pytest.raises(WrongFileError):
        await load(tmp_path)

    assert sql(tmp_path, "SELECT name FROM sqlite_schema") == before


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


async def test_one_process_opens_the_file_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.load()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sql(tmp_path, "SELECT count(*) FROM frames")
