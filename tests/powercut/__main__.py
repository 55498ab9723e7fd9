"""Cut the power many times and count: `python -m tests.powercut --cuts 100 --seed 1`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

from tests.powercut.cut import cut_power, why_impossible


async def run(cuts: int, seed: int, weakness: str, longest: float) -> Counter[str]:
    """Cut the power so often; what was seen, by kind."""
    seen: Counter[str] = Counter()
    rng = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(cuts):
            aftermath = await cut_power(
                Path(folder), seed + number, rng.uniform(0, longest), weakness
            )
            seen["cuts"] += 1
            seen["acknowledged batches"] += aftermath.acknowledged
            seen["batch under way found durable"] += (
                not aftermath.lost
                and aftermath.recovered is not None
                and aftermath.recovered.positions != aftermath.possible[0].positions
            )
            seen[f"marker {aftermath.condition.name}"] += 1
            seen["marker lags"] += aftermath.marker_lags
            seen["lost"] += aftermath.lost
            seen["lost and not noticed"] += aftermath.lost and not aftermath.noticed
            seen["suspect without loss"] += aftermath.noticed and not aftermath.lost
    return seen


def main() -> int:
    """Parse, run, print; 1 when a store that syncs lost something or doubts itself."""
    parser = argparse.ArgumentParser(prog="python -m tests.powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.5, help="the longest life")
    parser.add_argument("--weakness", choices=["", "log", "marker"], default="", help="not synced")
    args = parser.parse_args()
    reason = why_impossible()
    if reason is not None:
        print(f"no power can be cut here: {reason}", file=sys.stderr)
        return 2
    seen = asyncio.run(run(args.cuts, args.seed, args.weakness, args.seconds))
    for kind, count in seen.items():
        print(f"{count:8} {kind}")
    return int(bool(seen["lost"] or seen["suspect without loss"])) if not args.weakness else 0


if __name__ == "__main__":
    sys.exit(main())
