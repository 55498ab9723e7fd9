"""Numbers of a UBL document: exact decimals to minor units, basis points, and back. Pure."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

from node.domains.invoices.details.totals import DECIMALS_MAX
from node.ledger.types import AMOUNT_MAX

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_DIGITS_MAX = 40
_INTEGER_DIGITS_MAX = 15
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")


def decimal(text: str) -> Decimal | None:
    """An `xsd:decimal`; None if it is none, or longer than 40 characters."""
    text = text.strip(" \t\r\n")
    if len(text) > _DIGITS_MAX or _DECIMAL.fullmatch(text) is None:
        return None
    return Decimal(text)


def to_minor(text: str, units: int) -> int | None:
    """An amount in minor units; None if it is no amount, too large, or finer than a minor unit."""
    value = decimal(text)
    if value is None:
        return None
    scaled = value * units
    whole = int(scaled)
    return whole if whole == scaled and abs(whole) <= AMOUNT_MAX else None


def amount_text(amount: int, units: int) -> str:
    """Minor units as a decimal: 12345 is `123.45`."""
    digits = len(str(units)) - 1
    if digits == 0:
        return str(amount)
    whole, part = divmod(abs(amount), units)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{digits}}"


def to_basis_points(text: str) -> int | None:
    """A percentage as basis points; None if it is none from 0 to 100 in hundredths."""
    value = decimal(text)
    if value is None:
        return None
    scaled = value * 100
    rate = int(scaled)
    return rate if rate == scaled and 0 <= rate <= 10_000 else None


def percent_text(rate: int) -> str:
    """Basis points as a percentage: 550 is `5.5`."""
    whole, part = divmod(rate, 100)
    return f"{whole}.{part:02}".rstrip("0") if part else str(whole)


def plain_decimal(value: Decimal) -> str | None:
    """A decimal as our details write it; None if it has too many digits for them."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, fraction = text.lstrip("-").partition(".")
    fits = len(whole) <= _INTEGER_DIGITS_MAX and len(fraction) <= DECIMALS_MAX
    return text if fits and len(text) <= 30 else None


def detail_decimal(text: str) -> str | None:
    """A document's decimal as our details write it, digit by digit where that is possible."""
    value = decimal(text)
    if value is None:
        return None
    kept = re.fullmatch(rf"-?[0-9]{{1,15}}(\.[0-9]{{1,{DECIMALS_MAX}}})?", text.strip())
    return text.strip() if kept and len(text.strip()) <= 30 else plain_decimal(value)


def to_date(text: str) -> str | None:
    """An `xsd:date` as YYYY-MM-DD, its time zone left out; None if it is no date."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        datetime.date.fromisoformat(match[1])
    except ValueError:
        return None
    return match[1]
