"""Writing a batch of blocks into the invoices' part of the index. Owns that only.

What of a batch depends on rows of the state is found here, since only the index knows where an
invoice stands that an earlier batch issued. Whoever calls owns the transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from node.domains.invoices.index.rows import InvoiceBatch, waiting_of
from node.domains.invoices.index.statement_rows import (
    Documents,
    StatementKind,
    add_document,
    sums_by_rate,
)
from node.domains.invoices.index.tables import (
    BLOCKS,
    INVOICES,
    PARTIES,
    STATEMENTS,
    STEPS,
    WAITING,
)
from node.ledger.invoices.rows import decode_invoice
from node.storage.index_part import party_key
from node.storage.sql import Sql


def write_batch(
    sql: Sql, batch: InvoiceBatch, rows: Mapping[bytes, bytes], utc_offset_minutes: int
) -> None:
    """Write a batch, with the state rows of its `missing`; months are so far from UTC."""
    sql.insert(BLOCKS, batch.blocks)
    sql.insert(STEPS, batch.steps)
    _write_invoices(sql, batch, rows, utc_offset_minutes)


def _write_invoices(
    sql: Sql, batch: InvoiceBatch, rows: Mapping[bytes, bytes], utc_offset_minutes: int
) -> None:
    inserts: list[tuple[int, str, int, int, int, int]] = []
    updates: list[tuple[int, int, int, int]] = []
    parties: list[tuple[int, int]] = []
    waiting: list[tuple[int, int, int, int]] = []
    sequences: dict[str, int] = {}
    documents: Documents = defaultdict(list)
    cancelled = set(batch.cancelled)
    for number in batch.touched:
        key = number.encode()
        row = batch.rows.get(key)
        if row is None:
            body = rows.get(key)
            if body is None:
                continue  # a repeated order, answered with its first number
            row = decode_invoice(body)
        facets = (int(row.document), int(row.response), int(bool(row.frozen)))
        sequence = batch.born.get((number, row.txid))
        if sequence is not None:
            inserts.append((sequence, number, *facets, row.gross))
            parties += (party_key(row.issuer), sequence), (party_key(row.buyer), sequence)
            made = StatementKind.RED if row.red else StatementKind.ISSUED
            add_document(documents, row, made, utc_offset_minutes)
        else:
            found = sql.first("SELECT sequence FROM invoices WHERE number = ?", (number,))
            if found is None:
                continue  # the row of a later height, whose issue is still to be followed
            (sequence,) = found
            updates.append((*facets, sequence))
        sequences[number] = sequence
        if number in cancelled:
            add_document(documents, row, StatementKind.CANCELLED, utc_offset_minutes)
        for party, kind, reference in waiting_of(row):
            waiting.append((party_key(party), sequence, kind, reference))
    parties += [
        (party_key(party), sequences[number])
        for number, party in batch.joined
        if number in sequences
    ]
    sql.insert(INVOICES, inserts)
    sql.run_many(
        "UPDATE invoices SET state = ?, response = ?, frozen = ? WHERE sequence = ?", updates
    )
    # In the order of the key: rows that lie together are written together.
    sql.add_missing(PARTIES, sorted(parties))
    sql.run_many("DELETE FROM invoice_waiting WHERE sequence = ?", [(u[-1],) for u in updates])
    sql.insert(WAITING, waiting)
    _write_sums(sql, documents)


def _write_sums(sql: Sql, documents: Documents) -> None:
    """Add to statements."""
    changed: list[tuple[str, int, str, int, int, int, str, str]] = []
    for of, rows in documents.items():
        for rate, (count, net, tax) in sums_by_rate(rows).items():
            key = (*of, rate)
            held = sql.first(
                "SELECT documents, net, tax FROM invoice_statements WHERE issuer = ?"
                " AND month = ? AND currency = ? AND kind = ? AND rate = ?",
                key,
            ) or (0, "0", "0")
            sums = (held[0] + count, str(int(held[1]) + net), str(int(held[2]) + tax))
            changed.append((*key, *sums))
    sql.replace(STATEMENTS, changed)
