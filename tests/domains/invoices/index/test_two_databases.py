"""The index comes to the same rows and answers on PostgreSQL as on SQLite, at any pace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.chain.voters import VoterSet
from node.domains.invoices.index import queries
from node.domains.invoices.index.queries import (
    InvoiceFilter,
    find_invoice,
    select_invoices,
    select_statement,
    select_steps,
    select_waiting,
)
from node.domains.invoices.index.tables import TABLES
from node.storage.index_heads import PARTS, make_batch, prepare_parts, write_batch
from node.storage.index_part import open_block
from node.storage.ledger import Ledger
from node.storage.ledger_reader import StoredBlock
from node.storage.sql import Postgres, Row, Sql, Sqlite
from node.storage.state_rows import read_rows
from node.storage.transactions_part import find_transaction
from tests.index_parts import INDEX_PARTS
from tests.ledger.history import random_history
from tests.storage.postgres import fresh_schema, postgres_server
from tests.storage.test_recent_blocks import entries

SEED, BLOCKS = 2, 400
LIMIT = 3
NEVER = (-1, -1)
NOTHING = (-1, -1, -1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture
async def history(tmp_path: Path) -> Path:
    """The ledger of a random history."""
    world, past = random_history(SEED, BLOCKS)
    path, voters = tmp_path / "ledger.db", VoterSet.from_genesis(world.genesis)
    ledger = await Ledger.open(path, world.genesis, voters.hash, lambda _: None)
    await ledger.apply(entries(past), lambda _: None)
    await ledger.close()
    return path


def follow(sql: Sql, ledger: sqlite3.Connection, pace: int) -> None:
    """Index all blocks, so many together."""
    heights = prepare_parts(sql, INDEX_PARTS)
    assert set(heights.values()) == {0}
    stored = ledger.execute("SELECT height, first_index, leaves FROM blocks ORDER BY height")
    blocks = [
        StoredBlock(height, first, msgspec.msgpack.decode(leaves, type=list[bytes]), None)
        for height, first, leaves in stored
    ]
    for start in range(0, len(blocks), pace):
        batch = make_batch(INDEX_PARTS, [open_block(b) for b in blocks[start : start + pace]])
        rows = {table: read_rows(ledger, table, keys) for table, keys in batch.missing.items()}
        write_batch(sql, batch, rows)
    assert set(prepare_parts(sql, INDEX_PARTS).values()) == {len(blocks)}


def contents(sql: Sql) -> dict[str, list[Row]]:
    """Every row of every table."""
    tables = (PARTS, *(table for part in INDEX_PARTS for table in part.tables))
    return {
        table.name: sql.select(
            f"SELECT {', '.join(column.name for column in table.columns)}"
            f" FROM {table.name} ORDER BY {', '.join(table.key)}"
        )
        for table in tables
    }


def lists(sql: Sql, parties: Sequence[str | None], times: Sequence[int | None]) -> list[Any]:
    """Every page of every list."""
    pages = []
    for party, state, response, frozen in product(
        parties, (None, 0, 1), (None, 0, 1), (None, False)
    ):
        for from_ms, to_ms, min_gross in ((None, None, None), (*times, None), (None, None, 5_000)):
            wanted = InvoiceFilter(state, response, frozen, party, from_ms, to_ms, min_gross)
            before: int | None = None
            while True:
                page = select_invoices(sql, wanted, before, LIMIT)
                pages.append(page)
                before = page.next_before
                if before is None:
                    break
    return pages


def traces(sql: Sql, numbers: Sequence[str]) -> list[Any]:
    """Where every invoice stands, and every page of every trace."""
    found: list[Any] = []
    for number in numbers:
        found.append(find_invoice(sql, number))
        after = NEVER
        while steps := select_steps(sql, number, after, LIMIT):
            found.append(steps)
            after = (steps[-1].index, steps[-1].operation)
    return found


def inboxes(sql: Sql, parties: Sequence[str]) -> list[Any]:
    """Every page of what waits for nobody, for each party, and for all of them."""
    found: list[Any] = []
    for wanted in ((), *[(party,) for party in parties], tuple(parties)):
        after = NOTHING
        while items := select_waiting(sql, wanted, after, LIMIT):
            found.append(items)
            after = (items[-1].invoice.sequence, items[-1].kind, items[-1].reference)
    return found


def answers(sql: Sql, rows: dict[str, list[Row]]) -> dict[str, list[Any]]:
    """What is answered about everything that stands in these rows."""
    steps = rows["invoice_steps"]
    numbers = sorted({row[1] for row in rows["invoices"]} | {row[0] for row in steps})
    parties = sorted({row[6] for row in steps} | {row[8] for row in steps if row[8] is not None})
    months = sorted({row[:2] for row in rows["invoice_statements"]})
    times = [row[2] for row in rows["invoice_blocks"]]
    return {
        "transactions": [find_transaction(sql, row[1]) for row in rows["transactions"]]
        + [find_transaction(sql, bytes(32))],
        "lists": lists(sql, [None, *parties[:4]], (times[len(times) // 3], times[-9])),
        "traces": traces(sql, [*numbers, "absent"]),
        "inboxes": inboxes(sql, parties),
        "statements": [select_statement(sql, *month) for month in (*months, ("absent", 202611))],
    }


async def test_postgresql_comes_to_the_same_rows_and_answers(
    history: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SCAN_MAX", 7)  # less than a list: pages end short, too
    with (
        closing(sqlite3.connect(history)) as ledger,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
        fresh_schema(server) as connected,
    ):
        ours, theirs = Sqlite(connection), Postgres(connected)
        follow(ours, ledger, 1)
        follow(theirs, ledger, 40)
        rows = contents(ours)
        assert contents(theirs) == rows
        told = answers(ours, rows)
        assert answers(theirs, rows) == told

    # The history is worth asking about.
    assert all(rows[table.name] for table in TABLES)
    assert len(rows["invoices"]) > 10
    assert all(len(told[kind]) > 10 for kind in ("lists", "traces", "inboxes"))
    assert len(told["statements"]) > 2
