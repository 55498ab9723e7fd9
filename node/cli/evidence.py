"""`piaolian evidence …`: who lied, and the file that proves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Proofs that a voter lied.")


@app.command("list", epilog=example("piaolian evidence list --json"))
def list_evidence(
    limit: Annotated[int, whole_option(least=1, most=500, about="Rows on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List stored evidence: who signed two histories, and what proves it."""
    with connect(config) as client:
        page = client.get("/v1/evidence", limit=limit, cursor=cursor).fields
    if as_json:
        print_json(page)
        return
    rows = page["evidence"]
    assert isinstance(rows, list)
    print_table(rows, ["id", "voter", "kind", "found", "sentence"])
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


@app.command("export", epilog=example("piaolian evidence export 9c41…07 -o issuer.evidence"))
def export_evidence(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Evidence id, hex.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write evidence as a file that anyone can check with `piaolian verify`."""
    with connect(config) as client:
        text = client.get(f"/v1/evidence/{identity}").text
    if output is not None:
        output.write_text(text, encoding="utf-8", newline="")
        message(f"wrote {output}; check it with: piaolian verify {output} --network network.toml")
    if as_json:
        print_json({"id": identity, "file": output and str(output), "evidence": text})
    elif output is None:
        typer.echo(text, nl=False)
