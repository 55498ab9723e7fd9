"""Snapshots on SQLite: what a restart finds of them, damage, and how long one job may take."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consensus.ports import AppendBatch
from consensus.stores.sqlite import SqliteStore
from consensus.stores.sqlite_snapshots import PART_BYTES
from consensus.types import LogIndex
from tests.consensus import stored
from tests.consensus.lab import chain
from tests.consensus.stored import STATE, sql
from tests.consensus.test_memory_store import MEMBERS, content, make, parts, receive, snapshot_of


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteStore]:
    async with stored.opened(folder) as store:
        await store.load()
        yield store


async def test_complete_snapshots_are_found_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        older, newer = await make(store, b"state 3", 3), await make(store, b"state 4", 4)
    async with opened(tmp_path) as store:
        assert await store.newest() == newer
        assert await content(store, older) == b"state 3"
        assert await content(store, newer) == b"state 4"


async def test_what_was_held_of_an_arriving_snapshot_is_kept_across_restarts(
    tmp_path: Path,
) -> None:
    data = b"0123456789"
    snapshot = snapshot_of(data)
    held = 0
    while held < len(data):
        async with opened(tmp_path) as store:
            assert await store.write_chunk(snapshot, 0, b"") == held
            assert await store.newest() is None
            held = await store.write_chunk(snapshot, held, data[held : held + 3])
    async with opened(tmp_path) as store:
        assert await store.complete(snapshot)
        assert await content(store, snapshot) == data


async def test_a_large_snapshot_is_checked_in_several_jobs(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    snapshot = snapshot_of(data)
    async with opened(tmp_path) as store:
        assert await receive(store, snapshot, data, size=1_000_000)
        assert await content(store, snapshot) == data
        assert not await receive(store, snapshot_of(data, 8), data[1:] + b"1", size=1_000_000)


async def test_what_was_not_finished_is_never_the_newest_and_goes_away(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(PART_BYTES)
            gate.set()

    async with opened(tmp_path) as store, asyncio.TaskGroup() as group:
        task = group.create_task(store.create(snapshot_of(b"").base, MEMBERS, endless()))
        await gate.wait()
        task.cancel()
    assert sql(tmp_path, "SELECT count(*) > 0 FROM chunks") == [(1,)]
    async with opened(tmp_path) as store:
        assert await store.newest() is None
        for entry in chain(*[1] * 20):
            await store.append(AppendBatch(STATE, [entry]))
    assert sql(
        tmp_path, "SELECT count(*) FROM chunks UNION ALL SELECT count(*) FROM snapshots"
    ) == [
        (0,),
        (0,),
    ]


async def test_an_old_snapshot_goes_away_in_small_pieces(tmp_path: Path) -> None:
    big = [bytes([n]) * PART_BYTES for n in range(30)]
    async with opened(tmp_path) as store:
        for index in (3, 4):
            await store.create(snapshot_of(b"", index).base, MEMBERS, parts(*big))
        await receive(store, snapshot_of(b"new", 5), b"new")
    before = sql(tmp_path, "SELECT count(*) FROM chunks")[0][0]
    async with opened(tmp_path) as store:
        await store.append(AppendBatch(STATE, chain(1)))
    between = sql(tmp_path, "SELECT count(*) FROM chunks")[0][0]
    async with opened(tmp_path) as store:
        await make(store, b"the next one", 6)
    assert (before, between) == (61, 57)
    assert sql(tmp_path, "SELECT count(*) FROM chunks") == [(3,)]


async def test_the_log_goes_on_while_a_snapshot_is_made(tmp_path: Path) -> None:
    log = chain(*[1] * 20)
    async with opened(tmp_path) as store:

        async def growing() -> AsyncIterator[bytes]:
            for entry in log:
                await store.append(AppendBatch(STATE, [entry]))
                yield bytes([entry.index]) * (PART_BYTES + 1)

        snapshot = await store.create(snapshot_of(b"").base, MEMBERS, growing())
        assert await store.read(LogIndex(1), LogIndex(20), 1 << 20) == log
        whole = b"".join([bytes([entry.index]) * (PART_BYTES + 1) for entry in log])
        assert await content(store, snapshot) == whole
        at = 5 * (PART_BYTES + 1) - 2
        assert await store.read_chunk(snapshot, at, 4) == whole[at : at + 4]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chunks SET record = zeroblob(length(record)) WHERE start = 4",
        "UPDATE chunks SET record = substr(record, 1, length(record) - 1) WHERE start = 4",
        "UPDATE chunks SET start = 5 WHERE start = 4",
        "DELETE FROM chunks WHERE start = 4",
        "DELETE FROM chunks WHERE start = 0",
        "DELETE FROM chunks",
    ],
)
async def test_a_damaged_snapshot_is_given_up_where_it_is_noticed(
    tmp_path: Path, statement: str
) -> None:
    data = b"0123456789"
    async with opened(tmp_path) as store:
        older = await make(store, b"old", 3)
        newer = snapshot_of(data, 4)
        await receive(store, newer, data)
    sql(tmp_path, f"{statement} {'AND' if 'WHERE' in statement else 'WHERE'} snapshot = 2")

    async with opened(tmp_path) as store:
        assert await store.newest() == newer
        assert await store.read_chunk(newer, 0, 10) is None
        assert await store.newest() == older
        assert await receive(store, newer, data)
    async with opened(tmp_path) as store:
        assert await content(store, newer) == data


async def test_a_damaged_snapshot_is_given_up_when_a_leader_sends_the_same_one(
    tmp_path: Path,
) -> None:
    data = b"0123456789"
    snapshot = snapshot_of(data)
    async with opened(tmp_path) as store:
        await receive(store, snapshot, data)
    sql(tmp_path, "UPDATE chunks SET record = zeroblob(8) WHERE start = 4")

    async with opened(tmp_path) as store:
        assert await store.write_chunk(snapshot, 0, b"") == len(data)
        assert not await store.complete(snapshot)
        assert await store.newest() is None
        assert await receive(store, snapshot, data)
        assert await content(store, snapshot) == data


async def test_damage_to_what_has_arrived_is_found_at_its_end(tmp_path: Path) -> None:
    data = b"0123456789"
    snapshot = snapshot_of(data)
    async with opened(tmp_path) as store:
        await store.write_chunk(snapshot, 0, data[:5])
    sql(tmp_path, "UPDATE chunks SET record = CAST(x'00000000' || record AS BLOB) WHERE start = 0")

    async with opened(tmp_path) as store:
        held = await store.write_chunk(snapshot, 0, b"")
        while held < len(data):
            held = await store.write_chunk(snapshot, held, data[held:])
        assert not await store.complete(snapshot)
        assert await receive(store, snapshot, data)


WORDS = b"no name"
NO_NAMES = {
    "name, checksum": ("name", "x'0011223344'"),
    "name, contents": ("name", f"x'{(zlib.crc32(WORDS).to_bytes(4, 'little') + WORDS).hex()}'"),
    "state": ("state", "0"),
}


@pytest.mark.parametrize(("column", "value"), NO_NAMES.values(), ids=NO_NAMES.keys())
async def test_a_snapshot_whose_name_is_damaged_is_none(
    tmp_path: Path, column: str, value: str
) -> None:
    async with opened(tmp_path) as store:
        older = await make(store, b"old", 3)
        await make(store, b"new", 4)
    sql(tmp_path, f"UPDATE snapshots SET {column} = {value} WHERE id = 2")

    async with opened(tmp_path) as store:
        assert await store.newest() == older
