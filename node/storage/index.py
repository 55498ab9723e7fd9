"""The query index: what lists, traces and the inbox read. Rebuildable from the ledger.

Owns one SQLite file with a writer and a reader. It follows the ledger block by block, in order,
and remembers how far it came in the same transaction; so a crash costs nothing but time, and
deleting the file rebuilds it. `synchronous=NORMAL`: a power cut may take the newest blocks, which
are followed again. Row making is `node.storage.index_rows`, writing `index_writing`, asking
`index_queries`; knows no HTTP.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.storage import index_queries as queries
from node.storage.damage import telling
from node.storage.database import Database, open_reader, open_writer
from node.storage.index_queries import (
    IndexedInvoice,
    IndexedStep,
    IndexedTransaction,
    InvoiceFilter,
    InvoicePage,
    WaitingItem,
)
from node.storage.index_rows import IndexBatch, LedgerBlock, OpenedBlock, index_batch, open_block
from node.storage.index_schema import SCHEMA_VERSION, discard, prepare_index, stored_version
from node.storage.index_writing import write_batch
from node.storage.statement_rows import StatementLine


class IndexGapError(RuntimeError):
    """The blocks offered do not follow the last one indexed."""


class QueryIndex:
    """The index. `follow` writes; everything else reads a committed state."""

    def __init__(self, writer: Database, reader: Database, height: int) -> None:
        self._writer = writer
        self._reader = reader
        self._height = height

    @classmethod
    async def open(cls, path: Path) -> QueryIndex:
        """Open or create the index at `path`; one of another schema version is made anew.

        Raises:
            DamagedFileError: the file does not hold what this program wrote.
        """
        writer = await open_writer(path, "", synchronous="NORMAL")
        if await writer.run(stored_version) not in (0, SCHEMA_VERSION):
            await writer.close()
            discard(path)
            writer = await open_writer(path, "", synchronous="NORMAL")
        try:
            height = await writer.run(
                lambda c: telling(path, lambda: prepare_index(c), TypeError, ValueError)
            )
        except BaseException:
            await writer.close()
            raise
        return cls(writer, await open_reader(path), height)

    async def close(self) -> None:
        """Close both connections."""
        await self._reader.close()
        await self._writer.close()

    @property
    def height(self) -> int:
        """The last block indexed; 0 before the first."""
        return self._height

    # --- Following ---------------------------------------------------------------------------

    async def prepare(self, blocks: Sequence[LedgerBlock] | Sequence[OpenedBlock]) -> IndexBatch:
        """Rows of consecutive blocks; `missing` of the result names the state rows to fetch."""

        def job(_: sqlite3.Connection) -> IndexBatch:
            return index_batch([b if isinstance(b, OpenedBlock) else open_block(b) for b in blocks])

        return await self._writer.run(job)

    async def follow(self, batch: IndexBatch, rows: Mapping[str, bytes]) -> None:
        """Index a batch and move to its last height, in one SQLite transaction.

        Args:
            batch: From `prepare`; its first height is `height` + 1.
            rows: The state rows of `batch.missing`, of this or any later height; missing ones
                were never issued.

        Raises:
            IndexGapError: the batch does not follow; nothing was written.
        """
        if batch.first_height != self._height + 1:
            raise IndexGapError(f"have {self._height}, offered {batch.first_height}")
        await self._writer.persist(lambda connection: write_batch(connection, batch, rows))
        self._height = batch.last_height

    # --- Queries -----------------------------------------------------------------------------

    async def transaction(self, txid: bytes) -> IndexedTransaction | None:
        """Where a transaction stands; None when it is in no indexed block."""
        return await self._reader.run(lambda c: queries.find_transaction(c, txid))

    async def invoices(self, wanted: InvoiceFilter, before: int | None, limit: int) -> InvoicePage:
        """A page of invoices with `sequence` < `before`, newest first."""
        return await self._reader.run(lambda c: queries.select_invoices(c, wanted, before, limit))

    async def invoice(self, number: str) -> IndexedInvoice | None:
        """One invoice."""
        return await self._reader.run(lambda c: queries.find_invoice(c, number))

    async def steps(self, number: str, after: tuple[int, int], limit: int) -> list[IndexedStep]:
        """Steps of an invoice after (leaf index, operation), oldest first.

        The issue of a blue invoice is not among them: its state row tells that.
        """
        return await self._reader.run(lambda c: queries.select_steps(c, number, after, limit))

    async def statement(self, issuer: str, month: int) -> list[StatementLine]:
        """The sums of an issuer's month (yyyymm), by currency, kind and rate."""
        return await self._reader.run(lambda c: queries.select_statement(c, issuer, month))

    async def waiting(
        self, parties: Sequence[str], after: tuple[int, int, int], limit: int
    ) -> list[WaitingItem]:
        """What waits for any of `parties` after (sequence, kind, reference), oldest first."""
        return await self._reader.run(lambda c: queries.select_waiting(c, parties, after, limit))
