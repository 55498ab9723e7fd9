"""Currencies: how many minor units a major one has. Owns that table; knows no amount."""

from __future__ import annotations

from collections.abc import Mapping

_NO_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THOUSAND_MINOR_UNITS = "BHD IQD JOD KWD LYD OMR TND"
MINOR_UNITS: Mapping[str, int] = dict.fromkeys(_NO_MINOR_UNIT.split(), 1) | dict.fromkeys(
    _THOUSAND_MINOR_UNITS.split(), 1_000
)
"""Minor units in a major unit (ISO 4217) where that is not 100."""


def minor_units(currency: str) -> int:
    """Minor units in a major unit."""
    return MINOR_UNITS.get(currency, 100)


def decimals(currency: str) -> int:
    """Decimals of an amount written in major units."""
    return len(str(minor_units(currency))) - 1
