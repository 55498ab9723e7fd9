"""`piaolian wallet list|make|import|claim-key`: bare keys of the node, and claim keys of invoices.

Owns arguments only. A claim key is a secret: it is read from a file, from standard input or asked
on the terminal, never taken from the command line.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.errors import UsageError, reason_of
from node.cli.options import Config, Json, example
from node.cli.output import message, print_fields, print_json, print_table
from node.domains.invoices.cli.arguments import Number

app = typer.Typer(no_args_is_help=True, help="Bare keys: to buy without being named.")
_CLAIM_BYTES_MAX = 200


@app.command("list", epilog=example("piaolian wallet list"))
def list_keys(config: Config = None, as_json: Json = False) -> None:
    """List the public keys that this node holds, oldest first."""
    with connect(config) as client:
        value = client.get("/v1/wallet/keys").fields
    if as_json:
        print_json(value)
        return
    keys = value["keys"]
    assert isinstance(keys, list)
    print_table([{"key": key} for key in keys], ["key"])


@app.command(epilog=example("piaolian wallet make"))
def make(config: Config = None, as_json: Json = False) -> None:
    """Make a key for one purchase; name it to the issuer as the buyer."""
    with connect(config, "operate") as client:
        value = client.post("/v1/wallet/keys").fields
    _print(value, as_json=as_json)


@app.command(
    "import",
    epilog=example("piaolian wallet import claim.txt", "piaolian wallet import"),
)
def import_key(
    file: Annotated[
        Path | None,
        typer.Argument(help="A file with the claim key; `-`: standard input. Else it is asked."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take over a claim key. Then offer the invoice to a key of your own: the issuer knows it."""
    text = _claim_text(file)
    with connect(config, "operate") as client:
        value = client.post("/v1/wallet/keys:import", {"claim_key": text}).fields
    _print(value, as_json=as_json)
    if not as_json:
        message("the issuer knows this key: offer the invoice to a key of your own")


@app.command("claim-key", epilog=example("piaolian wallet claim-key 26310000000000000001"))
def claim_key(number: Number, config: Config = None, as_json: Json = False) -> None:
    """Show the claim key of an invoice that this participant issued."""
    with connect(config, "operate") as client:
        value = client.get(f"/v1/invoices/{number}/claim-key").fields
    _print(value, as_json=as_json)


def _claim_text(file: Path | None) -> str:
    if file is None:
        if not sys.stdin.isatty():
            raise UsageError("give a file with the claim key, or `-` for standard input")
        return getpass.getpass("Claim key: ").strip()
    try:
        if str(file) == "-":
            return sys.stdin.read(_CLAIM_BYTES_MAX).strip()
        with file.open(encoding="utf-8") as stream:
            return stream.read(_CLAIM_BYTES_MAX).strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {reason_of(error)}") from error


def _print(value: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        print_fields(value)
