"""The loop of a simulated process keeps what asyncio promises, and its process can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.sim.clock import Clock
from tests.sim.loop import VirtualLoop
from tests.sim.plan import Plan
from tests.sim.violation import Violation
from tests.sim.world import World


def process(world: World, plan: Plan | None = None) -> VirtualLoop:
    rng = world.stream("process")
    chosen = plan or Plan()
    return VirtualLoop(  # type: ignore[abstract]
        world, Clock(chosen, world, rng), rng, chosen.turn_ms
    )


@pytest.mark.parametrize("turn_ms", [0, 10])
def test_what_is_called_soon_runs_in_order_and_what_it_calls_in_the_next_round(
    turn_ms: int,
) -> None:
    world = World(1)
    loop = process(world, Plan(turn_ms=turn_ms))
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "third")

    loop.post(first)
    loop.post(seen.append, "second")
    world.run(100)

    assert seen == ["first", "second", "third"]


@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_a_timer_never_goes_off_early(drift: float) -> None:
    for seed in range(30):
        world = World(seed)
        loop = process(world, Plan(seed=seed, drift=drift))
        rang: list[float] = []

        def wait(loop: VirtualLoop = loop, rang: list[float] = rang) -> None:
            until = loop.time() + 0.1
            loop.call_later(0.1, lambda: rang.append(loop.time() - until))

        loop.post(wait)
        loop.post(lambda loop=loop: loop.call_later(0.05, pytest.fail).cancel())
        world.run(1_000)

        assert len(rang) == 1
        assert -1e-9 <= rang[0] <= 0.005


def test_coroutines_of_asyncio_run_and_two_processes_take_turns() -> None:
    world = World(3)
    seen: list[str] = []

    async def work(name: str) -> None:
        for n in range(3):
            await asyncio.sleep(0.01)
            seen.append(f"{name}{n}")
        done, _ = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))], timeout=1)
        assert done

    for name in "ab":
        loop = process(world)
        loop.post(lambda loop=loop, name=name: loop.create_task(work(name)))
    world.run(1_000)

    assert sorted(seen) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert seen[:2] in (["a0", "b0"], ["b0", "a0"])


def test_a_stopped_process_does_nothing_and_then_everything() -> None:
    world = World(4)
    loop = process(world)
    seen: list[object] = []
    loop.post(lambda: loop.call_later(0.01, seen.append, "timer"))
    world.run(5)
    loop.stop_process()
    loop.post(seen.append, "mail")
    world.run(100)
    assert seen == []

    loop.continue_process()
    world.run(101)
    assert sorted(map(str, seen)) == ["mail", "timer"]


def test_after_a_stop_mail_and_timers_come_in_any_order() -> None:
    orders = set()
    for seed in range(20):
        world = World(seed)
        loop = process(world)
        seen: list[str] = []
        loop.post(lambda loop=loop, seen=seen: loop.call_later(0.01, seen.append, "timer"))
        world.run(5)
        loop.stop_process()
        loop.post(seen.append, "mail")
        world.run(100)
        loop.continue_process()
        world.run(101)
        orders.add(tuple(seen))

    assert orders == {("mail", "timer"), ("timer", "mail")}


def test_a_killed_process_is_closed_where_it_is_and_calls_nobody() -> None:
    world = World(5)
    loop = process(world)
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            seen.append("slept")
        finally:
            seen.append("closed")

    loop.post(lambda: loop.create_task(work()))
    loop.post(lambda: loop.call_later(0.1, seen.append, "timer"))
    world.run(50)
    loop.kill()
    loop.post(seen.append, "mail")
    world.run(5_000)

    assert seen == ["closed"]


def test_what_a_callback_raises_ends_the_run() -> None:
    def raises() -> None:
        raise ValueError("a bug")

    for failing, message in ((raises, "a bug"), (_spinning, "without end")):
        world = World(6)
        loop = process(world)
        loop.post(failing, *([loop] if failing is _spinning else []))
        with pytest.raises(Violation, match=message):
            world.run(10)


def _spinning(loop: VirtualLoop) -> None:
    again: Callable[[VirtualLoop], None] = _spinning
    loop.call_soon(again, loop)
