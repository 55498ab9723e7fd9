"""A node's own clocks. Owns their drift, and the number of each life."""

from __future__ import annotations

from random import Random  # noqa: TID251 - seeded

from tests.sim.plan import Plan
from tests.sim.world import World

_FIRST_LIFE = 1_000


class Clock:
    """The monotonic clock, and the one on the wall, of which only lives are made."""

    def __init__(self, plan: Plan, world: World, rng: Random) -> None:
        self._plan = plan
        self._world = world
        self._rng = rng
        self._speed = 1 + plan.drift * (2 * rng.random() - 1)
        self._from_ms = rng.random() * 1e6
        self._life = _FIRST_LIFE

    def now_ms(self) -> float:
        """Monotonic; it goes on while the process is stopped or gone."""
        return self._from_ms + self._world.now_ms * self._speed

    def world_ms(self, own_ms: float) -> float:
        """How long a time of this clock is in the world."""
        return own_ms / self._speed

    def next_life(self) -> int:
        """The number of the life that begins: greater than the last, but for a clock set back.

        Nobody promises for a clock set back and a lost disk together.
        """
        plan = self._plan
        if not plan.damage and not plan.wipe and self._rng.random() < plan.clock_back:
            self._world.note("clock set back")
            self._life -= self._rng.randrange(3)
        else:
            self._life += 1
        return self._life
