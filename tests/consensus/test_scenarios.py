"""Plays the scenarios in `scenarios/`: each file says what goes wrong and what must happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.consensus import scenario

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
UNSOLVED = {"suspect_member_restarts_again": "the leader makes one proof for all lives of a suspect"}
"""What fails, and why it does."""


def _to_play() -> Iterator[ParameterSet]:
    for path in FILES:
        reason = UNSOLVED.get(path.stem)
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", _to_play())
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    as_is, played = scenario.run(path)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played, encoding="utf-8")
    else:
        assert played == as_is


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_why_it_is_there(path: Path) -> None:
    first, *_ = path.read_text(encoding="utf-8").split("\n\n")

    assert all(line.startswith("#") for line in first.splitlines())
    assert "Found:" in first
