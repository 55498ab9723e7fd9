"""Judging opened details against the public part (DOMAIN §2). Pure; owns what a discrepancy is.

The ledger has checked the public amounts. What it cannot read is checked here: that the lines are
what they say, and add up to the public groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.domains.invoices.details.details import LineBody
from node.domains.invoices.details.stored import (
    StoredDetails,
    StoredDetailsError,
    over_credited,
    read_details,
)
from node.domains.invoices.details.totals import DraftError, check_line_amount, sums_by_rate
from node.ledger.currency import minor_units
from node.ledger.invoices.rows import DiscrepancyKind, InvoiceRow
from node.ledger.invoices.tax import signed_tax


class Examined(msgspec.Struct, frozen=True):
    """What an invoice's details came to."""

    kinds: tuple[DiscrepancyKind, ...]
    """Ascending; empty when all is well."""
    detail: str = ""
    """Why, for the bureau's own log: may quote numbers of lines, never their text."""


def examine(
    row: InvoiceRow,
    details: bytes,
    blue: bytes | None = None,
    earlier: Sequence[bytes] = (),
) -> Examined:
    """Check one invoice's opened details.

    Args:
        row: Its state row.
        details: Its opened details.
        blue: Of a red invoice: the opened details of the original, if they can be opened.
        earlier: Of a red invoice: those of the original's red invoices issued before it.
    """
    try:
        document = read_details(details)
    except StoredDetailsError as error:
        return Examined((DiscrepancyKind.MALFORMED,), f"details{str(error).partition(':')[0]}")
    found: dict[DiscrepancyKind, str] = {}
    _check_lines(row, document, found)
    if document.lines or document.allowances:
        _check_sums(row, document, found)
    if row.red and blue is not None:
        _check_credit(document, blue, earlier, found)
    return Examined(tuple(sorted(found)), "; ".join(found.values()))


def _check_lines(
    row: InvoiceRow, document: StoredDetails, found: dict[DiscrepancyKind, str]
) -> None:
    units = minor_units(row.currency)
    for position, line in enumerate(document.lines):
        try:
            check_line_amount(line, units, f"/lines/{position}")
        except DraftError as error:
            found[DiscrepancyKind.LINE_AMOUNT] = f"{error.path} {error.message}"
            return


def _check_sums(
    row: InvoiceRow, document: StoredDetails, found: dict[DiscrepancyKind, str]
) -> None:
    """Each rate's net exactly; its tax to one minor unit a line, however many were declared."""
    sums = sums_by_rate(document.lines, document.allowances)
    nets = {rate: item.net for rate, item in sums.items() if item.net or item.tax}
    public = {group.rate: group.net for group in row.groups if group.net or group.tax}
    if nets != public:
        found[DiscrepancyKind.NET_MISMATCH] = f"lines {nets}, groups {public}"
    for group in row.groups:
        item = sums.get(group.rate)
        if item is None:
            continue
        # What is left after earlier red letters may be off by their roundings: the ledger bounds
        # it by what the original has left.
        most = max(item.count, group.lines) if row.red else item.count
        off = abs(group.tax - signed_tax(group.net, group.rate))
        if item.net == group.net:  # else the lines' taxes differ because the lines do
            off = max(off, abs(group.tax - item.tax))
        if off > most:
            found[DiscrepancyKind.TAX_MISMATCH] = f"tax at rate {group.rate} is off by {off}"


def _check_credit(
    document: StoredDetails,
    blue: bytes,
    earlier: Sequence[bytes],
    found: dict[DiscrepancyKind, str],
) -> None:
    original = _lines(blue)
    if original is None:
        return  # the original has a discrepancy of its own
    before = [lines for lines in map(_lines, earlier) if lines is not None]
    position = over_credited(original, before, document.lines)
    if position is not None:
        found[DiscrepancyKind.LINE_OVER_CREDIT] = f"/lines/{position} takes too much"


def _lines(details: bytes) -> Sequence[LineBody] | None:
    try:
        return read_details(details).lines
    except StoredDetailsError:
        return None
