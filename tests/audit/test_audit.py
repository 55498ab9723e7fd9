"""What is stored and what the ledger comes to: one change anywhere, and the audit names it."""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - seeded
import shutil
import sqlite3
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.audit.faults import AuditError, Fault
from node.audit.inspecting import UnreadableError, open_ledger
from node.audit.run import Audit, NoLedgerError, Outcome
from node.audit.state import WalkedState
from node.audit.stored import check_invariants
from node.audit.walk import Walked
from node.audit.write_ahead_log import check_write_ahead_log
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import RootEvidence, RootStatement, encode_evidence
from node.chain.leaf import TransactionLeaf, decode_leaf, encode_leaf
from node.chain.merkle import leaf_hashes
from node.chain.tiles import TileBuilder
from node.chain.voters import VoterSet
from node.custody.keyring import Keyring
from node.custody.wallet import Wallet
from node.ledger.codes import Code, Table
from node.ledger.genesis import Genesis
from node.ledger.invoices.rows import decode_invoice
from node.ledger.state import RowChange
from node.ledger.transaction import decode_transaction
from node.storage.ledger_rows import Head
from node.storage.outbox import Outbox, OutboxItem, Promise, RememberedAnswer
from tests.audit.flips import Flips
from tests.audit.ledgers import write_index
from tests.chain.network import seed
from tests.index_parts import INDEX_PARTS
from tests.node.chronicle import Chronicle, found, issue, write_history

