"""What is asked of the invoices' part of the index: the answers' shapes and how they are found.

Reading only; knows neither how rows come to be nor HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.domains.invoices.index.rows import WaitingKind
from node.domains.invoices.index.statement_rows import StatementLine, statement_lines
from node.storage.index_part import SEQUENCE_SHIFT, IndexReads, party_key
from node.storage.sql import Sql

NAME = "invoices"
"""Of the part."""
SCAN_MAX = 20_000
"""Invoices looked at for one page: a page may end short, with a cursor, before it is full."""
_LAST_SEQUENCE = 2**63 - 1


class IndexedInvoice(msgspec.Struct, frozen=True):
    """An invoice in its place. What it is now stands in its state row."""

    sequence: int
    """Its place in the order of issue: leaf index << `SEQUENCE_SHIFT` | operation."""
    number: str

    @property
    def leaf_index(self) -> int:
        """Tree index of the transaction that issued it."""
        return self.sequence >> SEQUENCE_SHIFT


class InvoicePage(msgspec.Struct, frozen=True):
    """Invoices, newest first."""

    invoices: list[IndexedInvoice]
    next_before: int | None
    """`before` of the next page; None at the end."""


class InvoiceFilter(msgspec.Struct, frozen=True):
    """Conditions of a list; None passes everything."""

    state: int | None = None
    """Document state, as its number in the state row."""
    response: int | None = None
    """`node.ledger.rows.Response`."""
    frozen: bool | None = None
    party: str | None = None
    """Issuer, buyer, whoever it was submitted to, or holder at any time."""
    from_ms: int | None = None
    """Issued at or after this block time."""
    to_ms: int | None = None
    """Issued before this block time."""
    min_gross: int | None = None


class IndexedStep(msgspec.Struct, frozen=True):
    """One applied operation of an invoice after its issue."""

    index: int
    """Tree index of the transaction's leaf."""
    operation: int
    """Position in the transaction."""
    height: int
    time_ms: int
    txid: bytes
    tag: int
    """Wire tag of the operation."""
    signer: str
    amount: int | None
    other: str | None
    """The other party, or the invoice on the other side of a red letter."""
    reference: int | None
    """Claim or form."""


class WaitingItem(msgspec.Struct, frozen=True):
    """Something that waits for a party."""

    kind: WaitingKind
    reference: int
    """Form of a red letter; 0 for the others."""
    invoice: IndexedInvoice


class InvoiceQueries:
    """What can be asked of the part."""

    def __init__(self, index: IndexReads) -> None:
        self._index = index

    @property
    def height(self) -> int:
        """The last block that the answers know."""
        return self._index.height_of(NAME)

    async def invoices(self, wanted: InvoiceFilter, before: int | None, limit: int) -> InvoicePage:
        """A page of invoices with `sequence` < `before`, newest first."""
        return await self._index.read(lambda sql: select_invoices(sql, wanted, before, limit))

    async def invoice(self, number: str) -> IndexedInvoice | None:
        """One invoice."""
        return await self._index.read(lambda sql: find_invoice(sql, number))

    async def steps(self, number: str, after: tuple[int, int], limit: int) -> list[IndexedStep]:
        """Steps of an invoice after (leaf index, operation), oldest first.

        The issue of a blue invoice is not among them: its state row tells that.
        """
        return await self._index.read(lambda sql: select_steps(sql, number, after, limit))

    async def statement(self, issuer: str, month: int) -> list[StatementLine]:
        """The sums of an issuer's month (yyyymm), by currency, kind and rate."""
        return await self._index.read(lambda sql: select_statement(sql, issuer, month))

    async def waiting(
        self, parties: Sequence[str], after: tuple[int, int, int], limit: int
    ) -> list[WaitingItem]:
        """What waits for any of `parties` after (sequence, kind, reference), oldest first."""
        return await self._index.read(lambda sql: select_waiting(sql, parties, after, limit))


