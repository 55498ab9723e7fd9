"""Loops that run beside one another until the stop. Owns their tasks, and who hears of a failure.

A loop that ends by itself is done with; one that raises is told to whoever made the set, who
decides what that ends. Nothing here knows what the loops do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class TaskSet:
    """Tasks of one owner."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, *loops: Coroutine[object, object, None]) -> None:
        """Run these from now on."""
        for loop in loops:
            task = asyncio.get_running_loop().create_task(loop)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Cancel all that still run, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)
