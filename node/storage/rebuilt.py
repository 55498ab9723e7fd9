"""For which reasons files of this folder were made again already. Owns the file `rebuilt`.

A ledger that comes to something else than what is certified is made again, since its file may be
damaged in a way that still decodes. If the new one comes to the very same, the file was not to
blame: this program is wrong, or the network is. To make it again once more would never end, so
the reasons outlive the process. Another version of the program may try anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from node import __version__

FILE = "rebuilt"
LINES_MAX = 64
FILE_BYTES_MAX = 65_536
REPEATED = (
    "the ledger was made again since, and came to the same:"
    " this program is wrong, or more than f voters are"
)


def is_repeated(folder: Path, reason: str) -> bool:
    """Whether this version made its ledger again for this very reason before."""
    return _line(reason) in _lines(folder)


def note(folder: Path, reason: str) -> None:
    """Remember durably that it is made again for this reason, before anything is set aside.

    Raises:
        OSError: that cannot be written, so nothing may be set aside.
    """
    lines = [*_lines(folder), _line(reason)][-LINES_MAX:]
    new = folder / f"{FILE}.new"
    with new.open("w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(reason: str) -> str:
    return f"{__version__} {' '.join(reason.split())}"[:512]


def _lines(folder: Path) -> list[str]:
    try:
        with (folder / FILE).open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
