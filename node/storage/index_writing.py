"""Writing a batch of blocks into the query index: one SQLite transaction. Owns that only.

What of a batch depends on rows of the state is found here, since only the index knows where an
invoice stands that an earlier batch issued.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping

from node.ledger.invoices.rows import decode_invoice
from node.storage.database import insert_many
from node.storage.index_rows import IndexBatch, party_key, waiting_of
from node.storage.index_schema import ERA_SHIFT
from node.storage.statement_rows import Documents, StatementKind, add_document, sums_by_rate


def write_batch(
    connection: sqlite3.Connection, batch: IndexBatch, rows: Mapping[str, bytes]
) -> None:
    """Index a batch, which follows: see `QueryIndex.follow`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        insert_many(connection, "INSERT INTO blocks", batch.blocks)
        transactions = [
            (index >> ERA_SHIFT, txid, index, height, code)
            for index, txid, height, code in batch.transactions
        ]
        # In the order of the key, here and below: rows that lie together are written together.
        insert_many(connection, "INSERT OR REPLACE INTO transactions", sorted(transactions))
        insert_many(connection, "INSERT INTO steps", batch.steps)
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
    inserts: list[tuple[int, str, int, int, int, int]] = []
    updates: list[tuple[int, int, int, int]] = []
    parties: list[tuple[int, int]] = []
    waiting: list[tuple[int, int, int, int]] = []
    sequences: dict[str, int] = {}
    documents: Documents = defaultdict(list)
    cancelled = set(batch.cancelled)
    for number in batch.touched:
        row = batch.rows.get(number)
        if row is None:
            body = rows.get(number)
            if body is None:
                continue  # a repeated order, answered with its first number
            row = decode_invoice(body)
        facets = (int(row.document), int(row.response), int(bool(row.frozen)))
        sequence = batch.born.get((number, row.txid))
        if sequence is not None:
            inserts.append((sequence, number, *facets, row.gross))
            parties += (party_key(row.issuer), sequence), (party_key(row.buyer), sequence)
            add_document(documents, row, StatementKind.RED if row.red else StatementKind.ISSUED)
        else:
            found = connection.execute(
                "SELECT sequence FROM invoices WHERE number = ?", (number,)
            ).fetchone()
            if found is None:
                continue  # the row of a later height, whose issue is still to be followed
            (sequence,) = found
            updates.append((*facets, sequence))
        sequences[number] = sequence
        if number in cancelled:
            add_document(documents, row, StatementKind.CANCELLED)
        for party, kind, reference in waiting_of(row):
            waiting.append((party_key(party), sequence, kind, reference))
    parties += [
        (party_key(party), sequences[number])
        for number, party in batch.joined
        if number in sequences
    ]
    insert_many(connection, "INSERT INTO invoices", inserts)
    connection.executemany(
        "UPDATE invoices SET state = ?, response = ?, frozen = ? WHERE sequence = ?", updates
    )
    insert_many(connection, "INSERT OR IGNORE INTO parties", sorted(parties))
    connection.executemany("DELETE FROM waiting WHERE sequence = ?", [(u[-1],) for u in updates])
    insert_many(connection, "INSERT INTO waiting", waiting)
    _write_sums(connection, documents)


def _write_sums(connection: sqlite3.Connection, documents: Documents) -> None:
    """Add to statements. Amounts are text: a month of the largest ones passes 64 bits."""
    for of, rows in documents.items():
        for rate, (count, net, tax) in sums_by_rate(rows).items():
            key = (*of, rate)
            held = connection.execute(
                "SELECT documents, net, tax FROM statements WHERE issuer = ? AND month = ?"
                " AND currency = ? AND kind = ? AND rate = ?",
                key,
            ).fetchone() or (0, "0", "0")
            connection.execute(
                "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, held[0] + count, str(int(held[1]) + net), str(int(held[2]) + tax)),
            )
