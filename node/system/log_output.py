"""Where the log's lines go: a descriptor that may be full, broken or gone, and ends no node by it.

Owns that a line which cannot be written is dropped, and that the next one that can says how many
were. Knows no event.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Callable


class LogOutput:
    """A stream for one writer of whole lines; never raises."""

    def __init__(self, descriptor: int, lost: Callable[[int], str]) -> None:
        """Write to a descriptor, which stays the caller's.

        Args:
            descriptor: Usually that of standard error.
            lost: The line that says that so many were lost.
        """
        self._descriptor = descriptor
        self._lost_line = lost
        self._waiting: list[str] = []
        self._lost = 0

    def write(self, text: str) -> int:
        """Take a part of a line."""
        self._waiting.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what was taken, as one piece where the system lets it be one."""
        text, self._waiting = "".join(self._waiting), []
        if self._lost:
            text = f"{self._lost_line(self._lost)}\n{text}"
        try:
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # no room, no reader: there is nobody to tell it to, and a node to run
            self._lost += 1
        else:
            self._lost = 0


def open_standard_streams() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed: else a file takes that place.

    What somebody prints would then be written into it. Where there is no stream, what is printed
    is nobody's.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, pathlib.Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