class ListWalk(msgspec.Struct, frozen=True):
    """The stretch of a list's key that a page walks, newest first."""

    source: str
    values: tuple[int, ...]

    @classmethod
    def of(cls, party: str | None, low: int, high: int) -> ListWalk:
        """Sequences from `low` on, below `high`: of all invoices, or of a party's."""
        bounds = "sequence >= ? AND sequence < ?"
        if party is None:
            return cls(f"invoices WHERE {bounds}", (low, high))
        key = party_key(party)
        return cls(f"invoice_parties WHERE party = ? AND {bounds}", (key, low, high))

    def page(self, sql: Sql, wanted: InvoiceFilter) -> tuple[str, tuple[int, ...]]:
        """The query of a page's invoices, and its values but the limit.

        The inner query walks a key in order and stops at `SCAN_MAX`; the conditions come after.
        """
        conditions = {
            "i.state = ?": wanted.state,
            "i.response = ?": wanted.response,
            "i.frozen = ?": wanted.frozen,
            "i.gross >= ?": wanted.min_gross,
        }
        asked = {text: int(value) for text, value in conditions.items() if value is not None}
        query = (
            "SELECT i.sequence, i.number FROM"  # noqa: S608 - values are marks, the rest is written here
            f" (SELECT sequence FROM {self.source} ORDER BY sequence DESC LIMIT ?) s"
            f" CROSS JOIN invoices i WHERE {' AND '.join(['i.sequence = s.sequence', *asked])}"
            f" {sql.in_order_of_walk('s.sequence DESC')} LIMIT ?"
        )
        return query, (*self.values, SCAN_MAX, *asked.values())

    def last(self) -> tuple[str, tuple[int, ...]]:
        """The query of the last sequence that such a walk comes to, and its values."""
        query = f"SELECT sequence FROM {self.source} ORDER BY sequence DESC LIMIT 1 OFFSET ?"  # noqa: S608 - constants
        return query, (*self.values, SCAN_MAX - 1)


def select_invoices(sql: Sql, wanted: InvoiceFilter, before: int | None, limit: int) -> InvoicePage:
    """A page of invoices with `sequence` < `before`, newest first."""
    low, high = 0, _LAST_SEQUENCE if before is None else before
    if wanted.from_ms is not None:
        low = _first_sequence(sql, wanted.from_ms)
    if wanted.to_ms is not None:
        high = min(high, _first_sequence(sql, wanted.to_ms))
    walk = ListWalk.of(wanted.party, low, high)
    query, values = walk.page(sql, wanted)
    invoices = [IndexedInvoice(*row) for row in sql.select(query, (*values, limit))]
    if len(invoices) == limit:
        return InvoicePage(invoices, invoices[-1].sequence)
    last = sql.first(*walk.last())
    return InvoicePage(invoices, None if last is None else int(last[0]))


def _first_sequence(sql: Sql, time_ms: int) -> int:
    """The smallest sequence an invoice issued at or after `time_ms` can have."""
    row = sql.first(
        "SELECT first_index FROM invoice_blocks WHERE time_ms >= ?"
        " ORDER BY time_ms, first_index LIMIT 1",
        (time_ms,),
    )
    return _LAST_SEQUENCE if row is None else int(row[0]) << SEQUENCE_SHIFT


def find_invoice(sql: Sql, number: str) -> IndexedInvoice | None:
    """One invoice."""
    row = sql.first("SELECT sequence, number FROM invoices WHERE number = ?", (number,))
    return None if row is None else IndexedInvoice(*row)


def select_steps(sql: Sql, number: str, after: tuple[int, int], limit: int) -> list[IndexedStep]:
    """Steps of an invoice after (leaf index, operation), oldest first."""
    rows = sql.select(
        "SELECT s.leaf_index, s.operation, s.height, b.time_ms, s.txid, s.tag, s.signer,"
        " s.amount, s.other, s.reference"
        " FROM invoice_steps s JOIN invoice_blocks b ON b.height = s.height"
        " WHERE s.number = ? AND (s.leaf_index, s.operation) > (?, ?)"
        " ORDER BY s.leaf_index, s.operation LIMIT ?",
        (number, *after, limit),
    )
    return [IndexedStep(*row) for row in rows]


def select_statement(sql: Sql, issuer: str, month: int) -> list[StatementLine]:
    """The sums of an issuer's month (yyyymm), by currency, kind and rate."""
    rows = sql.select(
        "SELECT currency, kind, rate, documents, net, tax FROM invoice_statements"
        " WHERE issuer = ? AND month = ? ORDER BY currency, kind, rate",
        (issuer, month),
    )
    return statement_lines(rows)


def select_waiting(
    sql: Sql, parties: Sequence[str], after: tuple[int, int, int], limit: int
) -> list[WaitingItem]:
    """What waits for any of `parties` after (sequence, kind, reference), oldest first."""
    of_party, keys = sql.among("w.party", [party_key(party) for party in parties])
    rows = sql.select(
        "SELECT w.kind, w.reference, i.sequence, i.number"  # noqa: S608 - a condition of ours
        " FROM invoice_waiting w JOIN invoices i ON i.sequence = w.sequence"
        f" WHERE {of_party} AND (w.sequence, w.kind, w.reference) > (?, ?, ?)"
        " ORDER BY w.sequence, w.kind, w.reference LIMIT ?",
        (keys, *after, limit),
    )
    return [
        WaitingItem(WaitingKind(kind), reference, IndexedInvoice(*rest))
        for kind, reference, *rest in rows
    ]
