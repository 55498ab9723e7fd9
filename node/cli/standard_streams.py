"""Standard output and error of a command: a lost answer is known, a lost message ends nothing.

Owns how they are written. Who prints a verdict and cannot must not end with the verdict's exit
code, whoever it is that notices: a command, a library, or Python when it ends.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from typing_extensions import Buffer, override


class StandardOutput:
    """Of this process, from now on."""

    def __init__(self) -> None:
        """Take over the descriptors 1 and 2, where no other stream stands for them (a test's)."""
        self._answers: _Answers | None = None
        if type(sys.stdout) is io.TextIOWrapper and sys.stdout is sys.__stdout__:
            self._answers = _Answers(sys.stdout.fileno(), "w", closefd=False)
            sys.stdout = _text(self._answers, sys.stdout)
        if type(sys.stderr) is io.TextIOWrapper and sys.stderr is sys.__stderr__:
            sys.stderr = _text(_Messages(sys.stderr.fileno(), "w", closefd=False), sys.stderr)
        self._stream = sys.stdout

    def failure(self) -> OSError | None:
        """Write what waits; why something of the answer is lost, if it is."""
        if self._answers is None:
            return None
        with suppress(OSError):  # remembered by what raised it
            self._stream.flush()
        if self._answers.failure is not None:  # or Python would try again at the end, and say so
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._answers.fileno())
            os.close(null)
        return self._answers.failure


class _Answers(io.FileIO):
    """Remembers that it could not be written."""

    failure: OSError | None = None

    @override
    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise


class _Messages(io.FileIO):
    """Drops what cannot be written: there is nobody to tell it to."""

    @override
    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _text(raw: io.FileIO, like: io.TextIOWrapper) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=like.errors,
        newline="\n",
        line_buffering=like.line_buffering or like.write_through,
    )
