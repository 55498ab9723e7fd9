"""What a cell of our own tables means: amounts, decimals, rates, choices. Exact, without floats."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext

from node.importing.columns import CHOICES, WORDS
from node.ledger.types import AMOUNT_MAX

_DECIMAL = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,20})?", re.ASCII)
DECIMALS_MAX = 13
"""Decimals of a quantity or unit price (DOMAIN §2)."""


class CellError(ValueError):
    """A cell cannot be read; the message says what may stand there."""


def decimal_text(text: str) -> str:
    """A quantity or unit price, as the details keep it."""
    value = _decimal(text)
    _, _, decimals = format(value, "f").partition(".")
    if len(decimals.rstrip("0")) > DECIMALS_MAX:
        raise CellError(f"has more than {DECIMALS_MAX} decimals: {text}")
    return format(value, "f") if len(decimals) <= DECIMALS_MAX else _short(value)


def amount(text: str, minor_units: int) -> int:
    """An amount in major units, as minor units; `minor_units` in one major unit."""
    with localcontext(prec=60):
        value = _decimal(text) * minor_units
        if value != value.to_integral_value():
            decimals = len(str(minor_units)) - 1
            raise CellError(f"has more than {decimals} decimals: {text}")
    if abs(value) > AMOUNT_MAX:
        raise CellError("is too large")
    return int(value)


def product(quantity: str, unit_price: str, minor_units: int) -> int:
    """Quantity × unit price in minor units, rounded half up (away from zero below zero)."""
    with localcontext(prec=80):
        value = Decimal(quantity) * Decimal(unit_price) * minor_units
        value = value.to_integral_value(ROUND_HALF_UP)
    if abs(value) > AMOUNT_MAX:
        raise CellError("quantity × unit price is too large")
    return int(value)


def rate(text: str) -> int:
    """A tax rate in basis points: `13` and `13%` are 13 %."""
    bare = text.removesuffix("%").strip()
    value = _decimal(bare) * 100
    if value != value.to_integral_value() or not 0 <= value <= 10_000:
        raise CellError(f"is no per cent from 0 to 100 with at most 2 decimals: {text}")
    if 0 < value < 100 and bare == text:
        raise CellError(f"write {text}% or {_short(_decimal(bare) * 100)}%: {text} may mean both")
    return int(value)


def choice(column: str, text: str) -> str:
    """One of the column's choices, said in either language."""
    word = WORDS[column].get(text, text.lower())
    if word not in CHOICES[column]:
        raise CellError(f"is none of {', '.join(CHOICES[column])}: {text}")
    return word


def line_number(text: str) -> int:
    """A line of an invoice, from 1, as its position from 0."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) >= 1):
        raise CellError(f"is no line number from 1: {text}")
    return int(text) - 1


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise CellError(f"is no number like 1234.50: {text[:40]}")
    return Decimal(text)


def _short(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
