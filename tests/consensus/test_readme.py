"""The package's README: its examples run as they stand there, and its tables tell what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import consensus
from consensus import codec
from consensus.config import RaftConfig
from consensus.outcomes import RejectReason, UnknownReason

PACKAGE = Path(consensus.__file__).parent
README = (PACKAGE / "README.md").read_text("utf-8")
IN_MEMORY, ON_DISK = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _run(code: str, folder: Path, *args: str) -> Sequence[str]:
    script = folder / "counter.py"
    script.write_text(code, "utf-8")
    command = [sys.executable, "-W", "error", str(script), *args]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout.splitlines()


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("code", [IN_MEMORY, ON_DISK], ids=["memory", "disk"])
def test_an_example_has_less_than_sixty_lines(code: str) -> None:
    assert len(code.splitlines()) < 60


def test_the_counter_in_memory_counts_on_every_member(tmp_path: Path) -> None:
    outcome, *counts = _run(IN_MEMORY, tmp_path)

    assert re.fullmatch(r"last outcome: Committed\(index=\d+, term=\d+, result=1000\)", outcome)
    assert counts == [f"node {number} counts 1000" for number in (1, 2, 3)]


def test_the_counter_on_disk_counts_on_from_the_last_run(tmp_path: Path) -> None:
    for total in (1_000, 2_000):
        counts = _run(ON_DISK, tmp_path, str(tmp_path))

        assert counts == [f"node {number} counts {total}" for number in (1, 2, 3)]


def test_the_limits_are_the_defaults() -> None:
    shown = {name.strip("`"): value for name, value, _ in _rows("Limits")}

    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(RaftConfig)
        if field.name not in {"node", "voters", "entries"}
    }
    assert shown == {
        name: "off" if value is False else f"{value:,}" for name, value in defaults.items()
    }


def test_the_wire_table_names_every_field_of_every_message() -> None:
    messages: Sequence[type[msgspec.Struct]] = codec._WireMessage.__args__

    fields = [
        [str(message.__struct_config__.tag), _spoken(message.__struct_fields__)]
        for message in messages
    ]
    assert [[tag, named] for tag, _, named in _rows("Wire")] == fields


def _spoken(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def test_every_outcome_has_its_reasons() -> None:
    rows = _rows("What becomes of a payload")
    shown = {outcome: re.findall(r"`(\w+)`", reasons) for outcome, _, reasons in rows}

    assert shown == {
        "`Committed`": [],
        "`Rejected`": [reason.value for reason in RejectReason],
        "`Unknown`": [reason.value for reason in UnknownReason],
    }


def test_every_module_has_its_place() -> None:
    named: list[str] = []
    for modules, _ in _rows("Modules"):
        folder = "".join(re.findall(r"^`(\w+/)`", modules))
        named += [f"{folder}{name}.py" for name in re.findall(r"`(\w+)`", modules)]
    there = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("[!_]*.py")]

    assert sorted(named) == sorted(str(path) for path in there if path.parts[0] != "examples")


def test_duties_are_numbered_without_gaps() -> None:
    section = README.split("\n## Duties of the embedder\n")[1].split("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 10
