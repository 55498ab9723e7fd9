"""Where PDFs are made: a process of its own for each, so that a long one delays nobody.

Owns what goes through its pipes: the face as JSON one way, the PDF the other. The longest face, of
5,000 lines, takes some five seconds. Layout is `node.domains.invoices.documents.pdf`, which only
that process loads.
"""

from __future__ import annotations

import sys

import msgspec

from node.domains.invoices.documents.face import Face
from node.domains.invoices.documents.wording import Language
from node.system.worker_process import run_in_worker


class _Job(msgspec.Struct, frozen=True):
    face: Face
    language: Language


async def print_pdf(face: Face, language: Language) -> bytes:
    """The PDF of a face.

    Raises:
        WorkerProcessError: the process ended without one.
    """
    return await run_in_worker(
        "node.domains.invoices.documents.pdf_worker", msgspec.json.encode(_Job(face, language))
    )


def main() -> None:
    """Read one job from standard input, write its PDF to standard output."""
    from node.domains.invoices.documents.pdf import render_pdf  # noqa: PLC0415 - not in the node's own process

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    sys.stdout.buffer.write(render_pdf(job.face, job.language))


if __name__ == "__main__":
    main()
