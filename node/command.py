"""The `piaolian` command. Owns the command tree and exit codes; heavy modules load when used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from node.cli import evidence, inspecting, networks, opening
from node.cli.context import connect, find_config, load
from node.cli.errors import REFUSED, UsageError, exit_code_of, reason_of
from node.cli.options import TIMEOUT_S, Config, Json, Timeout, Until, example, whole_option
from node.cli.output import message, nearby, print_fields, print_json, program
from node.demo import clusters
from node.domains.invoices.cli import (
    discrepancies,
    holds,
    invoices,
    payments,
    printing,
    redletters,
    registers,
    responses,
    statements,
    wallet,
)
from node.domains.membership.cli import keys, members

_NUMBER_DIGITS = 20
"""Of an invoice; a transaction id has 64 hex digits."""

app = typer.Typer(
    name="piaolian",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Piaolian: a ledger of invoices that nobody has to take on trust.",
)
app.add_typer(networks.network, name="network")
app.add_typer(keys.key, name="key")
app.add_typer(clusters.app, name="cluster")
app.add_typer(invoices.app, name="invoice")
invoices.app.add_typer(responses.app)
invoices.app.add_typer(payments.app)
invoices.app.add_typer(redletters.app, name="red")
invoices.app.command(
    "print",
    epilog=example(
        "piaolian invoice print 26310000000000000001",
        "piaolian invoice print 26310000000000000001 -o face.html --lang zh",
    ),
)(printing.print_face)
app.add_typer(registers.quota, name="quota")
app.add_typer(registers.segment, name="segment")
app.add_typer(registers.rates, name="rates")
app.add_typer(wallet.app, name="wallet")
app.add_typer(discrepancies.app, name="discrepancy")
app.add_typer(members.participant, name="participant")
members.participant.add_typer(holds.app)
app.command(epilog=example("piaolian proposals --state open"))(members.proposals)
app.command(epilog=example("piaolian vote 5b1f…e2 yes"))(members.vote)
app.add_typer(evidence.app, name="evidence")
app.add_typer(inspecting.app, name="inspect")
app.command(
    epilog=example(
        "piaolian init my-node --node issuer --participant 91310115337099624K --name 'Paper Ltd' "
        "--role issuer --address node.example.org:7101"
    )
)(networks.init)

app.command(
    "open",
    epilog=example(
        "piaolian open --config net/payer/node.toml",
        "piaolian open --scope read --url https://node.example.org",
    ),
)(opening.open_page)

app.command(
    epilog=example(
        "piaolian statement 91310115337099624K 2026-11",
        "piaolian statement 91310115337099624K 2026-11 --format csv -o november.csv",
    )
)(statements.statement)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"piaolian {version('piaolian')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take options that stand before the command."""


@app.command(epilog=example("piaolian start --config net/issuer/node.toml"))
def start(config: Config = None) -> None:
    """Run a node in the foreground; SIGTERM stops it cleanly."""
    from node.runtime.daemon import run
    from node.system.config import load_config

    read = partial(load_config, find_config(config))
    raise typer.Exit(run(read(), read))


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
        if len(identity) == _NUMBER_DIGITS:
            identity = str(client.get(f"/v1/invoices/{identity}").fields["transaction"])
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
    that the ledger refused the transaction. 1: it is not valid. 2: a file cannot be read.
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
    answer, or are forged.
    """
    from node.cli.comparing import compare_sources

    value = compare_sources(first, second, network, token or [], output)
    if as_json:
        print_json(value)
    else:
        print_fields({name: item for name, item in value.items() if item not in (None, [])})
    if not value["consistent"]:
        raise typer.Exit(REFUSED)


@app.command(epilog=example("piaolian audit --config net/issuer/node.toml --json"))
def audit(
    from_height: Annotated[
        int,
        whole_option(
            "--from", least=0, metavar="H", about="Verify signatures from this height on only."
        ),
    ] = 0,
    processes: Annotated[
        int, whole_option(least=1, most=8, about="More are faster, and take cores from the node.")
    ] = 1,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check all that this node has stored, also while it runs. Exit code 0 only if it is valid."""
    from node.cli.auditing import run_audit, verdict_of
    from node.runtime.domains import index_parts

    result = run_audit(load(config), index_parts, from_height=from_height, processes=processes)
    if as_json:
        print_json(result)
    else:
        typer.echo(verdict_of(result))
        print_fields({name: value for name, value in result.items() if name != "first_error"})
    if not result["valid"]:
        raise typer.Exit(REFUSED)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="piaolian")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone; keep the interpreter from saying so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        return _fail(error)
    return 0


def _fail(error: Exception) -> int:
    code = exit_code_of(error)
    if code is None:
        if os.environ.get("PIAOLIAN_TRACEBACK"):
            raise error
        message(
            f"piaolian: internal error: {type(error).__name__}: {error}\n"
            "Please report it with the output of the same command under PIAOLIAN_TRACEBACK=1"
        )
        return REFUSED
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    message(f"piaolian: {where}{reason_of(error)}")
    if isinstance(error, UsageError):
        message("Try --help.")
    return code
