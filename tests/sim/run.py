"""Runs a plan and says what came of it. Owns the naming of failures."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.sim.cluster import Cluster
from tests.sim.plan import Plan
from tests.sim.violation import Violation


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    plan: Plan
    failure: str | None
    """The kind of what went wrong: runs that fail alike have the same."""
    details: str
    checksum: int
    events: int
    virtual_ms: float
    cpu_s: float
    counts: Counter[str] = field(default_factory=Counter)
    tail: tuple[str, ...] = ()
    """The newest events, when they were asked for."""


def run_plan(plan: Plan, *, tail: int = 0) -> Result:
    """Run `plan`; whatever is raised in it becomes a failure."""
    started = time.process_time()
    cluster = Cluster(plan, tail=tail)
    failure: str | None = None
    details = ""
    try:
        cluster.run()
    except Violation as error:
        failure, details = error.kind, str(error)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        failure = f"{type(error).__name__} in {last.name}"
        details = "".join(traceback.format_exception(error))
    world = cluster.world
    checksum, counts = world.checksum, world.counts.copy()
    cluster.close()
    return Result(
        plan,
        failure,
        details,
        checksum,
        world.events,
        world.now_ms,
        time.process_time() - started,
        counts,
        tuple(world.tail or ()),
    )
