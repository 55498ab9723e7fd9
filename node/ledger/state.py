"""What rules see of the state: decoded rows over the stored ones.

Owns all-or-none: a rule works on copies that belong to one transaction, and they become part of
the block only when the whole transaction succeeds. Each row is decoded at most once and encoded at
most once a block. Knows no rule and no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from node.ledger.codes import Table
from node.ledger.row_codec import Row, TableKind
from node.ledger.stored import StateView, UnreadableStateError


class RowChange(msgspec.Struct, frozen=True, gc=False):
    """What a block did to one row. Never both None."""

    table: Table
    key: bytes
    old: bytes | None
    """What was read; None: the row is new."""
    new: bytes | None
    """None: the row is deleted."""


class RowRewrittenError(RuntimeError):
    """A rule wrote a row again that is written once."""


_ABSENT = object()


class TableState(Generic[Row]):
    """One table during a block: rows of the block so far, and those of the open transaction."""

    __slots__ = (
        "_changed",
        "_decode",
        "_dirty",
        "_once",
        "_open",
        "_read",
        "_rows",
        "encode",
        "table",
    )

    def __init__(self, view: StateView, dirty: list[TableState[Any]], kind: TableKind[Row]) -> None:
        self._read = view.reader(kind.table)
        self._dirty = dirty
        self.table = kind.table
        self._decode = kind.decode
        self.encode = kind.encode
        self._once = kind.once
        self._rows: dict[bytes, Row | None] = {}
        self._open: dict[bytes, Row] = {}
        self._changed: dict[bytes, Row] = {}
        """Those of `_rows` that the block wrote."""

    def get(self, key: bytes) -> Row | None:
        """The row as the open transaction sees it, to read only."""
        if self._open:  # mostly not: many tables are only read
            row = self._open.get(key)
            if row is not None:
                return row
        found = self._rows.get(key, _ABSENT)
        if found is not _ABSENT:
            return found  # type: ignore[return-value]
        value = self._read(key)
        row = None if value is None else self.decode(value)
        self._rows[key] = row
        return row

    def decode(self, value: bytes) -> Row:
        """The row of stored bytes.

        Raises:
            UnreadableStateError: they are not what the ledger wrote.
        """
        try:
            return self._decode(value)
        except Exception as error:
            raise UnreadableStateError(f"{self.table!r} {value[:64].hex()}") from error

    def edit(self, key: bytes) -> Row | None:
        """The open transaction's own copy of the row, to change in place."""
        row = self._open.get(key)
        if row is None:
            row = self.get(key)
            if row is not None:
                row = replace(row)  # type: ignore[type-var]  # what is edited is a Struct
                self.put(key, row)
        return row

    def put(self, key: bytes, row: Row) -> None:
        """Add or replace a row in the open transaction."""
        if not self._open:
            self._dirty.append(self)
        self._open[key] = row

    def put_at_once(self, key: bytes, row: Row) -> None:
        """Add a row to the block, whatever becomes of the open transaction."""
        self._rows[key] = self._changed[key] = row

    def written(self) -> list[Row]:
        """Rows that the block, with the open transaction, has written so far."""
        return list((self._changed | self._open).values())

    @property
    def changed(self) -> Mapping[bytes, Row]:
        """Rows that the block wrote, by key, without those of the open transaction."""
        return self._changed

    def check_open(self) -> None:
        """Raise unless the open transaction's rows can be stored and read again."""
        for key, row in self._open.items():
            new = self.encode(row)
            self._decode(new)
            self._check_once(key, self._read(key), new)

    def _check_once(self, key: bytes, old: bytes | None, new: bytes) -> None:
        if self._once and old is not None and old != new:
            raise RowRewrittenError(f"{self.table!r} {key.hex()}")

    def commit(self) -> None:
        """Make the open transaction's rows the block's."""
        self._rows.update(self._open)
        self._changed.update(self._open)
        self._open.clear()

    def roll_back(self) -> None:
        """Forget the open transaction's rows."""
        self._open.clear()

    def changes(self) -> list[RowChange]:
        """What the block changed, in the order of first change."""
        table, read, encode = self.table, self._read, self.encode
        found: list[RowChange] = []
        for key, row in self._changed.items():
            old, new = read(key), encode(row)
            if old != new:
                self._check_once(key, old, new)
                found.append(RowChange(table, key, old, new))
        return found


class State(dict["TableKind[Any]", "TableState[Any]"]):
    """All tables during a block, by their kind. A dictionary: rules look them up all the time."""

    if TYPE_CHECKING:

        @override
        def __getitem__(self, kind: TableKind[Row]) -> TableState[Row]:
            """The table of this kind."""
            ...

    def __init__(self, view: StateView, kinds: Iterable[TableKind[Any]]) -> None:
        self.view = view
        self._dirty: list[TableState[Any]] = []
        super().__init__((kind, TableState(view, self._dirty, kind)) for kind in kinds)

    def check_open(self) -> None:
        """Raise unless every row of the open transaction can be stored and read again."""
        for table in self._dirty:
            table.check_open()

    def commit(self) -> None:
        """End the open transaction and keep its rows."""
        for table in self._dirty:
            table.commit()
        self._dirty.clear()

    def roll_back(self) -> None:
        """End the open transaction and forget its rows."""
        for table in self._dirty:
            table.roll_back()
        self._dirty.clear()

    def changes(self) -> list[RowChange]:
        """Every row that differs from the state before the block; the order is deterministic."""
        return [change for table in self.values() for change in table.changes()]
