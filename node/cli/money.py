"""Sums of money and rates of tax as people write and read them; `--json` has neither.

Owns both spellings. A sum with a decimal point or a currency is in units of the currency, digits
alone count its minor units, as in JSON. Knows no route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

import typer
from typer.models import ArgumentInfo, OptionInfo

from node.cli.errors import UsageError
from node.ledger.currency import decimals

_SUM = re.compile(
    r"(?:(?P<before>[A-Z]{3}) ?)?(?P<number>[0-9]{1,30}(?P<point>\.[0-9]{1,6})?)"
    r"(?: ?(?P<behind>[A-Z]{3}))?",
    re.ASCII,
)
_RATE = re.compile(r"[0-9]{1,30}|(?P<percent>[0-9]{1,30}(\.[0-9]{1,6})?) ?%", re.ASCII)
_RATE_MAX = 10_000
"""Basis points."""


class Sum(NamedTuple):
    """A sum as it was written; only with the currency that it is meant in it is an amount."""

    text: str
    number: Decimal
    currency: str | None
    is_minor: bool
    """Digits alone."""
    least: int
    """Smallest amount that is taken, in minor units."""

    def minor_in(self, currency: str) -> int:
        """The amount in minor units of `currency`.

        Raises:
            UsageError: it is in another currency, too exact for this one, or too small.
        """
        if self.currency not in {None, currency}:
            raise UsageError(f"{self.text}: the amount must be in {currency}")
        value = self.number if self.is_minor else self.number.scaleb(decimals(currency))
        if value != value.to_integral_value():
            raise UsageError(
                f"{self.text}: an amount in {currency} has {decimals(currency)} decimals at most"
            )
        if value < self.least:
            raise UsageError(f"{self.text}: must be {money_text(self.least, currency)} or more")
        return int(value)


def sum_option(*names: str, least: int, about: str) -> OptionInfo:
    """An option that is a sum of money; `least` in minor units."""
    found: OptionInfo = typer.Option(
        *names,
        parser=_sum(least),
        metavar="SUM",
        help=f"{about} As 282.50, or in minor units: 28250.",
    )
    return found


def rate_option(*names: str, about: str) -> OptionInfo:
    """An option that is a rate of tax, in basis points."""
    about = f"{about} As 13%, or in basis points: 1300."
    found: OptionInfo = typer.Option(*names, parser=rate, metavar="RATE", help=about)
    return found


def rate_argument(*, about: str) -> ArgumentInfo:
    """An argument that is a rate of tax, as `rate_option` reads it."""
    about = f"{about} As 13%, or in basis points: 1300."
    found: ArgumentInfo = typer.Argument(parser=rate, metavar="RATE", help=about)
    return found


def _sum(least: int) -> Callable[[str | Sum], Sum]:
    def parse(text: str | Sum) -> Sum:
        if isinstance(text, Sum):  # a default comes as what it is
            return text
        found = _SUM.fullmatch(text)
        if found is None or (found["before"] and found["behind"]):
            raise typer.BadParameter(
                f"{text!r} is no sum: 282.50, CNY 282.50, or digits alone in minor units: 28250"
            )
        currency = found["before"] or found["behind"]
        is_minor = not (found["point"] or currency)
        if is_minor and int(text) < least:
            raise typer.BadParameter(f"{text} is less than {least} of the minor unit")
        return Sum(text, Decimal(found["number"]), currency, is_minor, least)

    return parse


def rate(text: str | int) -> int:
    """A rate in basis points, of `13%` or `1300`.

    Raises:
        typer.BadParameter: it is neither.
    """
    if isinstance(text, int):
        return text
    found = _RATE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no rate: 13%, or digits alone in basis points: 1300")
    value = Decimal(found["percent"]) * 100 if found["percent"] else Decimal(text)
    if value != value.to_integral_value():
        raise typer.BadParameter(f"{text!r}: a rate has 2 decimals of a per cent at most")
    if value > _RATE_MAX:
        raise typer.BadParameter(f"{text!r} is more than 100%")
    return int(value)


def money_text(amount: int, currency: str) -> str:
    """Minor units as `282.50 CNY`."""
    return f"{major_text(amount, decimals(currency))} {currency}"


def rate_text(points: int) -> str:
    """Basis points as `13%`."""
    text = major_text(points, 2)
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def major_text(amount: int, places: int) -> str:
    """An integer of small units as decimal text."""
    return format(Decimal(amount).scaleb(-places), "f")


def has_sums(body: object) -> bool:
    """Whether a body that is to be sent has a sum that has no currency yet."""
    return isinstance(body, Mapping) and any(isinstance(item, Sum) for item in body.values())
