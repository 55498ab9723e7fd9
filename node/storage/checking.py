"""Signatures of a block's transactions, verified before the rules run. Owns that each is, once.

Of an entry, a transaction that this process verified before is not verified again; of a block that
peers hold certified, transactions are made again from its leaves.
"""

from __future__ import annotations

from collections.abc import Callable

from node.chain.block import Block
from node.chain.leaf_range import CertifiedBlock
from node.ledger.codes import Code
from node.ledger.execution.execute import CheckedTransaction, named_blobs
from node.ledger.signing import verify
from node.ledger.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_transaction,
    encode_wire,
)
from node.storage.ledger_values import NotReproducedError


def check_block(
    block: Block, verified: Callable[[bytes], Transaction | None]
) -> list[CheckedTransaction]:
    """The transactions of an entry that can be decoded, each with whether its signature is valid.

    Args:
        block: What the entry holds.
        verified: The transaction of exactly these wire bytes, if it was verified before.
    """
    checked: list[CheckedTransaction] = []
    for wire in block.transactions:
        transaction = verified(wire)
        if transaction is not None:
            checked.append(CheckedTransaction(transaction, True))
            continue
        try:
            transaction = decode_transaction(wire)
        except MalformedTransactionError:
            continue
        valid = verify(transaction.body.key, transaction.signed_bytes, transaction.signature)
        checked.append(CheckedTransaction(transaction, valid))
    return checked


def check_leaves(block: CertifiedBlock) -> list[CheckedTransaction]:
    """The transactions of certified leaves, with what is held of their blobs."""
    checked = []
    for leaf in block.transactions:
        try:
            transaction = decode_transaction(encode_wire(leaf.body, leaf.signature))
            blobs = [block.blobs.get(name) for name in named_blobs(transaction.body)]
            held = tuple(blob for blob in blobs if blob is not None)
            if held and leaf.code == Code.OK:
                transaction = decode_transaction(encode_wire(leaf.body, leaf.signature, held))
        except MalformedTransactionError as error:
            raise NotReproducedError(f"height {leaf.height}: {error}") from error
        valid = verify(transaction.body.key, transaction.signed_bytes, transaction.signature)
        checked.append(CheckedTransaction(transaction, valid, certified=True))
    return checked
