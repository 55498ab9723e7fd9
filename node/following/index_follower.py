"""Keeps the query index behind the ledger by less than two seconds. Owns that loop only.

The index may be deleted at any time: it is rebuilt from height 1. It also answers what became of
transactions that the tracker has forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from node.following.tracker import Outcome, Tracker
from node.ledger.codes import Code
from node.ledger.faults import FAULTS_KEPT_MAX
from node.storage.index import QueryIndex
from node.storage.index_heads import IndexBatch
from node.storage.index_part import LedgerBlock, OpenedBlock, StoredRows
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock
from node.storage.recent_blocks import RecentBlocks
from node.storage.transactions_part import TransactionQueries

BLOCKS_PER_BATCH = 64
BATCH_S = 0.25
"""Under load blocks are indexed together: a commit for each costs a fifth more."""
BYTES_PER_BATCH = 2 * 1024 * 1024

_log = structlog.get_logger("node.following.index_follower")


class IndexFollower:
    """Follows the ledger; implements `intake.History`."""

    def __init__(self, index: QueryIndex, reader: LedgerReader, tracker: Tracker) -> None:
        self._index = index
        self._transactions = TransactionQueries(index)
        self._reader = reader
        self._tracker = tracker
        self._recent = RecentBlocks()

    @property
    def height(self) -> int:
        """Up to which height every transaction is indexed."""
        return self._transactions.height

    async def outcome(self, txid: bytes) -> Outcome | None:
        """The outcome of an indexed transaction."""
        found = await self._transactions.transaction(txid)
        if found is None:
            return None
        return Outcome(found.height, found.index, Code(found.code), None)

    def applied(self, block: AppliedBlock) -> None:
        """A block is stored: it need not be read."""
        self._recent.add(block)

    async def run(self) -> None:
        """Index new blocks as they are applied; runs until cancelled."""
        while True:
            indexed = await self.advance()
            if not indexed:
                await self._tracker.wait_heights(self._index.height, 2**62, 5.0)
            elif self._tracker.height - self._index.height < BLOCKS_PER_BATCH:
                await asyncio.sleep(BATCH_S)  # near the ledger: more blocks come meanwhile

    async def advance(self) -> int:
        """Index the next blocks that are there, in one batch; how many they were.

        While parts are rebuilt, those that stand at one height get a batch, from the highest on:
        so those that are complete do not wait for the others.
        """
        indexed = 0
        above = 2**62
        for height in self._index.heights:
            # Up to where the next ones stand: from there on they follow together.
            blocks = await self._blocks(height, min(BLOCKS_PER_BATCH, above - height))
            if blocks:
                self._recent.forget(blocks[-1].height)  # room for what is applied meanwhile
                batch = await self._index.prepare(blocks)
                self._tell_faults(batch)
                await self._index.follow(batch, await self._rows(batch))
            indexed = max(indexed, len(blocks))
            above = height + len(blocks)
        return indexed

    async def _blocks(
        self, height: int, limit: int
    ) -> Sequence[LedgerBlock] | Sequence[OpenedBlock]:
        """The blocks after `height`: as they were applied, or as they are stored."""
        recent = self._recent.after(height, limit)
        return recent or await self._reader.blocks(height + 1, limit, BYTES_PER_BATCH)

    async def _rows(self, batch: IndexBatch) -> StoredRows:
        return {
            table: await self._reader.rows(table, keys) for table, keys in batch.missing.items()
        }

    def _tell_faults(self, batch: IndexBatch) -> None:
        for part, txid, error in batch.faults[:FAULTS_KEPT_MAX]:
            _log.error("transaction not indexed", part=part, transaction=txid.hex(), exc_info=error)
