"""Which parts of the query index stand in a file, of which version, and how far each came.

Owns the table that tells it, and the one transaction in which parts are written together. A part of
another version is dropped and begins anew; the others stay. Synchronous; knows no part's content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from node.ledger.codes import Table
from node.storage.index_part import IndexPart, OpenedBlock, PartRows, StoredRows
from node.storage.sql import Sql, TableSpec, integer, sqlite_schema, text

LAYOUT_VERSION = 5
"""Of the file as a whole: how it tells of its parts."""

PARTS = TableSpec(
    "parts",
    (text("name"), integer("version"), integer("height"), text("tables")),
    key=("name",),
)
"""`tables` names what is to be dropped when the part is of another version."""


def mark_of(network: bytes) -> int:
    """What a file of this layout, about the ledger of this network, says in its head.

    A file of another layout is made anew, and so is that of another network, which somebody put in
    the wrong folder: it may be further than the ledger, and would answer for it.
    """
    named = b"piaolian/index/%d/" % LAYOUT_VERSION + network
    return int.from_bytes(hashlib.sha256(named).digest()[:4]) >> 1


class IndexBatch(msgspec.Struct, frozen=True):
    """What consecutive blocks add to the parts that stood right before them."""

    first_height: int
    last_height: int
    parts: Mapping[str, PartRows]
    """By the part's name."""

    @property
    def missing(self) -> Mapping[Table, Sequence[bytes]]:
        """Keys of the state rows to be fetched for `write_batch`, each once."""
        keys: dict[Table, dict[bytes, None]] = {}
        for rows in self.parts.values():
            for table, wanted in rows.missing.items():
                keys.setdefault(table, {}).update(dict.fromkeys(wanted))
        return {table: list(wanted) for table, wanted in keys.items() if wanted}

    @property
    def faults(self) -> list[tuple[str, bytes, Exception]]:
        """Part, transaction, what went wrong."""
        return [
            (name, txid, error) for name, rows in self.parts.items() for txid, error in rows.faults
        ]


def check_parts(parts: Sequence[IndexPart]) -> None:
    """Check that no two parts lay claim to the same name.

    Raises:
        ValueError: naming it.
    """
    seen: set[str] = {PARTS.name}
    for part in parts:
        tables = [
            name for t in part.tables for name in (t.name, *(index for index, _ in t.indexes))
        ]
        for name in (f"part {part.name}", *tables):
            if name in seen:
                raise ValueError(f"the query index has two of {name}")
            seen.add(name)


def index_schema(parts: Sequence[IndexPart]) -> str:
    """The statements that make all tables of an index of these parts in SQLite."""
    tables = [PARTS, *(table for part in parts for table in part.tables)]
    return "".join(sqlite_schema(table) for table in tables)


def prepare_parts(sql: Sql, parts: Sequence[IndexPart]) -> dict[str, int]:
    """Make what is not there, drop what is of another version or of no part; how far each came.

    Raises:
        TypeError: what the file tells of its parts is not what was written.
        ValueError: likewise.
    """
    sql.create(PARTS)
    versions = {part.name: part.version for part in parts}
    heights: dict[str, int] = {}
    with sql.transaction():
        stored = sql.select("SELECT name, version, height, tables FROM parts ORDER BY name")
        for name, version, height, tables in stored:
            if versions.get(name) == version:
                heights[name] = int(height)
                continue
            for table in tables.split():
                sql.drop(table)
            sql.run("DELETE FROM parts WHERE name = ?", (name,))
        for part in parts:
            tables = [table.name for table in part.tables]
            if part.name not in heights:
                for table in tables:
                    sql.drop(table)  # a part whose own row is lost
                sql.insert(PARTS, [(part.name, part.version, 0, " ".join(tables))])
                heights[part.name] = 0
            for spec in part.tables:
                sql.create(spec)
    return heights


def make_batch(parts: Sequence[IndexPart], blocks: Sequence[OpenedBlock]) -> IndexBatch:
    """What consecutive blocks, lowest first, add to these parts; at least one of each."""
    rows = {part.name: part.rows(blocks) for part in parts}
    return IndexBatch(blocks[0].height, blocks[-1].height, rows)


def write_batch(sql: Sql, batch: IndexBatch, rows: StoredRows) -> None:
    """Write a batch whose parts stand right before it, and that they came so far."""
    with sql.transaction():
        for name, part in batch.parts.items():
            part.write(sql, rows)
            sql.run("UPDATE parts SET height = ? WHERE name = ?", (batch.last_height, name))
