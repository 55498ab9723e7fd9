"""Codes of countries and currencies (ISO 3166-1, ISO 4217). Owns nothing but the look-up."""

from __future__ import annotations

from functools import lru_cache

import pycountry

_NOT_ISO = frozenset({"1A", "XI"})
"""Kosovo and Northern Ireland: in the norm's code list (BR-CL-14), in no ISO table."""
_COMMON_NAMES = {"UK": "GB", "EIRE": "IE", "RSA": "ZA"}
"""What traders write and no table has."""


@lru_cache(1_000)
def is_country_code(code: str) -> bool:
    """Whether this is a country code of the norm."""
    return code in _NOT_ISO or (
        len(code) == 2 and code.isupper() and pycountry.countries.get(alpha_2=code) is not None
    )


@lru_cache(1_000)
def country_code(text: str) -> str | None:
    """The code of a country by its code or English name; None if it is none."""
    text = text.strip()
    if is_country_code(text):
        return text
    known = _COMMON_NAMES.get(text.upper())
    if known is not None or not text:
        return known
    try:
        found = pycountry.countries.lookup(text)
    except LookupError:
        return None
    return str(found.alpha_2)


@lru_cache(1_000)
def is_currency_code(code: str) -> bool:
    """Whether this is a currency code."""
    return code.isupper() and pycountry.currencies.get(alpha_3=code) is not None
