"""What commands print: data on standard output, messages on standard error.

With `--json` the data is exactly one JSON document. Without, it is meant for people and may change.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unicodedata import combining, east_asian_width

from node.cli.language import LANGUAGE, said

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def message(text: str) -> None:
    """A line on standard error, in the user's language as far as that knows it."""
    sys.stderr.write(f"{said(text)}\n")


def console(*, to_stderr: bool = False) -> Console:
    """A console; plain text when it is no terminal, or NO_COLOR is set."""
    from rich.console import Console

    # Not a terminal: no wrapping, so that lines can be cut and searched.
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(file=stream, width=width, highlight=False, soft_wrap=width is not None)


def print_fields(value: Mapping[str, object]) -> None:
    """An object as aligned lines; what is nested follows, indented."""
    sys.stdout.write(fields_text(value) + "\n")


def fields_text(value: Mapping[str, object], indent: str = "") -> str:
    """As `print_fields`, as text."""
    names = [LANGUAGE.field(name) for name in value]
    width = max(map(_columns, names), default=0)
    lines: list[str] = []
    for name, item in zip(names, value.values(), strict=True):
        if isinstance(item, Mapping) and item:
            lines += [
                f"{indent}{name}",
                fields_text(cast("Mapping[str, object]", item), indent + "  "),
            ]
        elif isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            lines.append(f"{indent}{name}")
            for row in item:
                parts = ((LANGUAGE.field(str(key)), plain(part)) for key, part in row.items())
                flat = "  ".join(f"{key}={part}" for key, part in parts)
                lines.append(f"{indent}  {flat}")
        elif isinstance(item, list) and any(isinstance(part, str) and " " in part for part in item):
            lines.append(f"{indent}{name}")  # sentences
            lines += [f"{indent}  {plain(part)}" for part in item]
        else:
            lines.append(f"{indent}{_filled(name, width)}  {plain(item)}")
    return "\n".join(lines)


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Rows under a header, in columns."""
    cells = [[plain(row.get(column)) for column in columns] for row in rows]
    heads = [LANGUAGE.field(column).upper().replace("_", " ") for column in columns]
    widths = [
        max([_columns(head), *(_columns(row[number]) for row in cells)])
        for number, head in enumerate(heads)
    ]
    for row in [heads, *cells]:
        line = "  ".join(_filled(cell, width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _columns(text: str) -> int:
    """How wide a terminal shows a text: a Chinese character takes two columns."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 1 + (east_asian_width(letter) in {"W", "F"}) for letter in text
    )


def _filled(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def nearby(path: Path) -> Path:
    """Relative to where the user stands, if it is below."""
    here, path = Path.cwd(), path.resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


def program() -> str:
    """What starts this program again: its name, or its path when the shell would not find it."""
    own, found = Path(sys.argv[0]).absolute(), shutil.which("piaolian")
    if own.name != "piaolian" or (found is not None and Path(found).absolute() == own):
        return "piaolian"
    return str(nearby(own))


def plain(value: object) -> str:
    """A value in one cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(part, Mapping | list) for part in value):
        return ", ".join(plain(part) for part in value) or "-"
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)  # which keeps the controls beyond ASCII
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)
    return str(value)
