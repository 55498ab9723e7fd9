"""`piaolian invoice red …`: taking an invoice back in part or in full."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import UsageError
from node.cli.money import Sum, sum_option
from node.cli.options import example, whole_argument
from node.cli.writes import Write, write_command
from node.domains.invoices.cli.arguments import Number, currency_of
from node.domains.invoices.cli.invoices import Claim, read_json_input
from node.domains.invoices.importing.cells import CellError, line_number

app = typer.Typer(no_args_is_help=True, help="Red letters: request, confirm, issue.")

Form = Annotated[int, whole_argument(least=0, about="Number of the form on the invoice.")]


class RedReason(StrEnum):
    """Why an invoice is taken back."""

    ISSUING_ERROR = "issuing_error"
    RETURN = "return"
    SERVICE_ENDED = "service_ended"
    ALLOWANCE = "allowance"


@write_command(
    app,
    epilog=example(
        "piaolian invoice red request 26310000000000000001 --amount 113.00 --reason return",
        "piaolian invoice red request 26310000000000000001 --line 1:2 --line 4 --reason return",
    ),
)
def request(
    number: Number,
    amount: Annotated[Sum | None, sum_option(least=1, about="Gross.")] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE[:QUANTITY]",
            help="A line of the invoice (the first is 1), whole or a quantity; may be repeated.",
        ),
    ] = None,
    *,
    reason: Annotated[RedReason, typer.Option(help="issuing_error: in full only.")],
) -> Write:
    """Open a form for a gross amount, or for lines of the invoice."""
    if amount is None and not line:
        raise UsageError("give --amount or --line")
    body: dict[str, object] = {"reason": reason.value}
    body |= {} if amount is None else {"amount": amount}
    body |= {"lines": [_line(text) for text in line]} if line else {}
    return Write(f"/v1/invoices/{number}/red", body, currency_at=currency_of(number))


def _line(text: str) -> dict[str, object]:
    """Lines count from 1 where people write them; the API's are positions."""
    place, _, quantity = text.partition(":")
    try:
        position = line_number(place)
    except CellError as error:
        wanted = "give a line, the first is 1, and perhaps a quantity: 3 or 3:1.5"
        raise UsageError(f"--line {text}: {wanted}") from error
    return {"line": position} | ({"quantity": quantity} if quantity else {})


@write_command(app, epilog=example("piaolian invoice red confirm 26310000000000000001 0"))
def confirm(
    number: Number,
    form: Form,
) -> Write:
    """Confirm the counterparty's form."""
    return Write(f"/v1/invoices/{number}/red/{form}/confirm")


@write_command(app, epilog=example("piaolian invoice red deny 26310000000000000001 0"))
def deny(
    number: Number,
    form: Form,
) -> Write:
    """Deny the counterparty's form."""
    return Write(f"/v1/invoices/{number}/red/{form}/deny")


@write_command(app, epilog=example("piaolian invoice red withdraw 26310000000000000001 0"))
def withdraw(
    number: Number,
    form: Form,
) -> Write:
    """Withdraw your own form."""
    return Write(f"/v1/invoices/{number}/red/{form}/withdraw")


@write_command(app, epilog=example("piaolian invoice red lapse 26310000000000000001 0"))
def lapse(
    number: Number,
    form: Form,
) -> Write:
    """Close a form whose term has passed; anyone may."""
    return Write(f"/v1/invoices/{number}/red/{form}/lapse")


@write_command(
    app,
    epilog=example("piaolian invoice red consent 26310000000000000001 0 --claim 0 --locked 113.00"),
)
def consent(
    number: Number,
    form: Form,
    claim: Claim,
    locked: Annotated[Sum | None, sum_option(least=0, about="Taken from what it locks.")] = None,
    reimbursed: Annotated[Sum | None, sum_option(least=0, about="Taken from what it paid.")] = None,
) -> Write:
    """Let a form take from your claim, as its reimburser."""
    body = {"claim": claim, "locked": locked or 0, "reimbursed": reimbursed or 0}
    path = f"/v1/invoices/{number}/red/{form}/consent"
    return Write(path, body, currency_at=currency_of(number))


@write_command(
    app, epilog=example("piaolian invoice red issue 26310000000000000001 0 --order-id CN-1")
)
def issue(
    number: Number,
    form: Form,
    order_id: Annotated[str | None, typer.Option(help="Your order of the credit note.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="JSON with order_id, lines or groups, details.")
    ] = None,
) -> Write:
    """Issue the red invoice of a confirmed form."""
    if (order_id is None) == (file is None):
        raise UsageError("give either --order-id or --file")
    body = {"order_id": order_id} if file is None else read_json_input(file)
    return Write(f"/v1/invoices/{number}/red/{form}/issue", body)
