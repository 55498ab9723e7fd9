"""The rows of the state in the ledger's file: their tables, reading and writing.

Owns SQL only; who calls owns the transaction. Orders have a table of their own: their keys are
hashes, so each new one falls on a page of its own, and a page with more of them is written less
often. Their index holds 6 bytes of the key (`place_of`) where `state` holds all of it: with
100,000 orders a block writes less than half the bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import structlog

from node.ledger.codes import Table
from node.ledger.execution.execute import (
    BlockContext,
    CheckedTransaction,
    PrefetchedState,
    RowChange,
    Scan,
    footprint,
)
from node.ledger.faults import FAULTS_KEPT_MAX
from node.ledger.rulebook import Rulebook
from node.ledger.stored import UnreadableStateError
from node.storage.database import insert_many

_log = structlog.get_logger("node.state")

STATE_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, UNIQUE (tbl, key)
) STRICT;
CREATE TABLE IF NOT EXISTS orders (place INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL)
STRICT;
CREATE INDEX IF NOT EXISTS orders_by_place ON orders (place);
"""

_READ_TOGETHER = 64
_FEW_ROWS = 8
"""Below so many, each by itself is cheaper than one statement most of whose places are empty."""
_PLACEHOLDERS = ", ".join("?" * _READ_TOGETHER)
_GET_ROW = "SELECT value FROM state WHERE tbl = ? AND key = ?"
_GET_ROWS = f"SELECT key, value FROM state WHERE tbl = ? AND key IN ({_PLACEHOLDERS})"  # noqa: S608
_GET_ORDER = "SELECT key, value FROM orders WHERE place = ?"
_GET_ORDERS = f"SELECT key, value FROM orders WHERE place IN ({_PLACEHOLDERS})"  # noqa: S608
_SCAN_ROWS = (
    "SELECT key, value FROM state WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
)
_LAST_KEY = (
    "SELECT key FROM state WHERE tbl = ? AND key >= ? AND key <= ? ORDER BY key DESC LIMIT 1"
)
_PLACE_BYTES = 6


def place_of(key: bytes) -> int:
    """Where the index has an order: its key's first 47 bits, which SQLite keeps in 6 bytes.

    Orders may share a place. Their keys are hashes, so nobody can bring many together.
    """
    return int.from_bytes(key[:_PLACE_BYTES], "big") >> 1


def read_rows(
    connection: sqlite3.Connection, table: Table, keys: Sequence[bytes]
) -> dict[bytes, bytes]:
    """The rows of these keys that exist."""
    if table is Table.ORDER:
        return _read_orders(connection, keys)
    if len(keys) < _FEW_ROWS:
        found = [(key, connection.execute(_GET_ROW, (table, key)).fetchone()) for key in keys]
        return {key: row[0] for key, row in found if row is not None}
    rows: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _READ_TOGETHER):
        part = _filled(keys[start : start + _READ_TOGETHER])
        rows.update(connection.execute(_GET_ROWS, (table, *part)).fetchall())
    return rows


def _read_orders(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    places = sorted(map(place_of, keys))  # neighbours are on one page
    found: list[tuple[bytes, bytes]] = []
    if len(places) < _FEW_ROWS:
        for place in places:
            found += connection.execute(_GET_ORDER, (place,)).fetchall()
    else:
        for start in range(0, len(places), _READ_TOGETHER):
            part = _filled(places[start : start + _READ_TOGETHER])
            found += connection.execute(_GET_ORDERS, part).fetchall()
    if not found:
        return {}
    wanted = set(keys)
    return {key: value for key, value in found if key in wanted}


def _filled(part: Sequence[object]) -> list[object]:
    """As many values as a statement has places; NULL is equal to nothing."""
    return [*part, *[None] * (_READ_TOGETHER - len(part))]


def scan_rows(connection: sqlite3.Connection, scan: Scan) -> list[tuple[bytes, bytes]]:
    """What `scan` says. Nothing scans orders."""
    assert scan.table is not Table.ORDER, "they are not kept in the order of their keys"
    return connection.execute(_SCAN_ROWS, scan).fetchall()


def last_key(connection: sqlite3.Connection, table: Table, low: bytes, high: bytes) -> bytes | None:
    """The greatest key of a table with low ≤ key ≤ high, if there is one."""
    assert table is not Table.ORDER, "they are not kept in the order of their keys"
    row: tuple[bytes] | None = connection.execute(_LAST_KEY, (table, low, high)).fetchone()
    return None if row is None else row[0]


def prefetch(
    connection: sqlite3.Connection,
    checked: Sequence[CheckedTransaction],
    context: BlockContext,
    rulebook: Rulebook,
) -> PrefetchedState:
    """Everything that these transactions may read."""
    wanted = footprint(checked, context, rulebook)
    for txid, error in wanted.faults[:FAULTS_KEPT_MAX]:
        _log.error("footprint failed", transaction=txid.hex(), exc_info=error)
    rows: dict[Table, Mapping[bytes, bytes | None]] = {
        table: {**dict.fromkeys(keys), **read_rows(connection, table, keys)}
        for table, keys in wanted.rows.items()
    }
    scans = {scan: scan_rows(connection, scan) for scan in wanted.scans}
    return PrefetchedState(rows, scans, _ForgottenRows(connection))


class _ForgottenRows:
    """Reads what no footprint names, one by one, and says so: it is a fault of this program."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._told = 0

    def row(self, table: Table, key: bytes) -> bytes | None:
        """See `StoredRows.row`."""
        self._tell(table, key)
        try:
            return read_rows(self._connection, table, [key]).get(key)
        except sqlite3.Error as error:
            raise UnreadableStateError(f"{table!r} {key.hex()}") from error

    def scan(self, scan: Scan) -> list[tuple[bytes, bytes]]:
        """See `StoredRows.scan`."""
        self._tell(scan.table, scan.low)
        try:
            return scan_rows(self._connection, scan)
        except sqlite3.Error as error:
            raise UnreadableStateError(repr(scan)) from error

    def _tell(self, table: Table, key: bytes) -> None:
        self._told += 1
        if self._told <= FAULTS_KEPT_MAX:
            _log.error("footprint lacks a row", table=table.name, key=key.hex())


def write_rows(connection: sqlite3.Connection, changes: Sequence[RowChange]) -> None:
    """Carry out changes of the state."""
    ordered = Table.ORDER
    orders, added, replaced, removed = [], [], [], []
    for change in changes:
        table, key, new = change.table, change.key, change.new
        if table is ordered:
            assert change.old is None, "written once (`State.orders`)"
            orders.append((place_of(key), key, new))
        elif change.old is None:
            added.append((table, key, new))
        elif new is None:
            removed.append((table, key))
        else:
            replaced.append((new, table, key))
    orders.sort()  # neighbours are on one page
    insert_many(connection, "INSERT INTO orders (place, key, value)", orders)
    insert_many(connection, "INSERT INTO state (tbl, key, value)", added)
    connection.executemany("UPDATE state SET value = ? WHERE tbl = ? AND key = ?", replaced)
    connection.executemany("DELETE FROM state WHERE tbl = ? AND key = ?", removed)
