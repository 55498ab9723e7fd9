"""`piaolian invoice list`: which invoices, by all that `GET /v1/invoices` can ask for.

Owns the filters' names and the one table. A filter that the node reads from the invoices' rows
makes its pages short: more are asked for until the list is as long as was wished.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from node.cli.client import ApiClient
from node.cli.context import connect
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_json, print_table
from node.domains.invoices.cli.shown import row_for_people

_COLUMNS = ["number", "state", "response", "issue_date", "currency", "gross", "available", "holder"]


class State(StrEnum):
    """States of the document."""

    ISSUED = "issued"
    PARTLY_CREDITED = "partly_credited"
    CREDITED = "credited"
    CANCELLED = "cancelled"


class Answer(StrEnum):
    """The buyer's words."""

    NONE = "none"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"
    DISPUTED = "disputed"
    DEEMED_ACCEPTED = "deemed_accepted"


def list_invoices(
    state: Annotated[State | None, typer.Option(help="Of the document.")] = None,
    response: Annotated[Answer | None, typer.Option(help="The buyer's word.")] = None,
    answered: Annotated[
        bool | None,
        typer.Option("--answered/--unanswered", help="Whether the buyer's final word is there."),
    ] = None,
    frozen: Annotated[
        bool | None, typer.Option("--frozen/--not-frozen", help="Held for a case of the bureau.")
    ] = None,
    red: Annotated[
        bool | None, typer.Option("--red/--blue", help="Red invoices only, or blue ones only.")
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="Issuer, buyer, reimburser, or holder at any time.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="Participant.")] = None,
    buyer: Annotated[str | None, typer.Option(help="Participant, or a bare key in hex.")] = None,
    holder: Annotated[str | None, typer.Option(help="Who holds it now.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Issued at or after this date or RFC 3339 time."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Issued before this date or RFC 3339 time.")
    ] = None,
    min_gross: Annotated[
        int | None, whole_option(least=0, about="Smallest gross, in minor units of any currency.")
    ] = None,
    limit: Annotated[int, whole_option(least=1, most=500, about="Invoices on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List invoices, newest first. Several filters must all hold."""
    wanted = {
        "state": state,
        "response": response,
        "unanswered": _yes_no(None if answered is None else not answered),
        "frozen": _yes_no(frozen),
        "red": _yes_no(red),
        "party": party,
        "issuer": issuer,
        "buyer": buyer,
        "holder": holder,
        "from": since,
        "to": until,
        "min_gross": min_gross,
    }
    with connect(config) as client:
        page = _page(client, wanted, limit, cursor)
    if as_json:
        print_json(page)
        return
    print_table([_row(invoice) for invoice in page["invoices"]], _COLUMNS)
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


def _row(invoice: dict[str, Any]) -> dict[str, object]:
    shown = row_for_people(invoice, invoice["currency"])
    return shown | {"response": invoice["response"]["state"]}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "list",
        epilog=example(
            "piaolian invoice list --state issued --limit 20",
            "piaolian invoice list --response disputed --from 2026-11-01 --to 2026-12-01",
            "piaolian invoice list --holder 91350100M000100Y43 --frozen --min-gross 100000",
        ),
    )(list_invoices)


def _page(
    client: ApiClient, wanted: Mapping[str, object], limit: int, cursor: str | None
) -> dict[str, Any]:
    """`limit` invoices, or all that there are, and where to go on."""
    invoices: list[dict[str, Any]] = []
    while True:
        rest = limit - len(invoices)
        page = client.get("/v1/invoices", **wanted, limit=rest, cursor=cursor).fields
        found = page["invoices"]
        assert isinstance(found, list)
        invoices += found
        following = page.get("next_cursor")
        cursor = None if following is None else str(following)
        if cursor is None or len(invoices) >= limit:
            return page | {"invoices": invoices}


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
