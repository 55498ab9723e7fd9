"""The query index's file: its tables and their version. Owns no row and no query."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 4
ERA_SHIFT = 14
"""Ids of 16,384 leaves are kept together. Ids are random: in one order of all of them each would
change a page of its own, those of one era share some 250 pages. A search looks into each era,
newest first."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), height INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, first_index INTEGER NOT NULL, time_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS blocks_by_time ON blocks (time_ms, first_index);
CREATE TABLE IF NOT EXISTS transactions (
    era INTEGER NOT NULL, txid BLOB NOT NULL, leaf_index INTEGER NOT NULL,
    height INTEGER NOT NULL, code INTEGER NOT NULL, PRIMARY KEY (era, txid)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invoices (
    sequence INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, state INTEGER NOT NULL,
    response INTEGER NOT NULL, frozen INTEGER NOT NULL, gross INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS parties (
    party INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (party, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    number TEXT NOT NULL, leaf_index INTEGER NOT NULL, operation INTEGER NOT NULL,
    height INTEGER NOT NULL, txid BLOB NOT NULL, tag INTEGER NOT NULL, signer TEXT NOT NULL,
    amount INTEGER, other TEXT, reference INTEGER,
    PRIMARY KEY (number, leaf_index, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    party INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
    reference INTEGER NOT NULL, PRIMARY KEY (party, sequence, kind, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting_by_sequence ON waiting (sequence);
CREATE TABLE IF NOT EXISTS statements (
    issuer TEXT NOT NULL, month INTEGER NOT NULL, currency TEXT NOT NULL, kind INTEGER NOT NULL,
    rate INTEGER NOT NULL, documents INTEGER NOT NULL, net TEXT NOT NULL, tax TEXT NOT NULL,
    PRIMARY KEY (issuer, month, currency, kind, rate)
) STRICT, WITHOUT ROWID;
"""


def stored_version(connection: sqlite3.Connection) -> int:
    """The version of the tables in a file; 0 of a new one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def prepare_index(connection: sqlite3.Connection) -> int:
    """Make the tables that are not there yet; the last height indexed."""
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("INSERT OR IGNORE INTO head VALUES (1, 0)")
    (height,) = connection.execute("SELECT height FROM head").fetchone()
    return int(height)


def discard(path: Path) -> None:
    """Delete an index, so that the next `open` starts anew."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
