"""What is asked of the query index: the answers' shapes and the statements that find them.

Pure reading over a connection; knows neither how rows come to be nor HTTP.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from node.storage.index_rows import SEQUENCE_SHIFT, WaitingKind, party_key
from node.storage.statement_rows import StatementLine, statement_lines

SCAN_MAX = 20_000
"""Invoices looked at for one page: a page may end short, with a cursor, before it is full."""

# The inner query of a list walks a key in order and stops at SCAN_MAX; the conditions come after.
# CROSS JOIN makes it the outer loop, so rows come in its order and the walk ends with the page: an
# ORDER BY outside would make SQLite read and sort all SCAN_MAX rows for every page.
_LIST_ALL = """
SELECT i.sequence, i.number FROM (
    SELECT sequence FROM invoices WHERE sequence >= :low AND sequence < :high
    ORDER BY sequence DESC LIMIT :scan
) s CROSS JOIN invoices i ON i.sequence = s.sequence
WHERE (:state IS NULL OR i.state = :state) AND (:gross IS NULL OR i.gross >= :gross)
AND (:response IS NULL OR i.response = :response) AND (:frozen IS NULL OR i.frozen = :frozen)
LIMIT :limit
"""
_LIST_PARTY = """
SELECT i.sequence, i.number FROM (
    SELECT sequence FROM parties
    WHERE party = :party AND sequence >= :low AND sequence < :high
    ORDER BY sequence DESC LIMIT :scan
) s CROSS JOIN invoices i ON i.sequence = s.sequence
WHERE (:state IS NULL OR i.state = :state) AND (:gross IS NULL OR i.gross >= :gross)
AND (:response IS NULL OR i.response = :response) AND (:frozen IS NULL OR i.frozen = :frozen)
LIMIT :limit
"""
_LAST_OF_ALL = """
SELECT sequence FROM invoices WHERE sequence >= :low AND sequence < :high
ORDER BY sequence DESC LIMIT 1 OFFSET :scan - 1
"""
_LAST_OF_PARTY = """
SELECT sequence FROM parties WHERE party = :party AND sequence >= :low AND sequence < :high
ORDER BY sequence DESC LIMIT 1 OFFSET :scan - 1
"""


class IndexedTransaction(msgspec.Struct, frozen=True):
    """Where a transaction stands in the ledger."""

    height: int
    index: int
    code: int
    """`node.ledger.codes.Code`."""


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


def find_transaction(connection: sqlite3.Connection, txid: bytes) -> IndexedTransaction | None:
    """Where a transaction stands; None when it is in no indexed block."""
    (newest,) = connection.execute("SELECT max(era) FROM transactions").fetchone()
    for era in range(-1 if newest is None else newest, -1, -1):
        row = connection.execute(
            "SELECT height, leaf_index, code FROM transactions WHERE era = ? AND txid = ?",
            (era, txid),
        ).fetchone()
        if row is not None:
            return IndexedTransaction(*row)
    return None


def select_invoices(
    connection: sqlite3.Connection, wanted: InvoiceFilter, before: int | None, limit: int
) -> InvoicePage:
    """A page of invoices with `sequence` < `before`, newest first."""
    low, high = 0, 2**63 - 1 if before is None else before
    if wanted.from_ms is not None:
        low = _first_sequence(connection, wanted.from_ms)
    if wanted.to_ms is not None:
        high = min(high, _first_sequence(connection, wanted.to_ms))
    values = {
        "low": low,
        "high": high,
        "scan": SCAN_MAX,
        "party": None if wanted.party is None else party_key(wanted.party),
        "state": wanted.state,
        "response": wanted.response,
        "frozen": wanted.frozen,
        "gross": wanted.min_gross,
        "limit": limit,
    }
    query, last_scanned = (
        (_LIST_ALL, _LAST_OF_ALL) if wanted.party is None else (_LIST_PARTY, _LAST_OF_PARTY)
    )
    invoices = [IndexedInvoice(*row) for row in connection.execute(query, values)]
    if len(invoices) == limit:
        return InvoicePage(invoices, invoices[-1].sequence)
    last = connection.execute(last_scanned, values).fetchone()
    return InvoicePage(invoices, None if last is None else int(last[0]))


def _first_sequence(connection: sqlite3.Connection, time_ms: int) -> int:
    """The smallest sequence an invoice issued at or after `time_ms` can have."""
    row = connection.execute(
        "SELECT first_index FROM blocks WHERE time_ms >= ? ORDER BY time_ms, first_index LIMIT 1",
        (time_ms,),
    ).fetchone()
    return 2**63 - 1 if row is None else int(row[0]) << SEQUENCE_SHIFT


def find_invoice(connection: sqlite3.Connection, number: str) -> IndexedInvoice | None:
    """One invoice."""
    row = connection.execute(
        "SELECT sequence, number FROM invoices WHERE number = ?", (number,)
    ).fetchone()
    return None if row is None else IndexedInvoice(*row)


def select_steps(
    connection: sqlite3.Connection, number: str, after: tuple[int, int], limit: int
) -> list[IndexedStep]:
    """Steps of an invoice after (leaf index, operation), oldest first."""
    rows = connection.execute(
        "SELECT s.leaf_index, s.operation, s.height, b.time_ms, s.txid, s.tag, s.signer,"
        " s.amount, s.other, s.reference FROM steps s JOIN blocks b ON b.height = s.height"
        " WHERE s.number = ? AND (s.leaf_index, s.operation) > (?, ?)"
        " ORDER BY s.leaf_index, s.operation LIMIT ?",
        (number, *after, limit),
    )
    return [IndexedStep(*row) for row in rows]


def select_statement(
    connection: sqlite3.Connection, issuer: str, month: int
) -> list[StatementLine]:
    """The sums of an issuer's month (yyyymm), by currency, kind and rate."""
    rows = connection.execute(
        "SELECT currency, kind, rate, documents, net, tax FROM statements"
        " WHERE issuer = ? AND month = ? ORDER BY currency, kind, rate",
        (issuer, month),
    )
    return statement_lines(rows)


def select_waiting(
    connection: sqlite3.Connection,
    parties: Sequence[str],
    after: tuple[int, int, int],
    limit: int,
) -> list[WaitingItem]:
    """What waits for any of `parties` after (sequence, kind, reference), oldest first."""
    keys = json.dumps([party_key(party) for party in parties])
    rows = connection.execute(
        "SELECT w.kind, w.reference, i.sequence, i.number"
        " FROM waiting w JOIN invoices i ON i.sequence = w.sequence"
        " WHERE w.party IN (SELECT value FROM json_each(?))"
        " AND (w.sequence, w.kind, w.reference) > (?, ?, ?)"
        " ORDER BY w.sequence, w.kind, w.reference LIMIT ?",
        (keys, *after, limit),
    )
    return [
        WaitingItem(WaitingKind(kind), reference, IndexedInvoice(*rest))
        for kind, reference, *rest in rows
    ]
