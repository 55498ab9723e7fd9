"""What invoices add to their issuer's monthly statements. Pure: state rows in, numbers out.

Amounts are those with which a document was issued, under the month of the block time that issued
it: they follow from operations alone, so every node comes to the same sums at the same height.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from node.ledger.context import month_of
from node.ledger.invoices.rows import InvoiceRow

WHOLE = -1
"""In place of a rate: the whole document."""


class StatementKind(IntEnum):
    """Part of a statement. Stored: never renumbered."""

    ISSUED = 1
    RED = 2
    """Red invoices; amounts are magnitudes."""
    CANCELLED = 3
    """Of those issued; a cancellation is always in the month of its issue."""


StatementKey = tuple[str, int, str, int]
"""issuer, month (yyyymm), currency, kind."""


class StatementLine(msgspec.Struct, frozen=True):
    """One sum of a statement."""

    currency: str
    kind: StatementKind
    rate: int
    documents: int
    net: int
    tax: int


Documents = defaultdict[StatementKey, list[InvoiceRow]]
"""What is to be added to statements."""


def add_document(
    documents: Documents, row: InvoiceRow, kind: StatementKind, utc_offset_minutes: int
) -> None:
    """Count a document."""
    month = month_of(row.issued_at, utc_offset_minutes)
    documents[row.issuer, month, row.currency, int(kind)].append(row)


def sums_by_rate(rows: Sequence[InvoiceRow]) -> dict[int, tuple[int, int, int]]:
    """Documents, net and tax: by rate in basis points, and of the whole (`WHOLE`)."""
    sums: dict[int, tuple[int, int, int]] = {}
    for row in rows:
        for group in row.groups:
            documents, net, tax = sums.get(group.rate, (0, 0, 0))
            sums[group.rate] = (documents + 1, net + group.net, tax + group.tax)
    sums[WHOLE] = (len(rows), sum(row.net for row in rows), sum(row.tax for row in rows))
    return sums


def statement_lines(rows: Iterable[tuple[str, int, int, int, str, str]]) -> list[StatementLine]:
    """Lines of stored rows: currency, kind, rate, documents, net, tax (decimal text)."""
    return [
        StatementLine(currency, StatementKind(kind), rate, documents, int(net), int(tax))
        for currency, kind, rate, documents, net, tax in rows
    ]
