"""Figures, rates, dates and currencies as text. Owns their form in both languages.

Amounts are integers of minor units until they become text here; no float is involved.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from node.domains.invoices.documents.wording import Language

_BASIS_POINTS_PER_PERCENT = 100
_SIGNS = {"CNY": "¥", "GBP": "£", "EUR": "€", "USD": "US$", "HKD": "HK$", "JPY": "JP¥"}
"""Currencies whose sign is known everywhere and which the fonts hold; others show their code."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LATEST_MS = 253_402_300_799_999


def figure(minor: int, decimals: int) -> str:
    """An amount with groups of thousands, as 1,234.50. Both languages write it so."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(Decimal(minor).scaleb(-decimals), format=pattern, locale="en")


def money(minor: int, currency: str, decimals: int) -> str:
    """An amount with its currency's sign or code, as -£1,234.50."""
    sign = "-" if minor < 0 else ""
    unit = _SIGNS.get(currency, f"{currency}\N{NO-BREAK SPACE}")
    return f"{sign}{unit}{figure(abs(minor), decimals)}"


def rate_text(basis_points: int) -> str:
    """A tax rate: 1300 → 13%, 650 → 6.5%."""
    whole, rest = divmod(basis_points, _BASIS_POINTS_PER_PERCENT)
    return f"{whole}{f'.{rest:02d}'.rstrip('0') if rest else ''}%"


def negated(decimal: str) -> str:
    """A decimal string with its sign turned."""
    return decimal[1:] if decimal.startswith("-") else f"-{decimal}"


def currency_name(code: str, language: Language) -> str:
    """The currency's name; the code when it has none."""
    names = [str(Locale(one).currencies.get(code, code)) for one in language.codes]
    return " ".join(dict.fromkeys(names))


def date_text(date: str, language: Language) -> str:
    """An ISO date in words of the language, as 2026年11月26日 or 26 Nov 2026."""
    day = datetime.date.fromisoformat(date)
    forms = {"zh": "y年M月d日", "en": "d MMM y"}
    return " · ".join(format_date(day, forms[one], locale=one) for one in language.codes)


def moment_text(milliseconds: int) -> str:
    """A block time to the second: 2026-11-26 11:24:16 UTC."""
    return f"{moment(milliseconds):%Y-%m-%d %H:%M:%S} UTC"


def moment(milliseconds: int) -> datetime.datetime:
    """A block time as a date of the calendar, which ends with year 9999."""
    return _EPOCH + datetime.timedelta(milliseconds=min(milliseconds, _LATEST_MS))
