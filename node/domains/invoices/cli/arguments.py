"""Arguments that several commands of invoices take. Owns their help."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.money import Sum, sum_option

Number = Annotated[str, typer.Argument(help="Invoice number, 20 digits.", metavar="NUMBER")]
Amount = Annotated[Sum, sum_option("--amount", least=0, about="Gross.")]


def currency_of(number: str) -> tuple[str, str]:
    """Where the currency of an invoice is to be read (`Write.currency_at`)."""
    return f"/v1/invoices/{number}", "currency"
