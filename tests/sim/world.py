"""Virtual time. Owns the clock, the queue of what happens next, all randomness, and the record.

Everything in a run is drawn from one seed; each subject has a stream of its own, so that leaving
out one kind of fault disturbs the others little. Nothing here knows of Raft.
"""

from __future__ import annotations

import heapq
import itertools
import struct
import zlib
from collections import Counter, deque
from collections.abc import Callable
from random import Random  # noqa: TID251 - the seeded source of a whole run

_MOMENT = struct.Struct(">dII")


class Judging:
    """`with world.judging:` what is raised in it ends the run, and is raised on."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):  # a process that ends in the middle is none
            self._world.fail(error)


class World:
    """One run."""

    def __init__(self, seed: int, *, tail: int = 0) -> None:
        """Begin at 0 ms.

        Args:
            seed: Everything follows from it.
            tail: How many of the newest events to keep as text; 0 keeps none, which is faster.
        """
        self.now_ms = 0.0
        self.counts: Counter[str] = Counter()
        """What happened, by kind."""
        self.events = 0
        self.checksum = 0
        """Over every message sent and every event noted: equal runs have equal ones."""
        self.tail: deque[str] | None = deque(maxlen=tail) if tail else None
        self._failure: BaseException | None = None
        self.judging = Judging(self)
        self._seed = seed
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = itertools.count()

    def stream(self, subject: str) -> Random:
        """The randomness of one subject."""
        return Random(f"{self._seed}/{subject}")

    def later(self, delay_ms: float, action: Callable[..., None], *arguments: object) -> None:
        """Let something happen after `delay_ms`."""
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._order), action, arguments))

    def run(self, until_ms: float) -> None:
        """Let time pass.

        Raises:
            Exception: what `fail` was told.
        """
        queue = self._queue
        pop = heapq.heappop
        while queue and queue[0][0] <= until_ms:
            self.now_ms, _, action, arguments = pop(queue)
            self.events += 1
            action(*arguments)
            if self._failure is not None:
                raise self._failure
        self.now_ms = until_ms

    def fail(self, failure: BaseException, cause: BaseException | None = None) -> None:
        """Let the run end with `failure`.

        For code that runs inside of what is under test, which might catch what is raised there.
        """
        if self._failure is None:
            failure.__cause__ = cause
            self._failure = failure

    def digest(self, one: int, other: int, data: bytes) -> None:
        """Take a message into the checksum."""
        moment = _MOMENT.pack(self.now_ms, one, other)
        self.checksum = zlib.crc32(data, zlib.crc32(moment, self.checksum))

    def note(self, event: str, *details: object) -> None:
        """Count an event, and keep it for whoever has to find out what went wrong."""
        self.counts[event] += 1
        self.checksum = zlib.crc32(event.encode(), self.checksum)
        if self.tail is not None:
            self.say(event, *details)

    def say(self, *words: object) -> None:
        """Keep a line of the record that is not worth counting."""
        if self.tail is not None:
            self.tail.append(f"{self.now_ms:9.1f} " + " ".join(str(word) for word in words))
