"""Keeps the query index behind the ledger by less than two seconds. Owns that loop only.

The index may be deleted at any time: it is rebuilt from height 1. It also answers what became of
transactions that the tracker has forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from node.ledger.codes import Code, Table
from node.ledger.faults import FAULTS_KEPT_MAX
from node.storage.index import QueryIndex
from node.storage.index_rows import LedgerBlock, OpenedBlock
from node.storage.ledger import AppliedBlock
from node.storage.ledger_reader import LedgerReader
from node.storage.recent_blocks import RecentBlocks
from node.tracker import Outcome, Tracker

BLOCKS_PER_BATCH = 64
BATCH_S = 0.25
"""Under load blocks are indexed together: a commit for each costs a fifth more."""
BYTES_PER_BATCH = 2 * 1024 * 1024

_log = structlog.get_logger("node.indexing")


class Indexer:
    """Follows the ledger; implements `intake.History`."""

    def __init__(self, index: QueryIndex, reader: LedgerReader, tracker: Tracker) -> None:
        self._index = index
        self._reader = reader
        self._tracker = tracker
        self._recent = RecentBlocks()

    @property
    def height(self) -> int:
        """Up to which height every transaction is indexed."""
        return self._index.height

    async def outcome(self, txid: bytes) -> Outcome | None:
        """The outcome of an indexed transaction."""
        found = await self._index.transaction(txid)
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
            elif indexed < BLOCKS_PER_BATCH:
                await asyncio.sleep(BATCH_S)

    async def advance(self) -> int:
        """Index the next blocks that are there, in one batch; how many they were."""
        blocks = await self._blocks(self._index.height)
        if blocks:
            self._recent.forget(blocks[-1].height)  # room for those that are applied meanwhile
            batch = await self._index.prepare(blocks)
            for txid, error in batch.faults[:FAULTS_KEPT_MAX]:
                _log.error("transaction not indexed", transaction=txid.hex(), exc_info=error)
            await self._index.follow(batch, await self._rows(batch.missing))
        return len(blocks)

    async def _blocks(self, height: int) -> Sequence[LedgerBlock] | Sequence[OpenedBlock]:
        """The blocks after `height`: as they were applied, or as they are stored."""
        recent = self._recent.after(height, BLOCKS_PER_BATCH)
        return recent or await self._reader.blocks(height + 1, BLOCKS_PER_BATCH, BYTES_PER_BATCH)

    async def _rows(self, numbers: Sequence[str]) -> Mapping[str, bytes]:
        if not numbers:
            return {}
        rows = await self._reader.rows(Table.INVOICE, [number.encode() for number in numbers])
        return {key.decode(): row for key, row in rows.items()}
