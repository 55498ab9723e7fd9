"""What is read of the state before a block: rows by key, and scans. Owns how rules come by them.

Knows no rule, no row and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from node.ledger.codes import Table


class Scan(NamedTuple):
    """The first `limit` rows of a table with low ≤ key < high, ascending by key."""

    table: Table
    low: bytes
    high: bytes
    limit: int


class UnprefetchedError(LookupError):
    """A rule read what a view over prefetched rows alone does not hold."""


class UnreadableStateError(RuntimeError):
    """A stored row cannot be read, or is not what was written: damage. The node must stop.

    Nobody else may have it, so it must never become the outcome of a transaction.
    """


class StateView(Protocol):
    """The state before the block. What it says hangs on no transaction of the block.

    Reading raises:
        UnreadableStateError: the disk, or what stands on it, is at fault.
        UnprefetchedError: there is nowhere to read what the footprint forgot.
    """

    def reader(self, table: Table) -> Callable[[bytes], bytes | None]:
        """Gives a table's row of a key, or None when the state has none."""
        ...

    def scan(self, scan: Scan) -> Sequence[tuple[bytes, bytes]]:
        """Keys and values that a scan finds."""
        ...


class StoredRows(Protocol):
    """Where a row is read that no footprint names."""

    def row(self, table: Table, key: bytes) -> bytes | None:
        """One row of the state before the block."""
        ...

    def scan(self, scan: Scan) -> Sequence[tuple[bytes, bytes]]:
        """What a scan of it finds."""
        ...


class _Named(dict[bytes, bytes | None]):
    """The rows of one table that were asked for, or read since."""

    def __init__(
        self, table: Table, rows: Mapping[bytes, bytes | None], stored: StoredRows | None
    ) -> None:
        super().__init__(rows)
        self._table = table
        self._stored = stored

    def __missing__(self, key: bytes) -> bytes | None:
        if self._stored is None:
            raise UnprefetchedError(f"{self._table!r} {key!r}")
        row = self[key] = self._stored.row(self._table, key)
        return row


class PrefetchedState:
    """A `StateView` over what was read before the block.

    A row that the footprint forgot is read when a rule asks for it. Were it an error, what becomes
    of a transaction would hang on its neighbours, whose rows it could see; and those that leave no
    leaf are not there when the block is done again.
    """

    __slots__ = ("_rows", "_scans", "_stored")

    def __init__(
        self,
        rows: Mapping[Table, Mapping[bytes, bytes | None]],
        scans: Mapping[Scan, Sequence[tuple[bytes, bytes]]],
        stored: StoredRows | None = None,
    ) -> None:
        """Prepare; without `stored` a forgotten row is an error, which tests of rules want."""
        self._rows = rows
        self._scans = scans
        self._stored = stored

    def reader(self, table: Table) -> Callable[[bytes], bytes | None]:
        """See `StateView.reader`."""
        return _Named(table, self._rows.get(table, {}), self._stored).__getitem__

    def scan(self, scan: Scan) -> Sequence[tuple[bytes, bytes]]:
        """See `StateView.scan`."""
        found = self._scans.get(scan)
        if found is None:
            if self._stored is None:
                raise UnprefetchedError(repr(scan))
            found = self._stored.scan(scan)
        return found