HEIGHTS = 7


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return found()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of every kind of block, with its index. Only to be copied."""
    folder = tmp_path_factory.mktemp("audit") / "data"
    asyncio.run(write(folder))
    return folder


async def write(folder: Path) -> None:
    made = await Chronicle.open(folder, found())
    await write_history(made)
    await write_index(folder, made)
    await made.close()


@pytest.fixture
def folder(history: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(history, tmp_path / "data"))


def audit(folder: Path, *, workers: int = 0, from_height: int = 0) -> Outcome:
    return Audit(
        found(),
        "bureau",
        INDEX_PARTS,
        position_files=("examined",),
        workers=workers,
        from_height=from_height,
    ).run(folder)


def fault_of(folder: Path) -> Fault:
    fault = audit(folder).first
    assert fault is not None
    return fault


def change(folder: Path, statement: str, *values: object, file: str = "ledger.db") -> None:
    """Run one statement that changes rows."""
    with closing(sqlite3.connect(folder / file)) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


def value(folder: Path, query: str, *values: object, file: str = "ledger.db") -> Any:
    with closing(sqlite3.connect(folder / file)) as connection:
        (found,) = connection.execute(query, values).fetchone()
        return found


def flipped(data: bytes, offset: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


# --- What is good ------------------------------------------------------------------------------


def test_a_true_ledger_passes_and_is_counted(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    outcome = audit(folder)

    assert outcome.first is None
    assert (outcome.heights, outcome.final_height, outcome.index_height) == (HEIGHTS, 6, HEIGHTS)
    assert outcome.transactions == outcome.leaves - HEIGHTS
    assert (outcome.blobs, outcome.erased_blobs) == (32, 0)
    assert outcome.signatures == outcome.transactions + 4 * 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_processes_verify_the_same_signatures(folder: Path) -> None:
    outcome, alone = audit(folder, workers=1), audit(folder)
    assert outcome == alone

    change(folder, "UPDATE certificates SET note = ? WHERE height = 3", *[other_note(folder)])
    assert audit(folder, workers=1).first == fault_of(folder)


def other_note(folder: Path) -> bytes:
    """The certificate of height 3 with another digit in its last signature."""
    note: bytes = value(folder, "SELECT note FROM certificates WHERE height = 3")
    place = len(note) - 12
    return note[:place] + (b"A" if note[place : place + 1] != b"A" else b"B") + note[place + 1 :]


def test_an_erased_blob_is_counted_and_not_blamed(folder: Path) -> None:
    change(folder, "DELETE FROM blobs WHERE hash = (SELECT min(hash) FROM blobs)")
    outcome = audit(folder)

    assert outcome.first is None
    assert (outcome.blobs, outcome.erased_blobs) == (31, 1)


async def test_an_index_that_lags_passes(history: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(history, tmp_path / "data"))
    (folder / "index.db").unlink()
    made = await Chronicle.open(folder, found())
    await write_index(folder, made, 4)
    await made.close()
    outcome = audit(folder)

    assert outcome.first is None
    assert outcome.index_height == 4


def test_signatures_below_a_height_can_be_taken_for_verified(folder: Path) -> None:
    whole, part = audit(folder), audit(folder, from_height=6)
    assert part.first is None
    assert part.transactions == whole.transactions
    assert part.signatures < whole.signatures // 3


async def test_the_wallet_is_checked_row_by_row_without_its_key(folder: Path) -> None:
    wallet = await Wallet.open(folder / "wallet.db", bytes(32), Keyring([bytes(range(32))]))
    await wallet.make()
    await wallet.close()
    assert audit(folder).wallet_keys == 1

    change(folder, "UPDATE keys SET sealed = CAST(sealed || x'00' AS BLOB)", file="wallet.db")
    fault = audit(folder).first
    assert fault is not None
    assert (fault.file, fault.table) == ("wallet.db", "keys")


async def test_the_outbox_is_checked_row_by_row(folder: Path) -> None:
    wire = issue(found(), 9_000, details=200)
    item = decode_transaction(wire)
    outbox = await Outbox.open(folder / "outbox.db")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox.run())
        promised = OutboxItem(item.txid, wire, item.body.valid_until)
        await outbox.keep(Promise([promised], [("a", 5)], "k", RememberedAnswer(b"r", b"a"), 7))
        task.cancel()
    await outbox.close()
    outcome = audit(folder)
    assert (outcome.first, outcome.promised) == (None, 1)

    for table, statement in (
        ("serials", "UPDATE serials SET next = 6"),
        ("idempotency", "UPDATE idempotency SET answer = x'00'"),
        ("outbox", "UPDATE outbox SET valid_until = 1"),
        ("outbox", "UPDATE outbox SET txid = x'00'"),
        ("outbox", "UPDATE outbox SET wire = CAST(wire || x'00' AS BLOB)"),
    ):
        change(folder, statement, file="outbox.db")
        fault = fault_of(folder)
        assert (fault.file, fault.table) == ("outbox.db", table), statement


def test_how_far_the_bureau_looked_is_checked(folder: Path) -> None:
    number = (5).to_bytes(8, "big")
    (folder / "examined").write_bytes(number + zlib.crc32(number).to_bytes(4, "big"))
    outcome = audit(folder)
    assert (outcome.first, outcome.skipped) == (None, [])

    data = (folder / "examined").read_bytes()
    (folder / "examined").write_bytes(flipped(data, 6, 4))
    fault = fault_of(folder)
    assert (fault.file, fault.offset, fault.bit) == ("examined", 6, 4)


def test_a_state_that_does_not_fit_into_memory_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = audit(folder)
    monkeypatch.setattr(WalkedState.__init__, "__defaults__", (10,))
    assert audit(folder) == whole


def test_an_invoice_that_cannot_be_is_told_whatever_made_it(folder: Path) -> None:
    """The rules of this program made it, so the stored row is what the leaves come to."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        query = "SELECT key, value FROM state WHERE tbl = ?"
        rows = connection.execute(query, (int(Table.INVOICE),)).fetchall()
    state = WalkedState([(Table.INVOICE, key, value) for key, value in rows])
    walked = Walked(Head(0, 0, 0, b"", b"", 0), state, 0, 0, 0)
    assert check_invariants(walked) == {"invoices": len(rows)}
    assert rows

    key, value = rows[0]
    invoice = msgspec.structs.replace(decode_invoice(value), locked=1)
    state.apply([RowChange(Table.INVOICE, key, value, msgspec.msgpack.encode(invoice))])

    with pytest.raises(AuditError) as raised:
        check_invariants(walked)
    assert "claims' locks" in raised.value.fault.reason
    assert raised.value.fault.row == invoice.number


