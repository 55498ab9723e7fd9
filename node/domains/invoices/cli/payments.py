"""`piaolian invoice pay|deduct|undeduct`: payments attested, and the buyer's use of the tax.

Owns arguments only; the commands join those of `piaolian invoice`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.money import Sum, sum_option
from node.cli.options import example
from node.cli.writes import Write, write_command
from node.domains.invoices.cli.arguments import Number, currency_of

app = typer.Typer()


@write_command(
    app,
    epilog=example(
        "piaolian invoice pay 26310000000000000001 --amount 113.00 --reference 'wire 7731'"
    ),
)
def pay(
    number: Number,
    amount: Annotated[Sum, sum_option(least=1, about="Gross.")],
    reference: Annotated[str, typer.Option(help="Of the payment; counts once.")],
) -> Write:
    """Attest that an amount of the invoice was paid (issuer, or a bank)."""
    body = {"amount": amount, "reference": reference}
    return Write(f"/v1/invoices/{number}/pay", body, currency_at=currency_of(number))


@write_command(app, epilog=example("piaolian invoice deduct 26310000000000000001"))
def deduct(
    number: Number,
) -> Write:
    """Use the tax of a special invoice that is accepted (buyer)."""
    return Write(f"/v1/invoices/{number}/deduct")


@write_command(app, epilog=example("piaolian invoice undeduct 26310000000000000001"))
def undeduct(
    number: Number,
) -> Write:
    """Take a deduction back (buyer)."""
    return Write(f"/v1/invoices/{number}/undeduct")
