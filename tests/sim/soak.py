"""Long campaigns: many seeds on all processors, a summary, and a small case for what failed.

    python -m tests.sim.soak --seeds 10000 --jobs 2
    python -m tests.sim.soak --plan "seed=7 loss=0.3"       one run, with the end of its record

Owns no rule of Raft and no fault; it runs, counts and reports.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim.plan import Plan
from tests.sim.run import Result, run_plan
from tests.sim.shrink import shrink

REGRESSIONS = Path(__file__).with_name("regressions.txt")
TAIL = 120
_SHRUNK_MAX = 3
"""Failures of different kinds for which a smaller case is looked for."""
_PROGRESS_S = 60.0
_WORK = (
    "elected",
    "committed",
    "membership",
    "snapshot made",
    "state restored",
    "read",
    "outcome committed",
    "outcome rejected",
    "outcome unknown",
)
_NEITHER = ("recovery ms", "start", "resume", "core")


@dataclass
class Campaign:
    """What all runs together came to."""

    runs: int = 0
    virtual_ms: float = 0.0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)
    slowest: Result | None = None
    recovery_ms_max: tuple[int, int] = (0, 0)
    """The longest recovery, and its seed."""

    def add(self, result: Result) -> None:
        """One more run."""
        self.runs += 1
        self.virtual_ms += result.virtual_ms
        self.cpu_s += result.cpu_s
        self.counts += result.counts
        recovery = (result.counts["recovery ms"], result.plan.seed)
        self.recovery_ms_max = max(self.recovery_ms_max, recovery)
        if result.failure is not None:
            self.failures.append(result)
        if self.slowest is None or result.cpu_s > self.slowest.cpu_s:
            self.slowest = result

    def report(self, real_s: float) -> str:
        """The summary."""
        hours = self.virtual_ms / 3_600_000
        lines = [
            f"{self.runs} seeds, {len(self.failures)} failed; {hours:.1f} simulated hours in "
            f"{real_s:.0f} s, {hours * 3_600 / max(real_s, 1e-9):.0f} times real time; "
            f"{self.cpu_s / max(self.runs, 1):.3f} s of processor a seed",
            "faults:",
        ]
        faults = {
            name: number
            for name, number in self.counts.items()
            if name not in _WORK + _NEITHER and not name.startswith("change")
        }
        lines += [f"  {number:>10} {name}" for name, number in sorted(faults.items())]
        lines.append("work:")
        lines += [f"  {self.counts[name]:>10} {name}" for name in _WORK]
        changes = {n: c for n, c in self.counts.items() if n.startswith("change")}
        lines += [f"  {number:>10} {name}" for name, number in sorted(changes.items())]
        longest, seed = self.recovery_ms_max
        mean = self.counts["recovery ms"] / max(self.runs - len(self.failures), 1)
        lines.append(f"recovery: mean {mean:.0f} ms, longest {longest} ms (seed {seed})")
        if self.slowest is not None:
            lines.append(f"slowest: {self.slowest.cpu_s:.2f} s, {self.slowest.plan.line()}")
        return "\n".join(lines)


def run_seed(seed: int) -> Result:
    """One seed."""
    return run_plan(Plan.draw(seed))


def run_aimed(seed: int) -> Result:
    """One seed of the runs that are aimed at leaders and leases."""
    return run_plan(Plan.aim(seed))


def run_many(seeds: Iterable[int], jobs: int, *, aim: bool = False) -> Iterator[Result]:
    """All seeds, in any order."""
    run = run_aimed if aim else run_seed
    if jobs <= 1:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=16)


def explain(failed: Result, smaller: Result) -> str:
    """A failure, a smaller case of it, and the end of that one's record."""
    shown = run_plan(smaller.plan, tail=TAIL)
    return "\n".join(
        [
            f"FAILED {failed.plan.line()}",
            f"  {failed.details.strip()}",
            f"smaller: {smaller.plan.whole_line()}",
            *(f"  {event}" for event in shown.tail),
            f"  {shown.details.strip()}",
        ]
    )


def remember(failed: Result, path: Path = REGRESSIONS) -> None:
    """Put the run on the list that the tests repeat."""
    with path.open("a") as file:
        file.write(f"{failed.plan.whole_line()}  # {failed.failure}\n")


def regressions(path: Path = REGRESSIONS) -> list[str]:
    """The lines of the list."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.split("#")[0].strip()]


def soak(
    seeds: Iterable[int], jobs: int, *, first_failure: bool = False, aim: bool = False
) -> Campaign:
    """Run a campaign, with a line of progress now and then."""
    campaign = Campaign()
    started = said = time.monotonic()
    for result in run_many(seeds, jobs, aim=aim):
        campaign.add(result)
        if result.failure is not None:
            print(f"FAILED {result.plan.line()}: {result.failure}", flush=True)
            if first_failure:
                break
        now = time.monotonic()
        if now - said > _PROGRESS_S:
            said = now
            print(f"{campaign.runs} seeds, {now - started:.0f} s", flush=True)
    return campaign


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS", "1000")))
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--first-failure", action="store_true", help="stop at the first failure, name it"
    )
    parser.add_argument("--aim", action="store_true", help="runs aimed at leaders and leases")
    parser.add_argument("--plan", help="run this one plan and show the end of its record")
    options = parser.parse_args()
    if options.plan:
        result = run_plan(Plan.parse(options.plan), tail=TAIL)
        print("\n".join(result.tail))
        print(result.details or f"passed; {result.events} events, {result.cpu_s:.2f} s")
        return result.failure is not None
    started = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    campaign = soak(seeds, options.jobs, first_failure=options.first_failure, aim=options.aim)
    if not options.first_failure:
        print(campaign.report(time.monotonic() - started))
        kinds = {result.failure: result for result in reversed(campaign.failures)}
        for failed in list(kinds.values())[:_SHRUNK_MAX]:
            smaller = shrink(failed)
            print(explain(failed, smaller))
            remember(smaller)
    return bool(campaign.failures)


if __name__ == "__main__":
    sys.exit(main())
