"""One job in a process of its own, so that a long or hostile one delays nobody.

Owns the process and its pipes: bytes one way, bytes the other. What they mean is the module's that
runs there.
"""

from __future__ import annotations

import asyncio
import sys

TIMEOUT_S = 60.0


class WorkerProcessError(RuntimeError):
    """The process failed, or took too long; says why."""

    def __init__(self, reason: str, code: int | None = None, answer: bytes = b"") -> None:
        super().__init__(reason)
        self.code = code
        """Its exit code; None when it took too long."""
        self.answer = answer
        """What it wrote all the same."""


async def run_in_worker(module: str, job: bytes, *arguments: str) -> bytes:
    """Run `python -m module arguments`, with the job on standard input; what it answered.

    Raises:
        WorkerProcessError: it ended with another exit code than 0, or not within `TIMEOUT_S`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer, errors = await process.communicate(job)
    except TimeoutError as error:
        raise WorkerProcessError(f"not done within {TIMEOUT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    code = process.returncode
    if code != 0:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise WorkerProcessError(last or f"the process ended with {code}", code, answer)
    return answer
