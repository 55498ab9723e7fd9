"""A load from within the process of the leader: each entry is submitted and answered by itself.

The window is closed: `window` entries are unanswered at any time, and each answer submits the next
one. Owns the measuring of the time from submission to the answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from consensus.driver import RaftNode
from consensus.outcomes import Committed, Outcome
from tests.raftkv.messages import LOAD_TAG, Load, LoadReport

_SAMPLES_MAX = 2_000_000
_GIVE_UP_S = 10.0


class _Window:
    """Entries on their way."""

    def __init__(self, node: RaftNode, load: Load) -> None:
        self._node = node
        self._load = load
        self._clock = asyncio.get_running_loop().time
        self._numbers = itertools.count()
        self._value = bytes(max(0, load.value_bytes - 9))
        self._open = 0
        self._until = self._clock() + load.seconds
        self.latencies: list[float] = []
        self.entries = 0
        self.failed = 0
        self.idle = asyncio.Event()

    def fill(self) -> None:
        for _ in range(self._load.window):
            self._submit()

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
                if len(self.latencies) < _SAMPLES_MAX:
                    self.latencies.append(now - submitted)
                if now < self._until:
                    self._submit()
            else:
                self.failed += 1  # whoever is refused does not hammer
            if not self._open:
                self.idle.set()

        return answered


async def run_load(node: RaftNode, load: Load) -> LoadReport:
    """Run it to its end, and a little longer for the last answers."""
    loop = asyncio.get_running_loop()
    window = _Window(node, load)
    started = loop.time()
    window.fill()
    await asyncio.wait_for(window.idle.wait(), load.seconds + _GIVE_UP_S)
    seconds = loop.time() - started
    ordered = sorted(window.latencies) or [0.0]

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1_000

    return LoadReport(
        window.entries, seconds, window.failed, at(0.5), at(0.99), ordered[-1] * 1_000
    )
