"""What the thin layer promises holds on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from node.storage.index_heads import prepare_parts
from node.storage.sql import Postgres, Row, Sql, Sqlite, TableSpec, integer, octets, text
from tests.storage.postgres import fresh_schema, postgres_server
from tests.storage.test_index import Sizes

THINGS = TableSpec(
    "things",
    (
        *(text("name"), integer("place"), octets("body", optional=True)),
        *(text("label", optional=True), integer("size")),
    ),
    key=("name", "place"),
    indexes=(("things_by_size", ("size", "name")),),
)
LINKS = TableSpec("links", (integer("place"), integer("target")), key=("place", "target"))
NUMBERED = TableSpec("numbered", (integer("place"), text("name")), key=("place",), unique=("name",))
TAKEN = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def sql(request: pytest.FixtureRequest) -> Iterator[Sql]:
    if request.param == "sqlite":
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            yield Sqlite(connection)
    else:
        with fresh_schema(request.getfixturevalue("server")) as connected:
            yield Postgres(connected)


@pytest.fixture
def things(sql: Sql) -> Sql:
    for table in (THINGS, LINKS, NUMBERED):
        sql.create(table)
        sql.create(table)  # a second time changes nothing
    return sql


def rows(sql: Sql, table: TableSpec = THINGS) -> list[Row]:
    return sql.select(f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}")


def thing(name: str, place: int, size: int = 0) -> Row:
    return (name, place, b"\x00\xff", None, size)


def test_every_value_comes_back_as_it_went(things: Sql) -> None:
    written = [
        ("", -(2**63), b"", "", 2**63 - 1),
        ("100% ?", 0, bytes(range(256)), "票链 \U0001f9fe '\"\\", -1),
        ("x", 1, None, None, 0),
    ]
    things.insert(THINGS, written)

    assert rows(things) == written
    assert things.first("SELECT size FROM things WHERE name = ?", ("100% ?",)) == (-1,)
    assert things.first("SELECT size FROM things WHERE name = ?", ("absent",)) is None
    assert things.select("SELECT name FROM things WHERE body IS NULL") == [("x",)]


@pytest.mark.parametrize("count", [0, 1, 3, 300])
def test_any_number_of_rows_is_inserted(things: Sql, count: int) -> None:
    written = [thing(f"{n:04}", n, n) for n in range(count)]
    things.insert(THINGS, written)
    assert rows(things) == written


def test_text_is_compared_by_its_bytes(things: Sql) -> None:
    names = ["B", "a", "É", "b", "_", "Z", "é", "甲", "\U0001f9fe", "乙"]
    things.insert(THINGS, [thing(name, 1) for name in names])

    in_order = [name for (name,) in things.select("SELECT name FROM things ORDER BY name")]
    assert in_order == sorted(names, key=str.encode)
    above = things.select("SELECT name FROM things WHERE name > ? ORDER BY name", ("b",))
    assert [name for (name,) in above] == in_order[in_order.index("b") + 1 :]


def test_a_key_that_is_there_is_an_error_and_takes_back_the_transaction(things: Sql) -> None:
    def add(table: TableSpec, *batches: list[Row]) -> None:
        with things.transaction():
            for batch in batches:
                things.insert(table, batch)

    add(THINGS, [thing("a", 1)])
    with pytest.raises(TAKEN):
        add(THINGS, [thing("b", 1)], [thing("a", 1)])
    assert rows(things) == [thing("a", 1)]

    add(NUMBERED, [(1, "one")])
    with pytest.raises(TAKEN):
        add(NUMBERED, [(2, "two"), (3, "one")])
    assert rows(things, NUMBERED) == [(1, "one")]


def test_a_row_takes_the_place_of_the_one_of_its_key_the_last_of_several(things: Sql) -> None:
    things.insert(THINGS, [thing("a", 1, 1), thing("a", 2, 2)])
    things.replace(THINGS, [thing("a", 1, 7), thing("b", 1, 8), thing("b", 1, 9)])

    assert rows(things) == [thing("a", 1, 7), thing("a", 2, 2), thing("b", 1, 9)]
    things.insert(LINKS, [(1, 2)])
    things.replace(LINKS, [(1, 2), (1, 3)])
    assert rows(things, LINKS) == [(1, 2), (1, 3)]


def test_a_row_whose_key_is_there_is_left_out(things: Sql) -> None:
    things.insert(THINGS, [thing("a", 1, 1)])
    things.add_missing(THINGS, [thing("a", 1, 7), thing("b", 1, 8), thing("b", 1, 9)])

    assert rows(things) == [thing("a", 1, 1), thing("b", 1, 8)]


def test_statements_run_for_each_row_of_values(things: Sql) -> None:
    things.insert(THINGS, [thing("a", place) for place in range(4)])
    things.run_many("UPDATE things SET size = ?, label = ? WHERE place = ?", [(5, "%", 1)])
    things.run_many("DELETE FROM things WHERE place = ?", [(2,), (3,), (9,)])
    things.run_many("DELETE FROM things WHERE place = ?", [])

    assert rows(things) == [thing("a", 0), ("a", 1, b"\x00\xff", "%", 5)]


@pytest.mark.parametrize("wanted", [[], [3], [1, 2**63 - 1, -5, 1, 99], list(range(-500, 2))])
def test_a_list_is_one_value(things: Sql, wanted: list[int]) -> None:
    things.insert(LINKS, [(place, 0) for place in (-5, 1, 3, 2**63 - 1)])
    condition, value = things.among("l.place", wanted)
    query = f"SELECT place FROM links l WHERE {condition} AND l.target = ? ORDER BY place"

    found = [place for (place,) in things.select(query, (value, 0))]
    assert found == [place for place in (-5, 1, 3, 2**63 - 1) if place in wanted]


def test_a_walk_keeps_its_order_through_a_join(things: Sql) -> None:
    things.insert(NUMBERED, [(n * 37 % 101, f"name {n}") for n in range(101)])
    query = (
        "SELECT n.place FROM (SELECT place FROM numbered WHERE place < ? ORDER BY place DESC"
        " LIMIT ?) s CROSS JOIN numbered n WHERE n.place = s.place AND n.name > ?"
        f" {things.in_order_of_walk('s.place DESC')} LIMIT ?"
    )
    found = [place for (place,) in things.select(query, (80, 60, "name", 50))]
    assert found == list(range(79, 29, -1))


def test_what_is_dropped_is_gone_and_what_is_not_there_is_no_error(things: Sql) -> None:
    things.insert(THINGS, [thing("a", 1)])
    things.drop("things")
    things.drop("things")
    things.drop('odd "name')
    things.create(THINGS)
    assert rows(things) == []


def test_a_part_of_another_version_begins_anew_beside_the_others(sql: Sql) -> None:
    other = Sizes(name="other")
    assert prepare_parts(sql, (Sizes(version=1), other)) == {"sizes": 0, "other": 0}
    sql.run("UPDATE parts SET height = ?", (7,))
    sql.insert(other.tables[0], [(7, 1)])
    sql.insert(Sizes(version=1).tables[0], [(7, 1)])

    heights = prepare_parts(sql, (Sizes(version=2), other))
    assert heights == {"sizes": 0, "other": 7}
    assert rows(sql, other.tables[0]) == [(7, 1)]
    assert rows(sql, Sizes(version=2).tables[0]) == []
    sql.create(Sizes(version=1).tables[0])  # it was dropped, so it comes back without rows
    assert rows(sql, Sizes(version=1).tables[0]) == []
    assert prepare_parts(sql, (Sizes(version=2), other)) == heights
