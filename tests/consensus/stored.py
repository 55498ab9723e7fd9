"""A store on SQLite in the hands of a test: written, closed, damaged, opened again."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from consensus.membership import Membership
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.stores.sqlite import SqliteStore, open_sqlite_store
from consensus.types import Entry, HardState, LogIndex, NodeId, Term

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


def marker_file(folder: Path) -> Path:
    return folder / "raft.db.marker"
