"""Single things out of a stopped node's files: a transaction, a block, a row of the state.

Owns how they are found in the ledger's file alone, without its index and without trust in it: what
is read is shown as it stands. Whether it is true is the audit's business.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from node.audit.folder import LEDGER, NO_PLAIN_FILE, odd_file, open_folder, open_snapshot
from node.chain.leaf import Leaf, MalformedLeafError, TransactionLeaf, decode_leaf
from node.ledger.codes import Table
from node.ledger.rulebook import RULEBOOK
from node.ledger.stored import Scan
from node.ledger.transaction import transaction_id
from node.storage.state_rows import read_rows, scan_rows

_PAST = b"\xff" * 64
"""After any key that begins with what stands before it."""


class LedgerError(Exception):
    """What was asked for cannot be shown; the message says why."""


class NotFoundError(LedgerError):
    """The ledger holds nothing of that name."""


class UnreadableError(LedgerError):
    """The file does not hold what a node writes; the audit says where."""


class FoundLeaf(msgspec.Struct, frozen=True):
    """A leaf in its place."""

    index: int
    leaf: Leaf


class FoundBlock(msgspec.Struct, frozen=True):
    """A block as it is stored."""

    height: int
    first_index: int
    leaves: Sequence[Leaf]
    certificate: str | None


class FoundRow(msgspec.Struct, frozen=True):
    """A row of the state."""

    table: str
    key: bytes
    value: bytes
    row: object | None
    """Decoded; None if no domain of this program knows such a row."""


@contextmanager
def open_ledger(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger of a data folder, read only, at its newest committed state.

    Raises:
        NotFoundError: there is none.
        UnreadableError: also from within.
    """
    if not (path / LEDGER).exists():
        raise NotFoundError(f"{path / LEDGER} does not exist")
    odd = odd_file(path)
    if odd is not None:
        raise UnreadableError(f"{path / odd} {NO_PLAIN_FILE}")
    try:
        with open_folder(path) as (folder, lock):
            try:
                with closing(open_snapshot(path / LEDGER)) as connection:
                    yield connection
            finally:
                if not folder.running:
                    os.close(lock)
    except (sqlite3.DatabaseError, msgspec.MsgspecError, MalformedLeafError) as error:
        raise UnreadableError(
            f"{path / LEDGER} cannot be read: {error}; piaolian audit says where"
        ) from error


def find_block(connection: sqlite3.Connection, height: int) -> FoundBlock:
    """One block.

    Raises:
        NotFoundError: it is not stored.
    """
    row = connection.execute(
        "SELECT b.first_index, b.leaves, c.note FROM blocks b "
        "LEFT JOIN certificates c ON c.height = b.height WHERE b.height = ?",
        (height,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"no block of height {height}")
    first_index, leaves, note = row
    return FoundBlock(
        height,
        first_index,
        [decode_leaf(leaf) for leaf in _leaves(leaves)],
        None if note is None else note.decode(),
    )


def find_leaf(connection: sqlite3.Connection, index: int) -> FoundLeaf:
    """The leaf at a place of the tree.

    Raises:
        NotFoundError: the tree does not reach so far.
    """
    row = connection.execute(
        "SELECT first_index, leaves FROM blocks WHERE first_index <= ? "
        "ORDER BY first_index DESC LIMIT 1",
        (index,),
    ).fetchone()
    leaves = [] if row is None else _leaves(row[1])
    if row is None or index - row[0] >= len(leaves):
        raise NotFoundError(f"no leaf of index {index}")
    return FoundLeaf(index, decode_leaf(leaves[index - row[0]]))


def find_transaction(connection: sqlite3.Connection, txid: bytes) -> FoundLeaf:
    """The leaf of a transaction; newest blocks are searched first.

    Raises:
        NotFoundError: no block holds it.
    """
    for first_index, leaves in connection.execute(
        "SELECT first_index, leaves FROM blocks ORDER BY height DESC"
    ):
        for place, data in enumerate(_leaves(leaves)):
            leaf = decode_leaf(data)
            if isinstance(leaf, TransactionLeaf) and transaction_id(leaf.body) == txid:
                return FoundLeaf(first_index + place, leaf)
    raise NotFoundError("no block holds the transaction")


def find_rows(
    connection: sqlite3.Connection, table: Table, key: bytes, limit: int
) -> list[FoundRow]:
    """The row of this key, or else the first rows whose keys begin with it, at most `limit`."""
    rows = list(read_rows(connection, table, [key]).items()) if key else []
    if not rows and table is Table.ORDER:  # by no key: nothing but this command walks them
        rows = connection.execute(
            "SELECT key, value FROM orders WHERE key >= ? AND key < ? LIMIT ?",
            (key, key + _PAST, limit),
        ).fetchall()
    elif not rows:
        rows = scan_rows(connection, Scan(table, key, key + _PAST, limit))
    return [
        FoundRow(table.name.lower(), found, value, _decoded(table, value)) for found, value in rows
    ]


def _decoded(table: Table, value: bytes) -> object | None:
    """By the first kind of the table whose own encoding it is: some tables hold several kinds."""
    for kind in RULEBOOK.tables:
        if kind.table is not table:
            continue
        try:
            row: object = kind.decode(value)
            if kind.encode(row) == value:
                return row
        except (msgspec.MsgspecError, ValueError, TypeError):
            continue
    return None


def _leaves(stored: bytes) -> list[bytes]:
    return msgspec.msgpack.decode(stored, type=list[bytes])
