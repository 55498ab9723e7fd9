"""What a part of the query index is, and the blocks that it is made from.

A part is what one domain wants to find again: its tables, the rows that blocks make, how they are
written. The index owns the file, how far each part came, and the pace; a part owns its content. It
reads no table of another part, so each can be rebuilt while the others answer.
Blocks come from this node's own ledger, so a malformed leaf is a fault of the node, not input.
Knows no domain and no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol, TypeVar

import msgspec

from node.chain.leaf import Leaf, TransactionLeaf
from node.ledger.codes import Table
from node.ledger.transaction import TransactionBody, transaction_id
from node.storage.sql import Sql, TableSpec

T = TypeVar("T")

SEQUENCE_SHIFT = 10
"""An operation's place in the order of all of them: leaf index << 10 | operation (< 1,000)."""

StoredRows = Mapping[Table, Mapping[bytes, bytes]]
"""Rows of the state as they are stored, by table and key."""
_leaf_decoder = msgspec.msgpack.Decoder(Leaf)
_body_decoder = msgspec.msgpack.Decoder(TransactionBody)


# --- Blocks ----------------------------------------------------------------------------------


class LedgerBlock(Protocol):
    """A stored block, as node.storage.ledger_reader reads it."""

    @property
    def height(self) -> int:
        """From 1."""
        ...

    @property
    def first_index(self) -> int:
        """Tree position of the first leaf."""
        ...

    @property
    def leaves(self) -> Sequence[bytes]:
        """Leaf bytes in tree order; the seal is the last."""
        ...


class OpenedTransaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction leaf."""

    index: int
    """Its place in the tree."""
    txid: bytes
    code: int
    """`node.ledger.codes.Code`."""
    body: TransactionBody | None
    """None of one that was refused: it changed nothing."""


class OpenedBlock(msgspec.Struct, frozen=True):
    """A block whose leaves are decoded: what the index is made from."""

    height: int
    first_index: int
    time_ms: int
    transactions: Sequence[OpenedTransaction]
    rows: Mapping[Table, Mapping[bytes, object]] = {}
    """Decoded rows of the state that the block wrote, as it left them, by table and key. One that
    was read from the ledger has none."""


def open_block(block: LedgerBlock) -> OpenedBlock:
    """Decode the leaves of a stored block.

    Raises:
        msgspec.MsgspecError: a stored leaf is damaged.
    """
    seal = _leaf_decoder.decode(block.leaves[-1])
    assert not isinstance(seal, TransactionLeaf), "a block ends with its seal"
    transactions = []
    for index, data in enumerate(block.leaves[:-1], block.first_index):
        leaf = _leaf_decoder.decode(data)
        assert isinstance(leaf, TransactionLeaf), "only the last leaf is a seal"
        body = _body_decoder.decode(leaf.body) if leaf.code == 0 else None
        transactions.append(OpenedTransaction(index, transaction_id(leaf.body), leaf.code, body))
    return OpenedBlock(block.height, block.first_index, seal.time_ms, transactions)


@lru_cache(maxsize=65_536)
def party_key(party: str) -> int:
    """A party reference as a signed 64-bit integer (of SHA-256): a small index key."""
    return int.from_bytes(hashlib.sha256(party.encode()).digest()[:8], "big", signed=True)


# --- Parts -----------------------------------------------------------------------------------


class PartRows(Protocol):
    """What consecutive blocks add to a part, ready to write."""

    @property
    def missing(self) -> Mapping[Table, Sequence[bytes]]:
        """Keys of state rows to be fetched for `write`, if there are any, by table."""
        ...

    @property
    def faults(self) -> Sequence[tuple[bytes, Exception]]:
        """Transactions of which something could not be made: they stand in the part without."""
        ...

    def write(self, sql: Sql, rows: StoredRows) -> None:
        """Write them, within a transaction of the caller's.

        Args:
            sql: Where the part's tables are.
            rows: Those that `missing` names, of this or any later height; those that do not exist
                are left out. It may hold others.
        """
        ...


class IndexPart(Protocol):
    """A part of the query index. Its tables follow from the ledger alone."""

    @property
    def name(self) -> str:
        """Tells it from others; stored."""
        ...

    @property
    def version(self) -> int:
        """Of its tables and of what stands in them: a part of another version is rebuilt."""
        ...

    @property
    def tables(self) -> Sequence[TableSpec]:
        """No other part has a table or an index of these names."""
        ...

    def rows(self, blocks: Sequence[OpenedBlock]) -> PartRows:
        """What consecutive blocks add, lowest first; at least one."""
        ...


class IndexReads(Protocol):
    """The index as the queries of a part see it."""

    def height_of(self, part: str) -> int:
        """The last block that a part holds; 0 before the first."""
        ...

    def read(self, query: Callable[[Sql], T]) -> Awaitable[T]:
        """The result of `query`, each statement of which sees a committed state."""
        ...
