"""Where the commands of invoices stand in the tree. Owns no command."""

from __future__ import annotations

import typer

from node.cli.options import example
from node.cli.tree import group_of
from node.domains.invoices.cli import (
    discrepancies,
    holds,
    invoices,
    payments,
    printing,
    redletters,
    registers,
    responses,
    statements,
    wallet,
)


def add_commands(app: typer.Typer) -> None:
    """Add them: `invoice …`, the registers, the wallet, `statement`, and what stops an issuer."""
    invoices.app.add_typer(responses.app)
    invoices.app.add_typer(payments.app)
    invoices.app.add_typer(redletters.app, name="red")
    invoices.app.command(
        "print",
        epilog=example(
            "piaolian invoice print 26310000000000000001",
            "piaolian invoice print 26310000000000000001 -o face.html --lang zh",
        ),
    )(printing.print_face)
    app.add_typer(invoices.app, name="invoice")
    app.add_typer(registers.quota, name="quota")
    app.add_typer(registers.segment, name="segment")
    app.add_typer(registers.rates, name="rates")
    app.add_typer(wallet.app, name="wallet")
    app.add_typer(discrepancies.app, name="discrepancy")
    group_of(app, "participant").add_typer(registers.issuers)
    group_of(app, "participant").add_typer(holds.app)
    app.command(
        epilog=example(
            "piaolian statement 91310115337099624K 2026-11",
            "piaolian statement 91310115337099624K 2026-11 --format csv -o november.csv",
        )
    )(statements.statement)
