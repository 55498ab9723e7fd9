"""Which rows a block may read, from its transactions alone, by what the laws say beside each rule.

It saves reads and decides nothing: a row that is not named is read when a rule asks for it, one by
one, and told as a fault of this program.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from node.ledger.codes import Table
from node.ledger.context import BlockContext
from node.ledger.execution.bykey import inner_operation, live_id, message_of
from node.ledger.faults import MACHINE_ERRORS
from node.ledger.operations import ByKey
from node.ledger.reads import Reads
from node.ledger.row_codec import live_key
from node.ledger.rulebook import RULEBOOK, Rulebook
from node.ledger.stored import Scan
from node.ledger.transaction import Transaction

EXPIRED_MIN = 1_024
"""Expired live rows that every block may delete; two more for each of its leaves, so the backlog
shrinks under any load, while no single block has to delete without bound."""


class Footprint(msgspec.Struct, frozen=True):
    """What to read before a block: keys by table, each once, and scans."""

    rows: dict[Table, list[bytes]]
    scans: list[Scan]
    faults: list[tuple[bytes, Exception]] = []
    """Transactions over which this module failed: their rows are read one by one."""


class _HasTransaction(Protocol):
    @property
    def transaction(self) -> Transaction: ...


def expired_max(leaves: int) -> int:
    """How many expired live rows a block with so many transaction leaves deletes at most."""
    return EXPIRED_MIN + 2 * leaves


def expiry_scan(height: int, transactions: int) -> Scan:
    """The live rows that a block of so many transactions may delete: valid-until below its height.

    It finds enough for the case that each of them leaves a leaf.
    """
    return Scan(Table.TXID, bytes(8), height.to_bytes(8, "big"), expired_max(transactions))


def footprint(
    transactions: Iterable[_HasTransaction],
    context: BlockContext,
    rulebook: Rulebook = RULEBOOK,
) -> Footprint:
    """Everything that `execute_block` may read for these transactions, each row once."""
    found = Reads(context, rulebook.reads)
    faults: list[tuple[bytes, Exception]] = []
    count = 0
    for checked in transactions:
        count += 1
        try:
            name_rows(found, checked.transaction, rulebook)
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - costs reads, and no transaction
            faults.append((checked.transaction.txid, error))
    found.scans[expiry_scan(context.height, count)] = None
    rows = {table: list(keys) for table, keys in found.rows.items() if keys}
    return Footprint(rows, list(found.scans), faults)


def name_rows(found: Reads, transaction: Transaction, rulebook: Rulebook) -> None:
    """Name what one transaction may read."""
    body = transaction.body
    author = body.author
    found.author = author
    found.participants[author.encode()] = None
    live = found.rows[Table.TXID]
    live[live_key(body.valid_until, transaction.txid)] = None
    namings = rulebook.reads
    for operation in body.operations:
        naming = namings.get(type(operation))
        if naming is not None:
            naming(found, author, operation)
        elif isinstance(operation, ByKey):
            inner = inner_operation(operation)
            if inner is None or type(inner) not in rulebook.open_to_keys:
                continue
            identifier = live_id(operation.key, message_of(body, operation))
            live[live_key(body.valid_until, identifier)] = None
            found.of(operation.key.hex(), inner)
