"""The transaction: its canonical bytes, identity and limits. Owns no rule and checks no signature.

    body        canonical MessagePack array of `TransactionBody`
    signed      TRANSACTION_TAG ‖ body          (Ed25519, by `key`)
    txid        SHA-256(TXID_TAG ‖ body)        (without the signature)
    wire        MessagePack array [body, signature, [blob, …]]

Each value has exactly one accepted encoding: decoding encodes the body again and compares, and
accepts the envelope only in its shortest form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated

import msgspec

from node.ledger.operations import Operation
from node.ledger.text import plain_reason
from node.ledger.types import Code18, Hash, PublicKey, Signature

TRANSACTION_TAG = b"piaolian/transaction/v1\n"
TXID_TAG = b"piaolian/txid/v1\n"

TRANSACTION_BYTES_MAX = 60_000
"""Body and signature; a leaf must fit a C2SP tile entry of 65,535 bytes."""
BLOBS_BYTES_MAX = 1_048_576
BLOBS_MAX = 1_000
OPERATIONS_MAX = 1_000
VALIDITY_WINDOW_MAX = 100_000
"""A transaction may be valid for at most this many heights."""


class MalformedTransactionError(ValueError):
    """The bytes are not the canonical encoding of a transaction within its limits."""


class TransactionBody(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """What the author signs."""

    network: Hash
    author: Code18
    key: PublicKey
    nonce: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    valid_until: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Last height at which the transaction may be applied."""
    operations: Annotated[
        tuple[Operation, ...], msgspec.Meta(min_length=1, max_length=OPERATIONS_MAX)
    ]


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A transaction as it travels."""

    body: bytes
    signature: Signature
    blobs: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BLOBS_MAX)] = ()


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A decoded, canonical transaction whose signature has not necessarily been verified."""

    body: TransactionBody
    body_bytes: bytes
    signature: bytes
    blobs: tuple[bytes, ...]
    txid: bytes
    wire: bytes
    """The exact bytes that `decode_transaction` read; empty if it was read from a leaf."""
    blob_hashes: tuple[bytes, ...] = ()
    """SHA-256 of each blob: made once, since admission and applying both need them."""

    @property
    def signed_bytes(self) -> bytes:
        """What `signature` covers."""
        return TRANSACTION_TAG + self.body_bytes


_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(TransactionBody)
_wire_decoder = msgspec.msgpack.Decoder(Wire)
_THREE_FIELDS = b"\x93"
"""Else the decoder would supply the blobs, or the array's header could be longer than it need."""


def encode_body(body: TransactionBody) -> bytes:
    """Canonical bytes of `body`."""
    return _encoder.encode(body)


def encode_wire(body_bytes: bytes, signature: bytes, blobs: tuple[bytes, ...] = ()) -> bytes:
    """The bytes of a signed transaction as they travel."""
    return _encoder.encode(Wire(body_bytes, signature, blobs))


def signed_bytes(body_bytes: bytes) -> bytes:
    """What the author's signature covers."""
    return TRANSACTION_TAG + body_bytes


def transaction_id(body_bytes: bytes) -> bytes:
    """The txid of a body: 32 bytes."""
    return hashlib.sha256(TXID_TAG + body_bytes).digest()


def decode_body(data: bytes) -> TransactionBody:
    """The body of a stored leaf's bytes, which were canonical when it was applied.

    Raises:
        MalformedTransactionError: they are no body.
    """
    try:
        return _body_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MalformedTransactionError(f"not a transaction: {plain_reason(error)}") from error


def open_wire(wire: bytes) -> tuple[Wire, bytes]:
    """The parts of a wire and the txid that it claims; the body is not looked at.

    Raises:
        MalformedTransactionError: with a reason safe to show to the sender.
    """
    if len(wire) > TRANSACTION_BYTES_MAX + BLOBS_BYTES_MAX + 8_192:
        raise MalformedTransactionError("transaction is too large")
    try:
        envelope = _wire_decoder.decode(wire)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MalformedTransactionError(f"not a transaction: {plain_reason(error)}") from error
    return envelope, transaction_id(envelope.body)


def decode_transaction(wire: bytes) -> Transaction:
    """Decode and check form: sizes, types, canonical encoding, blob hashes' number.

    Raises:
        MalformedTransactionError: with a reason safe to show to the sender.
    """
    return decode_opened(wire, *open_wire(wire))


def decode_opened(wire: bytes, envelope: Wire, txid: bytes) -> Transaction:
    """The second half of `decode_transaction`, for who has looked at the txid in between.

    Raises:
        MalformedTransactionError: with a reason safe to show to the sender.
    """
    try:
        body = _canonical_body(envelope.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MalformedTransactionError(f"not a transaction: {plain_reason(error)}") from error
    if wire[:1] != _THREE_FIELDS or len(wire) != _wire_bytes(envelope):
        raise MalformedTransactionError("encoding is not canonical")
    if sum(map(len, envelope.blobs)) > BLOBS_BYTES_MAX:
        raise MalformedTransactionError("sealed blobs are too large")
    return Transaction(
        body=body,
        body_bytes=envelope.body,
        signature=envelope.signature,
        blobs=envelope.blobs,
        txid=txid,
        wire=wire,
        blob_hashes=tuple([hashlib.sha256(blob).digest() for blob in envelope.blobs]),
    )


def decode_leaf_transaction(body_bytes: bytes, signature: bytes) -> Transaction:
    """The transaction of a leaf, which holds no blobs: as `decode_transaction` of the same bytes.

    Raises:
        MalformedTransactionError: with a reason.
    """
    try:
        body = _canonical_body(body_bytes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MalformedTransactionError(f"not a transaction: {plain_reason(error)}") from error
    return Transaction(body, body_bytes, signature, (), transaction_id(body_bytes), b"")


def shortest_bytes(strings: Collection[bytes]) -> int:
    """Size of the shortest MessagePack array of byte strings.

    Whatever else decodes to the same strings is longer. So a comparison of sizes tells as much as
    one with what `strings` encode to, and copies nothing.
    """
    sizes = list(map(len, strings))
    array_header = 1 if len(sizes) < 2**4 else 3 if len(sizes) < 2**16 else 5
    headers = [2 if size < 2**8 else 3 if size < 2**16 else 5 for size in sizes]
    return array_header + sum(headers) + sum(sizes)


def _wire_bytes(envelope: Wire) -> int:
    return shortest_bytes((envelope.body, envelope.signature)) + shortest_bytes(envelope.blobs)


def _canonical_body(body_bytes: bytes) -> TransactionBody:
    if len(body_bytes) + 64 > TRANSACTION_BYTES_MAX:
        raise MalformedTransactionError("transaction body is too large")
    body = _body_decoder.decode(body_bytes)
    if _encoder.encode(body) != body_bytes:
        raise MalformedTransactionError("encoding is not canonical")
    return body
