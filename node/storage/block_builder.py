"""What a block comes to: its leaves, its seal, the rows it changes. Owns that; stores nothing.

The ledger makes blocks to store them, an audit to compare them with what is stored: what a block is
must be said once. Where the rows of the state come from is their business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from node.chain.leaf import Origin, SealLeaf, TransactionLeaf, encode_leaf
from node.ledger.codes import Code, Table
from node.ledger.digest import StateDigest
from node.ledger.execution.execute import (
    BlockContext,
    CheckedTransaction,
    Result,
    RowChange,
    RuleFault,
    StateView,
    execute_block,
)
from node.ledger.genesis import Genesis
from node.ledger.rulebook import Rulebook, rulebook_of
from node.ledger.transaction import TransactionBody
from node.storage.ledger_rows import Head

Read = Callable[[Sequence[CheckedTransaction], BlockContext, Rulebook], StateView]


class AppliedTransaction(msgspec.Struct, frozen=True, gc=False):
    """One leaf of a block."""

    txid: bytes
    wire: bytes
    code: Code
    operation: int | None
    index: int
    body: TransactionBody


class BuiltBlock(msgspec.Struct):
    """What a block comes to."""

    context: BlockContext
    first_index: int
    digest: StateDigest
    """Of the state after it."""
    changes: Sequence[RowChange]
    rows: Mapping[Table, Mapping[bytes, object]]
    """Of the tables that others follow, those that it wrote, decoded."""
    faults: Sequence[RuleFault] = ()
    """Transactions over which the rules failed."""
    leaves: list[bytes] = []
    """Leaf bytes in tree order; the seal is the last."""
    transactions: list[AppliedTransaction] = []
    skipped: list[tuple[bytes, Code]] = []
    """Txids that left no leaf, and why."""
    blobs: list[tuple[bytes, bytes]] = []
    """Hashes and bodies of the sealed blobs of applied transactions."""

    def add(self, checked: Sequence[CheckedTransaction], results: Sequence[Result]) -> None:
        """Turn results into leaves."""
        for item, result in zip(checked, results, strict=True):
            transaction = item.transaction
            if not result.leaf:
                self.skipped.append((transaction.txid, result.code))
                continue
            index = self.first_index + len(self.leaves)
            self.transactions.append(
                AppliedTransaction(
                    txid=transaction.txid,
                    wire=transaction.wire,
                    code=result.code,
                    operation=result.operation,
                    index=index,
                    body=transaction.body,
                )
            )
            body, signature = transaction.body_bytes, transaction.signature
            leaf = TransactionLeaf(result.code, self.context.height, body, signature)
            self.leaves.append(encode_leaf(leaf))
            if result.code is Code.OK:
                self.blobs.extend(result.blobs)


class BlockBuilder:
    """Makes the blocks of one network."""

    def __init__(self, genesis: Genesis, voters_hash: bytes) -> None:
        self._genesis = genesis
        self._network_id = genesis.network_id
        self._voters_hash = voters_hash
        self._rulebook = rulebook_of(genesis.domains)

    def build(
        self,
        read: Read,
        head: Head,
        time_ms: int,
        checked: Sequence[CheckedTransaction],
        origin: Origin,
    ) -> BuiltBlock:
        """Run the rules on a state; changes nothing.

        Args:
            read: Gives the rows, as they are after `head`, that transactions may read.
            head: The block before.
            time_ms: Block time.
            checked: The transactions in the order of the entry.
            origin: The entry.
        """
        context = BlockContext(
            network_id=self._network_id,
            height=head.height + 1,
            time_ms=time_ms,
            terms=self._genesis.terms,
            home_currency=self._genesis.home_currency,
            utc_offset_minutes=self._genesis.utc_offset_minutes,
        )
        rulebook = self._rulebook
        outcome = execute_block(read(checked, context, rulebook), context, checked, rulebook)
        digest = StateDigest(head.accumulator, head.rows).apply(outcome.changes)
        made = BuiltBlock(
            context=context,
            first_index=head.tree_size,
            digest=digest,
            changes=outcome.changes,
            rows=outcome.rows,
            faults=outcome.faults,
        )
        made.add(checked, outcome.results)
        seal = SealLeaf(
            height=context.height,
            time_ms=context.time_ms,
            term=origin.term,
            proposer=origin.proposer,
            first_index=made.first_index,
            count=len(made.leaves),
            state_digest=digest.value(),
            voters_hash=self._voters_hash,
            rules_version=self._genesis.rules_version,
            entry_index=origin.index,
            entry_hash=origin.hash,
        )
        made.leaves.append(encode_leaf(seal))
        return made