def test_a_folder_without_a_ledger_is_no_failed_audit(tmp_path: Path) -> None:
    with pytest.raises(NoLedgerError):
        audit(tmp_path)


# --- What is not --------------------------------------------------------------------------------


def leaves(folder: Path, height: int) -> list[bytes]:
    data = value(folder, "SELECT leaves FROM blocks WHERE height = ?", height)
    return msgspec.msgpack.decode(data, type=list[bytes])


def put_leaves(folder: Path, height: int, data: list[bytes]) -> None:
    encoded = msgspec.msgpack.encode(data)
    change(folder, "UPDATE blocks SET leaves = ? WHERE height = ?", encoded, height)


@pytest.mark.parametrize("part", ["body", "signature", "code"])
def test_a_bit_of_a_leaf_is_told_exactly(folder: Path, part: str) -> None:
    data = leaves(folder, 5)
    leaf = data[40]
    offset = {"body": 200, "signature": len(leaf) - 3, "code": 2}[part]
    put_leaves(folder, 5, [*data[:40], flipped(leaf, offset), *data[41:]])
    fault = fault_of(folder)

    first = value(folder, "SELECT first_index FROM blocks WHERE height = 5")
    assert (fault.file, fault.table, fault.height) == ("ledger.db", "blocks", 5)
    assert (fault.leaf, fault.offset, fault.bit) == (first + 40, offset, 0)


def test_a_seal_that_states_another_digest_is_told(folder: Path) -> None:
    data = leaves(folder, 3)
    seal = decode_leaf(data[-1])
    other = encode_leaf(msgspec.structs.replace(seal, state_digest=bytes(32)))
    put_leaves(folder, 3, [*data[:-1], other])
    fault = fault_of(folder)

    assert "state_digest" in fault.reason
    assert (fault.height, fault.table, fault.bit) == (3, "blocks", None)


async def test_an_outcome_that_the_rules_do_not_give_is_told_though_the_tree_agrees(
    folder: Path,
) -> None:
    """A liar's ledger: tiles, head and all are of the other leaf; only the rules disagree."""
    data = leaves(folder, HEIGHTS)
    leaf = decode_leaf(data[0])
    assert isinstance(leaf, TransactionLeaf)
    put_leaves(
        folder,
        HEIGHTS,
        [encode_leaf(msgspec.structs.replace(leaf, code=Code.QUOTA_EXCEEDED)), data[1]],
    )
    every = [leaf for height in range(1, HEIGHTS + 1) for leaf in leaves(folder, height)]
    for tile in TileBuilder().append(leaf_hashes(every)):
        change(
            folder,
            "UPDATE tiles SET hashes = ? WHERE level = ? AND number = ?",
            *(tile.data, tile.level, tile.number),
        )
    fault = fault_of(folder)
    assert (fault.height, fault.leaf, fault.offset) == (HEIGHTS, len(every) - 2, 2)
    assert "code" in fault.reason


def test_a_missing_block_is_told(folder: Path) -> None:
    change(folder, "DELETE FROM blocks WHERE height = 4")
    fault = fault_of(folder)
    assert (fault.height, fault.reason) == (4, "height 4 is missing")


def test_a_stored_hash_is_told(folder: Path) -> None:
    data = value(folder, "SELECT hashes FROM tiles WHERE level = 0 AND number = 0")
    change(folder, "UPDATE tiles SET hashes = ? WHERE level = 0", flipped(data, 32 * 5 + 7, 6))
    fault = fault_of(folder)
    assert (fault.table, fault.column, fault.offset, fault.bit) == ("tiles", "hashes", 167, 6)


def test_a_certificate_is_told(folder: Path) -> None:
    note = value(folder, "SELECT note FROM certificates WHERE height = 3")
    change(folder, "UPDATE certificates SET note = ? WHERE height = 3", flipped(note, 100, 1))
    fault = fault_of(folder)
    assert (fault.table, fault.row, fault.offset, fault.bit) == (
        *("certificates", "height=3"),
        *(100, 1),
    )


