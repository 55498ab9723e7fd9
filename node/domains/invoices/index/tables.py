"""The tables of the invoices' part of the index. Owns no row and no query."""

from __future__ import annotations

from node.storage.sql import TableSpec, integer, octets, text

BLOCKS = TableSpec(
    "invoice_blocks",
    (integer("height"), integer("first_index"), integer("time_ms")),
    key=("height",),
    indexes=(("invoice_blocks_by_time", ("time_ms", "first_index")),),
)
"""When a step was, and which invoices were issued from a time on."""

INVOICES = TableSpec(
    "invoices",
    (
        *(integer("sequence"), text("number"), integer("state"), integer("response")),
        *(integer("frozen"), integer("gross")),
    ),
    key=("sequence",),
    unique=("number",),
)
PARTIES = TableSpec(
    "invoice_parties", (integer("party"), integer("sequence")), key=("party", "sequence")
)
STEPS = TableSpec(
    "invoice_steps",
    (
        *(text("number"), integer("leaf_index"), integer("operation"), integer("height")),
        *(octets("txid"), integer("tag"), text("signer"), integer("amount", optional=True)),
        *(text("other", optional=True), integer("reference", optional=True)),
    ),
    key=("number", "leaf_index", "operation"),
)
WAITING = TableSpec(
    "invoice_waiting",
    (integer("party"), integer("sequence"), integer("kind"), integer("reference")),
    key=("party", "sequence", "kind", "reference"),
    indexes=(("invoice_waiting_by_sequence", ("sequence",)),),
)
STATEMENTS = TableSpec(
    "invoice_statements",
    (
        *(text("issuer"), integer("month"), text("currency"), integer("kind"), integer("rate")),
        *(integer("documents"), text("net"), text("tax")),
    ),
    key=("issuer", "month", "currency", "kind", "rate"),
)
"""Amounts are text: a month of the largest ones passes 64 bits."""

TABLES = (BLOCKS, INVOICES, PARTIES, STEPS, WAITING, STATEMENTS)
