"""`piaolian statement`: the monthly statement of an issuer. Owns arguments and output."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.context import connect
from node.cli.errors import UsageError
from node.cli.money import major_text, rate_text
from node.cli.options import Config, Json
from node.cli.output import message, print_fields, print_json, print_table
from node.domains.invoices.cli.registers import month_bounds
from node.ledger.currency import decimals

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATE_COLUMNS = (
    *("rate", "issued_net", "issued_tax", "cancelled_net", "cancelled_tax"),
    *("red_net", "red_tax", "net", "tax"),
)


class StatementFormat(StrEnum):
    """How a statement is written."""

    JSON = "json"
    CSV = "csv"


def statement(
    issuer: Annotated[str, typer.Argument(metavar="ISSUER", help="Participant id.")],
    month: Annotated[str, typer.Argument(metavar="MONTH", help="YYYY-MM, by the network's clock.")],
    file_format: Annotated[
        StatementFormat | None,
        typer.Option("--format", help="A file's: json as the node made it, or csv."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what an issuer issued, cancelled and took back in a month, by tax rate, and its quota.

    The issuer's node and the bureau's make the same bytes: compare the JSON files.
    """
    month_bounds(month, 0)  # refuses what is no month
    with connect(config) as client:
        answer = client.get(f"/v1/statements/{issuer}/{month}")
    value = answer.fields
    if file_format is StatementFormat.CSV:
        text = "".join(csv_lines(value))
    elif file_format is StatementFormat.JSON or output is not None:
        text = answer.text + "\n"
    elif as_json:
        print_json(value)
        return
    else:
        _print(value)
        return
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from error
    message(f"wrote {output}")
    if as_json:
        print_json({"file": str(output)})


def csv_lines(value: dict[str, Any]) -> Iterator[str]:
    """A statement as CSV: a row for each rate, then a row of totals, for each currency."""
    from node.domains.invoices.importing.tables import csv_line

    yield csv_line(["issuer", "month", "currency", *_RATE_COLUMNS])
    for part in value["currencies"]:
        head = [value["issuer"], value["month"], part["currency"]]
        shift = decimals(part["currency"])
        for rate in part["rates"]:
            amounts = [major_text(rate[name], shift) for name in _RATE_COLUMNS[1:]]
            yield csv_line([*head, major_text(rate["rate"], 2) + "%", *amounts])
        sums = [
            part[kind][name] for kind in ("issued", "cancelled", "red") for name in ("net", "tax")
        ]
        sums += [part["net"], part["tax"]]
        yield csv_line([*head, "total", *(major_text(amount, shift) for amount in sums)])


def _print(value: dict[str, Any]) -> None:
    print_fields({"issuer": value["issuer"], "month": value["month"]})
    for part in value["currencies"]:
        shift = decimals(part["currency"])
        print_fields({"currency": part["currency"]})
        rows = [
            {"": name, "documents": part[name]["documents"]}
            | {field: major_text(part[name][field], shift) for field in ("net", "tax", "gross")}
            for name in ("issued", "cancelled", "red")
        ]
        rows.append(
            {"": "stands"}
            | {name: major_text(part[name], shift) for name in ("net", "tax", "gross")}
        )
        print_table(rows, ["", "documents", "net", "tax", "gross"])
        rates = [
            {"rate": rate_text(rate["rate"])}
            | {name: major_text(rate[name], shift) for name in ("net", "tax")}
            for rate in part["rates"]
        ]
        print_table(rates, ["rate", "net", "tax"])
    quota = value["quota"]
    if quota is not None:
        print_fields(
            {
                f"quota_{name}": major_text(quota[name], 2)
                for name in ("granted", "used", "remaining")
            }
        )
