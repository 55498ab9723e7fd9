"""`piaolian invoice respond|lapse|rule|freeze|unfreeze`: the buyer's answer, the bureau's word.

Owns arguments only; the commands join those of `piaolian invoice`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from node.cli.money import Sum, sum_option
from node.cli.options import example
from node.cli.writes import Write, write_command
from node.domains.invoices.cli.arguments import Number, currency_of
from node.domains.invoices.cli.invoices import Reason

app = typer.Typer()

Case = Annotated[str, typer.Option("--case", help="Id of the case.")]


class Word(StrEnum):
    """What a buyer may say to an invoice."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"
    DISPUTED = "disputed"


class Ruling(StrEnum):
    """How the tax bureau may end a dispute."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


@write_command(
    app,
    epilog=example(
        "piaolian invoice respond 26310000000000000001 accepted",
        "piaolian invoice respond 26310000000000000001 partly_accepted --amount 90.00 "
        "--reason 'two boxes missing'",
    ),
)
def respond(
    number: Number,
    response: Annotated[Word, typer.Argument(help="The buyer's word.")],
    amount: Annotated[
        Sum | None, sum_option(least=1, about="Of a partial acceptance: gross.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Needed unless received or accepted. Everyone can read it.")
    ] = None,
) -> Write:
    """Say what the buyer thinks of the invoice."""
    body: dict[str, object] = {"response": response.value}
    body |= {} if amount is None else {"amount": amount}
    body |= {} if reason is None else {"reason": reason}
    return Write(f"/v1/invoices/{number}/respond", body, currency_at=currency_of(number))


@write_command(app, epilog=example("piaolian invoice lapse 26310000000000000001"))
def lapse(
    number: Number,
) -> Write:
    """State that the buyer's term has passed without an answer: deemed accepted."""
    return Write(f"/v1/invoices/{number}/lapse")


@write_command(
    app,
    epilog=example("piaolian invoice rule 26310000000000000001 accepted --reason 'was delivered'"),
)
def rule(
    number: Number,
    ruling: Annotated[Ruling, typer.Argument(help="Which side is right.")],
    reason: Reason,
) -> Write:
    """End a dispute (tax bureau)."""
    body = {"accepted": ruling is Ruling.ACCEPTED, "reason": reason}
    return Write(f"/v1/invoices/{number}/rule", body)


@write_command(app, epilog=example("piaolian invoice freeze 26310000000000000001 --case 2026-17"))
def freeze(
    number: Number,
    case: Case,
) -> Write:
    """Hold the invoice for a case (tax bureau)."""
    return Write(f"/v1/invoices/{number}/freeze", {"case": case})


@write_command(app, epilog=example("piaolian invoice unfreeze 26310000000000000001 --case 2026-17"))
def unfreeze(
    number: Number,
    case: Case,
) -> Write:
    """Let a held invoice go (tax bureau)."""
    return Write(f"/v1/invoices/{number}/unfreeze", {"case": case})
