"""The event loop of one simulated process. Owns what is ready, its timers, and its tasks.

An `asyncio` event loop without threads, sockets and clocks: time comes from the `World`, which owns
the order of everything, so that a seed is a run, byte for byte. What asyncio promises holds here:

- `call_soon` is first in, first out; what becomes ready in a round runs in the next one;
- a timer never goes off early, by this process's own clock, which drifts;
- nothing runs beside anything else.

What it leaves open is drawn: how late timers are, how long a round takes (`turn_ms`), and for a
process that was stopped and goes on, whether its mail or its timers come first, and after how many
rounds what lay in a socket reaches whoever reads it.

A process can be stopped, and go on, and be killed: then its coroutines are closed where they are,
and no callback of it runs again.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from random import Random  # noqa: TID251 - seeded
from typing import Any, TypeVar

from typing_extensions import override

from tests.sim.clock import Clock
from tests.sim.violation import Violation
from tests.sim.world import World

_ROUNDS_MAX = 10_000
"""In one moment. More, and something calls itself without end."""
_LATE_ROUNDS = 5
"""Rounds after which a process that goes on has read its sockets."""
_TIMER_LATE_MS = 3.0
T = TypeVar("T")


class VirtualLoop(asyncio.AbstractEventLoop):
    """One process, from its start to its end."""

    def __init__(self, world: World, clock: Clock, rng: Random, turn_ms: float) -> None:
        self.calm = False
        """Rounds take no time any more."""
        self._world = world
        self._clock = clock
        self._rng = rng
        self._turn_ms = turn_ms
        self._ready: deque[events.Handle] = deque()
        self._arrived: list[tuple[bool, events.Handle]] = []
        """Timers that went off, and (True) what came from outside, since the last round."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._scheduled = False
        self._stopped = False
        self._dead = False

    # --- The process ---------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether it does nothing until it goes on."""
        return self._stopped

    def post(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Something comes from outside: a message, the end of a job of the disk, a signal."""
        if not self._dead:
            self._arrive(events.Handle(callback, arguments, self), outside=True)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Code of this process runs, outside of any callback."""
        assert events._get_running_loop() is None, "processes do not run in one another"
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(None)

    def stop_process(self) -> None:
        """As SIGSTOP does."""
        self._stopped = True

    def continue_process(self) -> None:
        """As SIGCONT does: timers are due, and sockets are full."""
        self._stopped = False
        arrived, self._arrived = self._arrived, []
        order = self._rng.randrange(3)
        if order < 2:  # sorting is stable: each kind keeps its order
            arrived.sort(key=lambda item: item[0] is (order == 0))
        rounds = self._rng.randrange(_LATE_ROUNDS)
        for outside, handle in arrived:
            if outside and rounds:
                self._later_round(rounds, handle)
            else:
                self._ready.append(handle)
        self._wake()

    def kill(self) -> None:
        """Nothing of this process runs any more."""
        self._dead = True
        self._ready.clear()
        self._arrived.clear()
        tasks, self._tasks = self._tasks, []
        with self.entered(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # some have not begun
            for task in tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    with suppress(BaseException):  # whatever it does about its death
                        task.get_coro().close()
        self._ready.clear()

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Its tasks, in the order in which they began."""
        return [task for task in self._tasks if not task.done()]

    # --- Rounds --------------------------------------------------------------------------------

    def _arrive(self, handle: events.Handle, *, outside: bool) -> None:
        if self._stopped:
            self._arrived.append((outside, handle))
        else:
            self._ready.append(handle)
            self._wake()

    def _later_round(self, rounds: int, handle: events.Handle) -> None:
        if rounds:
            self._ready.append(events.Handle(self._later_round, (rounds - 1, handle), self))
        else:
            self._ready.append(handle)

    def _wake(self) -> None:
        if not self._scheduled and not self._dead:
            self._scheduled = True
            self._world.later(0 if self.calm else self._turn_ms, self._run_rounds)

    def _run_rounds(self) -> None:
        """One round; those that follow at once, too, if a round takes no time."""
        self._scheduled = False
        if self._dead or self._stopped:
            return
        ready = self._ready
        rounds = 0
        events._set_running_loop(self)
        try:
            while ready and rounds < _ROUNDS_MAX:
                rounds += 1
                for _ in range(len(ready)):
                    handle = ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                if self._turn_ms and not self.calm:
                    break
        finally:
            events._set_running_loop(None)
        if rounds >= _ROUNDS_MAX:
            self._world.fail(Violation("livelock", f"{ready[0]} and more, without end"))
        if ready:
            self._wake()

    # --- What asyncio asks of a loop -----------------------------------------------------------

    @override
    def time(self) -> float:
        return self._clock.now_ms() / 1_000

    @override
    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.Handle:
        handle = events.Handle(callback, args, self, context)
        if not self._dead:
            self._ready.append(handle)
            if not self._scheduled and events._get_running_loop() is not self:
                self._wake()
        return handle

    @override
    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> events.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    @override
    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> events.TimerHandle:
        handle = events.TimerHandle(when, callback, args, self, context)
        late_ms = 0.0 if self.calm else self._rng.random() * _TIMER_LATE_MS
        delay_ms = self._clock.world_ms(max(0.0, when - self.time()) * 1_000)
        self._world.later(delay_ms + late_ms, self._ring, handle)
        return handle

    def _ring(self, handle: events.TimerHandle) -> None:
        if not self._dead and not handle.cancelled():
            self._arrive(handle, outside=False)

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        del handle  # it rings for nobody

    @override
    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    @override
    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 64:
            self._tasks = [task for task in self._tasks if not task.done()]
        return task

    @override
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._dead:
            error = context.get("exception")
            self._world.fail(
                error
                if isinstance(error, Violation)
                else Violation("unhandled", f"{context.get('message')}: {error!r}"),
                error,
            )

    @override
    def get_debug(self) -> bool:
        return False

    @override
    def is_running(self) -> bool:
        return events._get_running_loop() is self

    @override
    def is_closed(self) -> bool:
        return self._dead
