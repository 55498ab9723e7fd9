"""Scenarios as text: directives and the trace they must produce. Owns the format of the files.

A block is one or more directives, each with indented lines of its own, then `----`, then what the
directives print, up to a blank line. Lines that begin with `#` are comments. The trace can be
rewritten (`pytest --rewrite`); whoever does so reads the difference. What must hold whatever the
trace says stands in `expect` lines, and in `invariants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.consensus.directives import Director

_SEPARATOR = "----"


class Block:
    """Lines up to a blank one."""

    def __init__(self, lines: list[str]) -> None:
        end = lines.index(_SEPARATOR) if _SEPARATOR in lines else len(lines)
        self.head = lines[:end]
        self.is_active = end < len(lines)
        self.expected = lines[end + 1 :]
        if not self.is_active and any(not line.startswith("#") for line in lines):
            raise ValueError(f"directives without {_SEPARATOR}: {lines[0]}")

    def directives(self) -> Iterator[tuple[str, list[str]]]:
        """Each directive with its indented lines."""
        lines = [line for line in self.head if not line.startswith("#")]
        while lines:
            directive, body = lines.pop(0), []
            while lines and lines[0].startswith(" "):
                body.append(lines.pop(0).strip())
            yield directive, body

    def run(self, director: Director) -> list[str]:
        """Carry it out; what it prints."""
        directives = list(self.directives())
        printed: list[str] = []
        for directive, body in directives:
            lines = director.carry_out(directive, body)
            if len(directives) > 1 and lines:
                printed.append(f"> {directive}")
            printed += lines
        return printed or ["ok"]

    def text(self, printed: list[str]) -> str:
        """The block with this trace."""
        separator = [_SEPARATOR] if self.is_active else []
        return "\n".join([*self.head, *separator, *printed])


def parse(text: str) -> list[Block]:
    """The blocks of a file."""
    blocks = [block.strip("\n").split("\n") for block in text.split("\n\n")]
    return [Block(lines) for lines in blocks if any(lines)]


def run(path: Path) -> tuple[str, str]:
    """Play a file to its end, and see that its members agree afterwards.

    Returns:
        The file as it is, and as it would be with the traces of this run.
    """
    blocks = parse(path.read_text(encoding="utf-8"))
    director = Director()
    written: list[str] = []
    for block in blocks:
        if not block.is_active:
            written.append(block.text([]))
            continue
        try:
            printed = block.run(director)
        except Exception as error:
            trace = "\n".join(director.stage.out[-30:])
            error.add_note(f"{path.name}: in\n" + "\n".join(block.head) + f"\n{trace}")
            raise
        written.append(block.text(printed))
    director.close()
    as_is = "\n\n".join(block.text(block.expected if block.is_active else []) for block in blocks)
    return as_is + "\n", "\n\n".join(written) + "\n"
