"""Searches the model: all states up to symmetry, or walks at random. Owns no rule."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import time
from collections import deque
from typing import NamedTuple

from tests.rejoin.voter import unsigned
from tests.rejoin.world import State, World


class Result(NamedTuple):
    """What a search found."""

    states: int
    finished: bool
    """Every state within the bounds was seen."""
    conflict: tuple[str, str] | None
    trace: tuple[str, ...] = ()


def exhaust(world: World, states_max: int = 10_000_000, seconds_max: float = 3_600.0) -> Result:
    """Breadth first, so that a trace is a shortest one."""
    parents: dict[State, tuple[State, str] | None] = {world.start: None}
    queue = deque([world.start])
    end = time.monotonic() + seconds_max
    with unsigned():
        while queue:
            state = queue.popleft()
            for what, after in world.moves(state):
                if after in parents:
                    continue
                parents[after] = (state, what)
                conflict = world.conflict(after)
                if conflict is not None:
                    return Result(len(parents), False, conflict, _trace(parents, after))
                queue.append(after)
            if len(parents) > states_max or time.monotonic() > end:
                return Result(len(parents), False, None)
    return Result(len(parents), True, None)


def walk(world: World, runs: int, seed: int, steps_max: int = 200) -> Result:
    """So many walks from the start; a state counts each time that it is seen."""
    rng = random.Random(seed)
    seen = 0
    with unsigned():
        for _ in range(runs):
            state, trace = world.start, []
            for _ in range(steps_max):
                moves = list(world.moves(state))
                if not moves:
                    break
                what, state = rng.choice(moves)
                trace.append(what)
                seen += 1
                conflict = world.conflict(state)
                if conflict is not None:
                    return Result(seen, False, conflict, tuple(trace))
    return Result(seen, True, None)


def _trace(parents: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    trace = []
    while (step := parents[state]) is not None:
        state, what = step
        trace.append(what)
    return tuple(reversed(trace))
