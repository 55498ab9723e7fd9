"""How fast the query index is written: `python -m tests.bench.index`.

Makes a ledger without a cluster, then the index from it, on SQLite in a file and, where it is
installed, on PostgreSQL; prints one JSON object: microseconds of wall time an invoice, of the best
round. Both are told what they may lose: neither waits for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from node.runtime.domains import index_parts
from node.storage.index_heads import IndexBatch, make_batch, prepare_parts, write_batch
from node.storage.index_part import IndexPart, OpenedBlock, StoredRows, open_block
from node.storage.ledger_reader import StoredBlock
from node.storage.sql import Postgres, Sql, Sqlite
from node.storage.state_rows import read_rows
from tests.audit.ledgers import write_ledger
from tests.storage.postgres import fresh_schema, postgres_server

BLOCKS_PER_BATCH = 4
Opened = Callable[[], AbstractContextManager[Sql]]


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.index", description=__doc__)
    parser.add_argument("--invoices", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=4, help="invoices of one transaction")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="piaolian-index-") as name:
        folder = Path(name)
        genesis = asyncio.run(write_ledger(folder / "data", args.invoices, batch=args.batch))
        parts = index_parts(genesis)
        with closing(sqlite3.connect(folder / "data" / "ledger.db")) as ledger:
            blocks = _blocks(ledger)
            made_s, batches = _make(parts, blocks, ledger, args.rounds)
        found: dict[str, float | str] = {"rows": made_s}
        found["sqlite"] = _best(lambda: _sqlite(folder), parts, batches, args.rounds)
        try:
            with postgres_server() as address:
                found["postgresql"] = _best(lambda: _postgres(address), parts, batches, args.rounds)
        except pytest.skip.Exception as error:
            found["postgresql"] = str(error)
    print(
        json.dumps(
            {
                "invoices": args.invoices,
                **{
                    f"{kind}_us": round(took * 1e6 / args.invoices, 2)
                    if isinstance(took, float)
                    else took
                    for kind, took in found.items()
                },
            },
            indent=2,
        )
    )
    return 0


def _blocks(ledger: sqlite3.Connection) -> list[OpenedBlock]:
    stored = ledger.execute("SELECT height, first_index, leaves FROM blocks ORDER BY height")
    return [
        open_block(
            StoredBlock(height, first, msgspec.msgpack.decode(leaves, type=list[bytes]), None)
        )
        for height, first, leaves in stored
    ]


def _make(
    parts: Sequence[IndexPart],
    blocks: Sequence[OpenedBlock],
    ledger: sqlite3.Connection,
    rounds: int,
) -> tuple[float, list[tuple[IndexBatch, StoredRows]]]:
    """Seconds to make the rows of all blocks, and these with the state rows that they miss."""
    best = float("inf")
    made: list[IndexBatch] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        made = [
            make_batch(parts, blocks[start : start + BLOCKS_PER_BATCH])
            for start in range(0, len(blocks), BLOCKS_PER_BATCH)
        ]
        best = min(best, time.perf_counter() - begun)
    rows = [{t: read_rows(ledger, t, keys) for t, keys in b.missing.items()} for b in made]
    return best, list(zip(made, rows, strict=True))


def _best(
    opened: Opened,
    parts: Sequence[IndexPart],
    batches: Sequence[tuple[IndexBatch, StoredRows]],
    rounds: int,
) -> float:
    """Seconds to write all batches, in the best round."""
    best = float("inf")
    for _ in range(rounds):
        with opened() as sql:
            prepare_parts(sql, parts)
            begun = time.perf_counter()
            for batch, rows in batches:
                write_batch(sql, batch, rows)
            best = min(best, time.perf_counter() - begun)
    return best


@contextmanager
def _sqlite(folder: Path) -> Iterator[Sql]:
    """A new file, as a node opens its own."""
    for path in folder.glob("index.db*"):
        path.unlink()
    with closing(sqlite3.connect(folder / "index.db", isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        yield Sqlite(connection)


@contextmanager
def _postgres(address: str) -> Iterator[Sql]:
    with fresh_schema(address) as connection:
        yield Postgres(connection)


if __name__ == "__main__":
    sys.exit(main())
