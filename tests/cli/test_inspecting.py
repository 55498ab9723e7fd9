"""`piaolian inspect`: what stands in a stopped node's ledger, shown without its index."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.audit.inspecting import find_rows, find_transaction, open_ledger
from node.chain.leaf import TransactionLeaf
from node.command import app
from node.ledger.codes import Table
from node.ledger.transaction import transaction_id
from tests.audit.ledgers import write_ledger
from tests.cli.configs import write_config
from tests.ledger.world import BUREAU, SELLER, number


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node's configuration over a ledger of seven invoices and no index."""
    made = write_config(tmp_path, SELLER, 7100, {})
    asyncio.run(write_ledger(tmp_path / "data", 7, batch=3, block=3))
    return made


def inspect(config: Path, *words: str) -> Any:
    done = CliRunner().invoke(app, ["inspect", *words, "--json", "--config", str(config)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(config: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["inspect", *words, "--config", str(config)])
    assert done.exit_code != 0
    return str(done.exception)


def test_a_transaction_is_found_by_its_id_and_by_its_place(config: Path) -> None:
    by_place = inspect(config, "tx", "2")
    assert by_place == inspect(config, "tx", by_place["txid"])
    assert (by_place["code"], by_place["author"], by_place["height"]) == ("OK", SELLER, 2)
    assert [operation["fields"]["number"] for operation in by_place["operations"]] == [
        number(serial) for serial in range(3)
    ]
    assert inspect(config, "tx", "0")["author"] == BUREAU
    assert inspect(config, "tx", "1")["seal"]["height"] == 1, "the last leaf of a block"


def test_a_block_shows_its_seal_its_transactions_and_its_certificate(config: Path) -> None:
    block = inspect(config, "block", "2")
    assert (block["height"], block["first_index"], block["seal"]["count"]) == (2, 2, 1)
    assert [item["txid"] for item in block["transactions"]] == [inspect(config, "tx", "2")["txid"]]
    assert block["certificate"].startswith("piaolian")


def test_rows_are_decoded_by_key_and_by_the_beginning_of_a_key(config: Path) -> None:
    (row,) = inspect(config, "row", "invoice", number(4))
    assert (row["key"], row["row"]["issuer"]) == (number(4), SELLER)
    assert len(inspect(config, "row", "invoice", number(0)[:19])) == 7
    assert len(inspect(config, "row", "invoice", "--limit", "2")) == 2
    (participant,) = inspect(config, "row", "participant", SELLER)
    assert participant["row"]["id"] == SELLER
    orders = inspect(config, "row", "order")
    assert len(orders) == 7
    assert inspect(config, "row", "order", orders[0]["key"]) == orders[:1]
    assert inspect(config, "row", "invoice", "9") == []


def test_every_row_of_the_state_is_of_a_kind_that_the_law_names(config: Path) -> None:
    with open_ledger(config.parent / "data") as ledger:
        rows = [row for table in Table for row in find_rows(ledger, table, b"", 1_000)]
    assert rows
    assert not [row for row in rows if row.row is None]


def test_people_read_fields(config: Path) -> None:
    for words in (("tx", "2"), ("block", "2"), ("row", "invoice", number(4))):
        done = CliRunner().invoke(app, ["inspect", *words, "--config", str(config)])
        assert done.exit_code == 0
        assert SELLER in done.output or "first_index" in done.output


def test_it_changes_no_file(config: Path) -> None:
    folder = config.parent / "data"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    inspect(config, "block", "1")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tx", "00" * 32), "no block holds"),
        (("tx", "999"), "no leaf of index 999"),
        (("tx", "abc"), "is no transaction id"),
        (("block", "99"), "no block of height 99"),
        (("row", "ledgers"), "there is no table ledgers; there are meta, participant"),
        (("row", "order", "0xzz"), "is no hex"),
        (("row", "order", "9" * 300), "at most 256 bytes"),
    ],
)
def test_what_is_not_there_is_told(config: Path, words: tuple[str, ...], told: str) -> None:
    assert told in refused(config, *words)


def test_a_damaged_ledger_is_told_with_its_file(config: Path) -> None:
    path = config.parent / "data" / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE blocks SET leaves = x'9301' WHERE height = 2")
    connection.close()
    assert "ledger.db cannot be read" in refused(config, "block", "2")


def test_a_folder_without_a_ledger_is_told(tmp_path: Path) -> None:
    config = write_config(tmp_path, SELLER, 7100, {})
    (tmp_path / "data").mkdir(exist_ok=True)
    assert "ledger.db does not exist" in refused(config, "block", "1")


def test_a_transaction_is_the_one_of_its_bytes(config: Path) -> None:
    with open_ledger(config.parent / "data") as ledger:
        txid = bytes.fromhex(inspect(config, "tx", "4")["txid"])
        leaf = find_transaction(ledger, txid).leaf
    assert isinstance(leaf, TransactionLeaf)
    assert transaction_id(leaf.body) == txid
