"""The query index: following, crashes, and parts that are rebuilt alone."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.ledger.codes import Table
from node.ledger.transaction import transaction_id
from node.storage import transactions_part
from node.storage.index import IndexGapError, QueryIndex
from node.storage.index_heads import index_schema
from node.storage.index_part import IndexPart, OpenedBlock, StoredRows
from node.storage.sql import Row, Sql, TableSpec, integer, octets
from node.storage.transactions_part import TransactionQueries, TransactionsPart
from tests.domains.invoices.index.handmade import Ledger, follow, issue, number
from tests.index_parts import INDEX_PARTS


@dataclass
class Sizes:
    """A part: how many transactions each block has. Its version decides how its table is called."""

    version: int = 1
    name: str = "sizes"

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        columns = (integer("height"), integer("size"))
        return (TableSpec(f"{self.name}_{self.version}", columns, key=("height",)),)

    def rows(self, blocks: Sequence[OpenedBlock]) -> SizesRows:
        found: list[Row] = [(block.height, len(block.transactions)) for block in blocks]
        return SizesRows(self.tables[0], found)


@dataclass
class SizesRows:
    table: TableSpec
    found: list[Row]
    missing: Mapping[Table, Sequence[bytes]] = field(default_factory=dict)
    faults: Sequence[tuple[bytes, Exception]] = ()

    def write(self, sql: Sql, _: StoredRows) -> None:
        sql.insert(self.table, self.found)


class Held:
    """A part that keeps a state row as it was when a block was followed."""

    name = "held"
    version = 1
    tables = (TableSpec("held", (integer("height"), octets("body")), key=("height",)),)

    def __init__(self, key: str) -> None:
        self.key = key.encode()

    def rows(self, blocks: Sequence[OpenedBlock]) -> HeldRows:
        return HeldRows(self.key, blocks[-1].height)


@dataclass
class HeldRows:
    key: bytes
    height: int
    faults: Sequence[tuple[bytes, Exception]] = ()

    @property
    def missing(self) -> Mapping[Table, Sequence[bytes]]:
        return {Table.INVOICE: [self.key, self.key]}

    def write(self, sql: Sql, rows: StoredRows) -> None:
        body = rows[Table.INVOICE].get(self.key)
        if body is not None:
            sql.insert(Held.tables[0], [(self.height, body)])


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[QueryIndex]:
    opened = await QueryIndex.open(tmp_path / "index.db", INDEX_PARTS, b"network")
    yield opened
    await opened.close()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def rows_of(index: QueryIndex, table: str) -> list[Row]:
    return await index.read(lambda sql: sql.select(f"SELECT * FROM {table} ORDER BY 1"))


def schema_of(path: Path) -> list[object]:
    query = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def schema_wanted(parts: Sequence[IndexPart]) -> list[object]:
    query = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(index_schema(parts))
        return connection.execute(query).fetchall()


# --- Transactions ----------------------------------------------------------------------------


async def test_transactions_are_found_by_id_with_height_index_and_code(
    index: QueryIndex, ledger: Ledger
) -> None:
    applied, refused = ledger.issue(number(1)), ledger.body([issue(number(2))])
    await follow(index, ledger, ledger.block(), ledger.block(applied, (refused, 124)))
    transactions = TransactionQueries(index)

    first = await transactions.transaction(transaction_id(applied))
    second = await transactions.transaction(transaction_id(refused))

    assert first is not None
    assert second is not None
    assert (first.height, first.index, first.code) == (2, 1, 0)
    assert (second.height, second.index, second.code) == (2, 2, 124)
    assert await transactions.transaction(bytes(32)) is None
    assert transactions.height == 2


async def test_ids_of_older_eras_are_found(
    index: QueryIndex, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions_part, "ERA_SHIFT", 2)
    bodies = [ledger.issue(number(n)) for n in range(40)]
    for body in bodies:
        await follow(index, ledger, ledger.block(body))
    transactions = TransactionQueries(index)

    for place, body in enumerate(bodies):
        found = await transactions.transaction(transaction_id(body))
        assert found is not None
        assert found.index == 2 * place
    assert await transactions.transaction(bytes(32)) is None


# --- Following -------------------------------------------------------------------------------


async def test_blocks_must_follow_each_other(tmp_path: Path, ledger: Ledger) -> None:
    index = await QueryIndex.open(tmp_path / "index.db", (Sizes(),), b"network")
    first, second = ledger.block(ledger.issue(number(1))), ledger.block()
    with pytest.raises(IndexGapError):
        await follow(index, ledger, second)
    twice = await index.prepare([first])
    await follow(index, ledger, first)
    with pytest.raises(IndexGapError):
        await follow(index, ledger, first)
    with pytest.raises(IndexGapError):
        await index.follow(twice, {})

    assert index.height == 1
    assert await rows_of(index, "sizes_1") == [(1, 1)]
    await index.close()


async def test_heights_and_content_survive_reopening(tmp_path: Path, ledger: Ledger) -> None:
    path, parts = tmp_path / "index.db", (TransactionsPart(), Sizes())
    index = await QueryIndex.open(path, parts, b"network")
    await follow(index, ledger, ledger.block(ledger.issue(number(1))), ledger.block())
    await index.close()

    again = await QueryIndex.open(path, parts, b"network")

    assert (again.height, again.heights) == (2, [2])
    assert await rows_of(again, "sizes_1") == [(1, 1), (2, 0)]
    await again.close()


async def test_a_batch_that_fails_in_one_part_changes_nothing_in_any(
    tmp_path: Path, ledger: Ledger
) -> None:
    index = await QueryIndex.open(tmp_path / "index.db", (TransactionsPart(), Sizes()), b"network")
    batch = await index.prepare([ledger.block(ledger.issue(number(1)))])
    sizes = batch.parts["sizes"]
    assert isinstance(sizes, SizesRows)
    sizes.found.append(sizes.found[0])

    with pytest.raises(sqlite3.IntegrityError):
        await index.follow(batch, {})

    assert index.heights == [0]
    assert await rows_of(index, "transactions") == []
    sizes.found.pop()
    await index.follow(batch, {})
    assert index.heights == [1]
    assert len(await rows_of(index, "transactions")) == 1
    await index.close()


async def test_a_part_gets_the_state_rows_that_it_misses_each_asked_for_once(
    tmp_path: Path, ledger: Ledger
) -> None:
    index = await QueryIndex.open(
        tmp_path / "index.db", (*INDEX_PARTS, Held(number(1))), b"network"
    )
    batch = await index.prepare([ledger.block(ledger.issue(number(1), number(2)))])
    assert {table: sorted(keys) for table, keys in batch.missing.items()} == {
        Table.INVOICE: [number(1).encode(), number(2).encode()]
    }
    await index.follow(batch, ledger.stored(batch.missing))

    assert await rows_of(index, "held") == [(1, ledger.rows[number(1)])]
    await index.close()


# --- Versions --------------------------------------------------------------------------------


async def test_a_file_of_another_layout_is_made_anew(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "index.db"
    index = await QueryIndex.open(path, (Sizes(),), b"network")
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    await index.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=4")

    again = await QueryIndex.open(path, (Sizes(),), b"network")

    assert again.height == 0
    assert await rows_of(again, "sizes_1") == []
    await again.close()


async def test_a_file_of_another_network_is_made_anew(tmp_path: Path, ledger: Ledger) -> None:
    """Put into the wrong folder, it may be further than the ledger, and answered for it."""
    path = tmp_path / "index.db"
    index = await QueryIndex.open(path, (Sizes(),), b"network")
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    await index.close()

    again = await QueryIndex.open(path, (Sizes(),), b"network")
    assert again.height == 1
    await again.close()
    other = await QueryIndex.open(path, (Sizes(),), b"another network")
    assert other.height == 0
    assert await rows_of(other, "sizes_1") == []
    await other.close()


async def test_a_part_of_another_version_is_rebuilt_while_the_others_stay_and_follow(
    tmp_path: Path, ledger: Ledger
) -> None:
    path = tmp_path / "index.db"
    index = await QueryIndex.open(path, (TransactionsPart(), Sizes(version=1)), b"network")
    bodies = [ledger.issue(number(n)) for n in range(4)]
    blocks = [ledger.block(body) for body in bodies[:3]]
    await follow(index, ledger, *blocks)
    await index.close()

    parts = (TransactionsPart(), Sizes(version=2))
    again = await QueryIndex.open(path, parts, b"network")
    transactions = TransactionQueries(again)
    assert (again.height, again.heights) == (0, [3, 0])
    assert (again.height_of("sizes"), transactions.height) == (0, 3)
    assert await transactions.transaction(transaction_id(bodies[2])) is not None

    await follow(again, ledger, blocks[0])
    await follow(again, ledger, ledger.block(bodies[3]))  # the newest, for those that lead
    assert (again.height_of("sizes"), transactions.height) == (1, 4)
    assert await transactions.transaction(transaction_id(bodies[3])) is not None
    assert len(await rows_of(again, "transactions")) == 4

    await follow(again, ledger, *ledger.blocks[1:])
    assert again.heights == [4]
    assert await rows_of(again, "sizes_2") == [(height, 1) for height in range(1, 5)]
    assert len(await rows_of(again, "transactions")) == 4
    await again.close()
    assert schema_of(path) == schema_wanted(parts)


async def test_a_part_that_the_program_has_no_more_leaves_nothing(
    tmp_path: Path, ledger: Ledger
) -> None:
    path = tmp_path / "index.db"
    index = await QueryIndex.open(path, (TransactionsPart(), Sizes()), b"network")
    await follow(index, ledger, ledger.block())
    await index.close()

    index = await QueryIndex.open(path, (TransactionsPart(),), b"network")
    assert index.heights == [1]
    await index.close()
    assert schema_of(path) == schema_wanted((TransactionsPart(),))


async def test_a_part_whose_height_is_lost_begins_anew(tmp_path: Path, ledger: Ledger) -> None:
    path, parts = tmp_path / "index.db", (TransactionsPart(), Sizes())
    index = await QueryIndex.open(path, parts, b"network")
    block = ledger.block(ledger.issue(number(1)))
    await follow(index, ledger, block)
    await index.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM parts WHERE name = 'sizes'")

    index = await QueryIndex.open(path, parts, b"network")
    assert index.heights == [1, 0]
    await follow(index, ledger, block)
    assert await rows_of(index, "sizes_1") == [(1, 1)]
    await index.close()


class Renamed(Held):
    """A part of another name, with the same table."""

    name = "renamed"


@pytest.mark.parametrize(
    ("parts", "twice"),
    [
        ((Sizes(version=1), Sizes(version=2)), "part sizes"),
        ((TransactionsPart(), Renamed(""), Held("")), "held"),
    ],
)
async def test_no_two_parts_have_a_name_in_common(
    tmp_path: Path, parts: tuple[IndexPart, ...], twice: str
) -> None:
    with pytest.raises(ValueError, match=f"two of {twice}"):
        await QueryIndex.open(tmp_path / "index.db", parts, b"network")
    assert not (tmp_path / "index.db").exists()
