"""A load from within the process of the leader: each entry is submitted and answered by itself.

The window is closed: `window` entries are unanswered at any time, and each answer submits the next
one. Owns the measuring of the time from submission to the answer.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from consensus.driver.node import RaftNode
from consensus.outcomes import Committed, Outcome
from tests.raftkv.messages import LOAD_TAG, Load, LoadReport

_GIVE_UP_S = 10.0
BUCKET_S = 0.00001
_SLICE = 256


class _Window:
    """Entries on their way."""

    def __init__(self, node: RaftNode, load: Load) -> None:
        self._node = node
        self._load = load
        self._clock = time.perf_counter  # the loop's own clock may count whole milliseconds only
        self._numbers = itertools.count()
        self._value = bytes(max(0, load.value_bytes - 9))
        self._open = 0
        self._until = self._clock() + load.seconds
        self.latencies: defaultdict[int, int] = defaultdict(int)
        """How many took so many buckets of time."""
        self.entries = 0
        self.failed = 0
        self.idle = asyncio.Event()

    async def fill(self) -> None:
        """Open the window, in slices."""
        for number in range(1, self._load.window + 1):
            self._submit()
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def _submit(self) -> None:
        key = next(self._numbers) % self._load.keys
        payload = LOAD_TAG + key.to_bytes(8, "big") + self._value
        self._open += 1
        self._node.submit(payload).add_done_callback(self._answered(self._clock()))

    def _answered(self, submitted: float) -> Callable[[asyncio.Future[Outcome]], None]:
        def answered(future: asyncio.Future[Outcome]) -> None:
            self._open -= 1
            now = self._clock()
            if isinstance(future.result(), Committed):
                self.entries += 1
                self.latencies[int((now - submitted) / BUCKET_S)] += 1
                if now < self._until:
                    self._submit()
            else:
                self.failed += 1  # whoever is refused does not hammer
            if not self._open:
                self.idle.set()

        return answered


async def run_load(node: RaftNode, load: Load) -> LoadReport:
    """Run it to its end, and a little longer for the last answers."""
    window = _Window(node, load)
    started = time.perf_counter()
    await window.fill()
    async with asyncio.timeout(load.seconds + _GIVE_UP_S):
        await window.idle.wait()
    seconds = time.perf_counter() - started
    at = percentiles(window.latencies, (0.5, 0.99, 1.0))
    return LoadReport(window.entries, seconds, window.failed, *at)


def percentiles(counts: Mapping[int, int], shares: Sequence[float]) -> list[float]:
    """In milliseconds, rounded up to a bucket; 0 of nothing."""
    total, passed = sum(counts.values()), 0
    found: list[float] = []
    for bucket, count in sorted(counts.items()):
        passed += count
        while len(found) < len(shares) and passed >= total * shares[len(found)]:
            found.append((bucket + 1) * BUCKET_S * 1_000)
    return found or [0.0] * len(shares)
