"""From invoices as the API shows them to rows of a table, and their totals. Pure.

Amounts are decimals in major units. `net`, `tax` and `gross` are what a document counts: an
invoice what it was issued over, a red one the same below zero, a cancelled one nothing. So a
column's sum is its total, and a month's is the issuer's statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from node.ledger.currency import decimals
from node.ledger.invoices.tax import signed_tax

Cell = str | int | Decimal | None
Invoice = Mapping[str, Any]

INVOICE_COLUMNS = (
    *("number", "document", "type", "original", "issuer", "buyer", "holder", "currency"),
    *("issue_date", "time", "state", "response", "frozen", "net", "tax", "gross", "face_gross"),
    *("available", "credited", "locked", "reimbursed", "refund_due", "booked"),
    *("external_number", "external_date", "buyer_name", "remarks", "details", "transaction"),
)
LINE_COLUMNS = (
    *("number", "document", "original", "currency", "issue_date", "state", "line", "what"),
    *("code", "description", "model", "unit", "quantity", "unit_price", "net", "rate", "tax"),
)
_TOTALLED = {
    *("net", "tax", "gross", "available", "credited", "locked", "reimbursed", "refund_due"),
}


def invoice_rows(invoice: Invoice) -> Iterator[list[Cell]]:
    """The one row of an invoice, in the order of `INVOICE_COLUMNS`."""
    decimals, sign = _decimals(invoice), _sign(invoice)
    details = invoice.get("details")
    head = details if isinstance(details, Mapping) else {}
    values: dict[str, Cell] = {
        **{name: invoice.get(name) for name in ("number", "original", "issuer", "buyer", "holder")},
        "document": "invoice" if invoice["original"] is None else "red",
        "type": invoice["kind"],
        "currency": invoice["currency"],
        "issue_date": invoice["issue_date"],
        "time": invoice["time"],
        "state": invoice["state"],
        "response": invoice["response"]["state"],
        "frozen": invoice["frozen"],
        "face_gross": _major(invoice["gross"], decimals),
        "booked": ", ".join(str(booking["reference"]) for booking in invoice["bookings"]),
        "external_number": _text(head.get("external_number")),
        "external_date": _text(head.get("external_date")),
        "buyer_name": _text((head.get("buyer") or {}).get("name")),
        "remarks": _text(head.get("remarks")),
        "details": _readable(invoice),
        "transaction": invoice["transaction"],
    }
    values |= {name: _major(sign * invoice[name], decimals) for name in ("net", "tax", "gross")}
    for name in ("available", "credited", "locked", "reimbursed", "refund_due"):
        values[name] = _major(invoice[name], decimals)
    yield [values[name] for name in INVOICE_COLUMNS]


def line_rows(invoice: Invoice) -> Iterator[list[Cell]]:
    """Lines, allowances and charges of an invoice, in the order of `LINE_COLUMNS`.

    Without details that can be read: one row for each tax rate of the public part.
    """
    decimals, sign = _decimals(invoice), _sign(invoice)
    details = invoice.get("details")
    head = details if isinstance(details, Mapping) else {}
    found: list[tuple[str, Mapping[str, Any], int]] = [
        ("line", line, 1) for line in head.get("lines") or ()
    ]
    found += [
        (item["kind"], {**item, "description": item.get("reason")}, _allowance_sign(item))
        for item in head.get("allowances") or ()
    ]
    if not found:
        found = [("rate group", group, 1) for group in invoice["groups"]]
    for place, (what, item, own) in enumerate(found, start=1):
        net, rate = own * item["net"], item["rate"]
        tax = own * item["tax"] if item.get("tax") is not None else signed_tax(net, rate)
        values: dict[str, Cell] = {
            "number": invoice["number"],
            "document": "invoice" if invoice["original"] is None else "red",
            "original": invoice["original"],
            "currency": invoice["currency"],
            "issue_date": invoice["issue_date"],
            "state": invoice["state"],
            "line": place,
            "what": what,
            "quantity": _number(item.get("quantity")),
            "unit_price": _number(item.get("unit_price")),
            "net": _major(sign * net, decimals),
            "rate": f"{_major(rate, 2).normalize():f}%",
            "tax": _major(sign * tax, decimals),
            **{name: _text(item.get(name)) for name in ("code", "description", "model", "unit")},
        }
        yield [values[name] for name in LINE_COLUMNS]


class Totals:
    """Sums of the amounts of a table by currency, added up as its rows go by."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._currency = columns.index("currency")
        self._sums: dict[str, dict[int, Decimal]] = {}
        self._counts: dict[str, int] = {}
        self._amounts = [place for place, name in enumerate(columns) if name in _TOTALLED]

    def add(self, row: Sequence[Cell]) -> None:
        """Count a row."""
        currency = str(row[self._currency])
        sums = self._sums.setdefault(currency, {})
        self._counts[currency] = self._counts.get(currency, 0) + 1
        for place in self._amounts:
            value = row[place]
            if isinstance(value, Decimal):
                held = sums.get(place)
                sums[place] = value if held is None else held + value

    def rows(self) -> Iterator[list[Cell]]:
        """One row of totals for each currency."""
        for currency, sums in sorted(self._sums.items()):
            row: list[Cell] = [None] * len(self._columns)
            row[0] = f"total of {self._counts[currency]} rows 合计"
            row[self._currency] = currency
            for place, value in sums.items():
                row[place] = value
            yield row

    @property
    def document(self) -> dict[str, dict[str, str]]:
        """The same by name, amounts as text."""
        return {
            currency: {self._columns[place]: f"{value:f}" for place, value in sums.items()}
            for currency, sums in sorted(self._sums.items())
        }


def _sign(invoice: Invoice) -> int:
    if invoice["state"] == "cancelled":
        return 0
    return 1 if invoice["original"] is None else -1


def _allowance_sign(item: Mapping[str, Any]) -> int:
    return -1 if item["kind"] == "allowance" else 1


def _readable(invoice: Invoice) -> str:
    if invoice.get("details") is not None:
        return "read"
    return "none" if invoice["details_commitment"] is None else "sealed"


def _decimals(invoice: Invoice) -> int:
    return decimals(invoice["currency"])


def _major(amount: int, decimals: int) -> Decimal:
    return Decimal(amount).scaleb(-decimals)


def _number(text: object) -> Decimal | None:
    return None if text is None else Decimal(str(text))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
