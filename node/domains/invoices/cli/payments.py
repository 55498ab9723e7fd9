"""`piaolian invoice pay|deduct|undeduct`: payments attested, and the buyer's use of the tax.

Owns arguments only; the commands join those of `piaolian invoice`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.options import (
    TIMEOUT_S,
    Config,
    Json,
    Number,
    Timeout,
    Until,
    Wait,
    example,
    whole_option,
)
from node.cli.writes import operate

app = typer.Typer()


@app.command(
    epilog=example(
        "piaolian invoice pay 26310000000000000001 --amount 11300 --reference 'wire 7731'"
    )
)
def pay(
    number: Number,
    amount: Annotated[int, whole_option(least=1, about="Gross, in minor units.")],
    reference: Annotated[str, typer.Option(help="Of the payment; counts once.")],
    config: Config = None,
    wait: Wait = Until.FINAL,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Attest that an amount of the invoice was paid (issuer, or a bank)."""
    body = {"amount": amount, "reference": reference}
    operate(f"/v1/invoices/{number}/pay", body, config, wait, timeout, as_json)


@app.command(epilog=example("piaolian invoice deduct 26310000000000000001"))
def deduct(
    number: Number,
    config: Config = None,
    wait: Wait = Until.FINAL,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Use the tax of a special invoice that is accepted (buyer)."""
    operate(f"/v1/invoices/{number}/deduct", {}, config, wait, timeout, as_json)


@app.command(epilog=example("piaolian invoice undeduct 26310000000000000001"))
def undeduct(
    number: Number,
    config: Config = None,
    wait: Wait = Until.FINAL,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Take a deduction back (buyer)."""
    operate(f"/v1/invoices/{number}/undeduct", {}, config, wait, timeout, as_json)
