"""Checks that need no node of one's own: a proof, evidence, two sources of one ledger.

Owns these commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import REFUSED
from node.cli.options import Json, example
from node.cli.output import print_fields, print_json

app = typer.Typer()


@app.command(
    epilog=example(
        "piaolian verify invoice.proof --network network.toml",
        "piaolian verify issuer.evidence --network network.toml",
    )
)
def verify(
    file: Annotated[Path, typer.Argument(help="A proof, or evidence against a voter.")],
    network: Annotated[Path, typer.Option(help="The network's genesis document.")],
    as_json: Json = False,
) -> None:
    """Check a proof or evidence with no network and no node.

    Exit code 0: it is valid; a transaction that it shows was applied. 3: it is valid, and shows
    that the ledger refused the transaction. 1: it is not valid. 2: a file cannot be read. 4: the
    answer cannot be written.
    """
    from node.cli.proofs import check_file, exit_code

    verdict = check_file(file, network)
    if as_json:
        print_json(verdict)
    else:
        shown = {name: value for name, value in verdict.items() if value not in (None, "", [])}
        print_fields(shown)
    if code := exit_code(verdict):
        raise typer.Exit(code)


@app.command(
    epilog=example(
        "piaolian compare http://127.0.0.1:8101 last-week.checkpoint --network network.toml "
        "--token tokens/read.token",
        "piaolian compare here/node.toml mirror/ --network network.toml -o fork.evidence",
    )
)
def compare(
    first: Annotated[str, typer.Argument(metavar="SOURCE", help="What one side shows.")],
    second: Annotated[str, typer.Argument(metavar="SOURCE", help="What the other shows.")],
    network: Annotated[Path, typer.Option(help="The network's genesis document.")],
    token: Annotated[
        list[Path] | None,
        typer.Option(help="Token file for a URL; twice for two, in their order."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where evidence goes, if there is any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two sources of one ledger; name whoever signed two histories.

    A source is a node's URL or node.toml, a checkpoint or proof file, or a folder with a file
    `checkpoint` and tiles under `tile/`. No source is trusted. Exit code 0: the larger ledger
    continues the smaller one. 1: it does not. 2: the sources do not hold enough to tell, do not
    answer, or are forged. 4: the answer cannot be written.
    """
    from node.cli.comparing import compare_sources

    value = compare_sources(first, second, network, token or [], output)
    if as_json:
        print_json(value)
    else:
        print_fields({name: item for name, item in value.items() if item not in (None, [])})
    if not value["consistent"]:
        raise typer.Exit(REFUSED)
