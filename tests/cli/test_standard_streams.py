"""An answer that cannot be written never ends with the exit code of a verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.command import main

COMMAND = f"{sys.executable} -m node"
REFUSES = 'verify bad.proof --network "$0" --json'
"""Exit code 1: it is not valid."""
MISUSE = 'verify none --network "$0"'
"""Exit code 2: there is no such file."""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    assert main(["network", "new", "net", "--nodes", "issuer"]) == 0
    (tmp_path / "bad.proof").write_text("not a proof\n")
    return str(tmp_path / "net" / "network.toml")


def run(line: str, network: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {COMMAND} {line}", network],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (REFUSES, 1),
        (f"{REFUSES} >/dev/full", 4),
        (f"{REFUSES} >/dev/full 2>&1", 4),
        (f"{REFUSES} | exec 0<&-", 4),
        (f"{REFUSES} >&-", 1),
        (f"{REFUSES} 2>/dev/full", 1),
        ("--help >/dev/full", 4),
        ("verify --help >/dev/full", 4),
        ("--version >/dev/full", 4),
        (MISUSE, 2),
        (f"{MISUSE} >/dev/full", 2),
        (f"{MISUSE} 2>/dev/full", 2),
        ("compare 2>/dev/full", 2),
    ],
)
def test_no_lost_answer_is_a_verdict(network: str, line: str, code: int) -> None:
    ended = run(line, network)
    assert ended.returncode == code, ended
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_what_is_wrong_with_standard_output_is_told(network: str) -> None:
    said = run(f"{REFUSES} >/dev/full", network).stderr
    assert said == "piaolian: standard output: No space left on device\n"


def test_an_audit_that_cannot_be_done_is_no_verdict(
    network: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("node.cli.auditing.audit_folder", full)
    config = Path(network).parent / "issuer" / "node.toml"
    assert main(["audit", "--config", str(config)]) == 4
    assert "/somewhere: No space left on device" in capsys.readouterr().err
