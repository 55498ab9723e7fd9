"""The one list of what domains bring to a node. Owns no part of them."""

from __future__ import annotations

from node.domains.invoices.index.part import InvoicesPart
from node.storage.index_part import IndexPart
from node.storage.transactions_part import TransactionsPart

INDEX_PARTS: tuple[IndexPart, ...] = (TransactionsPart(), InvoicesPart())
"""Of the query index: the one of all transactions, and those of the domains."""
