"""The rows of the ledger's file: its tables, the head, and statements over them.

Owns SQL only: what is read before a block and written after it. Functions run in the connection's
thread, inside the transaction of who calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from node.chain.merkle import decode_frontier
from node.chain.tiles import Tile
from node.ledger.digest import StateDigest
from node.ledger.execution import (
    BlockContext,
    CheckedTransaction,
    PrefetchedState,
    RowChange,
    footprint,
)
from node.ledger.types import Table

SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, UNIQUE (tbl, key)
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, first_index INTEGER NOT NULL, leaves BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS blocks_by_first_index ON blocks (first_index);
CREATE TABLE IF NOT EXISTS certificates (height INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tiles (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
    height INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (height, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    id BLOB NOT NULL PRIMARY KEY, found_ms INTEGER NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS synced (one INTEGER PRIMARY KEY CHECK (one = 1), times INTEGER NOT NULL)
STRICT;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), network BLOB NOT NULL, record BLOB NOT NULL
) STRICT;
"""

_ROWS_PER_STATEMENT = 64
"""Rows read or written by one statement: each step of SQLite gives the interpreter lock away, and
under load to get it back costs more than the row."""
_FEW_ROWS = 8
"""Below so many, each by itself is cheaper than one statement most of whose places are empty."""
_GET_ROW = "SELECT value FROM state WHERE tbl = ? AND key = ?"
_PLACEHOLDERS = ", ".join("?" * _ROWS_PER_STATEMENT)
_GET_ROWS = f"SELECT key, value FROM state WHERE tbl = ? AND key IN ({_PLACEHOLDERS})"  # noqa: S608
_SCAN_ROWS = (
    "SELECT key, value FROM state WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
)


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where the ledger stands after its newest block."""

    height: int
    time_ms: int
    raft_index: int
    """Index of the newest entry whose effects are stored."""
    frontier: bytes
    accumulator: bytes
    rows: int
    adopting: int = 0
    """While blocks of peers are adopted: the Raft index that the last of them will stand for. Until
    then `raft_index` is that of the newest block that was applied, and no entry may be."""

    @property
    def tree_size(self) -> int:
        """Leaves in the tree."""
        return int.from_bytes(self.frontier[:8], "big")

    def root(self) -> bytes:
        """Root of the tree."""
        return decode_frontier(self.frontier).root()

    def state_digest(self) -> bytes:
        """Digest of the state, as the newest seal states it."""
        return StateDigest(self.accumulator, self.rows).value()


def prefetch(
    connection: sqlite3.Connection,
    checked: Sequence[CheckedTransaction],
    context: BlockContext,
) -> PrefetchedState:
    """Everything that these transactions may read."""
    wanted = footprint(checked, context)
    rows: dict[tuple[Table, bytes], bytes | None] = dict.fromkeys(wanted.rows)
    if len(wanted.rows) < _ROWS_PER_STATEMENT:
        for place in wanted.rows:
            found = connection.execute(_GET_ROW, place).fetchone()
            if found is not None:
                (rows[place],) = found
    else:
        _prefetch_many(connection, wanted.rows, rows)
    scans = {scan: connection.execute(_SCAN_ROWS, scan).fetchall() for scan in wanted.scans}
    return PrefetchedState(rows, scans)


def _prefetch_many(
    connection: sqlite3.Connection,
    places: Sequence[tuple[Table, bytes]],
    rows: dict[tuple[Table, bytes], bytes | None],
) -> None:
    by_table: dict[Table, list[bytes]] = {}
    for table, key in places:
        by_table.setdefault(table, []).append(key)
    for table, keys in by_table.items():
        for key, value in read_rows(connection, table, keys).items():
            rows[table, key] = value


def read_rows(
    connection: sqlite3.Connection, table: Table, keys: Sequence[bytes]
) -> dict[bytes, bytes]:
    """The rows of these keys that exist."""
    rows: dict[bytes, bytes] = {}
    if len(keys) < _FEW_ROWS:
        for key in keys:
            found = connection.execute(_GET_ROW, (table, key)).fetchone()
            if found is not None:
                (rows[key],) = found
        return rows
    for start in range(0, len(keys), _ROWS_PER_STATEMENT):
        part: list[bytes | None] = [*keys[start : start + _ROWS_PER_STATEMENT]]
        part += [None] * (_ROWS_PER_STATEMENT - len(part))
        rows.update(connection.execute(_GET_ROWS, (table, *part)).fetchall())
    return rows


def read_tile(connection: sqlite3.Connection, level: int, number: int) -> bytes | None:
    """The stored hashes of a tile."""
    row = connection.execute(
        "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    return None if row is None else row[0]


def write_rows(connection: sqlite3.Connection, changes: Sequence[RowChange]) -> None:
    """Carry out a block's changes of the state."""
    inserts = [(c.table, c.key, c.new) for c in changes if c.old is None]
    for start in range(0, len(inserts), _ROWS_PER_STATEMENT):
        part = inserts[start : start + _ROWS_PER_STATEMENT]
        rows = ", ".join(["(?, ?, ?)"] * len(part))
        connection.execute(
            f"INSERT INTO state (tbl, key, value) VALUES {rows}",  # noqa: S608 - placeholders only
            [value for row in part for value in row],
        )
    connection.executemany(
        "UPDATE state SET value = ? WHERE tbl = ? AND key = ?",
        [(c.new, c.table, c.key) for c in changes if c.old is not None and c.new is not None],
    )
    connection.executemany(
        "DELETE FROM state WHERE tbl = ? AND key = ?",
        [(c.table, c.key) for c in changes if c.new is None],
    )


