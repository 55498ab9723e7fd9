"""Jobs that a request has done beside the node's own, in a process or a thread.

Owns how many there are, and their end. One of a kind runs at a time and a few wait; whoever comes
beyond that is told to come again. A job ends when nobody is there any more to take its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from node.api.errors import too_many

T = TypeVar("T")

WAITING_MAX = 8
"""Of each kind. A job of that kind takes seconds: nobody further back would wait to its end."""
_LOOK_S = 0.25


class WorkerKind(StrEnum):
    """What jobs there are."""

    PDF = "pdf"
    PAGE = "page"
    TABLE = "table"


class Workers:
    """The jobs of one kind."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._places = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among those that wait or run. Take it before reading a large body.

        Raises:
            ApiError: 429.
        """
        if self._places > WAITING_MAX:
            raise too_many("too many jobs of this kind wait already", 5)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def do(self, request: web.Request, job: Coroutine[Any, Any, T]) -> T:
        """Do a job when it is its turn.

        Raises:
            ConnectionError: the client went away; the job was ended, or never begun.
        """
        task = asyncio.ensure_future(self._do(job))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_S)
                transport = request.transport
                if not task.done() and (transport is None or transport.is_closing()):
                    raise ConnectionResetError("the client is gone")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _do(self, job: Coroutine[Any, Any, T]) -> T:
        try:
            await self._busy.acquire()
        except asyncio.CancelledError:
            job.close()
            raise
        try:
            return await job
        finally:
            self._busy.release()
