"""Seeded runs of whole clusters; see `tests.sim.cluster`. `make soak` runs more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.sim import soak
from tests.sim.plan import Plan
from tests.sim.run import Result, run_plan
from tests.sim.shrink import shrink

SEEDS = 80
AIMED = 60
"""Runs of `Plan.aim`; a third of the others' cost."""
CHUNK = 10


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_safety_holds_and_the_cluster_recovers(first: int) -> None:
    for seed in range(first, first + CHUNK):
        passes(run_plan(Plan.draw(seed)))


@pytest.mark.parametrize("first", range(0, AIMED, CHUNK))
def test_leases_hold_in_runs_that_are_aimed_at_them(first: int) -> None:
    for seed in range(first, first + CHUNK):
        passes(run_plan(Plan.aim(seed)))


def test_aimed_runs_play_what_they_aim_at() -> None:
    counts = sum((run_plan(Plan.aim(seed)).counts for seed in range(12)), Counter())

    for event in ("heir away", "cut: leader and heir", "doze", "late answer: arrives"):
        assert counts[event] > 1, event


@pytest.mark.parametrize("line", soak.regressions())
def test_what_once_failed_holds(line: str) -> None:
    passes(run_plan(Plan.parse(line)))


def test_the_slice_has_faults_of_every_kind() -> None:
    plans = [Plan.draw(seed) for seed in range(SEEDS)]

    for name, absent in Plan.FAULTS.items():
        present = sum(getattr(plan, name) != absent for plan in plans)
        assert present > SEEDS // 20, name
    assert {plan.voters for plan in plans} == {3, 4, 5, 7}
    assert {plan.learners for plan in plans} == {0, 1, 2}


def test_a_seed_is_a_run() -> None:
    plan = Plan.draw(7)

    first, second = run_plan(plan), run_plan(plan)

    assert first.checksum == second.checksum
    assert first.counts == second.counts
    assert first.checksum != run_plan(Plan.draw(8)).checksum


@pytest.mark.parametrize("seed", [7, 29, 46])
def test_a_seed_is_a_run_word_for_word(seed: int) -> None:
    """The whole record: every message, every start and end, at every moment."""
    first, second = (run_plan(Plan.draw(seed), tail=1_000_000) for _ in range(2))

    assert len(first.tail) > 1_000
    assert first.tail == second.tail


def test_a_record_of_events_changes_nothing() -> None:
    plan = Plan.draw(7)

    recorded = run_plan(plan, tail=50)

    assert len(recorded.tail) == 50
    assert recorded.checksum == run_plan(plan).checksum


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_is_the_same_run_in_another_process(hash_seed: str) -> None:
    code = (
        "from tests.sim.plan import Plan; from tests.sim.run import run_plan; "
        "print([run_plan(Plan.draw(seed)).checksum for seed in (3, 7, 11)])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.strip() == str([run_plan(Plan.draw(seed)).checksum for seed in (3, 7, 11)])


def test_a_plan_is_a_line() -> None:
    drawn = Plan.draw(5)
    line = "seed=5 loss=0.25 voters=5 in_order=True duration_ms=100"

    assert drawn.line() == "seed=5"
    plan = Plan.parse(f"{line}  # why")
    assert (plan.loss, plan.voters, plan.in_order, plan.duration_ms) == (0.25, 5, True, 100)
    assert Plan.parse(plan.line()) == plan
    assert Plan.parse(plan.whole_line()) == plan
    assert Plan.parse("whole seed=9 loss=0.5") == Plan(seed=9, loss=0.5)
    with pytest.raises(ValueError, match="no weather"):
        Plan.parse("seed=5 weather=bad")


def test_a_failure_shrinks_to_what_it_needs() -> None:
    def fails_with_loss_and_crashes(plan: Plan) -> Result:
        fails = plan.loss > 0 and plan.crash_every_ms > 0 and plan.duration_ms > 1_000
        return Result(plan, "made up" if fails else None, "", 0, 0, 0.0, 0.0)

    everything = Plan(
        voters=7, learners=2, loss=0.3, duplicate=0.5, crash_every_ms=400, pause_every_ms=500
    )
    smaller = shrink(fails_with_loss_and_crashes(everything), run=fails_with_loss_and_crashes).plan

    assert (smaller.loss, smaller.crash_every_ms) == (0.3, 400)
    assert (smaller.duplicate, smaller.pause_every_ms) == (0.0, 0)
    assert (smaller.voters, smaller.learners, smaller.clients) == (3, 0, 1)
    assert 1_000 < smaller.duration_ms < 2_000


def test_a_failing_run_is_remembered_as_a_line_that_repeats_it(tmp_path: Path) -> None:
    path = tmp_path / "regressions.txt"
    failed = Result(Plan.parse("seed=3 loss=0.1"), "one vote", "", 0, 0, 0.0, 0.0)

    soak.remember(failed, path)

    assert [line.split("  # ")[1] for line in soak.regressions(path)] == ["one vote"]
    assert Plan.parse(soak.regressions(path)[0]) == failed.plan


def passes(result: Result) -> None:
    assert result.failure is None, f"{result.plan.line()}\n{result.details}"
