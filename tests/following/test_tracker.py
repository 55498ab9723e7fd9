"""Who waits for a height or an outcome and is cancelled is cancelled, whatever happens with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from node.following.tracker import Tracker

TXID = bytes(32)


async def cancelled_with_the_news(waits: Coroutine[object, object, object], tell: object) -> bool:
    """Whether a loop ends that is cancelled in the very turn in which it gets what it waits for."""
    task = asyncio.ensure_future(waits)
    await asyncio.sleep(0)
    assert callable(tell)
    tell()
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
    return task.cancelled()


async def test_a_height_does_not_swallow_a_cancellation() -> None:
    tracker = Tracker()
    waits = tracker.wait_heights(tracker.height, tracker.final_height, 30.0)
    assert await cancelled_with_the_news(waits, lambda: tracker.finalised(1))


async def test_an_outcome_does_not_swallow_a_cancellation() -> None:
    tracker = Tracker()
    waits = tracker.wait_outcome(TXID, 30.0)
    assert await cancelled_with_the_news(waits, lambda: tracker.expired([TXID]))


@pytest.mark.parametrize("timeout_s", [-1.0, 0.0, 0.01])
async def test_nothing_comes_in_time(timeout_s: float) -> None:
    tracker = Tracker()
    assert not await tracker.wait_outcome(TXID, timeout_s)
    await tracker.wait_heights(0, 0, timeout_s)
    assert not tracker._waiters
    assert not tracker._height_waiters
