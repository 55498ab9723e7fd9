"""How far a node is, its tasks, and how it ended. Owns the first error; knows nothing of Raft.

    new ──start──▶ starting ──▶ running ──stop──▶ ended
                                   └────error───▶ ended, and `failed` has the error

A task that ends in any other way than by the end of the node is an error, also one that was
cancelled: a node without one of its tasks would go on leading and do nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from consensus.errors import ConsensusError, StoppedError


class _Phase(Enum):
    """It never goes back."""

    NEW = 0
    STARTING = 1
    RUNNING = 2
    ENDED = 3


class Lifetime:
    """From one start to one end. `halt` is called once, at the end, and must not raise."""

    def __init__(self, halt: Callable[[], None]) -> None:
        self._halt = halt
        self._phase = _Phase.NEW
        self._failure: BaseException | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._phase is _Phase.RUNNING

    def starts(self) -> None:
        """What comes before running begins.

        Raises:
            StoppedError: at the second time, or after the end.
        """
        if self._phase is not _Phase.NEW:
            raise StoppedError("a node starts once")
        self._phase = _Phase.STARTING

    def may_run(self) -> None:
        """What comes before running is done.

        Raises:
            StoppedError: when the end came meanwhile.
        """
        if self._phase is not _Phase.STARTING:
            raise StoppedError("the node was stopped before it had started")

    def run(self, *work: Coroutine[Any, Any, None]) -> None:
        """It runs, with these tasks."""
        self._phase = _Phase.RUNNING
        for coroutine in work:
            task = asyncio.get_running_loop().create_task(coroutine)
            task.add_done_callback(self._task_ended)
            self._tasks.append(task)

    def end(self) -> None:
        """Nothing happens any more from now on."""
        if self._phase is _Phase.ENDED:
            return
        self._phase = _Phase.ENDED
        self._halt()
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Wait until no task does anything any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def fail(self, error: BaseException) -> None:
        """End for good. The first error counts; what follows from it is no other one."""
        if self._phase is _Phase.ENDED:
            return
        self._failure = error
        self._report(error)
        self.end()

    @contextmanager
    def entering(self) -> Iterator[None]:
        """The core is called from outside of a turn. What it does not declare ends the node.

        Raises:
            StoppedError: in place of that.
        """
        try:
            yield
        except ConsensusError:
            raise
        except Exception as error:
            self.fail(error)
            raise StoppedError(f"the node failed: {error!r}") from error

    @property
    def failed(self) -> asyncio.Future[None]:
        """Gets the error. Once it was cancelled, by who waited for it, there is another one."""
        if self._failed.cancelled():
            self._failed = asyncio.get_running_loop().create_future()
            if self._failure is not None:
                self._report(self._failure)
        return self._failed

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()  # looked at, so nobody complains
        if self.running:
            how = "was cancelled" if task.cancelled() else "ended"
            self.fail(error or ConsensusError(f"a task of the node {how}"))

    def _report(self, error: BaseException) -> None:
        if isinstance(error, StopIteration) or not isinstance(error, Exception):
            # A future takes no StopIteration, and a cancellation, or the end of the process, would
            # look as if it was meant for whoever waits.
            cause, error = error, ConsensusError(f"the node was ended by {error!r}")
            error.__cause__ = cause
        if not self._failed.done():
            self._failed.set_exception(error)
            self._failed.exception()  # an embedder that never looks is not a second error
