"""A data folder as an audit sees it: one consistent state of each database. Changes nothing.

A running node's databases are read beside it; each is held at one committed state, in an order in
which no follower can be ahead of what it follows. The Raft log is the node's alone while it runs.
Owns files, locks and what SQLite itself can tell of a database; knows no content.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.audit.faults import AuditError, fail, first_difference
from node.audit.write_ahead_log import check_write_ahead_log
from node.storage.damage import SET_ASIDE
from node.storage.database import application_id, file_uri
from node.system.folder_lock import FolderInUseError, lock_folder

LEDGER, INDEX, OUTBOX, HEADS, RAFT = "ledger.db", "index.db", "outbox.db", "heads.db", "raft.db"
WALLET = "wallet.db"
MARKER = "marker"
DATABASES = (INDEX, LEDGER, OUTBOX, HEADS, WALLET, RAFT)
"""In the order in which their states are taken: the index follows the ledger."""
_IDLE = {"rejoin"}
"""Files whose content nobody reads."""
_FILE_BYTES_MAX = 1 << 20
"""Of a file that is no database; each is much smaller."""
NO_PLAIN_FILE = "is no plain file"
_SCHEMA_COLUMNS = ("type", "name", "tbl_name", "sql")
_PAGE = re.compile(r"\bpage (\d+)", re.IGNORECASE)


class Folder:
    """The open folder. Made by `open_folder`."""

    def __init__(self, path: Path, position_files: Sequence[str], running: bool) -> None:
        self.path = path
        self._position_files = frozenset(position_files)
        self.running = running
        """Whether a node uses it."""
        self.databases: dict[str, sqlite3.Connection] = {}

    def open_databases(self) -> None:
        """Take the state of every database that is there.

        Raises:
            AuditError: SQLite cannot read one of them, or a file is none.
        """
        odd = odd_file(self.path)
        if odd is not None:
            raise fail(NO_PLAIN_FILE, odd, offset=0)
        for name in DATABASES:
            path = self.path / name
            if not path.exists() or (name == RAFT and self.running):
                continue
            try:
                self.databases[name] = open_snapshot(path)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                raise fail(f"SQLite cannot read it: {error}", name, offset=0) from error

    def close(self) -> None:
        """Let go of the databases."""
        for connection in self.databases.values():
            connection.close()
        self.databases.clear()

    @property
    def marker(self) -> bytes:
        """The bytes of the marker; of a running node perhaps in the middle of a write."""
        return _read(self.path / MARKER)

    @property
    def positions(self) -> dict[str, bytes]:
        """How far listeners of final blocks came, by file; empty where none has begun."""
        return {name: _read(self.path / name) for name in sorted(self._position_files)}

    def strangers(self) -> list[str]:
        """Names of files that no part of the audit reads."""
        known = {
            MARKER,
            *self._position_files,
            *_IDLE,
            *(n + s for n in DATABASES for s in ("", "-wal", "-shm")),
        }
        if self.running:
            known -= {RAFT}
        return sorted(
            p.name for p in self.path.iterdir() if p.name not in known and not p.match(SET_ASIDE)
        )

    def check_database(self, name: str, schema: str) -> None:
        """Check structure, tables and write-ahead log of a database.

        Args:
            name: One of `DATABASES`, open.
            schema: The statements that make its tables.

        Raises:
            AuditError: with the first fault.
        """
        connection = self.databases[name]
        if not self.running:
            check_write_ahead_log(self.path / name)
        try:
            (report,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if report != "ok":
                raise _structure(connection, name, report)
            _check_schema(connection, name, schema)
            if name != RAFT:  # consensus' own file, which opens with a check of its own
                _check_kind(connection, name)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise fail(f"SQLite cannot read it: {error}", name, offset=0) from error


@contextmanager
def open_folder(path: Path, position_files: Sequence[str] = ()) -> Iterator[tuple[Folder, int]]:
    """The folder, and the descriptor of a lock that keeps a node from starting until it is closed.

    A lock of -1: a node runs. Whoever has read the Raft log closes it; the rest may be read beside
    a node that starts meanwhile.
    """
    lock = _lock(path, shared=True)
    folder = Folder(path, position_files, running=lock < 0)
    before = set(path.iterdir())
    try:
        yield folder, lock
    finally:
        folder.close()
        if not folder.running:
            _tidy(path, before)


def _lock(path: Path, *, shared: bool) -> int:
    """A lock on the folder; -1 when a node holds it."""
    try:
        return lock_folder(path, shared=shared)
    except FolderInUseError:
        return -1


def _tidy(path: Path, before: set[Path]) -> None:
    """Remove what SQLite made beside the databases to read them, unless a node has started."""
    lock = _lock(path, shared=False)
    if lock < 0:
        return
    for made in set(path.iterdir()) - before:
        if made.name in {name + suffix for name in DATABASES for suffix in ("-wal", "-shm")}:
            made.unlink()
    os.close(lock)


def odd_file(path: Path) -> str | None:
    """A database of the folder, or what SQLite keeps beside one, that is no plain file.

    Who opens a pipe waits for ever; a device never ends.
    """
    names = (name + suffix for name in DATABASES for suffix in ("", "-wal", "-shm"))
    return next((name for name in names if _is_odd(path / name)), None)


def _is_odd(path: Path) -> bool:
    return path.exists() and not path.is_file()


def open_snapshot(path: Path) -> sqlite3.Connection:
    """A database, read at one committed state until it is closed."""
    connection = sqlite3.connect(file_uri(path, "ro"), uri=True, timeout=10.0, isolation_level=None)
    # SQLite does not look whether text is UTF-8; what is not must be comparable all the same.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        for pragma in ("query_only=ON", "cell_size_check=ON", "cache_size=-32768"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _read(path: Path) -> bytes:
    """The beginning of a file that is no database; empty if there is none."""
    if _is_odd(path):
        raise fail(NO_PLAIN_FILE, path.name, offset=0)
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return b""


def _structure(connection: sqlite3.Connection, name: str, report: str) -> AuditError:
    found = _PAGE.search(report)
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    offset = (int(found[1]) - 1) * page_bytes if found else 0
    text = " ".join(report.replace("*** in database main ***", "").split())
    return fail(f"SQLite's structure is broken: {text}", name, offset=offset)


def _check_kind(connection: sqlite3.Connection, name: str) -> None:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    if found != application_id(Path(name).stem):
        raise fail("its head names another kind of file", name, offset=68)


def _check_schema(connection: sqlite3.Connection, name: str, schema: str) -> None:
    query = f"SELECT {', '.join(_SCHEMA_COLUMNS)} FROM sqlite_schema ORDER BY type, name"  # noqa: S608 - constants
    true = sqlite3.connect(":memory:")
    try:
        true.executescript(schema)
        wanted = true.execute(query).fetchall()
        (encoding,) = true.execute("PRAGMA encoding").fetchone()
    finally:
        true.close()
    if connection.execute("PRAGMA encoding").fetchone() != (encoding,):
        raise fail("the text encoding is another", name, offset=56)
    found = connection.execute(query).fetchall()
    for stored, expected in zip(found, wanted, strict=False):
        for column, text, true_text in zip(_SCHEMA_COLUMNS, stored, expected, strict=True):
            if text == true_text:
                continue
            here, there = ((t or "").encode("utf-8", "surrogateescape") for t in (text, true_text))
            offset, bit = first_difference(here, there)
            raise fail(
                f"the schema is not this program's: {text}",
                name,
                table="sqlite_schema",
                row=f"name={stored[1]}",
                column=column,
                offset=offset,
                bit=bit,
            )
    if len(found) != len(wanted):
        raise fail("the schema is not this program's", name, table="sqlite_schema")
