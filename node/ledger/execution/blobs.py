"""Which sealed blobs travel beside a transaction. Owns that; knows no rule and no content."""

from __future__ import annotations

from node.ledger.codes import Code
from node.ledger.execution.bykey import inner_operation
from node.ledger.operations import ByKey
from node.ledger.rulebook import RULEBOOK
from node.ledger.transaction import Transaction, TransactionBody


def travelling_blobs(
    transaction: Transaction, *, some: bool = False
) -> tuple[tuple[tuple[bytes, bytes], ...], Code]:
    """The sealed blobs with their hashes, and BLOB_MISMATCH unless the operations name them so.

    With `some`, blobs may be missing, but none may be unnamed or out of order.
    """
    named = named_blobs(transaction.body)
    if not named and not transaction.blobs:
        return (), Code.OK
    found = list(transaction.blob_hashes)
    if some:
        left = iter(named)
        matches = all(blob_hash in left for blob_hash in found)
    else:
        matches = found == named
    if not matches:
        return (), Code.BLOB_MISMATCH
    return tuple(zip(found, transaction.blobs, strict=True)), Code.OK


def named_blobs(body: TransactionBody) -> list[bytes]:
    """Hashes of the sealed blobs that travel beside a transaction, in the order of first mention.

    Operations share a blob: all details of a transaction are in one.
    """
    named: dict[bytes, None] = {}
    carriers = RULEBOOK.blobs
    for operation in body.operations:
        inner: object = operation
        if type(operation) is ByKey:
            inner = inner_operation(operation)
        hashes = carriers.get(type(inner))
        if hashes is not None:
            for blob_hash in hashes(inner):
                named[blob_hash] = None
    return list(named)
