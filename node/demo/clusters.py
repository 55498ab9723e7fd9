"""`piaolian cluster …`: all nodes of a network folder as local processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.client import NodeUnreachableError, ProblemError
from node.cli.errors import REFUSED
from node.cli.options import Json, example
from node.cli.output import message, print_fields, print_json, print_table
from node.demo.processes import READY_S, STOP_S, LocalNode, find_nodes, start_nodes, stop_nodes

app = typer.Typer(no_args_is_help=True, help="Run all nodes of a network folder on this machine.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="What `network new` wrote.")]
_COLUMNS = [
    *("node", "pid", "ready", "state", "term", "leader", "height", "final_height", "root", "api"),
]


@app.command(epilog=example("piaolian cluster up net"))
def up(
    folder: Folder,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to become ready.")] = READY_S,
    as_json: Json = False,
) -> None:
    """Start the nodes that do not run, and wait until all are ready."""
    nodes = find_nodes(folder)
    started = start_nodes(nodes, timeout)
    message(f"started {', '.join(started)}" if started else "all nodes run already")
    _print_status(nodes, as_json=as_json)


@app.command(epilog=example("piaolian cluster down net"))
def down(
    folder: Folder,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds before SIGKILL.")] = STOP_S,
    as_json: Json = False,
) -> None:
    """Stop the nodes that `cluster up` started: SIGTERM, then SIGKILL."""
    outcome = stop_nodes(find_nodes(folder), timeout)
    if as_json:
        print_json(outcome)
    else:
        print_fields(outcome)


@app.command(epilog=example("piaolian cluster status net --json"))
def status(folder: Folder, as_json: Json = False) -> None:
    """Show every node. Exit code 1 unless all are ready."""
    if not _print_status(find_nodes(folder), as_json=as_json):
        raise typer.Exit(REFUSED)


def _print_status(nodes: list[LocalNode], *, as_json: bool) -> bool:
    rows = [node_row(each) for each in nodes]
    if as_json:
        print_json({"nodes": rows})
    else:
        shown = [row | {"root": str(row["root"] or "-")[:16]} for row in rows]
        print_table(shown, _COLUMNS)
    return all(row["ready"] for row in rows)


def node_row(local: LocalNode) -> dict[str, object]:
    """What `cluster status` says of one node."""
    row: dict[str, object] = {
        "node": local.name,
        "pid": local.pid,
        "ready": False,
        "api": f"http://{local.config.api.listen}",
        "log": str(local.log),
    }
    names = ("state", "term", "leader", "height", "final_height", "tree_size", "root")
    found: dict[str, object] = {}
    if local.pid is not None:
        try:
            found = local.status()
            row["ready"] = local.ready()
        except (NodeUnreachableError, ProblemError) as error:
            row["error"] = str(error)
    raft = found.get("raft")
    found |= raft if isinstance(raft, dict) else {}
    return row | {name: found.get(name) for name in names}
