"""The part of the query index that no domain owns: where a transaction stands in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.ledger.codes import Table
from node.storage.index_part import IndexReads, OpenedBlock, StoredRows
from node.storage.sql import Row, Sql, TableSpec, integer, octets

NAME = "transactions"
ERA_SHIFT = 14
"""Ids of 16,384 leaves are kept together. Ids are random: in one order of all of them each would
change a page of its own, those of one era share some 250 pages. A search looks into each era,
newest first."""

TRANSACTIONS = TableSpec(
    "transactions",
    (
        *(integer("era"), octets("txid"), integer("leaf_index")),
        *(integer("height"), integer("code")),
    ),
    key=("era", "txid"),
)


class IndexedTransaction(msgspec.Struct, frozen=True):
    """Where a transaction stands in the ledger."""

    height: int
    index: int
    code: int
    """`node.ledger.codes.Code`."""


class TransactionRows(msgspec.Struct, frozen=True):
    """Rows of consecutive blocks."""

    transactions: list[Row]
    """As the table has them, in the order of its key."""

    @property
    def missing(self) -> Mapping[Table, Sequence[bytes]]:
        """Leaves tell everything."""
        return {}

    @property
    def faults(self) -> Sequence[tuple[bytes, Exception]]:
        """Nothing can go wrong with one transaction alone."""
        return ()

    def write(self, sql: Sql, _: StoredRows) -> None:
        """See `node.storage.index_part.PartRows`."""
        sql.replace(TRANSACTIONS, self.transactions)


class TransactionsPart:
    """The part. Implements `node.storage.index_part.IndexPart`."""

    name = NAME
    version = 1
    tables = (TRANSACTIONS,)

    def rows(self, blocks: Sequence[OpenedBlock]) -> TransactionRows:
        """The rows of consecutive blocks."""
        found = [
            (leaf.index >> ERA_SHIFT, leaf.txid, leaf.index, block.height, leaf.code)
            for block in blocks
            for leaf in block.transactions
        ]
        # Rows that lie together are written together.
        return TransactionRows(sorted(found))


class TransactionQueries:
    """What can be asked of the part."""

    def __init__(self, index: IndexReads) -> None:
        self._index = index

    @property
    def height(self) -> int:
        """Up to which height every transaction is found."""
        return self._index.height_of(NAME)

    async def transaction(self, txid: bytes) -> IndexedTransaction | None:
        """Where a transaction stands; None when it is in no indexed block."""
        return await self._index.read(lambda sql: find_transaction(sql, txid))


def find_transaction(sql: Sql, txid: bytes) -> IndexedTransaction | None:
    """Where a transaction stands; None when it is in no indexed block."""
    answer = sql.first("SELECT max(era) FROM transactions")
    newest = None if answer is None else answer[0]
    for era in range(-1 if newest is None else newest, -1, -1):
        row = sql.first(
            "SELECT height, leaf_index, code FROM transactions WHERE era = ? AND txid = ?",
            (era, txid),
        )
        if row is not None:
            return IndexedTransaction(*row)
    return None
