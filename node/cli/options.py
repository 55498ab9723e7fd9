"""Options that many commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.models import ArgumentInfo, OptionInfo

_DIGITS = re.compile(r"[0-9]{1,30}")
"""More digits than any number of ours; Python reads thousands of them slowly."""
_MAJOR = re.compile(r"[0-9]+[.,][0-9]+")

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
Id = Annotated[str, typer.Argument(metavar="ID", help="Unified social credit code.")]


def whole_option(
    *names: str, least: int, most: int | None = None, about: str, metavar: str | None = None
) -> OptionInfo:
    """An option that is a whole number.

    Typer's own reading of an `int` takes `250.00` for 250, so that who writes an amount in yuan
    where fen are asked for would issue a hundredth of it. Digits alone are a number here.
    """
    shown = metavar or _range(least, most)
    found: OptionInfo = typer.Option(*names, parser=_whole(least, most), metavar=shown, help=about)
    return found


def whole_argument(*, least: int, most: int | None = None, about: str) -> ArgumentInfo:
    """An argument that is a whole number, as `whole_option` reads it."""
    shown = f"{about} {_range(least, most)}"
    found: ArgumentInfo = typer.Argument(parser=_whole(least, most), help=shown)
    return found


def _range(least: int, most: int | None) -> str:
    return f"<int {least}..{'' if most is None else most}>"


def _whole(least: int, most: int | None) -> Callable[[str | int], int]:
    def parse(text: str | int) -> int:
        # A default comes as the number that it is.
        if isinstance(text, str) and not _DIGITS.fullmatch(text):
            hint = "; an amount is in minor units" if _MAJOR.fullmatch(text) else ""
            raise typer.BadParameter(f"{text!r} is not a whole number, digits only{hint}")
        value = int(text)
        if value < least or (most is not None and value > most):
            raise typer.BadParameter(f"{text} is out of range: {_range(least, most)}")
        return value

    return parse


def example(*lines: str) -> str:
    """The epilogue of a command's help."""
    return "Example:\n\n" + "\n\n".join(f"  {line}" for line in lines)
