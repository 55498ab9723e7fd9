"""Which sealed blobs travel beside a transaction. Owns that; knows no rule and no content."""

from __future__ import annotations

from node.ledger.bykey import inner_operation
from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.ledger.invoices.operations import ActForRetired
from node.ledger.operations import ByKey
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


_CARRIERS = frozenset({ops.IssueInvoice, ops.IssueRedLetter, ops.RequestRedLetter})
"""Operations whose sealed blobs travel beside the transaction."""


def named_blobs(body: TransactionBody) -> list[bytes]:
    """Hashes of the sealed blobs that travel beside a transaction, in the order of first mention.

    Operations share a blob: all details of a transaction are in one.
    """
    named: dict[bytes, None] = {}
    for operation in body.operations:
        inner: object = operation
        kind = type(operation)
        if kind is ActForRetired:
            inner = operation.operation  # type: ignore[union-attr]
        elif kind is ByKey:
            inner = inner_operation(operation)  # type: ignore[arg-type]
        if type(inner) in _CARRIERS:
            for blob_hash in inner.blobs:  # type: ignore[attr-defined]
                named[blob_hash] = None
    return list(named)
