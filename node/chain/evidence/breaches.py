"""Statements that no honest voter signs, whatever else it signed: what is wrong with one alone.

Owns the rules, which need nothing but the statement. Signatures are the caller's (`evidence`), and
so is what lies between two statements. A rule stands here only if every honest node has always
kept it, so that nobody honest can be shown to have broken it.
"""

from __future__ import annotations

import hashlib

from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import EntryHeader
from node.chain.merkle import HASH_BYTES
from node.ledger.signing import verify
from node.ledger.transaction import MalformedTransactionError, decode_transaction

NUMBER_MAX = 2**62
"""Of terms and indexes, in consensus."""
NOOP, DATA, MEMBERSHIP = range(3)
"""Kinds of entries, in consensus."""
_NO_HASH = bytes(HASH_BYTES)
_NO_PAYLOAD = hashlib.sha256(b"").digest()


def header_breach(header: EntryHeader) -> str | None:
    """What is wrong with the header of an entry, as a sentence's end; None: it may be honest."""
    if not 1 <= header.term <= NUMBER_MAX or not 1 <= header.index <= NUMBER_MAX:
        return "at a place that no log has"
    if header.kind == MEMBERSHIP:
        return "that names voters, whom the genesis names"
    if header.kind not in {NOOP, DATA}:
        return f"of kind {header.kind}, which does not exist"
    if header.kind == NOOP and header.payload_hash != _NO_PAYLOAD:
        return "that opens a term and has a payload"
    if (header.index == 1) != (header.prev_hash == _NO_HASH):
        return "that does not follow any entry before it"
    return None


def payload_breach(header: EntryHeader, payload: bytes, at: int, network_id: bytes) -> str | None:
    """As `header_breach`, of a payload whose hash is the header's.

    Args:
        header: Of the entry.
        payload: All of it.
        at: The transaction in question; for a fault of the whole, 0.
        network_id: Of this network.
    """
    if header.kind != DATA:
        return None
    try:
        block = decode_block(payload)
    except MalformedBlockError:
        return None if at else "that is no block"
    if block.expected_term != header.term:
        return None if at else "whose block is of another term"
    if at >= len(block.transactions):
        return None
    return _transaction_breach(block.transactions[at], network_id)


def first_payload_breach(header: EntryHeader, payload: bytes, network_id: bytes) -> int | None:
    """The first place at which `payload_breach` finds something; None: nowhere.

    Ends with the first, and decodes the whole once: a payload holds thousands of transactions.
    """
    if header.kind != DATA:
        return None
    try:
        block = decode_block(payload)
    except MalformedBlockError:
        return 0
    if block.expected_term != header.term:
        return 0
    for at, wire in enumerate(block.transactions):
        if _transaction_breach(wire, network_id) is not None:
            return at
    return None


def _transaction_breach(wire: bytes, network_id: bytes) -> str | None:
    """No leader proposes a transaction whose signature it has not verified."""
    try:
        transaction = decode_transaction(wire)
    except MalformedTransactionError:
        return "with a transaction that is none"
    if transaction.body.network != network_id:
        return "with a transaction of another network"
    if not verify(transaction.body.key, transaction.signed_bytes, transaction.signature):
        return "with a badly signed transaction"
    return None


def size_breach(size: int) -> str | None:
    """What is wrong with a cosigned tree of this size."""
    return "that has no leaf" if size == 0 else None
