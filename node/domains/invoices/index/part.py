"""The invoices' part of the query index, as the index sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.domains.invoices.index.queries import NAME
from node.domains.invoices.index.rows import InvoiceBatch, invoice_batch
from node.domains.invoices.index.tables import TABLES
from node.domains.invoices.index.writing import write_batch
from node.ledger.codes import Table
from node.storage.index_part import OpenedBlock, StoredRows
from node.storage.sql import Sql


class InvoicePartRows:
    """What blocks add to the part. Implements `node.storage.index_part.PartRows`."""

    def __init__(self, batch: InvoiceBatch, utc_offset_minutes: int) -> None:
        self._batch = batch
        self._utc_offset_minutes = utc_offset_minutes

    @property
    def missing(self) -> Mapping[Table, Sequence[bytes]]:
        """Rows of invoices that did not come with the blocks."""
        return {Table.INVOICE: self._batch.missing}

    @property
    def faults(self) -> Sequence[tuple[bytes, Exception]]:
        """Transactions that stand in the part without their steps."""
        return self._batch.faults

    def write(self, sql: Sql, rows: StoredRows) -> None:
        """Write them, within a transaction of the caller's."""
        write_batch(sql, self._batch, rows.get(Table.INVOICE, {}), self._utc_offset_minutes)


class InvoicesPart:
    """The part. Implements `node.storage.index_part.IndexPart`."""

    name = NAME
    version = 1
    tables = TABLES

    def __init__(self, utc_offset_minutes: int) -> None:
        self._utc_offset_minutes = utc_offset_minutes
        """Of the months of statements."""

    def rows(self, blocks: Sequence[OpenedBlock]) -> InvoicePartRows:
        """What consecutive blocks add, lowest first; at least one."""
        return InvoicePartRows(invoice_batch(blocks), self._utc_offset_minutes)
