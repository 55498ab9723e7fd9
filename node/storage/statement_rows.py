"""What invoices add to their issuer's monthly statements. Pure: state rows in, numbers out.

Amounts are those with which a document was issued, under the month of the block time that issued
it: they follow from operations alone, so every node comes to the same sums at the same height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

import msgspec

from node.ledger.context import month_of
from node.ledger.rows import InvoiceRow

WHOLE = -1
"""In place of a rate: the whole document."""


class StatementKind(IntEnum):
    """Part of a statement. Stored: never renumbered."""

    ISSUED = 1
    RED = 2
    """Red invoices; amounts are magnitudes."""
    CANCELLED = 3
    """Of those issued; a cancellation is always in the month of its issue."""


StatementKey = tuple[str, int, str, int, int]
"""issuer, month (yyyymm), currency, kind, rate in basis points or `WHOLE`."""


class StatementLine(msgspec.Struct, frozen=True):
    """One sum of a statement."""

    currency: str
    kind: StatementKind
    rate: int
    documents: int
    net: int
    tax: int


Sums = dict[StatementKey, tuple[int, int, int]]
"""documents, net, tax."""


def add_document(sums: Sums, row: InvoiceRow, kind: StatementKind) -> None:
    """Count a document: as a whole, and by rate."""
    month = month_of(row.issued_at)
    for rate, net, tax in _amounts(row):
        key = (row.issuer, month, row.currency, int(kind), rate)
        documents, net_before, tax_before = sums.get(key, (0, 0, 0))
        sums[key] = (documents + 1, net_before + net, tax_before + tax)


def _amounts(row: InvoiceRow) -> Iterator[tuple[int, int, int]]:
    yield WHOLE, row.net, row.tax
    for group in row.groups:
        yield group.rate, group.net, group.tax


def statement_lines(rows: Iterable[tuple[str, int, int, int, str, str]]) -> list[StatementLine]:
    """Lines of stored rows: currency, kind, rate, documents, net, tax (decimal text)."""
    return [
        StatementLine(currency, StatementKind(kind), rate, documents, int(net), int(tax))
        for currency, kind, rate, documents, net, tax in rows
    ]
