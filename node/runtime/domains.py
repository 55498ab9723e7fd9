"""The one list of what domains bring to a node. Owns no part of them."""

from __future__ import annotations

from node.domains.invoices.index.part import InvoicesPart
from node.ledger.genesis import Genesis
from node.storage.index_part import IndexPart
from node.storage.transactions_part import TransactionsPart


def index_parts(genesis: Genesis) -> tuple[IndexPart, ...]:
    """Of the query index of a network: the one of all transactions, and those of the domains."""
    return TransactionsPart(), InvoicesPart(genesis.utc_offset_minutes)
