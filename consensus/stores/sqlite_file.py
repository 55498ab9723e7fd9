"""One SQLite file, its connection and its thread. Owns pragmas and transactions; knows no table.

A job is one function run in the connection's own thread, so a whole transaction costs one hop.
After a failed write there is no other one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

from consensus.errors import ConsensusError, StoreFullError

T = TypeVar("T")
_APPLICATION_ID = 0x52465431
_PAGE_BYTES = 16_384
"""A third less processor for an entry of a megabyte than with SQLite's 4,096: each page is a write
of its own. Larger ones gain little more, and make the smallest write large."""
_PRAGMAS = (
    f"page_size={_PAGE_BYTES}",  # comes first: a file that is there keeps its own
    "auto_vacuum=INCREMENTAL",  # likewise; what the log no longer needs goes back to the system
    # Nobody else may open the file while it is in use, and no memory is shared for that.
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=0",  # SQLite keeps the errors of its own checkpoints to itself
    "journal_size_limit=67108864",
    "secure_delete=OFF",  # some builds overwrite what is deleted: a second full write
    "cell_size_check=ON",
    "trusted_schema=OFF",
    "temp_store=MEMORY",
    "cache_size=-16384",
)


CHECKPOINT_BYTES = 16 * 1_048_576
"""The write-ahead log is carried over into the file when about this much was written to it, so
that neither grows long and no single checkpoint takes long."""
SPARE_BYTES = 16 * 1_048_576
"""Free pages in the file that are kept for what comes next. Those beyond go back to the system."""
_RETURNED_PAGES = 32
"""By one transaction, so that none takes long."""
_TRANSACTION_BYTES = 4 * _PAGE_BYTES
"""Of pages that a small transaction changes."""


_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""A write, or the growth of the index of the write-ahead log, found no room."""


class StoreFailedError(ConsensusError):
    """An earlier write failed: what the disk holds is not certain, so nothing more is promised."""


class WrongFileError(ConsensusError):
    """The file is not one of this version of this package."""


class SqliteFile:
    """The open file. Made by `SqliteFile.open`."""

    def __init__(self, connection: aiosqlite.Connection, logged_bytes: int) -> None:
        self._connection = connection
        self._failed = False
        self._checkpoint_bytes = CHECKPOINT_BYTES
        self._logged_bytes = logged_bytes
        """Of the write-ahead log, about, that the file does not have."""
        self._spare_pages = 0
        """Free pages beyond what is kept, when last looked at."""

    @classmethod
    async def open(
        cls, path: Path, schema: str, look: Callable[[sqlite3.Connection], None]
    ) -> SqliteFile:
        """Open the file at `path`, or make it; its folder must exist.

        Args:
            path: The file. SQLite keeps its write-ahead log beside it.
            schema: `CREATE … IF NOT EXISTS` statements.
            look: A first job.

        Raises:
            WrongFileError: when it holds something else.
            sqlite3.Error: when it cannot be opened, is damaged, or is in use.
        """

        def prepare(connection: sqlite3.Connection) -> None:
            # Before anything is set: another program's file stays as it is.
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if application_id != _APPLICATION_ID and (tables or application_id):
                raise WrongFileError(f"{path.name} is not a log of this version")
            for pragma in _PRAGMAS:
                # To its last step: a change of the journal can fail after it was reported.
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.executescript(schema)
            look(connection)

        wal = path.with_name(f"{path.name}-wal")
        left_bytes = wal.stat().st_size if wal.exists() else 0
        connection = aiosqlite.Connection(lambda: _connect(path), iter_chunk_size=64)
        await connection
        file = cls(connection, left_bytes)
        try:
            await file.run(prepare)
        except BaseException:
            await file.close()
            raise
        return file

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job(connection)` in the connection's thread and return its result."""
        connection = self._connection
        result: T = await connection._execute(job, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001 - the one public method that runs a job takes SQL only
        return result

    async def write(self, work: Callable[[sqlite3.Connection], T], size: int = 0) -> T:
        """Run `work` in the connection's thread, in a transaction; durable when this returns.

        Args:
            work: Reads and writes tables.
            size: About how many bytes it writes.

        Raises:
            StoreFailedError: when an earlier write failed.
            sqlite3.Error: when this one fails.
        """

        def job(connection: sqlite3.Connection) -> T:
            result = self.transact(connection, work, size)
            self.checkpoint(connection)
            return result

        return await self.run(job)

    def transact(
        self,
        connection: sqlite3.Connection,
        work: Callable[[sqlite3.Connection], T],
        size: int = 0,
        *,
        repeats: bool = False,
    ) -> T:
        """The same inside a job, which does the `checkpoint` when it likes.

        Args:
            connection: That of the job.
            work: Reads and writes tables.
            size: About how many bytes it writes.
            repeats: Whoever asks can do the same again when there was no room for it.

        Raises:
            StoreFullError: with `repeats`: nothing is stored, and a later write may succeed.
        """
        if self._failed:
            raise StoreFailedError("an earlier write failed")
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            self._give_back(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            full = repeats and isinstance(error, sqlite3.Error) and is_full(error)
            if not full:
                self.fail()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if full:  # said before any sync: what the disk holds is certain
                raise StoreFullError(str(error)) from error
            raise
        self._logged_bytes += size + _TRANSACTION_BYTES
        return result

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Carry the write-ahead log over into the file, if it is time for that."""
        if self._logged_bytes < self._checkpoint_bytes:
            return
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        self._spare_pages = free - SPARE_BYTES // _PAGE_BYTES
        logged_bytes, self._logged_bytes = self._logged_bytes, 0
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            if is_full(error):  # the write-ahead log has it all: again after the next write
                self._logged_bytes = logged_bytes
                return
            self.fail()
            raise
        except BaseException:
            self.fail()
            raise

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Within a transaction: let the file end earlier, by a few of its free pages."""
        if self._spare_pages > 0:
            self._spare_pages -= _RETURNED_PAGES
            for _ in range(_RETURNED_PAGES):  # one each: `sqlite3` takes a single step of a pragma
                connection.execute("PRAGMA incremental_vacuum(1)")

    def fail(self) -> None:
        """Refuse every later write: after a failed sync a later success proves nothing."""
        self._failed = True

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self._connection.close()


def is_full(error: sqlite3.Error) -> bool:
    """Whether SQLite says that there is no room, or that the user's share of it is used up."""
    return getattr(error, "sqlite_errorcode", None) in _FULL


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=64
    )
