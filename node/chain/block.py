"""The payload of a Raft entry: what a leader proposes. Owns its encoding and limits.

    payload     canonical MessagePack array [expected term, time, [wire, …]]

Knows neither consensus nor the content of a transaction: each `wire` is decoded by the ledger.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.transaction import shortest_bytes
from node.ledger.types import TimeMs

BLOCK_BYTES_MAX = 4 * 1_048_576
"""The largest payload that consensus takes."""
BLOCK_TRANSACTIONS_MAX = 16_384
"""More than 4 MiB of ordinary transactions; bounds what a decoder allocates for tiny ones."""


class MalformedBlockError(ValueError):
    """The bytes are not the canonical encoding of a block within its limits."""


class Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A proposed block."""

    expected_term: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """The term in which the leader made it; in an entry of another term it is void."""
    time_ms: TimeMs
    """The leader's clock. Block time is the later of this and the previous block's time."""
    transactions: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BLOCK_TRANSACTIONS_MAX)]
    """Transactions as they travel, sealed blobs included, in the order of application."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Block)


def encode_block(block: Block) -> bytes:
    """The payload of `block`.

    Raises:
        MalformedBlockError: when it has too many transactions or bytes.
    """
    payload = _encoder.encode(block)
    if len(payload) > BLOCK_BYTES_MAX or len(block.transactions) > BLOCK_TRANSACTIONS_MAX:
        raise MalformedBlockError("block is too large")
    return payload


def decode_block(payload: bytes) -> Block:
    """The block of a payload.

    Raises:
        MalformedBlockError: with a reason; never another error, whatever the bytes.
    """
    if len(payload) > BLOCK_BYTES_MAX:
        raise MalformedBlockError("block is too large")
    try:
        block = _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise MalformedBlockError(f"not a block: {error}") from error
    head = _head(block)
    if not payload.startswith(head) or len(payload) != len(head) + shortest_bytes(
        block.transactions
    ):
        raise MalformedBlockError("block encoding is not canonical")
    return block


def _head(block: Block) -> bytes:
    """What stands before the array of transactions."""
    return b"\x93" + _encoder.encode(block.expected_term) + _encoder.encode(block.time_ms)
