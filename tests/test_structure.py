"""The house keeps its measure: sizes of modules, functions, constructors and folders.

Complexity and the number of arguments are ruff's (`pyproject.toml`), floors are import-linter's.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("consensus", "p2p", "node")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CONSTRUCTOR_PARAMETERS_MAX = 8
LOOSE_MODULES_MAX = 5
FOLDER_MODULES_MAX = 25
LONG_MODULES: dict[str, str] = {}
"""Modules that are longer, each with the reason."""


@cache
def sources() -> dict[str, str]:
    """Every module's text, by its place."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for place, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{place} {node.name}", node


def test_no_module_is_long_but_tables_of_data() -> None:
    sizes = {place: text.count("\n") for place, text in sources().items()}
    long = {place for place, lines in sizes.items() if lines > MODULE_LINES_MAX}

    assert long == set(LONG_MODULES)


def test_a_function_fits_a_screen() -> None:
    sizes = [(name, (node.end_lineno or 0) - node.lineno + 1) for name, node in functions()]

    assert {name: size for name, size in sizes if size > FUNCTION_LINES_MAX} == {}


def test_a_constructor_takes_few_parameters() -> None:
    sizes = [
        (name, len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs) - 1)
        for name, node in functions()
        if node.name == "__init__"
    ]

    assert sizes
    assert {name: size for name, size in sizes if size > CONSTRUCTOR_PARAMETERS_MAX} == {}


def test_few_modules_lie_loose() -> None:
    loose = [place for place in sources() if place.startswith("node/") and place.count("/") == 1]

    assert len(loose) <= LOOSE_MODULES_MAX


def test_a_folder_can_be_overlooked() -> None:
    folders: dict[str, int] = {}
    for place in sources():
        folder, _, name = place.rpartition("/")
        if name != "__init__.py":
            folders[folder] = folders.get(folder, 0) + 1
    full = {folder: number for folder, number in folders.items() if number > FOLDER_MODULES_MAX}

    assert full == {}


CLOCKS = {
    "node/system/clock.py": "the clock that everything else of a node is handed",
    "consensus/driver/node.py": "the number of a life, where the embedder gives none",
    "node/audit/machine_limits.py": "measures this machine",
    "node/cli/auditing.py": "says how long it took",
    "node/cli/client.py": "a command waits for a node; it is none",
    "node/cli/writes.py": "a command waits for a node; it is none",
    "node/domains/invoices/cli/pacing.py": "a command waits for a node; it is none",
    "node/domains/invoices/cli/upload.py": "says how long it took",
}
"""Who reads the machine's clock, and why. What a loop waits for is timed by that loop's own clock,
which is whoever's who made the loop."""
_READS_CLOCK = re.compile(
    r"\btime\.(time|monotonic|perf_counter)(_ns)?\(|\b(datetime|date)\.(now|utcnow|today)\("
)


def test_clocks_are_handed_in() -> None:
    reading = {
        place
        for place, text in sources().items()
        if _READS_CLOCK.search(text) and not place.startswith("node/demo/")
    }

    assert reading == set(CLOCKS)


CONTAINERS = {
    container
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    if contract.get("exhaustive")
    for container in contract["containers"]
}


def test_every_room_with_floors_has_an_exhaustive_contract() -> None:
    domains = {f"node.domains.{path.parent.name}" for path in ROOT.glob("node/domains/*/domain.py")}

    assert {"node", "node.ledger", "consensus"} | domains <= CONTAINERS


@pytest.mark.slow
@pytest.mark.parametrize("room", ["node", "consensus", "node/ledger", "node/domains/invoices"])
def test_a_stray_module_is_refused(room: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / room / "stray.py").write_text('"""Stands on no floor."""\n')
    command = "from importlinter.cli import lint_imports_command as run; run()"

    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{room.replace('/', '.')}.stray" in done.stdout
