"""What the node tells of invoices, as people read it: sums with their currency, rates in per cent.

Owns which fields are sums. `--json` goes past it.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.cli.money import major_text, money_text, rate_text
from node.ledger.currency import decimals

_SUMS = frozenset(
    (
        *("net", "tax", "gross", "amount", "left", "accepted", "available", "credited"),
        *("credited_net", "credited_tax", "red_reserved", "reserved", "locked", "reimbursed"),
        *("refund_due", "paid", "payment_refund_due", "granted", "used", "remaining"),
    )
)


def for_people(value: object, currency: str) -> object:
    """A value of the API, with all that is nested in it, in one currency."""
    if isinstance(value, list):
        return [for_people(item, currency) for item in value]
    if isinstance(value, Mapping):
        return {name: _shown(str(name), item, currency) for name, item in value.items()}
    return value


def row_for_people(row: Mapping[str, object], currency: str) -> dict[str, object]:
    """A row of a table that has a column for the currency, or names it in its header."""
    return {
        name: major_text(item, decimals(currency))
        if name in _SUMS and isinstance(item, int)
        else item
        for name, item in row.items()
    }


def rates_for_people(row: Mapping[str, object]) -> dict[str, object]:
    """A row with a list of rates of tax."""
    rates = row["rates"]
    assert isinstance(rates, list)
    return {**row, "rates": [rate_text(rate) for rate in rates]}


def _shown(name: str, item: object, currency: str) -> object:
    if isinstance(item, int) and not isinstance(item, bool):
        if name in _SUMS:
            return money_text(item, currency)
        if name == "rate":
            return rate_text(item)
    return for_people(item, currency)
