"""Signed transactions for tests."""

from __future__ import annotations

import hashlib

from node.ledger.invoices.operations import BookInvoice
from node.ledger.signing import secret_key, sign
from node.ledger.transaction import (
    Transaction,
    TransactionBody,
    decode_transaction,
    encode_body,
    encode_wire,
    signed_bytes,
)

AUTHOR = "91350211M000100Y46"


def make_transaction(
    nonce: int,
    *,
    network: bytes = bytes(32),
    author: str = AUTHOR,
    seed: bytes = bytes(32),
    valid_until: int = 100,
    operations: int = 1,
) -> Transaction:
    """A small, validly signed transaction."""
    key = secret_key(seed)
    operation = BookInvoice(invoice=f"{nonce:020d}", reference="ref")
    body = encode_body(
        TransactionBody(network, author, key[32:], nonce, valid_until, (operation,) * operations)
    )
    return decode_transaction(encode_wire(body, sign(key, signed_bytes(body))))


def digest(text: str) -> bytes:
    """32 bytes that stand for `text`."""
    return hashlib.sha256(text.encode()).digest()
