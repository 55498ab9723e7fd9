"""`piaolian participant hold|uphold|lift-hold|appeal-hold|show-hold`: issuing holds.

Owns arguments only; the commands join those of `piaolian participant`. A cause is read from a file:
it is sealed, and what stands on a command line is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.errors import UsageError
from node.cli.options import Config, Id, Json, example
from node.cli.output import print_fields, print_json
from node.cli.writes import Write, write_command

app = typer.Typer()

_FILE_BYTES_MAX = 600_000
Reference = Annotated[str, typer.Option(help="The bureau's own reference. Public.")]
UntilTime = Annotated[
    str, typer.Option("--until", help="RFC 3339; last block time at which it counts.")
]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
        if len(data) > _FILE_BYTES_MAX:
            raise UsageError(f"{path}: larger than {_FILE_BYTES_MAX} bytes")
        return data.decode().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


@app.command(epilog=example("piaolian participant show-hold 91310115337099624K"))
def show_hold(identity: Id, config: Config = None, as_json: Json = False) -> None:
    """Show an issuer's newest hold; its cause only at the firm's and the bureau's node."""
    with connect(config) as client:
        fields = client.get(f"/v1/issuers/{identity}/hold").fields
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


@write_command(
    app,
    epilog=example(
        "piaolian participant hold 91310115337099624K --reference SZ-2026-17 "
        "--until 2026-12-03T09:00:00Z --cause-file cause.txt --proof-file proof.txt"
    ),
)
def hold(
    identity: Id,
    reference: Reference,
    until: UntilTime,
    cause_file: Annotated[Path, typer.Option(help="Sealed to the firm and this bureau.")],
    proof_file: Annotated[
        Path | None, typer.Option(help="A proof file, sealed with the cause.")
    ] = None,
) -> Write:
    """Hold an issuer's blue invoices until a time, at most 72 h (tax bureau)."""
    body: dict[str, object] = {"reference": reference, "until": until, "cause": _text(cause_file)}
    body |= {} if proof_file is None else {"proof": _text(proof_file)}
    return Write(f"/v1/issuers/{identity}/hold", body)


@write_command(
    app,
    epilog=example(
        "piaolian participant uphold 91310115337099624K --reference SZ-2026-17 "
        "--until 2026-12-30T09:00:00Z --reason 'books not shown'"
    ),
)
def uphold(
    identity: Id,
    reference: Reference,
    until: UntilTime,
    reason: Annotated[str, typer.Option(help="Everyone can read it.")],
) -> Write:
    """Lengthen a hold to at most 30 days, by two keys of this node (tax bureau)."""
    body = {"reference": reference, "until": until, "reason": reason}
    return Write(f"/v1/issuers/{identity}/hold/uphold", body)


@write_command(
    app, epilog=example("piaolian participant lift-hold 91310115337099624K --reference SZ-2026-17")
)
def lift_hold(
    identity: Id,
    reference: Reference,
) -> Write:
    """End a hold before its time (tax bureau)."""
    body = {"reference": reference}
    return Write(f"/v1/issuers/{identity}/hold/lift", body)


@write_command(
    app,
    epilog=example(
        "piaolian participant appeal-hold --reference SZ-2026-17 --grounds-file grounds.txt"
    ),
)
def appeal_hold(
    reference: Reference,
    grounds_file: Annotated[Path, typer.Option(help="Sealed to this firm and the bureau.")],
) -> Write:
    """Appeal against a hold on this node's participant."""
    body = {"reference": reference, "grounds": _text(grounds_file)}
    return Write("/v1/issuers/self/hold/appeal", body)
