"""What commands print: data on standard output, messages on standard error.

With `--json` the data is exactly one JSON document. Without, it is meant for people and may change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def message(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")


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
    width = max((len(name) for name in value), default=0)
    lines: list[str] = []
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            lines += [
                f"{indent}{name}",
                fields_text(cast("Mapping[str, object]", item), indent + "  "),
            ]
        elif isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            lines.append(f"{indent}{name}")
            for row in item:
                flat = "  ".join(f"{key}={plain(part)}" for key, part in row.items())
                lines.append(f"{indent}  {flat}")
        else:
            lines.append(f"{indent}{name:<{width}}  {plain(item)}")
    return "\n".join(lines)


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Rows under a header, in columns."""
    cells = [[plain(row.get(column)) for column in columns] for row in rows]
    widths = [
        max([len(column), *(len(row[number]) for row in cells)])
        for number, column in enumerate(columns)
    ]
    for row in [[column.upper().replace("_", " ") for column in columns], *cells]:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def plain(value: object) -> str:
    """A value in one cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)  # which keeps the controls beyond ASCII
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)
    return str(value)
