"""Where PDFs are made: a process of its own for each, so that a long one delays nobody.

Owns that process and what goes through its pipes: the face as JSON one way, the PDF the other.
Layout is `node.documents.pdf`, which only this process loads.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from node.documents.face import Face
from node.documents.wording import Language

TIMEOUT_S = 60.0
"""The longest face, of 5,000 lines, takes some five seconds on an idle processor."""


class PressError(RuntimeError):
    """The process failed, or took too long."""


class _Job(msgspec.Struct, frozen=True):
    face: Face
    language: Language


async def print_pdf(face: Face, language: Language) -> bytes:
    """The PDF of a face.

    Raises:
        PressError: the process ended without one; it says why.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "node.press"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            printed, errors = await process.communicate(msgspec.json.encode(_Job(face, language)))
    except TimeoutError as error:
        raise PressError(f"no PDF within {TIMEOUT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise PressError(last or f"the process ended with {process.returncode}")
    return printed


def main() -> None:
    """Read one job from standard input, write its PDF to standard output."""
    from node.documents.pdf import render_pdf  # noqa: PLC0415 - not in the node's own process

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    sys.stdout.buffer.write(render_pdf(job.face, job.language))


if __name__ == "__main__":
    main()
