"""`piaolian invoice export`: invoices of the ledger as documents. Owns arguments and files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.client import ApiClient
from node.cli.context import connect
from node.cli.errors import CliError, UsageError
from node.cli.options import Config, Json
from node.cli.output import message, print_json

if TYPE_CHECKING:
    from node.domains.invoices.importing.ubl.native import Public


class ExportFormat(StrEnum):
    """File formats that `export` writes."""

    UBL = "ubl"
    CSV = "csv"
    XLSX = "xlsx"


def export(
    file_format: Annotated[ExportFormat, typer.Option("--format", help="What to write.")],
    numbers: Annotated[
        list[str] | None,
        typer.Argument(help="Invoice numbers; a table needs none.", metavar="NUMBER…"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file, or for several UBL documents a directory. Default: standard output.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Of a table: issued at or after. Date or time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Of a table: issued before. Date or time.")
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="Of a table: issuer, buyer, reimburser or holder.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Of a table: issued, partly_credited, …")
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Of a table: a row for each line.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write invoices as a table with a row of totals for each currency, or as UBL documents.

    A table (csv, xlsx) has a row for each invoice, newest first, or for each line; red invoices
    count below zero, cancelled ones nothing. What this node cannot read of the details is empty.

    A UBL 2.1 document follows EN 16931; a red invoice is a credit note. An invoice that was
    imported from UBL comes back as it was; the node must be able to read its details.
    """
    if file_format is not ExportFormat.UBL:
        from node.domains.invoices.cli.export_table import export_table

        wanted = {"from_": since, "to": until, "party": party, "state": state}
        workbook = file_format is ExportFormat.XLSX
        export_table(
            config, output, numbers or [], wanted, workbook=workbook, lines=lines, as_json=as_json
        )
        return
    _export_ubl(config, output, numbers or [], as_json=as_json)


def _export_ubl(
    config: Path | None, output: Path | None, numbers: Sequence[str], *, as_json: bool
) -> None:
    if not numbers:
        raise UsageError("say which invoices to write as UBL")
    several = len(numbers) > 1
    if output is None and (several or as_json):
        raise UsageError("say where to write with --output")
    into_directory = output is not None and (several or output.is_dir())
    written: list[dict[str, object]] = []
    with connect(config) as client:
        names = _names(client)
        for number in numbers:
            content = ubl_of(client, number, names)
            if output is None:
                sys.stdout.buffer.write(content)
                return
            target = output / f"{number}.xml" if into_directory else output
            _write_file(target, content)
            written.append({"number": number, "file": str(target), "bytes": len(content)})
            if not as_json:
                message(f"wrote {number} to {target}")
    if as_json:
        print_json({"exported": written})


def ubl_of(client: ApiClient, number: str, names: Mapping[str, str]) -> bytes:
    """The UBL document of an invoice.

    Args:
        client: Of a node that can read the details.
        number: The invoice's number.
        names: Participants' names by id.

    Raises:
        CliError: the details cannot be read, or make no document.
        ProblemError: there is no such invoice.
    """
    from node.domains.invoices.importing.ubl.exporting import export_ubl
    from node.domains.invoices.importing.ubl.tree import UblError

    view = client.get(f"/v1/invoices/{number}").fields
    details = view.get("details")
    if details is None and view.get("details_commitment") is not None:
        raise CliError(f"{number}: this node cannot read the details")
    original = view.get("original")
    if isinstance(original, str):
        blue = client.get(f"/v1/invoices/{original}").fields.get("details")
        original = _known_number(blue) or original
    known = details if isinstance(details, Mapping) else {}
    try:
        return export_ubl(
            _public(view, None if original is None else str(original), names),
            known,
            _files(client, number, known),
        )
    except UblError as error:
        raise CliError(str(error)) from error


def _files(client: ApiClient, number: str, details: Mapping[str, object]) -> dict[str, bytes]:
    """The attachments of an invoice that came from UBL, where its document held them."""
    extensions, attachments = details.get("extensions"), details.get("attachments")
    if not isinstance(extensions, Mapping) or "ubl" not in extensions:
        return {}
    hashes = [str(each["hash"]) for each in attachments] if isinstance(attachments, list) else []
    return {each: client.get(f"/v1/attachments/{each}", invoice=number).data for each in hashes}


def _known_number(details: object) -> str | None:
    """The number by which a reader of an exported blue invoice knows it, if not the ledger's."""
    if not isinstance(details, Mapping) or "ubl" not in (details.get("extensions") or {}):
        return None
    number = details.get("external_number")
    return number if isinstance(number, str) else None


def _public(view: Mapping[str, object], original: str | None, names: Mapping[str, str]) -> Public:
    from node.domains.invoices.importing.ubl.native import Group, Public
    from node.ledger.currency import minor_units

    groups = view["groups"]
    assert isinstance(groups, Sequence)
    issuer, buyer, currency = str(view["issuer"]), str(view["buyer"]), str(view["currency"])
    net, tax, gross = (view[name] for name in ("net", "tax", "gross"))
    assert isinstance(net, int)
    assert isinstance(tax, int)
    assert isinstance(gross, int)
    return Public(
        number=str(view["number"]),
        original=original,
        issuer=issuer,
        issuer_name=names.get(issuer, issuer),
        buyer=buyer,
        buyer_name=names.get(buyer, buyer),
        currency=currency,
        units=minor_units(currency),
        issue_date=str(view["issue_date"]),
        groups=tuple(Group(g["rate"], g["net"], g["tax"]) for g in groups),
        net=net,
        tax=tax,
        gross=gross,
    )


def _names(client: ApiClient) -> dict[str, str]:
    rows = client.get("/v1/participants").fields["participants"]
    assert isinstance(rows, list)
    return {str(row["id"]): str(row.get("name") or row["id"]) for row in rows}


def _write_file(target: Path, content: bytes) -> None:
    """Replace a file in one step: a reader never sees half a document."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(content)
    part.replace(target)