def write_block(
    connection: sqlite3.Connection,
    head: Head,
    first_index: int,
    leaves: Sequence[bytes],
    tiles: Sequence[Tile],
    blobs: Sequence[tuple[bytes, bytes]],
) -> None:
    """Store a block, what it added to the tree, its blobs, and the head after it."""
    connection.execute(
        "INSERT INTO blocks (height, first_index, leaves) VALUES (?, ?, ?)",
        (head.height, first_index, msgspec.msgpack.encode(leaves)),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO tiles (level, number, hashes) VALUES (?, ?, ?)",
        [(tile.level, tile.number, tile.data) for tile in tiles],
    )
    _write_blobs(connection, head.height, blobs)
    write_head(connection, head)


def _write_blobs(
    connection: sqlite3.Connection, height: int, blobs: Sequence[tuple[bytes, bytes]]
) -> None:
    # By height: hashes are random, and in one order of all of them each would change a page of
    # its own. Who looks for a blob knows the height of the leaf that names it.
    for start in range(0, len(blobs), _ROWS_PER_STATEMENT):
        part = blobs[start : start + _ROWS_PER_STATEMENT]
        rows = ", ".join(["(?, ?, ?)"] * len(part))
        connection.execute(
            f"INSERT OR IGNORE INTO blobs (height, hash, body) VALUES {rows}",  # noqa: S608
            [value for blob_hash, body in part for value in (height, blob_hash, body)],
        )


def read_blob(connection: sqlite3.Connection, height: int, blob_hash: bytes) -> bytes | None:
    """A sealed blob that a leaf of this height names, unless it was erased."""
    row = connection.execute(
        "SELECT body FROM blobs WHERE height = ? AND hash = ?", (height, blob_hash)
    ).fetchone()
    return None if row is None else row[0]


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Store the head."""
    connection.execute("UPDATE head SET record = ?", (msgspec.msgpack.encode(head),))


def write_certificates(
    connection: sqlite3.Connection, certificates: Sequence[tuple[int, bytes]]
) -> None:
    """Keep cosigned checkpoints by height; the first kept for a height stays."""
    connection.executemany(
        "INSERT OR IGNORE INTO certificates (height, note) VALUES (?, ?)", certificates
    )


def sync(connection: sqlite3.Connection) -> None:
    """Make all earlier commits durable: one commit that waits for the disk.

    It must write something: SQLite leaves out a page that a statement does not change.
    """
    connection.execute("PRAGMA synchronous=FULL")
    try:
        connection.execute(
            "INSERT INTO synced (one, times) VALUES (1, 1)"
            " ON CONFLICT (one) DO UPDATE SET times = times + 1"
        )
    finally:
        connection.execute("PRAGMA synchronous=NORMAL")
