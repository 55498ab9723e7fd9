"""`piaolian invoice print`: the face of an invoice as a file. Owns the file's name and writing."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.errors import UsageError
from node.cli.options import Config, Json
from node.cli.output import message, print_json
from node.domains.invoices.cli.arguments import Number


class FaceFormat(StrEnum):
    """What a face is written as."""

    PDF = "pdf"
    HTML = "html"


class FaceLanguage(StrEnum):
    """Language of the labels."""

    BOTH = "both"
    ZH = "zh"
    EN = "en"


def print_face(
    number: Number,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: invoice-NUMBER.pdf or .html; - for stdout."),
    ] = None,
    face_format: Annotated[
        FaceFormat | None,
        typer.Option("--format", help="Default: by the name of the file, else pdf."),
    ] = None,
    language: Annotated[
        FaceLanguage, typer.Option("--lang", help="Language of the labels.")
    ] = FaceLanguage.BOTH,
    claim_key: Annotated[
        bool,
        typer.Option("--claim-key", help="With the claim key of a buyer without keys (issuer)."),
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the face of an invoice: public part, QR code, and for its parties the details."""
    kind = face_format or _format_by_name(output)
    target = output or Path(f"invoice-{number}.{kind.value}")
    to_stdout = str(target) == "-"
    if to_stdout and as_json:
        raise UsageError("--json says on standard output what was written: name a file")
    with connect(config, "operate" if claim_key else "read") as client:
        content = client.get(
            f"/v1/invoices/{number}/face", format=kind.value, lang=language.value
        ).data
    if to_stdout:
        sys.stdout.buffer.write(content)
        return
    # A claim key may be on it: the file is for its owner.
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror or error}") from error
    if as_json:
        print_json(
            {
                "number": number,
                "file": str(target),
                "format": kind.value,
                "language": language.value,
                "bytes": len(content),
            }
        )
    else:
        message(f"wrote {target}")


def _format_by_name(output: Path | None) -> FaceFormat:
    html = output is not None and output.suffix.lower() in {".html", ".htm"}
    return FaceFormat.HTML if html else FaceFormat.PDF
