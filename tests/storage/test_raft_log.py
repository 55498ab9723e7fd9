"""The Raft log on disk: what a restart finds, and what it refuses to believe."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consensus.ports import AppendBatch, Recovered
from consensus.types import Entry, HardState, LogIndex, NodeId, Term
from node.storage.marker import Condition, Marker
from node.storage.raft_log import DamagedLogError, RaftLogStore, open_raft_log
from tests.consensus.lab import chain

STATE = HardState(Term(3), NodeId(1))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[RaftLogStore]:
    marker = Marker.open(folder / "marker")
    store = await open_raft_log(folder / "raft.db", marker)
    try:
        yield store
    finally:
        await store.close()
        marker.close()


async def write(
    folder: Path, *batches: Sequence[Entry], state: HardState | None = None
) -> Recovered:
    """Open, write each of `batches`, close; what was loaded before."""
    async with opened(folder) as store:
        recovered = await store.load()
        for entries in batches:
            await store.append(AppendBatch(state, entries))
        return recovered


async def load(folder: Path) -> Recovered:
    return await write(folder)


def sql(folder: Path, statement: str, *values: object) -> None:
    """Do to the file what a fault would do."""
    connection = sqlite3.connect(folder / "raft.db", isolation_level=None)
    connection.execute(statement, values)
    connection.close()


def positions(entries: Sequence[Entry]) -> list[tuple[Term, bytes]]:
    return [(entry.term, entry.hash) for entry in entries]


async def test_a_new_log_is_empty_and_trusted(tmp_path: Path) -> None:
    assert await load(tmp_path) == Recovered(HardState(), [], False)
    assert await load(tmp_path) == Recovered(HardState(), [], False)


async def test_entries_and_hard_state_are_found_again(tmp_path: Path) -> None:
    log = chain(1, 1, 3)
    await write(tmp_path, log[:1], log[1:], state=STATE)

    assert await load(tmp_path) == Recovered(STATE, positions(log), False)
    async with opened(tmp_path) as store:
        await store.load()
        assert await store.read(LogIndex(1), LogIndex(3), 1 << 20) == log


async def test_a_batch_replaces_what_is_stored_from_its_first_index_on(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1)
    new = chain(2, first=old[:1])
    await write(tmp_path, old, new[1:])

    assert (await load(tmp_path)).positions == positions(new)


async def test_a_batch_with_only_hard_state_keeps_the_entries(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, log)
    await write(tmp_path, [], state=STATE)

    assert await load(tmp_path) == Recovered(STATE, positions(log), False)


async def test_a_gap_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    async with opened(tmp_path) as store:
        await store.load()
        with pytest.raises(DamagedLogError):
            await store.append(AppendBatch(STATE, log[1:]))

    assert await load(tmp_path) == Recovered(HardState(), [], False)


async def test_the_marker_is_written_with_every_batch(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, log, state=STATE)
    promises = Marker.open(tmp_path / "marker").promises

    assert (promises.term, promises.vote) == (3, 1)
    assert (promises.last_index, promises.last_hash) == (2, log[1].hash)


@pytest.mark.parametrize(("bytes_max", "count"), [(1, 1), (1 << 20, 4)])
async def test_reads_are_bounded_but_never_empty(
    tmp_path: Path, bytes_max: int, count: int
) -> None:
    await write(tmp_path, chain(1, 1, 1, 1, 1))
    async with opened(tmp_path) as store:
        await store.load()
        entries = await store.read(LogIndex(2), LogIndex(5), bytes_max)

    assert [entry.index for entry in entries] == list(range(2, 2 + count))


# --- Comparison with the marker --------------------------------------------------------------


async def test_a_log_shorter_than_the_marker_is_suspect(tmp_path: Path) -> None:
    await write(tmp_path, chain(1, 1, 1), state=STATE)
    sql(tmp_path, "DELETE FROM entries WHERE idx = 3")

    assert (await load(tmp_path)).suspect


async def test_a_lost_log_file_is_suspect_and_term_and_vote_are_the_markers(
    tmp_path: Path,
) -> None:
    await write(tmp_path, chain(1), state=STATE)
    for path in tmp_path.glob("raft.db*"):
        path.unlink()

    assert await load(tmp_path) == Recovered(STATE, [], True)


async def test_a_missing_marker_is_suspect(tmp_path: Path) -> None:
    await write(tmp_path, chain(1), state=STATE)
    (tmp_path / "marker").unlink()

    assert (await load(tmp_path)).suspect


async def test_a_damaged_marker_is_suspect(tmp_path: Path) -> None:
    await write(tmp_path, chain(1), state=STATE)
    (tmp_path / "marker").write_bytes(b"rubbish")

    assert (await load(tmp_path)).suspect


async def test_another_entry_at_the_markers_end_is_suspect(tmp_path: Path) -> None:
    await write(tmp_path, chain(1, 1))
    marker = Marker.open(tmp_path / "marker")
    marker.record_log(1, None, 2, bytes(32), suspect=False)
    marker.close()

    assert (await load(tmp_path)).suspect


async def test_two_votes_in_one_term_are_suspect(tmp_path: Path) -> None:
    await write(tmp_path, [], state=STATE)
    sql(tmp_path, "UPDATE hard_state SET vote = 2")

    assert (await load(tmp_path)).suspect


async def test_a_log_ahead_of_the_marker_is_a_crash_between_the_two_and_trusted(
    tmp_path: Path,
) -> None:
    log = chain(1, 1)
    await write(tmp_path, log[:1], state=HardState(Term(1)))
    before = (tmp_path / "marker").read_bytes()
    await write(tmp_path, log[1:], state=STATE)
    (tmp_path / "marker").write_bytes(before)

    assert await load(tmp_path) == Recovered(STATE, positions(log), False)


async def test_term_and_vote_are_the_later_of_both_sources(tmp_path: Path) -> None:
    await write(tmp_path, [], state=STATE)
    sql(tmp_path, "UPDATE hard_state SET term = 2, vote = NULL")

    recovered = await load(tmp_path)
    assert (recovered.hard_state, recovered.suspect) == (STATE, False)


async def test_suspicion_outlives_restarts_until_the_node_has_caught_up(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    await write(tmp_path, log)
    sql(tmp_path, "DELETE FROM entries WHERE idx > 1")
    await write(tmp_path, log[1:2])
    assert (await load(tmp_path)).suspect

    async with opened(tmp_path) as store:
        await store.load()
        await store.append(AppendBatch(STATE, log[2:], caught_up=True))
    assert not (await load(tmp_path)).suspect


# --- Damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("DELETE FROM entries WHERE idx = 2", 2),
        ("DELETE FROM entries WHERE idx = 1", 1),
        ("UPDATE entries SET record = CAST(substr(record, 1, 30) AS BLOB) WHERE idx = 2", 2),
        ("UPDATE entries SET record = x'' WHERE idx = 3", 3),
        ("UPDATE entries SET record = (SELECT record FROM entries WHERE idx = 1) WHERE idx = 2", 2),
        ("UPDATE entries SET hash = zeroblob(32) WHERE idx = 2", 2),
        ("UPDATE entries SET hash = x'00' WHERE idx = 2", 2),
        ("UPDATE entries SET term = 9 WHERE idx = 1", 2),
        ("UPDATE entries SET term = 9 WHERE idx = 3", 3),
    ],
)
async def test_a_damaged_record_is_an_error_and_is_not_cut_off(
    tmp_path: Path, statement: str, index: int
) -> None:
    await write(tmp_path, chain(1, 1, 1))
    sql(tmp_path, statement)
    async with opened(tmp_path) as store:
        with pytest.raises(DamagedLogError) as error:
            await store.load()
    assert error.value.index == index

    connection = sqlite3.connect(tmp_path / "raft.db")
    assert connection.execute("SELECT max(idx) FROM entries").fetchone() == (3,)
    connection.close()


async def test_a_record_damaged_later_is_found_when_it_is_read(tmp_path: Path) -> None:
    await write(tmp_path, chain(1, 1, 1))
    async with opened(tmp_path) as store:
        await store.load()
        sql(tmp_path, "UPDATE entries SET record = zeroblob(100) WHERE idx = 2")
        assert len(await store.read(LogIndex(1), LogIndex(1), 1 << 20)) == 1
        with pytest.raises(DamagedLogError):
            await store.read(LogIndex(1), LogIndex(3), 1 << 20)


@pytest.mark.parametrize(("first", "last"), [(4, 4), (3, 4)])
async def test_reading_what_is_not_there_is_an_error(tmp_path: Path, first: int, last: int) -> None:
    await write(tmp_path, chain(1, 1, 1))
    async with opened(tmp_path) as store:
        await store.load()
        with pytest.raises(DamagedLogError):
            await store.read(LogIndex(first), LogIndex(last), 1 << 20)


async def test_a_failed_marker_fails_the_write(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    store = await open_raft_log(tmp_path / "raft.db", marker)
    await store.load()
    marker.close()
    with pytest.raises(Exception, match="marker"):
        await store.append(AppendBatch(STATE, []))
    await store.close()

    assert Marker.open(tmp_path / "marker").condition is Condition.OK
