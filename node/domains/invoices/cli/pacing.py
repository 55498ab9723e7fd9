"""How many requests an import keeps in flight. Owns that number and the order of results.

It grows by one for each round that went well and is halved when the node says that it is busy, as
a sender on a network does: the node, not the client, knows how much it can take.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

FIRST = 4
MOST = 16
"""More only wait in the node: a block holds what came within some ten milliseconds."""
_CALM_S = 1.0
"""Requests in flight together are told together that the node is busy: that halves once."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pace:
    """The adaptive limit. Used from many threads."""

    def __init__(self, first: int = FIRST, most: int = MOST) -> None:
        self._limit = float(first)
        self._most = most
        self._running = 0
        self._halved_s = -_CALM_S
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place among the requests in flight, waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self.limit)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def well(self) -> None:
        """A request was answered."""
        with self._changed:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
            self._changed.notify_all()

    def busy(self, _: float = 0.0) -> None:
        """The node is busy, or away."""
        now = time.monotonic()
        with self._changed:
            if now - self._halved_s >= _CALM_S:
                self._halved_s = now
                self._limit = max(1.0, self._limit / 2)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Results in the order of `items`, at most `ahead` begun; the first error ends it."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(waiting) == ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
