"""Loops of one owner: a failure is told, an end is no failure, and the stop waits for all."""

from __future__ import annotations

import asyncio

from node.system.tasks import LoopCancelledError, TaskSet


async def test_a_loop_that_fails_is_told_and_the_others_go_on() -> None:
    failures: list[BaseException] = []
    tasks, turns = TaskSet(failures.append), 0

    async def fails() -> None:
        raise OSError("no disk")

    async def ends() -> None:
        return

    async def goes_on() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    tasks.spawn(fails(), ends(), goes_on())
    while turns < 5:
        await asyncio.sleep(0)
    assert [str(failure) for failure in failures] == ["no disk"]
    await tasks.stop()
    stopped_at = turns
    await asyncio.sleep(0.01)
    assert turns == stopped_at
    assert len(failures) == 1


async def test_the_stop_waits_for_what_a_loop_does_at_its_end() -> None:
    tasks, order = TaskSet(lambda _: None), list[str]()

    async def tidies() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            order.append("tidied")

    tasks.spawn(tidies())
    await asyncio.sleep(0)
    await tasks.stop()
    order.append("stopped")
    assert order == ["tidied", "stopped"]


async def test_a_loop_that_somebody_else_cancels_is_a_failure() -> None:
    failures: list[BaseException] = []
    tasks = TaskSet(failures.append)
    awaited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await awaited

    async def stays() -> None:
        await asyncio.Event().wait()

    tasks.spawn(waits(), stays())
    await asyncio.sleep(0)
    awaited.cancel()
    while not failures:
        await asyncio.sleep(0)
    assert isinstance(failures[0], LoopCancelledError)
    assert "waits" in str(failures[0])
    await tasks.stop()
    assert len(failures) == 1, "the stop cancels without a failure"


async def test_nothing_begins_after_the_stop() -> None:
    """What fails late may want to be tried again later; nobody would end that."""
    tasks, began = TaskSet(lambda _: None), list[str]()

    async def begins() -> None:
        began.append("begun")

    await tasks.stop()
    tasks.spawn(begins())
    await asyncio.sleep(0.01)
    assert began == []
