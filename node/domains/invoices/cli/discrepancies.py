"""`piaolian discrepancy list|resolve`: what the tax bureau found wrong in sealed details."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_json, print_table
from node.cli.writes import Write, write_command
from node.domains.invoices.cli.arguments import Number
from node.domains.invoices.cli.invoices import Reason

app = typer.Typer(no_args_is_help=True, help="What is wrong in sealed details.")


class Kind(StrEnum):
    """What the tax bureau may find."""

    UNREADABLE = "unreadable"
    MALFORMED = "malformed"
    LINE_AMOUNT = "line_amount"
    NET_MISMATCH = "net_mismatch"
    TAX_MISMATCH = "tax_mismatch"
    LINE_OVER_CREDIT = "line_over_credit"


class State(StrEnum):
    """Whether somebody has closed it."""

    OPEN = "open"
    RESOLVED = "resolved"


@app.command("list", epilog=example("piaolian discrepancy list --state open"))
def list_discrepancies(
    number: Annotated[str | None, typer.Option(help="Of one invoice.")] = None,
    state: Annotated[State | None, typer.Option(help="Default: both.")] = None,
    limit: Annotated[int, whole_option(least=1, most=500, about="Rows on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List discrepancies in the order of invoice numbers."""
    with connect(config) as client:
        page = client.get(
            "/v1/discrepancies",
            number=number,
            state=None if state is None else state.value,
            limit=limit,
            cursor=cursor,
        ).fields
    if as_json:
        print_json(page)
        return
    rows = page.get("discrepancies")
    assert isinstance(rows, list)
    print_table(rows, ["number", "kind", "open", "time", "reason"])
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


@write_command(
    app,
    epilog=example(
        "piaolian discrepancy resolve 26310000000000000001 net_mismatch --reason 'credited'"
    ),
)
def resolve(
    number: Number,
    kind: Annotated[Kind, typer.Argument(help="Which one.")],
    reason: Reason,
) -> Write:
    """Close a discrepancy (tax bureau). Everyone can read the reason."""
    body = {"kind": kind.value, "reason": reason}
    return Write(f"/v1/invoices/{number}/resolve", body)