def test_a_certificate_of_too_few_is_told(folder: Path) -> None:
    note = value(folder, "SELECT note FROM certificates WHERE height = 3").decode()
    lines = note.splitlines(keepends=True)
    change(
        folder, "UPDATE certificates SET note = ? WHERE height = 3", "".join(lines[:-1]).encode()
    )
    fault = fault_of(folder)
    assert (fault.table, fault.height) == ("certificates", 3)
    assert "are needed" in fault.reason


ROWS = [
    ("ledger.db", "state", "UPDATE state SET value = x'00' WHERE tbl = 8 AND rowid % 7 = 0"),
    ("ledger.db", "orders", "DELETE FROM orders WHERE rowid % 7 = 0"),
    ("ledger.db", "orders", "UPDATE orders SET place = place + 1 WHERE rowid % 7 = 0"),
    ("ledger.db", "orders", "INSERT INTO orders VALUES (0, x'00', x'01')"),
    ("ledger.db", "state", "INSERT INTO state VALUES (3, x'00', x'01')"),
    ("ledger.db", "blobs", "UPDATE blobs SET body = x'00'"),
    ("ledger.db", "blobs", "UPDATE blobs SET height = height + 1"),
    ("ledger.db", "tiles", "DELETE FROM tiles"),
    ("ledger.db", "tiles", "INSERT INTO tiles VALUES (3, 0, x'00')"),
    ("ledger.db", "certificates", "UPDATE certificates SET height = 99 WHERE height = 6"),
    ("ledger.db", "certificates", "UPDATE certificates SET height = 4 WHERE height = 3"),
    ("ledger.db", "blocks", "UPDATE blocks SET first_index = first_index + 1 WHERE height = 7"),
    ("ledger.db", "head", "DELETE FROM head"),
    ("ledger.db", "head", "UPDATE head SET network = x'00'"),
    ("ledger.db", "head", "UPDATE head SET record = x'90'"),
    ("ledger.db", "evidence", "INSERT INTO evidence VALUES (x'00', 1, x'00')"),
    ("ledger.db", "sqlite_schema", "CREATE INDEX mine ON blocks (leaves)"),
    ("index.db", "transactions", "UPDATE transactions SET code = 7 WHERE leaf_index = 3"),
    ("index.db", "transactions", "DELETE FROM transactions WHERE leaf_index = 3"),
    ("index.db", "invoices", "UPDATE invoices SET gross = gross + 1 WHERE state = 0"),
    ("index.db", "invoice_parties", "INSERT INTO invoice_parties VALUES (1, 1)"),
    ("index.db", "invoice_blocks", "UPDATE invoice_blocks SET time_ms = 1 WHERE height = 2"),
    ("index.db", "parts", "UPDATE parts SET height = 9 WHERE name = 'invoices'"),
    ("index.db", "parts", "UPDATE parts SET version = 9 WHERE name = 'invoices'"),
    ("index.db", "parts", "UPDATE parts SET tables = '' WHERE name = 'invoices'"),
    ("index.db", "parts", "DELETE FROM parts WHERE name = 'invoices'"),
    ("index.db", "parts", "INSERT INTO parts VALUES ('other', 1, 1, 'blobs')"),
]


@pytest.mark.parametrize(("file", "table", "statement"), ROWS, ids=[row[2][:60] for row in ROWS])
def test_a_changed_row_is_told(folder: Path, file: str, table: str, statement: str) -> None:
    with closing(sqlite3.connect(folder / file)) as connection, connection:
        connection.execute(statement)
    fault = fault_of(folder)
    assert (fault.file, fault.table) == (file, table), fault


def test_a_row_of_the_state_is_told_to_the_bit(folder: Path) -> None:
    query = "SELECT {} FROM state WHERE tbl = ? ORDER BY key LIMIT 1"
    key = value(folder, query.format("key"), Table.INVOICE)
    row = value(folder, query.format("value"), Table.INVOICE)
    statement = "UPDATE state SET value = ? WHERE tbl = ? AND key = ?"
    change(folder, statement, flipped(row, 33, 2), int(Table.INVOICE), key)
    fault = fault_of(folder)

    assert fault.row == f"table=INVOICE key={key.hex()}"
    assert (fault.column, fault.offset, fault.bit) == ("value", 33, 2)


