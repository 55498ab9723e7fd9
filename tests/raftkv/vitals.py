"""What a process knows of itself: CPU, memory, and how long its event loop was away.

A beat every few milliseconds notes when it came too late. Whatever the loop did between two beats
lies within that time, so no single callback took longer than the longest one.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

BEAT_S = 0.002


class LoopWatch:
    """The longest gaps between beats."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._last_cpu = 0.0
        self.gap_ms = 0.0
        """Wall time from one beat to the next, less the beat's interval: other processes, the
        other threads of this one and the loop's own work, all together."""
        self.gap_cpu_ms = 0.0
        """The longest work of the loop's own thread between two beats."""

    def start(self) -> None:
        """Begin to watch, or begin anew."""
        self.stop()
        self.gap_ms = self.gap_cpu_ms = 0.0
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def stop(self) -> None:
        """No more beats."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.gap_ms = max(self.gap_ms, (now - self._last - BEAT_S) * 1_000)
        self.gap_cpu_ms = max(self.gap_cpu_ms, (cpu - self._last_cpu) * 1_000)
        self._last, self._last_cpu = now, cpu
        self._timer = self._loop.call_later(BEAT_S, self._beat)


def cpu_seconds() -> float:
    """Of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mib() -> float:
    """Memory in use."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
