"""Options that many commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="PIAOLIAN_CONFIG",
        help="The node's node.toml. Default: ./node.toml, the user's, /etc/piaolian/node.toml.",
        show_default=False,
    ),
]


class Until(StrEnum):
    """How far to wait for a write."""

    NONE = "none"
    COMMITTED = "committed"
    FINAL = "final"


Wait = Annotated[Until, typer.Option("--wait", help="Return when the transaction is that far.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, max=3_600, help="Seconds to wait at most.")
]
TIMEOUT_S = 30.0
Number = Annotated[str, typer.Argument(help="Invoice number, 20 digits.", metavar="NUMBER")]


def example(*lines: str) -> str:
    """The epilogue of a command's help."""
    return "Example:\n\n" + "\n\n".join(f"  {line}" for line in lines)