def test_evidence_is_judged_again(folder: Path) -> None:
    voters = VoterSet.from_genesis(found())
    liar, key = voters.voters[2], seed("payer/cosign")
    said = sorted(
        RootStatement(5, root, cosign(Checkpoint(voters.origin, 5, root), liar.cosigner, key, 1))
        for root in (bytes(32), bytes(31) + b"x")
    )
    evidence = RootEvidence(2, *said)
    identifier, body = judge(evidence, voters).id, encode_evidence(evidence)
    statement = "INSERT INTO evidence (id, found_ms, body) VALUES (?, 7, ?)"
    change(folder, statement, identifier, body)
    outcome = audit(folder)
    assert (outcome.first, outcome.evidence) == (None, 1)

    change(folder, "UPDATE evidence SET id = ?", flipped(identifier, 9, 3))
    fault = fault_of(folder)
    assert (fault.table, fault.column, fault.offset, fault.bit) == ("evidence", "id", 9, 3)
    change(folder, "UPDATE evidence SET id = ?, body = ?", identifier, flipped(body, 50))
    assert fault_of(folder).column == "body"


def test_the_lowest_of_two_faults_is_told(folder: Path) -> None:
    high, low = leaves(folder, 5), leaves(folder, 2)
    put_leaves(folder, 5, [flipped(high[0], 2), *high[1:]])  # another outcome: found at once
    put_leaves(folder, 2, [flipped(low[0], len(low[0]) - 1), *low[1:]])  # a signature
    fault = fault_of(folder)
    assert (fault.height, fault.offset) == (2, len(low[0]) - 1)


def test_a_database_that_is_none_is_told(folder: Path) -> None:
    (folder / "index.db").write_bytes(b"not SQLite" * 1_000)
    fault = fault_of(folder)
    assert (fault.file, fault.offset) == ("index.db", 0)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", ["heads.db", "index.db-wal", "ledger.db-shm", "marker"])
def test_what_is_no_plain_file_is_told_and_not_opened(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    """Who opens a pipe for reading waits until somebody writes."""
    (folder / name).unlink(missing_ok=True)
    make(folder / name)

    fault = fault_of(folder)
    assert (fault.file, fault.reason) == (name, "is no plain file")
    if name != "marker":  # which has nothing to do with what is looked at
        opened = open_ledger(folder)
        with pytest.raises(UnreadableError, match=f"{name} is no plain file"), opened:
            pass


def test_bits_fall_in_a_folder_without_a_log(folder: Path, genesis: Genesis) -> None:
    flips = Flips(folder, folder.parent / "work", genesis, "bureau")
    rng, seen = random.Random(12), Counter[str]()
    for _ in range(40):
        flips.flip(rng, seen)
    assert seen["found"] + seen["harmless"] == 40
    assert seen["told to the byte"] == seen["found"] > 10


def test_a_long_write_ahead_log_is_read_whole_in_little_memory(tmp_path: Path) -> None:
    """What SQLite knows of it may end beyond any size that small files are read to."""
    path = tmp_path / "long.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE things (body BLOB)")
        for _ in range(40):
            writer.execute("INSERT INTO things VALUES (zeroblob(100000))")
        log = path.with_name("long.db-wal")
        size_bytes = log.stat().st_size
        assert size_bytes > 3 << 20
        check_write_ahead_log(path)
        with log.open("ab") as end:
            end.write(bytes(page_frame := 4096 + 24) * 2)
        tracemalloc.start()
        try:  # what was there before the log began anew is none of this one's
            check_write_ahead_log(path)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        first_salt = log.read_bytes()[16:24]
        with log.open("r+b") as end:
            end.seek(size_bytes)
            end.write((7).to_bytes(4) + (9).to_bytes(4) + first_salt)
        with pytest.raises(AuditError) as caught:
            check_write_ahead_log(path)
        assert f"{size_bytes}" in str(caught.value)
        assert (size_bytes - 32) % page_frame == 0
