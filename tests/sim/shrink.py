"""Makes a failing run smaller while it fails in the same way. Owns the order of attempts.

Leaving something out changes what the seed draws, so the failure may go away by luck: each smaller
plan is tried with a few seeds next to the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.plan import Plan
from tests.sim.run import Result, run_plan

SEEDS_TRIED = 4


def shrink(
    failed: Result,
    *,
    run: Callable[[Plan], Result] = run_plan,
    attempts: int = 300,
    seeds: int = SEEDS_TRIED,
) -> Result:
    """A smaller run that fails with the same kind of failure as `failed`.

    Args:
        failed: A run with a failure.
        run: Runs a plan.
        attempts: How many runs this may cost.
        seeds: How many seeds each smaller plan gets.
    """
    best = failed
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(best.plan):
            for offset in range(seeds):
                if attempts <= 0:
                    return best
                attempts -= 1
                seed = (best.plan.seed + offset * 1_000_003) % 2**31
                result = run(replace(smaller, seed=seed))
                if result.failure == failed.failure:
                    best = result
                    progress = True
                    break
            if progress:
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, the greatest savings first."""
    for duration_ms in (plan.duration_ms // 4, plan.duration_ms // 2, plan.duration_ms * 3 // 4):
        if duration_ms >= 200:
            yield replace(plan, duration_ms=duration_ms)
    for name, absent in Plan.FAULTS.items():
        if getattr(plan, name) != absent:
            yield plan.without(name)
    for name, least in (
        ("spares", 0),
        ("learners", 0),
        ("voters", 3),
        ("readers", 0),
        ("clients", 1),
        ("keys", 1),
    ):
        if getattr(plan, name) > least:
            yield plan.less(name, getattr(plan, name) - 1)
