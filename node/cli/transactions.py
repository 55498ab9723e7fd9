"""Of a running node: its status, a transaction and its proof; and its word before a start.

Owns these commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.context import connect, load
from node.cli.errors import UsageError
from node.cli.lookups import transaction_of
from node.cli.options import TIMEOUT_S, Config, Json, Timeout, Until, example, whole_option
from node.cli.output import message, nearby, print_fields, print_json, program

app = typer.Typer()


@app.command(
    epilog=example(
        "piaolian rejoin --config net/issuer/node.toml",
        "piaolian rejoin --above 48211 --config net/issuer/node.toml",
    )
)
def rejoin(
    above: Annotated[
        int | None,
        whole_option(
            least=0, about="You vouch that this voter signed no checkpoint above this height."
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell a stopped node that its memory of what it signed may be incomplete.

    At its next start it neither votes nor signs until the others have told it enough. An empty
    folder or a lost marker needs no such word. Without enough others that answer, --above lets
    it sign again above a certificate of that height or a later one.

    A height that is too low makes this voter a liar, and may make two final histories. High
    enough is 64 above the greatest height (not final height) in the status of all others.
    """
    loaded = load(config)
    if loaded.node.kind == "observer":
        raise UsageError("an observer signs nothing that it could forget")
    from node.voting.rejoin_word import write_word

    write_word(loaded.node.data_dir, above)
    if as_json:
        print_json({"rejoin": str(loaded.node.data_dir), "above": above})
    elif above is None:
        message("the node rejoins at its next start; see `signing` in its status")
    else:
        message(f"at its next start the node signs again above a certificate of height {above}")


@app.command(epilog=example("piaolian status --config net/issuer/node.toml"))
def status(config: Config = None, as_json: Json = False) -> None:
    """Show this node: peers, height, final height, leader, lag."""
    with connect(config) as client:
        value = client.get("/v1/status").fields
    if as_json:
        print_json(value)
    else:
        height, final = value["height"], value["final_height"]
        assert isinstance(height, int)
        assert isinstance(final, int)
        print_fields(value | {"lag": f"{height - final} blocks committed but not final"})


@app.command(
    epilog=example("piaolian transaction 5b1f…e2 --wait final"),
)
def transaction(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Transaction id, hex.")],
    wait: Annotated[Until, typer.Option("--wait", help="Wait until it is that far.")] = Until.NONE,
    timeout: Timeout = TIMEOUT_S,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show a transaction: state, code, height, operations."""
    query = {} if wait is Until.NONE else {"wait": wait.value, "timeout_s": min(timeout, 60.0)}
    with connect(config) as client:
        value = client.get(f"/v1/transactions/{identity}", **query).fields
    if as_json:
        print_json(value)
    else:
        print_fields(value)


@app.command(
    epilog=example(
        "piaolian receipt 5b1f…e2 -o invoice.proof",
        "piaolian receipt 26310000000000000001 --disclose /lines/0 -o line.proof",
    )
)
def receipt(
    context: typer.Context,
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="Transaction id, hex; or an invoice's number.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.")
    ] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            help="What of the sealed details to show: a JSON pointer, /lines/0 the first line."
        ),
    ] = None,
    operation: Annotated[
        int | None, whole_option(least=0, about="Position of the operation whose details they are.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fetch the proof of a final transaction, with the items of its details you choose to show."""
    with connect(config) as client:
        identity = transaction_of(client, identity, context.obj)
        text = client.get(
            f"/v1/transactions/{identity}/receipt", disclose=disclose or None, operation=operation
        ).text
    if output is not None:
        output.write_text(text, encoding="utf-8", newline="")
        network = nearby(load(config).node.network)
        message(f"wrote {output}; check it with: {program()} verify {output} --network {network}")
    if as_json:
        print_json({"transaction": identity, "file": output and str(output), "receipt": text})
    elif output is None:
        typer.echo(text, nl=False)
