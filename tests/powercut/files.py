"""The store's files as bytes: taken after each batch, put back in any state, and looked at."""

from __future__ import annotations

import sqlite3
from itertools import takewhile
from pathlib import Path

from consensus.ports import AppendBatch, Recovered
from consensus.stores.sqlite import DamagedLogError, SqliteStore, WrongFileError, open_sqlite_store
from consensus.types import Entry, LogIndex
from tests.powercut.history import History, State

LOG, WAL, MARKER = NAMES = ("raft.db", "raft.db-wal", "raft.db.marker")
Files = dict[str, bytes]


def take(folder: Path) -> Files:
    """All bytes of the files; the store may be open, but idle."""
    return {
        name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in NAMES
    }


def put(folder: Path, files: Files) -> None:
    """Make the folder hold just these; an empty file is not there."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
        if files[name]:
            (folder / name).write_bytes(files[name])


async def record(
    folder: Path, seed: int, batches: int, checkpoint_bytes: int
) -> list[tuple[Files, State]]:
    """Files and state after each batch of a history, from before the first one."""
    put(folder, dict.fromkeys(NAMES, b""))
    store = await open_sqlite_store(folder / LOG)
    try:
        store._file._checkpoint_bytes = checkpoint_bytes
        await store.load()
        history = History(seed, large_bytes=6_000)
        recorded = [(take(folder), history.after(0))]
        for _ in range(batches):
            await store.append(history.next())
            recorded.append((take(folder), history.after(0)))
    finally:
        await store.close()
    return recorded


async def load(folder: Path) -> tuple[Recovered, list[Entry]] | None:
    """What the store presents, and its entries; None when it refuses."""
    try:
        store = await open_sqlite_store(folder / LOG)
    except (DamagedLogError, WrongFileError, sqlite3.DatabaseError):
        return None
    try:
        recovered = await store.load()
        return recovered, await _read_all(store, recovered)
    except DamagedLogError:
        return None
    finally:
        await store.close()


async def mend(folder: Path, state: State) -> bool:
    """Let a leader's entries replace what it does not have, and trust it; False if refused."""
    try:
        store = await open_sqlite_store(folder / LOG)
    except (DamagedLogError, WrongFileError, sqlite3.DatabaseError):
        return False
    try:
        recovered = await store.load()
        if recovered.base == state.base:
            pairs = zip(recovered.positions, state.positions, strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            batch = AppendBatch(state.hard_state, state.entries[shared:], caught_up=True)
        else:
            batch = AppendBatch(
                state.hard_state, state.entries, caught_up=True, base=state.base, reset=True
            )
        await store.append(batch)
        return True
    except (DamagedLogError, sqlite3.DatabaseError):
        return False
    finally:
        await store.close()


async def _read_all(store: SqliteStore, recovered: Recovered) -> list[Entry]:
    first = LogIndex(recovered.base.index + 1)
    last = LogIndex(recovered.base.index + len(recovered.positions))
    return await store.read(first, last, 1 << 40) if first <= last else []
