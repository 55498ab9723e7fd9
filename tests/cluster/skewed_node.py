"""`piaolian` in a process whose wall clock, as `node.system.clock` reads it, is wrong.

Run as `python -m tests.cluster.skewed_node MILLISECONDS start --config …`: the wall clock of the
process is that of the machine and so many milliseconds more. With the name of a file in the place
of the number, what stands in the file counts, also when it changes while the process runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from node.command import main


def skew(offset: str) -> None:
    """Put the wall clock of this process forward, or back."""
    true_ns = time.time_ns
    file = Path(offset)

    def offset_ms() -> int:
        return int(file.read_text()) if file.is_absolute() else int(offset)

    time.time_ns = lambda: true_ns() + offset_ms() * 1_000_000


if __name__ == "__main__":
    skew(sys.argv.pop(1))
    sys.exit(main())
