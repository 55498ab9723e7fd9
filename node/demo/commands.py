"""The developers' tools as commands: the demonstration and the load. Owns their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import UsageError
from node.cli.options import Json, example, whole_option
from node.cli.output import print_fields, print_json

app = typer.Typer()


@app.command(epilog=example("piaolian demo --keep"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running.")] = False,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where; an earlier demo there is removed.")
    ] = Path(".demo"),
    data: Annotated[Path | None, typer.Option(help="A file in the online-retail format.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Import all of --data, twice, and compare the sums.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run four nodes through the main job: real invoices, a killed leader, a proof."""
    if full:
        from node.demo.retail import run_retail

        if data is None:
            raise UsageError("--full needs the file: --data FILE")
        run_retail(folder, data, keep=keep, as_json=as_json)
        return
    from node.demo.demo import run_demo

    run_demo(folder, data, keep=keep, as_json=as_json)


@app.command(epilog=example("piaolian bench --seconds 30 --json", "piaolian bench --batch 50"))
def bench(
    seconds: Annotated[float, typer.Option(min=1, help="How long to load.")] = 30.0,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Transactions a second. Default: all it takes.")
    ] = None,
    batch: Annotated[int, whole_option(least=1, most=200, about="Invoices a transaction.")] = 1,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Every invoice with sealed details.")
    ] = False,
    nodes: Annotated[int, whole_option(least=4, most=7, about="Nodes of a fresh cluster.")] = 4,
    network: Annotated[
        Path | None, typer.Option(help="Folder of a running network. Default: a fresh one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load a local cluster and measure what becomes final, as a verifying client sees it."""
    from node.demo.bench.run import Plan
    from node.demo.benchmark import run

    value = run(Plan(seconds, rate, batch, sealed), network, nodes)
    if as_json:
        print_json(value)
    else:
        print_fields(value)
