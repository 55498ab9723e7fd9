"""`python -m tests.mutants`: plant each bug in a copy of `consensus` and see who catches it.

Two detectors run against every copy: the tests of `tests/consensus` and `tests/powercut`, up to the
first that fails, and the simulation, up to the first seed that fails. A mutation counts as caught
when one of them fails; both are named. The copy without a bug must pass both, else nothing is
proven.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutation import Mutation
from tests.mutants.mutations import MUTATIONS
from tests.mutants.runtime import RUNTIME

_NOT_RUN = (3, 4, 5)
"""What pytest ends with after an error of its own, a wrong use, or no test at all."""
ROOT = Path(__file__).resolve().parents[2]
CONTROL = Mutation("(none)", "The control.", "core/raft.py", ())


@dataclass(frozen=True)
class Verdict:
    """Who noticed a mutation; None: nobody of that kind."""

    mutation: Mutation
    test: str | None
    seed: str | None
    seconds: float


def planted(mutation: Mutation) -> str:
    """The module with that bug.

    Raises:
        ValueError: when the mutation does not fit the code.
    """
    text = (ROOT / "consensus" / mutation.module).read_text()
    for old, new in mutation.changes:
        if text.count(old) != 1:
            raise ValueError(f"{mutation.name}: {text.count(old)} places for {old!r}")
        text = text.replace(old, new)
    compile(text, mutation.module, "exec")
    return text


def plant(mutation: Mutation, folder: Path) -> None:
    """Copy `consensus` into `folder` with that bug.

    Raises:
        ValueError: when the mutation does not fit the code.
    """
    text = planted(mutation)
    shutil.copytree(
        ROOT / "consensus", folder / "consensus", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "consensus" / mutation.module).write_text(text)


def run(command: list[str], folder: Path, timeout_s: float) -> tuple[bool, str]:
    """Whether `command` succeeds with the copy in `folder`, and what it printed.

    Raises:
        RuntimeError: it could not be run, which says nothing of the copy.
    """
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "never ended"
    output = done.stdout + done.stderr
    if done.returncode in _NOT_RUN:
        raise RuntimeError(output[-2_000:])
    return done.returncode == 0, output


def first_test(folder: Path) -> str | None:
    """The first test that fails."""
    passed, output = run(
        [
            "-P",
            "-m",
            "pytest",
            "tests/consensus",
            "tests/powercut",
            "-m",
            "not soak",
            "-x",
            "-q",
            "--timeout",
            "60",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
        ],
        folder,
        300,
    )
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return None if passed else found.group(1) if found else output.strip()[-200:]


def first_seed(folder: Path, seeds: int, *, aimed: bool) -> str | None:
    """The first seed of the simulation that fails."""
    command = ["-P", "-m", "tests.sim.soak", "--seeds", str(seeds), "--jobs", "1"]
    aim = ["--aim"] if aimed else []
    passed, output = run([*command, "--first-failure", *aim], folder, 900)
    found = re.search(r"^FAILED (.*)$", output, re.MULTILINE)
    return None if passed else found.group(1) if found else output.strip()[-200:]


def judge(mutation: Mutation, seeds: int, *, tests_first: bool) -> Verdict:
    """Plant one mutation and look who notices; with `tests_first`, until somebody does."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        plant(mutation, folder)
        test = first_test(folder)
        seed = None
        if test is None or not tests_first:
            seed = first_seed(folder, seeds, aimed=mutation.aimed)
    return Verdict(mutation, test, seed, time.monotonic() - began)


def main() -> int:
    """Judge all, print a line for each; 1 when one got away or the control failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=150, help="seeds of the simulation for each")
    parser.add_argument(
        "--tests-first", action="store_true", help="no simulation of what a test has caught"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    wanted = [CONTROL, *MUTATIONS, *RUNTIME]
    if arguments.only:
        wanted = [m for m in wanted if m.name in arguments.only.split(",")]
    escaped = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        tests_first = arguments.tests_first
        for verdict in pool.map(
            lambda m: judge(m, arguments.seeds, tests_first=tests_first), wanted
        ):
            noticed = verdict.test is not None or verdict.seed is not None
            right = noticed != (verdict.mutation is CONTROL)
            escaped += not right
            print(
                f"{'caught' if noticed else 'passed':7}{'' if right else '  WRONG'} "
                f"{verdict.mutation.name:28} test: {verdict.test or '-'}   "
                f"simulation: {verdict.seed or '-'}   {verdict.seconds:.0f} s",
                flush=True,
            )
    bugs = sum(m is not CONTROL for m in wanted)
    print(f"{bugs} planted bugs, {escaped} wrong verdicts")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
