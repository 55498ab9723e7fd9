"""`piaolian invoice export --format csv|xlsx`: invoices of a list into one file, row by row."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.cli.client import ApiClient
from node.cli.context import connect
from node.cli.errors import CliError, UsageError
from node.cli.output import console, message, print_json
from node.domains.invoices.cli.listing import read_invoices
from node.domains.invoices.exporting.rows import (
    INVOICE_COLUMNS,
    LINE_COLUMNS,
    Totals,
    invoice_rows,
    line_rows,
)
from node.domains.invoices.exporting.writers import CsvWriter, TableWriter, XlsxWriter

_SHOWN_EVERY = 200


def export_table(
    config: Path | None,
    output: Path | None,
    numbers: Sequence[str],
    wanted: Mapping[str, object],
    *,
    workbook: bool,
    lines: bool,
    as_json: bool,
) -> None:
    """Write a table of invoices.

    Args:
        config: Of the node.
        output: The file; None: standard output, for CSV.
        numbers: Of the invoices; none: those that match `wanted`.
        wanted: Conditions of `GET /v1/invoices`.
        workbook: Write XLSX rather than CSV.
        lines: A row for each line rather than for each invoice.
        as_json: Tell of the file in JSON.

    Raises:
        UsageError: the output cannot take the format.
        CliError: the node does not answer, or the file cannot be written.
    """
    if output is None and (workbook or as_json):
        raise UsageError("say where to write with --output")
    if numbers and any(value is not None for value in wanted.values()):
        raise UsageError("give invoice numbers or conditions, not both")
    columns = LINE_COLUMNS if lines else INVOICE_COLUMNS
    rows_of = line_rows if lines else invoice_rows
    totals = Totals(columns)
    count = rows = 0
    shown = console(to_stderr=True)
    with (
        connect(config, patience_s=30.0) as client,
        _writer(output, workbook=workbook) as writer,
        shown.status("exporting") as status,
    ):
        writer.row(list(columns), strong=True)
        for invoice in _invoices(client, numbers, wanted):
            for row in rows_of(invoice):
                writer.row(row)
                totals.add(row)
                rows += 1
            count += 1
            if count % _SHOWN_EVERY == 0:
                status.update(f"exporting: {count} invoices")
        for row in totals.rows():
            writer.row(row, strong=True)
    document = {"invoices": count, "rows": rows, "totals": totals.document}
    if as_json:
        print_json({"file": str(output), **document})
    elif output is not None:
        message(f"wrote {count} invoices, {rows} rows, to {output}")


def _invoices(
    client: ApiClient, numbers: Sequence[str], wanted: Mapping[str, object]
) -> Iterator[dict[str, Any]]:
    if not numbers:
        yield from read_invoices(client, details="true", **wanted)
    for number in numbers:
        yield client.get(f"/v1/invoices/{number}").fields


@contextmanager
def _writer(output: Path | None, *, workbook: bool) -> Iterator[TableWriter]:
    """A writer whose file appears, whole, only when everything went well."""
    if output is None:
        yield CsvWriter(sys.stdout)
        return
    part = output.with_name(f".{output.name}.part")
    try:
        if workbook:
            book = XlsxWriter(part, "Invoices 发票")
            yield book
            book.close()
        else:
            # With a mark, by which spreadsheets know UTF-8.
            with part.open("w", encoding="utf-8-sig", newline="") as stream:
                yield CsvWriter(stream)
        part.replace(output)
    except OSError as error:
        raise CliError(f"{output}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
