"""Tests that build on each other stay together, whatever pytest and its plugins change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import share_of

ROOT = Path(__file__).resolve().parents[1]
FILE = """
import os, pytest
@pytest.mark.parametrize("number", range({tests}))
def test_of(number):
    with open({note!r}, "a") as note:
        note.write(os.environ["PYTEST_XDIST_WORKER"] + " {name} " + str(number) + "\\n")
"""


def test_a_file_is_one_share_unless_its_tests_stand_alone() -> None:
    assert share_of("tests/cluster/test_quorum.py::test_it[a::b]") == "tests/cluster/test_quorum.py"
    alone = "tests/cluster/test_menu.py::test_the_network_outlives_a_liar[payer]"
    assert share_of(alone) == alone


def test_what_is_shared_out_stays_together_and_in_order(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_xdist_make_scheduler\n"
    )
    for name in ("first", "second", "third"):
        content = FILE.format(tests=6, note=str(note), name=name)
        (tmp_path / f"test_{name}.py").write_text(content)
    command = (sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup")
    subprocess.run(
        (*command, "--rootdir", str(tmp_path), str(tmp_path)),
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    ran = [line.split() for line in note.read_text().splitlines()]
    for name in ("first", "second", "third"):
        mine = [(worker, int(number)) for worker, file, number in ran if file == name]
        assert len({worker for worker, _ in mine}) == 1
        assert [number for _, number in mine] == list(range(6))
    assert len({worker for worker, _, _ in ran}) == 2
