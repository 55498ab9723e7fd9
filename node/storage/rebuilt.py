"""For which reasons files of this folder were made again already. Owns the file `rebuilt`.

A ledger that comes to something else than what is certified is made again, since its file may be
damaged in a way that still decodes. If the new one comes to the very same, the file was not to
blame: this program is wrong, or the network is. To make it again once more would never end, so
the reasons outlive the process. Another version of the program may try anew.

A reason is noted before anything is set aside, and counts once that was done: a stop, a power cut
or a full disk in between must not pass for a ledger that was made again.
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
_ASKED, _DONE = "asked", "done"


def is_repeated(folder: Path, reason: str) -> bool:
    """Whether this version made its ledger again for this very reason before."""
    return _line(_DONE, reason) in _lines(folder)


def note(folder: Path, reason: str) -> None:
    """Remember durably that it is to be made again for this reason, before anything is set aside.

    Raises:
        OSError: that cannot be written, so nothing may be set aside.
    """
    line = _line(_ASKED, reason)
    lines = _lines(folder)
    if line not in lines:
        _write(folder, [*lines, line])


def begun(folder: Path) -> None:
    """The ledger is gone, and a new one is about to be made: what it was asked for is done.

    Raises:
        OSError: that cannot be written, so no new one may be made.
    """
    lines = _lines(folder)
    done = [
        f"{_DONE} {line.removeprefix(f'{_ASKED} ')}" if line.startswith(f"{_ASKED} ") else line
        for line in lines
    ]
    if done != lines:
        _write(folder, list(dict.fromkeys(done)))


def _write(folder: Path, lines: list[str]) -> None:
    new = folder / f"{FILE}.new"
    with new.open("w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines[-LINES_MAX:]))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(state: str, reason: str) -> str:
    return f"{state} {__version__} {' '.join(reason.split())}"[:512]


def _lines(folder: Path) -> list[str]:
    try:
        with (folder / FILE).open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
