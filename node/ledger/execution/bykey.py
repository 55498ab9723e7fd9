"""Operations of a bare key inside a participant's transaction. Owns what such a key signs.

The signature covers the carrying transaction's network, author, nonce and valid-until. A nonce is
not unique by itself, so the ledger also keeps `live_id` of each applied one until it expires:
an author can neither repeat a bare key's operation nor lift it into another transaction.
"""

from __future__ import annotations

import hashlib

import msgspec

from node.ledger.operations import ByKey, DirectOperation
from node.ledger.text import plain_reason
from node.ledger.transaction import MalformedTransactionError, TransactionBody

BY_KEY_TAG = b"piaolian/by-key/v1\n"
_LIVE_TAG = b"piaolian/by-key-live/v1\n"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DirectOperation)


def by_key_message(
    network: bytes, author: str, nonce: int, valid_until: int, operation: bytes
) -> bytes:
    """What the bare key signs; `operation` is the canonical encoding of one operation."""
    return b"".join(
        (
            BY_KEY_TAG,
            network,
            author.encode(),
            nonce.to_bytes(8, "big"),
            valid_until.to_bytes(8, "big"),
            operation,
        )
    )


def message_of(body: TransactionBody, operation: ByKey) -> bytes:
    """What `operation.key` must have signed for `operation` to count in `body`."""
    return by_key_message(
        body.network, body.author, body.nonce, body.valid_until, operation.operation
    )


def live_id(key: bytes, message: bytes) -> bytes:
    """Identity of an applied bare-key operation in the table of live transactions: 32 bytes."""
    return hashlib.sha256(_LIVE_TAG + key + message).digest()


def encode_operation(operation: DirectOperation) -> bytes:
    """Canonical bytes of one operation."""
    return _encoder.encode(operation)


def decode_operation(data: bytes) -> DirectOperation:
    """Inverse of `encode_operation`.

    Raises:
        MalformedTransactionError: when the bytes are not the canonical encoding of an operation.
    """
    try:
        operation: DirectOperation = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MalformedTransactionError(f"not an operation: {plain_reason(error)}") from error
    if _encoder.encode(operation) != data:
        raise MalformedTransactionError("operation encoding is not canonical")
    return operation


def inner_operation(wrapped: ByKey) -> DirectOperation | None:
    """The operation of a bare key, or None when its bytes are not canonical."""
    try:
        return decode_operation(wrapped.operation)
    except MalformedTransactionError:
        return None
