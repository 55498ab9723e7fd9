"""The thin layer through which a part of the query index writes and reads.

A part declares its tables and writes the SQL that SQLite and PostgreSQL share, with a `?` for each
value. Whatever they do not share stands here: how a table is made, what becomes of a row whose key
is there already, lists as values, the order of a walk. Knows no table, no file and no driver.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from typing_extensions import override

from node.storage.database import insert_many

Row = tuple[Any, ...]


class Kind(Enum):
    """What a column holds."""

    INTEGER = 1
    """Of 64 bits, signed."""
    TEXT = 2
    """Compared byte by byte."""
    BYTES = 3


class Column(msgspec.Struct, frozen=True):
    """A column of a table. Made by `integer`, `text` and `octets`."""

    name: str
    kind: Kind
    optional: bool


def integer(name: str, *, optional: bool = False) -> Column:
    """A column of integers."""
    return Column(name, Kind.INTEGER, optional)


def text(name: str, *, optional: bool = False) -> Column:
    """A column of text."""
    return Column(name, Kind.TEXT, optional)


def octets(name: str, *, optional: bool = False) -> Column:
    """A column of bytes."""
    return Column(name, Kind.BYTES, optional)


class TableSpec(msgspec.Struct, frozen=True):
    """A table, as both databases can make it."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns of the primary key, in whose order rows lie."""
    unique: tuple[str, ...] = ()
    """Columns of which no two rows hold the same value, each by itself."""
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Further indexes: name, columns."""

    @property
    def value_columns(self) -> list[str]:
        """Names of the columns that are no part of the key."""
        return [column.name for column in self.columns if column.name not in self.key]


class Sql(ABC):
    """A connection to either database. Whoever made it owns it; one caller at a time."""

    # --- Tables ------------------------------------------------------------------------------

    @abstractmethod
    def create(self, table: TableSpec) -> None:
        """Make a table and its indexes, where they are not there."""

    def drop(self, name: str) -> None:
        """Take a table away, if it is there."""
        quoted = name.replace('"', '""')
        self.run(f'DROP TABLE IF EXISTS "{quoted}"')

    # --- Rows --------------------------------------------------------------------------------

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside, or nothing."""

    @abstractmethod
    def insert(self, table: TableSpec, rows: Sequence[Row]) -> None:
        """Add whole rows; a key that is there already is an error."""

    @abstractmethod
    def replace(self, table: TableSpec, rows: Sequence[Row]) -> None:
        """Add whole rows, each in the place of the one of its key."""

    @abstractmethod
    def add_missing(self, table: TableSpec, rows: Sequence[Row]) -> None:
        """Add those of the rows whose key is not there."""

    @abstractmethod
    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run a statement that answers nothing."""

    @abstractmethod
    def run_many(self, statement: str, rows: Iterable[Row]) -> None:
        """Run a statement for each row of values."""

    @abstractmethod
    def select(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of an answer."""

    @abstractmethod
    def first(self, query: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of an answer."""

    # --- Phrases in which they differ --------------------------------------------------------

    @abstractmethod
    def among(self, column: str, wanted: Sequence[int]) -> tuple[str, object]:
        """A condition with one `?`: the column is one of these; and the value to give for it.

        One statement for lists of any length, so that it is compiled once.
        """

    @abstractmethod
    def in_order_of_walk(self, order: str) -> str:
        """The clause that keeps the order of an ordered subquery, the first of a CROSS JOIN."""


# --- SQLite ----------------------------------------------------------------------------------

_SQLITE_TYPES = {Kind.INTEGER: "INTEGER", Kind.TEXT: "TEXT", Kind.BYTES: "BLOB"}


def sqlite_schema(table: TableSpec) -> str:
    """The statements that make a table in SQLite.

    A key of one integer is the place of its row. Any other key holds its rows itself: in a table
    of its own beside them each row would be written twice.
    """
    if len(table.key) == 1 and _kind_of(table, table.key[0]) is Kind.INTEGER:
        (key,) = table.key
        columns = _columns(table, _SQLITE_TYPES, {key: f"{key} INTEGER PRIMARY KEY"})
        options = "STRICT"
    else:
        columns = _columns(table, _SQLITE_TYPES, {})
        columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
        options = "STRICT, WITHOUT ROWID"
    made = f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(columns)}) {options};\n"
    return made + "".join(f"{statement};\n" for statement in _indexes(table))


class Sqlite(Sql):
    """SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @override
    def create(self, table: TableSpec) -> None:
        for statement in sqlite_schema(table).split(";\n")[:-1]:
            self._connection.execute(statement)

    @override
    @contextmanager
    def transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @override
    def insert(self, table: TableSpec, rows: Sequence[Row]) -> None:
        insert_many(self._connection, f"INSERT INTO {table.name}", rows)

    @override
    def replace(self, table: TableSpec, rows: Sequence[Row]) -> None:
        insert_many(self._connection, f"INSERT OR REPLACE INTO {table.name}", rows)

    @override
    def add_missing(self, table: TableSpec, rows: Sequence[Row]) -> None:
        insert_many(self._connection, f"INSERT OR IGNORE INTO {table.name}", rows)

    @override
    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        self._connection.execute(statement, values)

    @override
    def run_many(self, statement: str, rows: Iterable[Row]) -> None:
        self._connection.executemany(statement, rows)

    @override
    def select(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(query, values).fetchall()

    @override
    def first(self, query: str, values: Sequence[object] = ()) -> Row | None:
        row: Row | None = self._connection.execute(query, values).fetchone()
        return row

    @override
    def among(self, column: str, wanted: Sequence[int]) -> tuple[str, object]:
        return f"{column} IN (SELECT value FROM json_each(?))", json.dumps(wanted)  # noqa: S608 - a column's name

    @override
    def in_order_of_walk(self, order: str) -> str:
        # CROSS JOIN makes the subquery the outer loop, so rows come in its order and the walk ends
        # with the page: asked to order once more, SQLite would read and sort all of it.
        return ""


# --- PostgreSQL ------------------------------------------------------------------------------

_POSTGRES_TYPES = {Kind.INTEGER: "BIGINT", Kind.TEXT: 'TEXT COLLATE "C"', Kind.BYTES: "BYTEA"}


class PostgresCursor(Protocol):
    """What is needed of a cursor of psycopg 3."""

    def execute(self, query: str, params: Sequence[object] = ..., /) -> object:
        """Run a statement."""
        ...

    def executemany(self, query: str, params_seq: Iterable[Sequence[object]], /) -> None:
        """Run a statement for each row of values."""
        ...

    def fetchall(self) -> list[Row]:
        """All rows of the answer."""
        ...

    def fetchone(self) -> Row | None:
        """The next row of the answer."""
        ...


class PostgresConnection(Protocol):
    """What is needed of a connection of psycopg 3, in autocommit."""

    def cursor(self) -> PostgresCursor:
        """A new cursor."""
        ...

    def transaction(self) -> AbstractContextManager[object]:
        """A block that is committed at its end, or taken back."""
        ...


def postgres_schema(table: TableSpec) -> list[str]:
    """The statements that make a table in PostgreSQL."""
    columns = _columns(table, _POSTGRES_TYPES, {})
    columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
    return [f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(columns)})", *_indexes(table)]


class Postgres(Sql):
    """PostgreSQL, through psycopg 3, which whoever makes the connection imports."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    @override
    def create(self, table: TableSpec) -> None:
        for statement in postgres_schema(table):
            self._cursor.execute(statement)

    @override
    @contextmanager
    def transaction(self) -> Generator[None]:
        with self._connection.transaction():
            yield

    @override
    def insert(self, table: TableSpec, rows: Sequence[Row]) -> None:
        self._insert(table, rows, "")

    @override
    def replace(self, table: TableSpec, rows: Sequence[Row]) -> None:
        changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in table.value_columns)
        what = f"UPDATE SET {changes}" if changes else "NOTHING"
        self._insert(table, rows, f" ON CONFLICT ({', '.join(table.key)}) DO {what}")

    @override
    def add_missing(self, table: TableSpec, rows: Sequence[Row]) -> None:
        self._insert(table, rows, f" ON CONFLICT ({', '.join(table.key)}) DO NOTHING")

    def _insert(self, table: TableSpec, rows: Sequence[Row], conflict: str) -> None:
        # Row by row, in one trip: one statement may not change the row of a key twice.
        marks = ", ".join(["?"] * len(table.columns))
        statement = f"INSERT INTO {table.name} VALUES ({marks}){conflict}"  # noqa: S608 - declared names
        self.run_many(statement, rows)

    @override
    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        self._cursor.execute(_postgres_marks(statement), values)

    @override
    def run_many(self, statement: str, rows: Iterable[Row]) -> None:
        self._cursor.executemany(_postgres_marks(statement), rows)

    @override
    def select(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        self.run(query, values)
        return self._cursor.fetchall()

    @override
    def first(self, query: str, values: Sequence[object] = ()) -> Row | None:
        self.run(query, values)
        return self._cursor.fetchone()

    @override
    def among(self, column: str, wanted: Sequence[int]) -> tuple[str, object]:
        return f"{column} = ANY(?)", list(wanted)

    @override
    def in_order_of_walk(self, order: str) -> str:
        return f"ORDER BY {order}"


@lru_cache(maxsize=256)
def _postgres_marks(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


# --- Both ------------------------------------------------------------------------------------


def _kind_of(table: TableSpec, name: str) -> Kind:
    return next(column.kind for column in table.columns if column.name == name)


def _columns(table: TableSpec, types: dict[Kind, str], special: dict[str, str]) -> list[str]:
    return [
        special.get(column.name)
        or f"{column.name} {types[column.kind]}"
        f"{'' if column.optional else ' NOT NULL'}{' UNIQUE' * (column.name in table.unique)}"
        for column in table.columns
    ]


def _indexes(table: TableSpec) -> list[str]:
    return [
        f"CREATE INDEX IF NOT EXISTS {name} ON {table.name} ({', '.join(columns)})"
        for name, columns in table.indexes
    ]
