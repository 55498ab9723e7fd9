"""`piaolian invoice import` and `template`: foreign files in. Owns arguments and output."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import UsageError
from node.cli.options import Config, Json, example
from node.cli.output import message, plain, print_fields, print_json

if TYPE_CHECKING:
    from node.domains.invoices.importing.plan import Plan, Refusal
    from node.domains.invoices.importing.tables import Table


class Format(StrEnum):
    """File formats that `import` reads."""

    CSV = "csv"
    XLSX = "xlsx"
    UBL = "ubl"
    ONLINE_RETAIL = "online-retail"


class Encoding(StrEnum):
    """Encodings of a CSV file."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class Language(StrEnum):
    """Language of a template's headings."""

    EN = "en"
    ZH = "zh"


def import_file(
    file: Annotated[Path, typer.Argument(help="The file; online-retail also gzipped.")],
    file_format: Annotated[Format, typer.Option("--format", help="What the file is.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and add up; needs no node.")
    ] = False,
    buyer: Annotated[
        str | None,
        typer.Option(
            help="Whom invoices that name nobody are made out to. Default: the only payer."
        ),
    ] = None,
    encoding: Annotated[Encoding, typer.Option(help="Of a CSV file.")] = Encoding.UTF_8,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook. Default: the first.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the refused rows, with reasons, as CSV."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Import invoices and red letters; repeats are skipped, refused rows are named.

    Refused rows are part of the answer: the exit code is 0 once the file was read to its end.
    A UBL document is checked against the rules of EN 16931; a row is a line of the file.
    """
    from node.domains.invoices.importing.collector import seldom_collecting

    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    if output is not None and file_format is Format.UBL:
        raise UsageError("--output is for tables; a UBL document is refused as a whole")
    if output is not None and output.resolve() == file.resolve():
        raise UsageError("--output is the file to import")
    with seldom_collecting():
        plan = _read_plan(file, file_format, encoding, sheet, dry_run=dry_run)
    for note in plan.notes:
        message(plain(note))
    if dry_run:
        from node.domains.invoices.importing.summary import dry_run_summary

        summary = dry_run_summary(plan)
    else:
        from node.domains.invoices.cli.upload import upload_with_progress

        summary = upload_with_progress(plan, config, buyer)
    if output is not None:
        _write_refused(output, file, file_format, encoding, sheet, summary.refused)
    if as_json:
        print_json(summary.document)
        return
    totals = {name: value for name, value in summary.document.items() if name != "refused"}
    print_fields(totals | {"refused": len(summary.refused)})
    for refusal in summary.refused:
        message(f"row {refusal.row}: {refusal.code}: {plain(refusal.message)}")


def write_template(
    output: Annotated[Path, typer.Option("--output", "-o", help="Ends with .csv or .xlsx.")],
    language: Annotated[Language, typer.Option("--lang", help="Of the headings.")] = Language.EN,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Write an empty table to fill and import; its columns are explained in it."""
    from node.domains.invoices.importing.template import write_template as write

    if output.exists() and not force:
        raise UsageError(f"{output} exists; --force overwrites it")
    try:
        write(output, language.value)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if as_json:
        print_json({"file": str(output)})
    else:
        kind = output.suffix.removeprefix(".")
        command = f"piaolian invoice import {output} --format {kind} --dry-run"
        message(f"wrote {output}; fill it, then: {command}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "import",
        epilog=example(
            "piaolian invoice import sales.xlsx --format xlsx --dry-run",
            "piaolian invoice import sales.csv --format csv --encoding gb18030 -o refused.csv",
            "piaolian invoice import invoice.xml --format ubl --dry-run",
            "piaolian invoice import retail.csv.gz --format online-retail --dry-run --json",
        ),
    )(import_file)
    app.command(
        "template",
        epilog=example("piaolian invoice template -o invoices.xlsx --lang zh"),
    )(write_template)


def _read_plan(
    file: Path, file_format: Format, encoding: Encoding, sheet: str | None, *, dry_run: bool
) -> Plan:
    """What a file asks for; the readers load when they are used."""
    match file_format:
        case Format.UBL:
            from node.domains.invoices.importing.ubl.plan import (
                plan_ubl,
                read_ubl_file,
                unnamed_original,
            )

            plan = plan_ubl(read_ubl_file(file), for_ledger=not dry_run)
            if (warning := unnamed_original(plan)) is not None:
                message(warning)
            return plan
        case Format.ONLINE_RETAIL:
            from node.domains.invoices.importing.online_retail import read_retail_file
            from node.domains.invoices.importing.retail_plan import plan_import

            return plan_import(read_retail_file(file))
        case Format.CSV | Format.XLSX:
            from node.domains.invoices.importing.documents import read_documents
            from node.domains.invoices.importing.table_plan import plan_table

            return plan_table(read_documents(_rows(file, file_format, encoding, sheet)))


def _rows(file: Path, file_format: Format, encoding: Encoding, sheet: str | None) -> Table:
    from node.domains.invoices.importing.tables import read_csv, read_xlsx

    if file_format is Format.XLSX:
        return read_xlsx(file, sheet)
    return read_csv(file, encoding.value)


def _write_refused(
    output: Path,
    file: Path,
    file_format: Format,
    encoding: Encoding,
    sheet: str | None,
    refused: Sequence[Refusal],
) -> None:
    from node.domains.invoices.importing.refused_rows import write_refused

    if file_format is Format.ONLINE_RETAIL:
        from node.domains.invoices.importing.online_retail import COLUMNS, retail_records

        written = write_refused(output, retail_records(file), COLUMNS[0], refused)
    else:
        rows = _rows(file, file_format, encoding, sheet)
        written = write_refused(output, rows, None, refused)
    message(f"wrote {written} refused rows to {output}")
