"""Keeps the query index behind the ledger by less than two seconds. Owns that loop only.

The index may be deleted at any time: it is rebuilt from height 1. It also answers what became of
transactions that the tracker has forgotten.
"""

from __future__ import annotations

import asyncio

from node.ledger.codes import Code
from node.ledger.types import Table
from node.storage.index import QueryIndex
from node.storage.ledger_reader import LedgerReader
from node.tracker import Outcome, Tracker

BLOCKS_PER_BATCH = 64
BATCH_S = 0.25
"""Under load blocks are indexed together: a commit for each costs a fifth more."""
BYTES_PER_BATCH = 2 * 1024 * 1024


class Indexer:
    """Follows the ledger; implements `intake.History`."""

    def __init__(self, index: QueryIndex, reader: LedgerReader, tracker: Tracker) -> None:
        self._index = index
        self._reader = reader
        self._tracker = tracker

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

    async def run(self) -> None:
        """Index new blocks as they are applied; runs until cancelled."""
        while True:
            blocks = await self._reader.blocks(
                self._index.height + 1, BLOCKS_PER_BATCH, BYTES_PER_BATCH
            )
            if not blocks:
                await self._tracker.wait_heights(self._index.height, 2**62, 5.0)
                continue
            batch = await self._index.prepare(blocks)
            keys = {number.encode(): number for number in batch.touched}
            rows = await self._reader.rows(Table.INVOICE, list(keys))
            await self._index.follow(batch, {keys[key]: row for key, row in rows.items()})
            if len(blocks) < BLOCKS_PER_BATCH:
                await asyncio.sleep(BATCH_S)
