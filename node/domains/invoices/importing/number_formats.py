"""What a spreadsheet's number format makes of a number: per cent, a date, a currency. Pure.

Formats are read as ECMA-376 (Office Open XML, 18.8.30) describes them, as far as they change what a
number means. Owns that; knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

_LITERALS = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKETS = re.compile(r"\[[^\]]*\]")
_CURRENCY = re.compile(r"\[\$([^\]-]+)(?:-[^\]]*)?\]")
_DOLLARS = "USD AUD BBD BMD BND BSD BZD CAD FJD GYD HKD JMD KYD LRD MXN NZD SGD TTD TWD XCD"
_SIGNS: Mapping[str, str] = {
    "¥": "CNY JPY",
    "\uffe5": "CNY JPY",
    "元": "CNY TWD HKD",
    "RMB": "CNY",
    "€": "EUR",
    "£": "GBP EGP",
    "$": _DOLLARS,
    "US$": "USD",
    "HK$": "HKD",
    "₩": "KRW",
    "₹": "INR",
    "₽": "RUB",
    "₫": "VND",
}
"""Signs, and the currencies that they may mean."""
_LEADING_ZEROS = re.compile(r"0{2,}")
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_DATE_LETTERS = re.compile("[dmyhs]", re.IGNORECASE)
_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_PERCENTS = frozenset({9, 10})


class NumberFormat(msgspec.Struct, frozen=True):
    """What a format does to a number."""

    percent: bool = False
    date: bool = False
    digits: int = 0
    """At least so many digits are shown, with zeros before them."""
    currency: str = ""
    """The sign or code that stands beside the number."""


GENERAL = NumberFormat()


def built_in(number: int) -> NumberFormat:
    """A format that the file names by its number alone."""
    if number in _DATES:
        return NumberFormat(date=True)
    return NumberFormat(percent=True) if number in _PERCENTS else GENERAL


@lru_cache(1_000)
def parsed(code: str) -> NumberFormat:
    """A format by its text. The part for positive numbers counts."""
    first = _section(code)
    currency = _currency_of(first)
    elapsed = _ELAPSED.search(first) is not None
    bare = _BRACKETS.sub("", _LITERALS.sub("", first))
    if elapsed or (_DATE_LETTERS.search(bare) and "general" not in bare.lower()):
        return NumberFormat(date=True)
    digits = len(bare) if _LEADING_ZEROS.fullmatch(bare) else 0
    return NumberFormat(percent="%" in bare, digits=digits, currency=currency)


def _section(code: str) -> str:
    """The text up to the first `;` that is no literal."""
    spared = _LITERALS.sub(lambda match: " " * len(match[0]), code)
    return code[: spared.find(";")] if ";" in spared else code


def _currency_of(section: str) -> str:
    named = _CURRENCY.search(section)
    if named is not None:
        return named[1].strip()
    shown = _BRACKETS.sub("", section.replace('"', "").replace("\\", ""))
    return max((sign for sign in _SIGNS if sign in shown), key=len, default="")


def may_mean(sign: str, currency: str) -> bool:
    """Whether a sign or code beside a number may mean this currency."""
    return currency in _SIGNS.get(sign, sign).split()
