"""The `piaolian` command. Owns the command tree and exit codes; heavy modules load when used."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import typer

from node.cli import checking, evidence, inspecting, networks, opening, transactions
from node.cli.context import find_config, load
from node.cli.errors import NO_ANSWER, REFUSED, UsageError, exit_code_of, reason_of
from node.cli.language import LANGUAGE, chosen, said
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_fields, print_json
from node.cli.standard_streams import StandardOutput
from node.cli.tree import add_commands
from node.demo import clusters, commands
from node.ledger.codes import CODE_TEXTS
from node.runtime.domains import DOMAINS, index_parts, position_files
from node.system.log_output import open_standard_streams

_REFUSALS = dict(CODE_TEXTS.values())

app = typer.Typer(
    name="piaolian",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Piaolian: a ledger of invoices that nobody has to take on trust.",
)
app.add_typer(networks.network, name="network")
for domain in DOMAINS:
    domain.commands(app)
app.add_typer(clusters.app, name="cluster")
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


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"piaolian {version('piaolian')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    _lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="LANGUAGE",
            help="Language of help and messages: en or zh. [env var: PIAOLIAN_LANG]",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take options that stand before the command."""
    context.obj = tuple(kind for domain in DOMAINS for kind in domain.numbered)


@app.command(epilog=example("piaolian start --config net/issuer/node.toml"))
def start(config: Config = None) -> None:
    """Run a node in the foreground; SIGTERM stops it cleanly."""
    from node.runtime.daemon import run
    from node.system.config import load_config

    read = partial(load_config, find_config(config))
    raise typer.Exit(run(read(), read))


add_commands(app, transactions.app)
add_commands(app, checking.app)


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
    """Check all that this node has stored, also while it runs.

    Exit code 0: it is valid. 1: it is not. 2: there is nothing to audit, or the configuration
    cannot be used. 4: the audit could not be done, or its answer not written.
    """
    from node.cli.auditing import run_audit, verdict_of

    result = run_audit(
        load(config),
        index_parts,
        position_files(),
        from_height=from_height,
        processes=processes,
    )
    if as_json:
        print_json(result)
    else:
        typer.echo(verdict_of(result))
        print_fields({name: value for name, value in result.items() if name != "first_error"})
    if not result["valid"]:
        raise typer.Exit(REFUSED)


add_commands(app, commands.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    open_standard_streams()
    output = StandardOutput()
    code = _run(arguments, output)
    lost = output.failure()
    if lost is None:
        return code
    if not isinstance(lost, BrokenPipeError):  # the reader of a pipe has seen all that it wanted
        message(f"piaolian: standard output: {reason_of(lost)}")
    return NO_ANSWER


def _run(arguments: Sequence[str] | None, output: StandardOutput) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        LANGUAGE.use(chosen(words, os.environ), _catalogues(), _REFUSALS)
        if LANGUAGE.is_english:
            app(args=words, prog_name="piaolian")
        else:
            return _run_translated(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        return NO_ANSWER if error is output.failure() else _fail(error)
    return 0


def _run_translated(words: list[str]) -> int:
    """Run the command tree with its help in another language; usage errors are told by us."""
    from node.cli.translating import tell_usage, translate

    command = typer.main.get_command(app)
    translate(command)
    try:
        result = command.main(args=words, prog_name="piaolian", standalone_mode=False)
    except typer.TyperException as error:
        return tell_usage(error)
    except typer.Abort:
        return REFUSED
    return result if isinstance(result, int) else 0


def _catalogues() -> Iterator[Traversable]:
    yield files("node.cli") / "lang"
    for domain in DOMAINS:
        yield files(f"node.domains.{domain.name}.cli") / "lang"


def _fail(error: Exception) -> int:
    code = exit_code_of(error)
    if code is None:
        if os.environ.get("PIAOLIAN_TRACEBACK"):
            traceback.print_exception(error)
            return NO_ANSWER
        message(
            f"piaolian: internal error: {type(error).__name__}: {error}\n"
            "Please report it with the output of the same command under PIAOLIAN_TRACEBACK=1"
        )
        return NO_ANSWER
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    message(f"piaolian: {where}{said(reason_of(error))}")
    if isinstance(error, UsageError):
        message("Try --help.")
    return code
