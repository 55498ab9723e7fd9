"""The query index: what lists, traces and the inbox read. Rebuildable from the ledger.

Owns one SQLite file with a writer and a reader. It follows the ledger block by block, in order,
and remembers how far it came in the same transaction; so a crash costs nothing but time, and
deleting the file rebuilds it. `synchronous=NORMAL`: a power cut may take the newest blocks, which
are followed again. Row making is `node.storage.index_rows`; knows no HTTP.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from node.storage.database import Database, open_reader, open_writer
from node.storage.index_rows import (
    SEQUENCE_SHIFT,
    IndexBatch,
    LedgerBlock,
    WaitingKind,
    index_batch,
    invoice_facts,
    party_key,
)
from node.storage.statement_rows import (
    StatementKind,
    StatementLine,
    Sums,
    add_document,
    statement_lines,
)

SCHEMA_VERSION = 3
ERA_SHIFT = 14
"""Ids of 16,384 leaves are kept together. Ids are random: in one order of all of them each would
change a page of its own, those of one era share some 250 pages. A search looks into each era,
newest first."""
SCAN_MAX = 20_000
"""Invoices looked at for one page: a page may end short, with a cursor, before it is full."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), height INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, first_index INTEGER NOT NULL, time_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS blocks_by_time ON blocks (time_ms, first_index);
CREATE TABLE IF NOT EXISTS transactions (
    era INTEGER NOT NULL, txid BLOB NOT NULL, leaf_index INTEGER NOT NULL,
    height INTEGER NOT NULL, code INTEGER NOT NULL, PRIMARY KEY (era, txid)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invoices (
    sequence INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, state INTEGER NOT NULL,
    response INTEGER NOT NULL, frozen INTEGER NOT NULL, gross INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS parties (
    party INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (party, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    number TEXT NOT NULL, leaf_index INTEGER NOT NULL, operation INTEGER NOT NULL,
    height INTEGER NOT NULL, txid BLOB NOT NULL, tag INTEGER NOT NULL, signer TEXT NOT NULL,
    amount INTEGER, other TEXT, reference INTEGER,
    PRIMARY KEY (number, leaf_index, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    party INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
    reference INTEGER NOT NULL, PRIMARY KEY (party, sequence, kind, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting_by_sequence ON waiting (sequence);
CREATE TABLE IF NOT EXISTS statements (
    issuer TEXT NOT NULL, month INTEGER NOT NULL, currency TEXT NOT NULL, kind INTEGER NOT NULL,
    rate INTEGER NOT NULL, documents INTEGER NOT NULL, net TEXT NOT NULL, tax TEXT NOT NULL,
    PRIMARY KEY (issuer, month, currency, kind, rate)
) STRICT, WITHOUT ROWID;
"""


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


class IndexGapError(RuntimeError):
    """The blocks offered do not follow the last one indexed."""


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
            sqlite3.Error: the file is damaged; `discard` it.
        """
        writer = await open_writer(path, "", synchronous="NORMAL")
        if await writer.run(_version) not in (0, SCHEMA_VERSION):
            await writer.close()
            discard(path)
            writer = await open_writer(path, "", synchronous="NORMAL")
        height = await writer.run(prepare_index)
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

    async def prepare(self, blocks: Sequence[LedgerBlock]) -> IndexBatch:
        """Decode consecutive blocks; `touched` of the result names the state rows to fetch."""
        return await self._writer.run(lambda _: index_batch(blocks))

    async def follow(self, batch: IndexBatch, rows: Mapping[str, bytes]) -> None:
        """Index a batch and move to its last height, in one SQLite transaction.

        Args:
            batch: From `prepare`; its first height is `height` + 1.
            rows: The state rows of `batch.touched`, of this or any later height; missing ones
                were never issued.

        Raises:
            IndexGapError: the batch does not follow; nothing was written.
        """
        if batch.first_height != self._height + 1:
            raise IndexGapError(f"have {self._height}, offered {batch.first_height}")
        await self._writer.run(lambda connection: write_batch(connection, batch, rows))
        self._height = batch.last_height

    # --- Queries -----------------------------------------------------------------------------

    async def transaction(self, txid: bytes) -> IndexedTransaction | None:
        """Where a transaction stands; None when it is in no indexed block."""
        return await self._reader.run(lambda connection: _find(connection, txid))

    async def invoices(self, wanted: InvoiceFilter, before: int | None, limit: int) -> InvoicePage:
        """A page of invoices with `sequence` < `before`, newest first."""
        return await self._reader.run(lambda c: _select_invoices(c, wanted, before, limit))

    async def invoice(self, number: str) -> IndexedInvoice | None:
        """One invoice."""

        def job(connection: sqlite3.Connection) -> IndexedInvoice | None:
            row = connection.execute(
                "SELECT sequence, number FROM invoices WHERE number = ?", (number,)
            ).fetchone()
            return None if row is None else IndexedInvoice(*row)

        return await self._reader.run(job)

    async def steps(self, number: str, after: tuple[int, int], limit: int) -> list[IndexedStep]:
        """Steps of an invoice after (leaf index, operation), oldest first.

        The issue of a blue invoice is not among them: its state row tells that.
        """

        def job(connection: sqlite3.Connection) -> list[IndexedStep]:
            rows = connection.execute(
                "SELECT s.leaf_index, s.operation, s.height, b.time_ms, s.txid, s.tag, s.signer,"
                " s.amount, s.other, s.reference FROM steps s JOIN blocks b ON b.height = s.height"
                " WHERE s.number = ? AND (s.leaf_index, s.operation) > (?, ?)"
                " ORDER BY s.leaf_index, s.operation LIMIT ?",
                (number, *after, limit),
            )
            return [IndexedStep(*row) for row in rows]

        return await self._reader.run(job)

    async def statement(self, issuer: str, month: int) -> list[StatementLine]:
        """The sums of an issuer's month (yyyymm), by currency, kind and rate."""

        def job(connection: sqlite3.Connection) -> list[StatementLine]:
            rows = connection.execute(
                "SELECT currency, kind, rate, documents, net, tax FROM statements"
                " WHERE issuer = ? AND month = ? ORDER BY currency, kind, rate",
                (issuer, month),
            )
            return statement_lines(rows)

        return await self._reader.run(job)

    async def waiting(
        self, parties: Sequence[str], after: tuple[int, int, int], limit: int
    ) -> list[WaitingItem]:
        """What waits for any of `parties` after (sequence, kind, reference), oldest first."""
        keys = json.dumps([party_key(party) for party in parties])

        def job(connection: sqlite3.Connection) -> list[WaitingItem]:
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

        return await self._reader.run(job)


def discard(path: Path) -> None:
    """Delete an index, so that the next `open` starts anew."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def prepare_index(connection: sqlite3.Connection) -> int:
    """Make the tables that are not there yet; the last height indexed."""
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("INSERT OR IGNORE INTO head VALUES (1, 0)")
    (height,) = connection.execute("SELECT height FROM head").fetchone()
    return int(height)


# --- Writing ---------------------------------------------------------------------------------


def write_batch(
    connection: sqlite3.Connection, batch: IndexBatch, rows: Mapping[str, bytes]
) -> None:
    """Index a batch, which follows, in one transaction: see `QueryIndex.follow`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT INTO blocks VALUES (?, ?, ?)", batch.blocks)
        connection.executemany(
            "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?, ?)",
            [(t[0] >> ERA_SHIFT, t[1], t[0], t[2], t[3]) for t in batch.transactions],
        )
        connection.executemany(
            "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch.steps
        )
        _write_invoices(connection, batch, rows)
        connection.execute("UPDATE head SET height = ?", (batch.last_height,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_invoices(
    connection: sqlite3.Connection, batch: IndexBatch, rows: Mapping[str, bytes]
) -> None:
    inserts: list[tuple[int, str, int, int, bool, int]] = []
    updates: list[tuple[int, int, bool, int]] = []
    parties: list[tuple[int, int]] = []
    waiting: list[tuple[int, int, int, int]] = []
    sequences: dict[str, int] = {}
    sums: Sums = {}
    cancelled = set(batch.cancelled)
    for number in batch.touched:
        body = rows.get(number)
        if body is None:
            continue  # a repeated order, answered with its first number
        facts = invoice_facts(body)
        birth = batch.born.get(number)
        if birth is not None and birth.txid == facts.txid:
            sequence = birth.sequence
            facets = (facts.state, facts.response, facts.frozen)
            inserts.append((sequence, number, *facets, facts.gross))
            kind = StatementKind.RED if facts.row.red else StatementKind.ISSUED
            add_document(sums, facts.row, kind)
        else:
            found = connection.execute(
                "SELECT sequence FROM invoices WHERE number = ?", (number,)
            ).fetchone()
            if found is None:
                continue  # the row of a later height, whose issue is still to be followed
            (sequence,) = found
            updates.append((facts.state, facts.response, facts.frozen, sequence))
        sequences[number] = sequence
        if number in cancelled:
            add_document(sums, facts.row, StatementKind.CANCELLED)
        parties.extend((party_key(party), sequence) for party in facts.parties)
        waiting.extend((party_key(p), sequence, kind, ref) for p, kind, ref in facts.waiting)
    parties.extend(
        (party_key(party), sequences[number])
        for number, party in batch.joined
        if number in sequences
    )
    connection.executemany("INSERT INTO invoices VALUES (?, ?, ?, ?, ?, ?)", inserts)
    connection.executemany(
        "UPDATE invoices SET state = ?, response = ?, frozen = ? WHERE sequence = ?", updates
    )
    connection.executemany("INSERT OR IGNORE INTO parties VALUES (?, ?)", parties)
    connection.executemany("DELETE FROM waiting WHERE sequence = ?", [(u[-1],) for u in updates])
    connection.executemany("INSERT INTO waiting VALUES (?, ?, ?, ?)", waiting)
    _write_sums(connection, sums)


def _write_sums(connection: sqlite3.Connection, sums: Sums) -> None:
    """Add to statements. Amounts are text: a month of the largest ones passes 64 bits."""
    for key, (documents, net, tax) in sums.items():
        held = connection.execute(
            "SELECT documents, net, tax FROM statements WHERE issuer = ? AND month = ?"
            " AND currency = ? AND kind = ? AND rate = ?",
            key,
        ).fetchone() or (0, "0", "0")
        connection.execute(
            "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, held[0] + documents, str(int(held[1]) + net), str(int(held[2]) + tax)),
        )


# --- Reading ---------------------------------------------------------------------------------


def _find(connection: sqlite3.Connection, txid: bytes) -> IndexedTransaction | None:
    (newest,) = connection.execute("SELECT max(era) FROM transactions").fetchone()
    for era in range(-1 if newest is None else newest, -1, -1):
        row = connection.execute(
            "SELECT height, leaf_index, code FROM transactions WHERE era = ? AND txid = ?",
            (era, txid),
        ).fetchone()
        if row is not None:
            return IndexedTransaction(*row)
    return None


def _select_invoices(
    connection: sqlite3.Connection, wanted: InvoiceFilter, before: int | None, limit: int
) -> InvoicePage:
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
