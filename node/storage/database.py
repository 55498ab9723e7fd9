"""One SQLite file and its connection. Owns pragmas and job submission; knows no table.

A job is one synchronous function run in the connection's own thread, so a whole transaction
costs one hop. There is exactly one writing connection for a file: SQLite before 3.51.3 can
corrupt a WAL when two connections write and checkpoint at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import aiosqlite

from node.storage.damage import DamagedFileError, DiskFullError, is_damage, is_full, opening

T = TypeVar("T")

PAGE_BYTES = 4_096
FULL_RETRY_S = 0.5
WAL_CHECKPOINT_BYTES = 4_000 * 4_096
"""Checkpoint after about 16 MiB of WAL, so that no single checkpoint is long."""

_INSERTED_TOGETHER = (256, 64, 16, 4, 1)
"""Rows that one statement inserts: each step of SQLite gives the interpreter lock away, and under
load to get it back costs more than the row. A few sizes, so that SQLite compiles each but once."""


class Database(aiosqlite.Connection):
    """A connection that also runs whole jobs. Made by `open_writer` or `open_reader`."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        super().__init__(lambda: _connect(path, read_only=read_only), iter_chunk_size=256)
        self.path = path

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job(connection)` in the connection's thread and return its result.

        A transaction that an error left open is taken back.

        Raises:
            DamagedFileError: SQLite says that the file is not what it wrote.
            DiskFullError: there is no room; nothing is stored.
        """
        try:
            result: T = await self._execute(_taken_back, job, self._conn)  # type: ignore[no-untyped-call]
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise DamagedFileError(self.path, str(error)) from error
            if is_full(error):
                raise DiskFullError(self.path) from error
            raise
        return result

    async def persist(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """As `run`; a job for which the disk has no room waits, and is tried again.

        What it changed besides the file must be taken back by itself.
        """
        while True:
            try:
                return await self.run(job)
            except DiskFullError:
                pass
            await asyncio.sleep(FULL_RETRY_S)


def application_id(kind: str) -> int:
    """What SQLite keeps in the head of each file of a kind, so that no other is taken for it."""
    return int.from_bytes(hashlib.sha256(b"piaolian/file/" + kind.encode()).digest()[:4]) >> 1


def file_uri(path: Path, mode: str) -> str:
    """The URI by which SQLite opens a file, whatever its folders are called.

    Args:
        path: The file.
        mode: `ro`, or `rwc` to write and make it.
    """
    # Quoted: of a folder named `a?b`, SQLite would open the file `a`; of `%41`, that in `A`.
    return f"{path.absolute().as_uri()}?mode={mode}"


async def open_writer(
    path: Path, kind: str, schema: str, *, synchronous: str = "FULL", page_bytes: int = PAGE_BYTES
) -> Database:
    """Open `path` for writing and apply `schema`.

    Args:
        path: The database file; its folder must exist.
        kind: What it is to this program: `ledger`, `index` and so on.
        schema: `CREATE … IF NOT EXISTS` statements.
        synchronous: `FULL` where an acknowledgement depends on the commit, else `NORMAL`
            (nothing is lost when a process dies; a power cut may lose the newest commits).
        page_bytes: Of a file that is made now; one that is there keeps its own.

    Raises:
        UnusableFileError: it cannot be opened, or not be written.
        DamagedFileError: it is no database, or one of another program or kind; it stays as it is.
    """
    database = Database(path, read_only=False)
    with opening(path):
        await database

    def prepare(connection: sqlite3.Connection) -> None:
        _refuse_foreign(connection, path, kind)
        for pragma in (
            f"page_size={page_bytes}",
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            f"wal_autocheckpoint={WAL_CHECKPOINT_BYTES // page_bytes}",
            "journal_size_limit=67108864",
            "cell_size_check=ON",
            "trusted_schema=OFF",
            "temp_store=MEMORY",
            "cache_size=-65536",
            f"application_id={application_id(kind)}",
        ):
            # To its last step: a change of the journal can fail after it was reported.
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(schema)

    try:
        with opening(path):
            await database.run(prepare)
    except BaseException:
        await database.close()  # else its thread keeps the process
        raise
    return database


def _refuse_foreign(connection: sqlite3.Connection, path: Path, kind: str) -> None:
    """Before anything is set: whatever another program keeps in a file, it finds it again."""
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if found != application_id(kind) and (tables or found):
        raise DamagedFileError(path, f"it is a database of something else, no {kind} of a node")


async def open_reader(path: Path) -> Database:
    """Open `path` read-only. It must exist; its writer must use WAL."""
    database = Database(path, read_only=True)
    await database
    await database.run(lambda connection: connection.execute("PRAGMA query_only=ON"))
    return database


def _taken_back(job: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    try:
        return job(connection)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    return sqlite3.connect(
        file_uri(path, mode),
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def insert_many(
    connection: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows of equal length, many by one statement: `into` is the text before `VALUES`."""
    start = 0
    for size in _INSERTED_TOGETHER:
        while len(rows) - start >= size:
            part = rows[start : start + size]
            statement = f"{into} VALUES {_placeholders(len(part[0]), size)}"
            connection.execute(statement, [value for row in part for value in row])
            start += size


@lru_cache(maxsize=64)
def _placeholders(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)
