"""Loops that run beside one another until the stop. Owns their tasks, and who hears of a failure.

A loop that ends by itself is done with; one that raises is told to whoever made the set, who
decides what that ends. So is one that is cancelled before the stop, as when somebody else cancels
what it waits for: else the owner would go on without it, and nobody would know. Nothing here knows
what the loops do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class LoopCancelledError(RuntimeError):
    """A loop was cancelled, and not by the stop."""


class TaskSet:
    """Tasks of one owner."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def spawn(self, *loops: Coroutine[object, object, None]) -> None:
        """Run these from now on; after the stop nothing is begun any more."""
        for loop in loops:
            if self._stopping:
                loop.close()
                continue
            task = asyncio.get_running_loop().create_task(loop)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Cancel all that still run, and wait for their ends."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not self._stopping:
                name = getattr(task.get_coro(), "__qualname__", task.get_name())
                self._on_failure(LoopCancelledError(f"{name} was cancelled"))
        elif (error := task.exception()) is not None:
            self._on_failure(error)
