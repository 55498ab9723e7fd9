"""What a cell of our own tables means: amounts, decimals, rates, choices. Exact, without floats."""

from __future__ import annotations

import datetime
import re
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache

from node.domains.invoices.importing.columns import CHOICES, WORDS
from node.ledger.text import check_line
from node.ledger.types import AMOUNT_MAX

_DECIMAL = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,20})?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?Z?")
ORDER_ID_MAX = 128
_EXACT = Context(prec=80)
"""More digits than a product of two of our decimals can have."""
DECIMALS_MAX = 13
"""Decimals of a quantity or unit price (DOMAIN §2)."""


class CellError(ValueError):
    """A cell cannot be read; the message says what may stand there."""


@lru_cache(100_000)
def decimal_text(text: str) -> str:
    """A quantity or unit price, as the details keep it."""
    value = _decimal(text)
    _, _, decimals = format(value, "f").partition(".")
    if len(decimals.rstrip("0")) > DECIMALS_MAX:
        raise CellError(f"has more than {DECIMALS_MAX} decimals: {text}")
    return format(value, "f") if len(decimals) <= DECIMALS_MAX else _short(value)


@lru_cache(100_000)
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
    exact = _EXACT.multiply(_EXACT.multiply(Decimal(quantity), Decimal(unit_price)), minor_units)
    value = exact.to_integral_value(ROUND_HALF_UP)
    if abs(value) > AMOUNT_MAX:
        raise CellError("quantity × unit price is too large")
    return int(value)


@lru_cache(1_000)
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


def day(text: str) -> str:
    """A day of the calendar."""
    try:
        if _DAY.fullmatch(text):
            return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise CellError(f"is no date: write YYYY-MM-DD, not {text[:40]}")


def moment(text: str) -> str:
    """A day, with or without a time of day."""
    date, _, time = text.replace(" ", "T", 1).partition("T")
    if not time:
        return day(date)
    if not _TIME.fullmatch(time):
        message = f"is no date: write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, not {text[:40]}"
        raise CellError(message)
    return f"{day(date)}T{time}"


def order_reference(text: str) -> str:
    """The id of an order that stands elsewhere, in the file or on the ledger.

    Raises:
        CellError: no order can have it.
    """
    if len(text) > ORDER_ID_MAX:
        raise CellError(f"has more than {ORDER_ID_MAX} characters")
    try:
        return check_line(text)
    except ValueError as error:
        raise CellError(str(error)) from error


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
