"""What invoices add to their issuer's monthly statements. Pure: state rows in, numbers out.

Amounts are those with which a document was issued, under the month of the block time that issued
it: they follow from operations alone, so every node comes to the same sums at the same height.
"""

from __future__ import annotations

from collections.abc import Iterable
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


class Sum(msgspec.Struct, gc=False):
    """What documents come to."""

    documents: int = 0
    net: int = 0
    tax: int = 0


Sums = dict[StatementKey, dict[int, Sum]]
"""By rate in basis points, and `WHOLE`."""


def add_document(sums: Sums, row: InvoiceRow, kind: StatementKind) -> None:
    """Count a document: as a whole, and by rate."""
    key = (row.issuer, month_of(row.issued_at), row.currency, int(kind))
    by_rate = sums.get(key)
    if by_rate is None:
        by_rate = sums[key] = {}
    _add(by_rate, WHOLE, row.net, row.tax)
    for group in row.groups:
        _add(by_rate, group.rate, group.net, group.tax)


def _add(by_rate: dict[int, Sum], rate: int, net: int, tax: int) -> None:
    held = by_rate.get(rate)
    if held is None:
        held = by_rate[rate] = Sum()
    held.documents += 1
    held.net += net
    held.tax += tax


def statement_lines(rows: Iterable[tuple[str, int, int, int, str, str]]) -> list[StatementLine]:
    """Lines of stored rows: currency, kind, rate, documents, net, tax (decimal text)."""
    return [
        StatementLine(currency, StatementKind(kind), rate, documents, int(net), int(tax))
        for currency, kind, rate, documents, net, tax in rows
    ]
