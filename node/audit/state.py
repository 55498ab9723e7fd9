"""The state as the walk makes it: a `StateView` over rows in memory, and beyond a bound in a file.

Knows no table and no rule. Rows are looked up directly: what a block may read is a question of the
node's own prefetching, and none of its outcome.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import islice

from node.ledger.codes import Table
from node.ledger.state import RowChange
from node.ledger.stored import Scan, UnreadableStateError

HOT_ROWS_MAX = 1_000_000
"""Rows kept in memory: about half a gigabyte. More go into a temporary file of SQLite's."""
_PREFIX_BYTES = 8

Row = tuple[int, bytes, bytes]


class WalkedState:
    """All rows after the block that was done last."""

    def __init__(
        self, rows: Sequence[tuple[Table, bytes, bytes]], hot_rows_max: int = HOT_ROWS_MAX
    ) -> None:
        self._hot_rows_max = hot_rows_max
        self._hot: dict[Table, dict[bytes, bytes | None]] = {table: {} for table in Table}
        """What was written since the last move to the file; None: deleted."""
        self._ordered: dict[Table, _Order] = {}
        """Of tables that were ever scanned: the keys in `_hot`."""
        self._cold: sqlite3.Connection | None = None
        for table, key, value in rows:
            self._hot[table][key] = value

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._cold is not None:
            self._cold.close()

    def reader(self, table: Table) -> Callable[[bytes], bytes | None]:
        """See `StateView.reader`: every row may be read."""
        return partial(self.get, table)

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The row, or None when there is none."""
        hot = self._hot[table]
        value = hot.get(key)
        if value is None and self._cold is not None and key not in hot:
            try:
                row = self._cold.execute(
                    "SELECT value FROM state WHERE tbl = ? AND key = ?", (table, key)
                ).fetchone()
            except sqlite3.Error as error:
                raise UnreadableStateError(f"{table!r} {key.hex()}") from error
            return None if row is None else bytes(row[0])
        return value

    def scan(self, scan: Scan) -> list[tuple[bytes, bytes]]:
        """The first `limit` rows with low ≤ key < high."""
        table, low, high, limit = scan
        hot = self._hot[table]
        order = self._ordered.get(table)
        if order is None:
            order = self._ordered[table] = _Order(hot)
        found = (
            (key, value) for key in order.between(low, high) if (value := hot[key]) is not None
        )
        if self._cold is None:
            return list(islice(found, limit))
        cold = self._cold.execute(
            "SELECT key, value FROM state WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key",
            (table, low, high),
        )
        try:
            return list(islice(merge(found, (row for row in cold if row[0] not in hot)), limit))
        except sqlite3.Error as error:
            raise UnreadableStateError(repr(scan)) from error

    def apply(self, changes: Sequence[RowChange]) -> None:
        """Carry out a block's changes."""
        for change in changes:
            table, key = change.table, change.key
            hot = self._hot[table]
            if change.new is None and self._cold is None:
                del hot[key]
            else:
                hot[key] = change.new
            order = self._ordered.get(table)
            if order is not None:
                if key in hot:
                    order.add(key)
                else:
                    order.remove(key)
        if sum(map(len, self._hot.values())) > self._hot_rows_max:
            self._move()

    def rows(self, tables: Iterable[Table] = Table) -> Iterator[Row]:
        """Every row of these tables in the order of table and key."""
        for table in sorted(tables):
            hot = self._hot[table]
            found = (
                (int(table), key, value) for key in sorted(hot) if (value := hot[key]) is not None
            )
            if self._cold is None:
                yield from found
                continue
            cold = self._cold.execute(
                "SELECT tbl, key, value FROM state WHERE tbl = ? ORDER BY key", (table,)
            )
            yield from merge(found, _without(cold, hot))

    def _move(self) -> None:
        """Move what is in memory to the file."""
        if self._cold is None:
            self._cold = _temporary()
        for table, hot in self._hot.items():
            rows = [(table, key, hot[key]) for key in sorted(hot)]
            self._cold.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
                (row for row in rows if row[2] is not None),
            )
            self._cold.executemany(
                "DELETE FROM state WHERE tbl = ? AND key = ?",
                (row[:2] for row in rows if row[2] is None),
            )
            hot.clear()
        self._ordered.clear()


class _Order:
    """Keys that can be walked in order, by their first bytes: few differ in those."""

    def __init__(self, keys: dict[bytes, bytes | None]) -> None:
        self._parts: dict[bytes, set[bytes]] = {}
        for key in keys:
            self._parts.setdefault(key[:_PREFIX_BYTES], set()).add(key)
        self._prefixes = sorted(self._parts)

    def add(self, key: bytes) -> None:
        prefix = key[:_PREFIX_BYTES]
        part = self._parts.get(prefix)
        if part is None:
            part = self._parts[prefix] = set()
            insort(self._prefixes, prefix)
        part.add(key)

    def remove(self, key: bytes) -> None:
        prefix = key[:_PREFIX_BYTES]
        part = self._parts[prefix]
        part.discard(key)
        if not part:
            del self._parts[prefix]
            del self._prefixes[bisect_left(self._prefixes, prefix)]

    def between(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """Keys with low ≤ key < high, ascending."""
        first = bisect_left(self._prefixes, low[:_PREFIX_BYTES])
        for prefix in islice(self._prefixes, first, None):
            if prefix >= high:
                return
            yield from (key for key in sorted(self._parts[prefix]) if low <= key < high)


def _without(cold: Iterator[Row], hot: dict[bytes, bytes | None]) -> Iterator[Row]:
    return (row for row in cold if row[1] not in hot)


def _temporary() -> sqlite3.Connection:
    """A database of this process alone; SQLite writes it to a nameless file."""
    connection = sqlite3.connect("", isolation_level=None, cached_statements=256)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-262144"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE state (tbl INTEGER, key BLOB, value BLOB, PRIMARY KEY (tbl, key))"
        " WITHOUT ROWID"
    )
    connection.execute("BEGIN")
    return connection
