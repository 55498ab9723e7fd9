"""Plays the scenarios in `scenarios/`: each file says what goes wrong and what must happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consensus import scenario

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
UNSOLVED: dict[str, str] = {}
"""What fails, and why it does."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    if path.stem in UNSOLVED:
        request.applymarker(pytest.mark.xfail(strict=True, reason=UNSOLVED[path.stem]))
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
