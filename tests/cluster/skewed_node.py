"""`piaolian` in a process whose wall clock, as `node.system.clock` reads it, is wrong.

Run as `python -m tests.cluster.skewed_node MILLISECONDS start --config …`: the wall clock of the
process is that of the machine and so many milliseconds more.
"""

from __future__ import annotations

import sys
import time

from node.command import main


def skew(offset_ms: int) -> None:
    """Put the wall clock of this process forward, or back."""
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + offset_ms * 1_000_000


if __name__ == "__main__":
    skew(int(sys.argv.pop(1)))
    sys.exit(main())
