"""What a process knows of itself: CPU, memory, and how long its event loop was away.

Two measures. A beat every few milliseconds notes when it came too late: whatever the loop did
between two beats lies within that gap. And on the standard loop each callback is timed by itself:
those are the slices. In both, wall time includes waiting for a CPU that others use; the thread's
own time does not.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

BEAT_S = 0.002


class SliceWatch:
    """The longest single callback. There is one in a process: it changes `asyncio.Handle`."""

    def __init__(self) -> None:
        self.wall_ms = 0.0
        self.own_ms = 0.0
        self.longest = ""
        """What took the most of the thread's own time."""

    def install(self) -> None:
        """Time every callback from now on."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            started, own = time.perf_counter(), time.thread_time()
            run(handle)
            wall_ms = (time.perf_counter() - started) * 1_000
            self.wall_ms = max(self.wall_ms, wall_ms)
            if wall_ms > self.own_ms:
                own_ms = (time.thread_time() - own) * 1_000
                if own_ms > self.own_ms:
                    self.own_ms = own_ms
                    self.longest = repr(handle._callback)  # type: ignore[attr-defined]

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]

    def reset(self) -> None:
        """Forget what was seen so far."""
        self.wall_ms = self.own_ms = 0.0
        self.longest = ""


class LoopWatch:
    """The longest gaps between beats, and with `slices` the longest callbacks too."""

    def __init__(self, slices: SliceWatch | None = None) -> None:
        self.slices = slices
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._last_cpu = 0.0
        self.gap_ms = 0.0
        """Wall time from one beat to the next, less the beat's interval: other processes, the
        other threads of this one and the loop's own work, all together."""
        self.gap_own_ms = 0.0
        """The longest work of the loop's own thread between two beats."""

    def start(self) -> None:
        """Begin to watch, or begin anew."""
        self.stop()
        if self.slices is not None:
            self.slices.reset()
        self.gap_ms = self.gap_own_ms = 0.0
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def stop(self) -> None:
        """No more beats."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.gap_ms = max(self.gap_ms, (now - self._last - BEAT_S) * 1_000)
        self.gap_own_ms = max(self.gap_own_ms, (cpu - self._last_cpu) * 1_000)
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
