"""How the ledger's values look as JSON: operations, blocks, registers. Owns names and text forms.

Times are RFC 3339 UTC, hashes and keys lower-case hex, amounts integers of minor units.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.api.requests import time_text
from node.chain.leaf import MalformedLeafError, SealLeaf, TransactionLeaf, decode_leaf
from node.ledger.transaction import transaction_id
from node.services.operation_views import OperationView, code_name, operation_views


class TransactionSummary(msgspec.Struct, frozen=True):
    """A transaction in its block."""

    id: str
    index: int
    code: str
    author: str
    operations: list[OperationView]


class BlockSummary(msgspec.Struct, frozen=True):
    """The seal of a block."""

    height: int
    time: str
    term: int
    proposer: int
    """Number of the voter that proposed it."""
    first_index: int
    count: int
    """Transactions in it."""
    state_digest: str
    voters_hash: str
    rules_version: int
    final: bool


class BlockView(BlockSummary, frozen=True):
    """A whole block."""

    certificate: str | None
    """The cosigned checkpoint of this height (a signed note), if there is one for it."""
    transactions: list[TransactionSummary]


def seal_of(leaves: Sequence[bytes]) -> SealLeaf:
    """The seal that ends a block.

    Raises:
        MalformedLeafError: the last leaf is no seal.
    """
    seal = decode_leaf(leaves[-1])
    if not isinstance(seal, SealLeaf):
        raise MalformedLeafError("the last leaf is no seal")
    return seal


def block_summary(seal: SealLeaf, final_height: int) -> BlockSummary:
    """The seal as JSON."""
    return BlockSummary(
        height=seal.height,
        time=time_text(seal.time_ms),
        term=seal.term,
        proposer=seal.proposer,
        first_index=seal.first_index,
        count=seal.count,
        state_digest=seal.state_digest.hex(),
        voters_hash=seal.voters_hash.hex(),
        rules_version=seal.rules_version,
        final=seal.height <= final_height,
    )


def transaction_summaries(leaves: Sequence[bytes], first_index: int) -> list[TransactionSummary]:
    """Transaction leaves, of which the first stands at `first_index`."""
    summaries = []
    for position, data in enumerate(leaves):
        leaf = decode_leaf(data)
        assert isinstance(leaf, TransactionLeaf)
        author, views = operation_views(leaf.body)
        summaries.append(
            TransactionSummary(
                id=transaction_id(leaf.body).hex(),
                index=first_index + position,
                code=code_name(leaf.code),
                author=author,
                operations=views,
            )
        )
    return summaries
