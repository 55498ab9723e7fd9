"""The rows of the ledger's file: its tables, the head, and statements over them.

Owns SQL only; the rows of the state are `state_rows`. Functions run in the connection's thread,
inside the transaction of who calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from node.chain.merkle import decode_frontier
from node.chain.tiles import Tile
from node.ledger.digest import StateDigest
from node.storage.database import insert_many
from node.storage.state_rows import STATE_SCHEMA

SCHEMA = f"""{STATE_SCHEMA}
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
CREATE TABLE IF NOT EXISTS resumptions (
    voter INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (voter, size)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS synced (one INTEGER PRIMARY KEY CHECK (one = 1), times INTEGER NOT NULL)
STRICT;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), network BLOB NOT NULL, record BLOB NOT NULL
) STRICT;
"""


LEDGER_PAGE_BYTES = 8_192
"""A block writes long runs of new pages, two calls of the system for each: with pages twice as long
as SQLite's default it needs a tenth less of the processor, though small blocks write more bytes."""


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


def read_tile(connection: sqlite3.Connection, level: int, number: int) -> bytes | None:
    """The stored hashes of a tile."""
    row = connection.execute(
        "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    return None if row is None else row[0]


def tree_size(connection: sqlite3.Connection, head: Head, height: int) -> int:
    """Leaves in the tree after a height up to the head's."""
    if height == head.height:
        return head.tree_size
    (size,) = connection.execute(
        "SELECT first_index FROM blocks WHERE height = ?", (height + 1,)
    ).fetchone()
    return int(size)


def height_of_size(connection: sqlite3.Connection, head: Head, size: int) -> int | None:
    """The height after which the tree has so many leaves; None: after none of them."""
    if size == head.tree_size:
        return head.height
    row = connection.execute("SELECT height FROM blocks WHERE first_index = ?", (size,)).fetchone()
    return None if row is None else row[0] - 1


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
    rows = [(height, blob_hash, body) for blob_hash, body in blobs]
    insert_many(connection, "INSERT OR IGNORE INTO blobs (height, hash, body)", rows)


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
