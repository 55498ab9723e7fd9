"""How rows are encoded, and the two kinds of rows that the machine itself keeps. Owns no rule.

A row is the canonical MessagePack array of one Struct (a live transaction is the one exception: its
height in 8 bytes). Fields are only ever appended, with a default, so that a row written before a
facet existed still reads; a row keeps its bytes, and so its place in the digest, until an operation
changes it.

Rows are mutable: rules work on a copy that belongs to one transaction (see `state`). What a row
holds in a tuple is frozen and replaced as a whole, so a shallow copy of a row is a full one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from node.ledger.codes import Table

Row = TypeVar("Row")

RULES_KEY = b"rules"
"""Key in `Table.META` of the active rules version."""


class RulesRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.META`, key `RULES_KEY`."""

    version: int


def live_key(valid_until: int, identifier: bytes) -> bytes:
    """Key in `Table.TXID` of a live transaction or bare-key operation: 40 bytes."""
    return valid_until.to_bytes(8, "big") + identifier


encode_row = msgspec.msgpack.Encoder().encode
"""Canonical bytes of a row."""


@dataclass(frozen=True, eq=False, slots=True)
class TableKind(Generic[Row]):
    """One kind of rows: where they stand, and how they are read and written. By identity."""

    table: Table
    decode: Callable[[bytes], Row]
    encode: Callable[[Any], bytes] = encode_row
    once: bool = False
    """Its rows are written once and stay."""
    followed: bool = False
    """Who follows the ledger takes these rows as a block left them, decoded."""


def encode_height(height: int) -> bytes:
    """Value in `Table.TXID`: the height at which a transaction was applied."""
    return height.to_bytes(8, "big")


def decode_height(value: bytes) -> int:
    """Inverse of `encode_height`."""
    return int.from_bytes(value, "big")


decode_rules = msgspec.msgpack.Decoder(RulesRow).decode

RULES = TableKind(Table.META, decode_rules)
LIVE = TableKind(Table.TXID, decode_height, encode_height)
"""Transactions, and operations of bare keys, that were applied and could come again."""
