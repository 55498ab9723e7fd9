"""What `consensus` exports: there, documented, and loaded no earlier than it is used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import consensus

PACKAGE = Path(consensus.__file__).parent
README = (PACKAGE / "README.md").read_text("utf-8")


def _run(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _typed() -> Mapping[str, str]:
    """Where a type checker finds each name."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.name: node.module.removeprefix("consensus.")
        for node in imports
        if node.module is not None and node.module.startswith("consensus.")
        for alias in node.names
    }


@pytest.mark.parametrize("name", consensus.__all__)
def test_an_exported_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(consensus, name)

    if isinstance(value, type):
        assert vars(value).get("__doc__"), f"{name} has no docstring"
    elif callable(value) and value.__class__.__name__ == "function":
        assert value.__doc__, f"{name} has no docstring"


def test_interpreter_and_type_checker_find_the_same() -> None:
    assert _typed() == consensus._HOME
    assert sorted(_typed()) == sorted(consensus.__all__)
    assert set(consensus.__all__) <= set(dir(consensus))


def test_the_readme_has_every_exported_name_and_no_other() -> None:
    section = README.split("\n## What is imported\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[1])]

    assert sorted(named) == sorted(consensus.__all__)


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="RaftCore"):
        _ = consensus.RaftCore  # type: ignore[attr-defined]


def test_any_name_may_come_first() -> None:
    """Each in an interpreter's first import: no circle bites."""
    code = """
import sys
names = __import__("consensus").__all__
for name in names:
    for module in [m for m in sys.modules if m.partition(".")[0] == "consensus"]:
        del sys.modules[module]
    getattr(__import__("consensus"), name)
print(len(names))
"""
    assert int(_run(code)) == len(consensus.__all__)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import consensus", {"asyncio", "msgspec", "sqlite3", "aiosqlite"}),
        ("from consensus import ReadError, Entry, LogStore", {"asyncio", "sqlite3", "aiosqlite"}),
        ("import consensus.core.raft", {"asyncio", "sqlite3", "aiosqlite"}),
        ("from consensus import RaftNode, MemoryStore", {"sqlite3", "aiosqlite"}),
    ],
)
def test_an_import_loads_only_what_it_needs(statement: str, absent: set[str]) -> None:
    loaded = set(_run(f"{statement}\nimport sys\nprint(*sys.modules)").split())

    assert not loaded & absent
