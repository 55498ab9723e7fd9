"""`make rejoin-model`: the whole search. A row for each run; exit code 1 if one surprises."""

from __future__ import annotations

import sys
import time

from node.voting.resumption import Rules
from tests.rejoin.search import Result, exhaust, walk
from tests.rejoin.weaker import WEAKER
from tests.rejoin.world import Bounds, World

W = 1


def main() -> int:
    """Run everything."""
    surprises = 0
    for rules in WEAKER:
        surprises += _run(rules, 4, Bounds(4, 2), wanted=True)
        surprises += _run(rules, 7, Bounds(4, 2), wanted=True, walks=20_000)
    for voters, bounds in (
        (4, Bounds(3, 2)),
        (4, Bounds(3, 3)),
        (4, Bounds(3, 2, astray=1)),
        (4, Bounds(4, 1)),
        (4, Bounds(4, 2)),
        (5, Bounds(3, 1)),
    ):
        surprises += _run(Rules, voters, bounds, wanted=False)
    surprises += _run(Rules, 4, Bounds(3, 1), wanted=False, eager=False)
    surprises += _run(Rules, 7, Bounds(4, 2), wanted=False, walks=5_000)
    surprises += _run(Rules, 7, Bounds(4, 2, astray=1), wanted=False, walks=2_000)
    surprises += _run(Rules, 7, Bounds(4, 2), wanted=False, walks=2_000, eager=False)
    return 1 if surprises else 0


def _run(
    rules: type[Rules],
    voters: int,
    bounds: Bounds,
    *,
    wanted: bool,
    walks: int = 0,
    eager: bool = True,
) -> bool:
    """One search; True if it did not find what was wanted."""
    start = time.monotonic()
    world = World(voters, rules(W), bounds, eager=eager)
    found = walk(world, walks, seed=1) if walks else exhaust(world)
    how = f"{walks} walks" if walks else "exhaustive"
    print(
        f"{rules.__name__:20} n={voters} heights≤{bounds.heights} losses≤{bounds.losses} "
        f"{how}{'' if eager else ', all orders'}: {_told(found)} "
        f"({found.states:,} states, {time.monotonic() - start:.0f} s)",
        flush=True,
    )
    return (found.conflict is not None) != wanted


def _told(found: Result) -> str:
    if found.conflict is not None:
        return f"conflict {' and '.join(found.conflict)} after {len(found.trace)} steps"
    return "safe" if found.finished else "none found, not finished"


if __name__ == "__main__":
    sys.exit(main())
