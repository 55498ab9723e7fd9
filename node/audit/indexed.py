"""Comparing the query index with one that is made anew from the ledger. Owns that comparison.

The index is made by its own code, in memory or a temporary file, and compared table by table. Rows
of the state are the stored ones, which the walk compares for itself: so both can go on at once. One
that lags behind the ledger is brought forward first, as a copy: its own rows stay as they are.
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
from node.ledger.codes import Table
from node.storage.index_rows import index_batch, open_block
from node.storage.index_schema import SCHEMA_VERSION, prepare_index
from node.storage.index_writing import write_batch
from node.storage.ledger_reader import StoredBlock
from node.storage.state_rows import read_rows

_BLOCKS_PER_BATCH = 256
_LEAVES_PER_BATCH = 4_096


def begin_process() -> None:
    """Load what another process needs for its part, before there is any."""
    gc.freeze()  # what is loaded stays: no collection needs to look at it again


def check_index_at(path: Path) -> int:
    """As `check_index`, of the files in a data folder, at a state of its own: for another process.

    Raises:
        AuditError: as there.
    """
    with (
        closing(open_snapshot(path / INDEX)) as index,
        closing(open_snapshot(path / LEDGER)) as ledger,
    ):
        return check_index(index, ledger, lambda _: None)


def check_index(
    index: sqlite3.Connection, ledger: sqlite3.Connection, progress: Callable[[int], None]
) -> int:
    """Compare every row of every table; the height that the stored index has reached.

    Args:
        index: The stored one, no newer than `ledger`.
        ledger: Whose blocks and rows the walk finds true, or names the fault.
        progress: Told the number of leaves that are indexed.

    Raises:
        AuditError: at the first row that differs.
    """
    (version,) = index.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise fail(f"version {version} of the index: a node makes it anew", INDEX, offset=60)
    (newest,) = ledger.execute("SELECT coalesce(max(height), 0) FROM blocks").fetchone()
    row = index.execute("SELECT height FROM head").fetchone()
    if row is None or not 0 <= row[0] <= newest:
        raise fail("the index is of no height of the ledger", INDEX, table="head", column="height")
    (height,) = row
    true = _empty()
    stored = index
    try:
        prepare_index(true)
        _follow(true, 1, ledger, progress)
        if height < newest:
            stored = _empty()
            index.backup(stored)
            _follow(stored, height + 1, ledger, lambda _: None)
        for (table,) in true.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid"
        ).fetchall():
            _compare(table, stored, true)
    except (sqlite3.DatabaseError, msgspec.MsgspecError, AssertionError) as error:
        raise fail(f"the index cannot be made anew: {error}", INDEX) from error
    finally:
        true.close()
        if stored is not index:
            stored.close()
    return int(height)


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None, cached_statements=256)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-131072"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _follow(
    index: sqlite3.Connection,
    first: int,
    ledger: sqlite3.Connection,
    progress: Callable[[int], None],
) -> None:
    for blocks in _batches(ledger, first):
        batch = index_batch([open_block(block) for block in blocks])
        rows = read_rows(ledger, Table.INVOICE, [number.encode() for number in batch.missing])
        write_batch(index, batch, {key.decode(): row for key, row in rows.items()})
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


def _compare(table: str, stored: sqlite3.Connection, true: sqlite3.Connection) -> None:
    columns = true.execute(f"PRAGMA table_info({table})").fetchall()
    key = [name for _, name, *_, place in sorted(columns, key=lambda c: int(c[5])) if place]
    rest = [name for _, name, *_, place in columns if not place]
    names = [*key, *rest]
    query = f"SELECT {', '.join(names)} FROM {table} ORDER BY {', '.join(key)}"  # noqa: S608 - names of our own schema
    compare_rows(INDEX, table, names, len(key), stored.execute(query), true.execute(query))
