"""Comparing the query index with one that is made anew from the ledger. Owns that comparison.

The index is made by the code of its own parts, which the caller names, in memory or a temporary
file, and compared table by table. Rows of the state are the stored ones, which the walk compares
for itself: so both can go on at once. Parts that lag behind the ledger are brought forward first,
in a copy: the stored rows stay as they are. Knows no part.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from node.audit.faults import fail
from node.audit.folder import INDEX, LEDGER, open_snapshot
from node.audit.stored import compare_rows
from node.storage.index_heads import (
    PARTS,
    make_batch,
    mark_of,
    prepare_parts,
    write_batch,
)
from node.storage.index_part import IndexPart, open_block
from node.storage.ledger_reader import StoredBlock
from node.storage.sql import Sqlite, TableSpec
from node.storage.state_rows import read_rows

_BLOCKS_PER_BATCH = 256
_LEAVES_PER_BATCH = 4_096


def begin_process(_: Sequence[IndexPart]) -> None:
    """Load what another process needs to make the index, before it is asked to."""
    gc.freeze()  # what is loaded stays: no collection needs to look at it again


def check_index_at(path: Path, parts: Sequence[IndexPart]) -> int:
    """As `check_index`, of the files in a data folder, at a state of its own: for another process.

    Raises:
        AuditError: as there.
    """
    with (
        closing(open_snapshot(path / INDEX)) as index,
        closing(open_snapshot(path / LEDGER)) as ledger,
    ):
        return check_index(index, ledger, parts, lambda _: None)


def check_index(
    index: sqlite3.Connection,
    ledger: sqlite3.Connection,
    parts: Sequence[IndexPart],
    progress: Callable[[int], None],
) -> int:
    """Compare every row of every table; the height that all parts of the stored index hold.

    Args:
        index: The stored one, no newer than `ledger`.
        ledger: Whose blocks and rows the walk finds true, or names the fault.
        parts: Those of the program.
        progress: Told the number of leaves that are indexed.

    Raises:
        AuditError: at the first row that differs.
    """
    (mark,) = index.execute("PRAGMA user_version").fetchone()
    (network,) = ledger.execute("SELECT network FROM head").fetchone()
    if mark != mark_of(network):
        raise fail("an index of another layout or network: a node makes it anew", INDEX, offset=60)
    (newest,) = ledger.execute("SELECT coalesce(max(height), 0) FROM blocks").fetchone()
    heights = _heights(index, parts, newest)
    true = _empty()
    stored = index
    try:
        prepare_parts(Sqlite(true), parts)
        _follow(true, parts, 0, ledger, progress)
        if min(heights.values()) < newest:
            stored = _empty()
            index.backup(stored)
            for height in sorted(set(heights.values())):
                lagging = [part for part in parts if heights[part.name] == height]
                _follow(stored, lagging, height, ledger, lambda _: None)
        for table in (PARTS, *(table for part in parts for table in part.tables)):
            _compare(table, stored, true)
    except (sqlite3.DatabaseError, msgspec.MsgspecError, AssertionError) as error:
        raise fail(f"the index cannot be made anew: {error}", INDEX) from error
    finally:
        true.close()
        if stored is not index:
            stored.close()
    return min(heights.values())


def _heights(index: sqlite3.Connection, parts: Sequence[IndexPart], newest: int) -> dict[str, int]:
    """How far each part came.

    Raises:
        AuditError: the stored index does not hold these parts, or is of no height of the ledger.
    """
    stored = {
        name: (version, height)
        for name, version, height in index.execute("SELECT name, version, height FROM parts")
    }
    for part in parts:
        version, height = stored.get(part.name, (None, None))
        row, column = f"name={part.name}", "version"
        if version != part.version:
            text = f"version {version} of part {part.name}: a node makes it anew"
            raise fail(text, INDEX, table=PARTS.name, row=row, column=column)
        if not 0 <= height <= newest:
            text = f"part {part.name} is of no height of the ledger"
            raise fail(text, INDEX, table=PARTS.name, row=row, column="height")
    return {part.name: stored[part.name][1] for part in parts}


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None, cached_statements=256)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-131072"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _follow(
    index: sqlite3.Connection,
    parts: Sequence[IndexPart],
    height: int,
    ledger: sqlite3.Connection,
    progress: Callable[[int], None],
) -> None:
    """Bring parts that stand at `height` to the ledger's."""
    for blocks in _batches(ledger, height + 1):
        batch = make_batch(parts, [open_block(block) for block in blocks])
        rows = {table: read_rows(ledger, table, keys) for table, keys in batch.missing.items()}
        write_batch(Sqlite(index), batch, rows)
        progress(blocks[-1].first_index + len(blocks[-1].leaves))


def _batches(ledger: sqlite3.Connection, first: int) -> Iterator[Sequence[StoredBlock]]:
    batch: list[StoredBlock] = []
    leaves = 0
    for height, first_index, encoded in ledger.execute(
        "SELECT height, first_index, leaves FROM blocks WHERE height >= ? ORDER BY height", (first,)
    ):
        found = msgspec.msgpack.decode(encoded, type=list[bytes])
        batch.append(StoredBlock(height, first_index, found, None))
        leaves += len(found)
        if len(batch) == _BLOCKS_PER_BATCH or leaves >= _LEAVES_PER_BATCH:
            yield batch
            batch, leaves = [], 0
    if batch:
        yield batch


def _compare(table: TableSpec, stored: sqlite3.Connection, true: sqlite3.Connection) -> None:
    key = list(table.key)
    names = [*key, *table.value_columns]
    query = f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {', '.join(key)}"  # noqa: S608 - names of our own schema
    compare_rows(INDEX, table.name, names, len(key), stored.execute(query), true.execute(query))
