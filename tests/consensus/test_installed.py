"""`consensus` without the rest of the house, where a program finds it that embeds it.

Built from a copy of its folder and installed in an environment of its own, with what it asks for
and no more. There it runs, and there its types are checked.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

import consensus
from tests.consensus.test_readme import IN_MEMORY, ON_DISK

PACKAGE = Path(consensus.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
"""Not the package's parent: `tests.mutants` runs this against a copy that stands alone."""
EMBEDDER = Path(__file__).with_name("embedder.py")

pytestmark = pytest.mark.slow


def _requirements(path: Path) -> dict[str, str]:
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {re.split(r"[^\w-]", line)[0]: line for line in wanted}


def _run(command: Sequence[str | Path], folder: Path, *, code: int = 0) -> str:
    """Standard output and error of a program that knows nothing of this environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with `consensus` and its requirements, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    source = shutil.copytree(
        PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__")
    )
    venv.create(folder / "env", symlinks=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    interpreter = folder / "env" / "bin" / "python"
    for name in _requirements(PACKAGE / "pyproject.toml"):
        _link(importlib.metadata.distribution(name), site)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    _run([*pip, *build, "--wheel-dir", folder, source], folder)
    (wheel,) = folder.glob("*.whl")
    pip += ["--python", str(interpreter)]
    _run([*pip, "install", "--quiet", "--no-index", f"{wheel}[sqlite]"], folder)
    _run([*pip, "check"], folder)
    return interpreter


def _link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """What is installed here is not downloaded again."""
    for part in {path.parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}:
        (site / part).symlink_to(Path(str(distribution.locate_file(part))))


def test_it_asks_for_what_the_node_asks_for() -> None:
    alone, node = (_requirements(base / "pyproject.toml") for base in (PACKAGE, ROOT))

    assert alone.items() <= node.items()


def test_it_runs_with_every_port_another_s(python: Path, tmp_path: Path) -> None:
    said = _run([python, "-I", "-W", "error", EMBEDDER], tmp_path)

    assert said.splitlines() == [
        "committed 2 of term 1: 1",
        "committed 3 of term 1: 2",
        "a snapshot of 7 bytes after 3",
        "rejected: stopped",
    ]


def test_nothing_else_of_the_house_is_there(python: Path, tmp_path: Path) -> None:
    code = "from importlib.util import find_spec as f; print(f('node'), f('p2p'), f('consensus'))"
    node, p2p, found = _run([python, "-I", "-c", code], tmp_path).split(maxsplit=2)

    assert (node, p2p) == ("None", "None")
    assert str(python.parent.parent) in found


@pytest.mark.parametrize("example", [IN_MEMORY, ON_DISK], ids=["memory", "disk"])
def test_the_examples_of_the_readme_run(python: Path, tmp_path: Path, example: str) -> None:
    script = tmp_path / "counter.py"
    script.write_text(example, "utf-8")

    said = _run([python, "-I", "-W", "error", script, tmp_path], tmp_path)

    assert said.splitlines()[-3:] == [f"node {number} counts 1000" for number in (1, 2, 3)]


def test_the_example_over_streams_runs(python: Path, tmp_path: Path) -> None:
    said = _run([python, "-I", "-W", "error", "-m", "consensus.examples.keyvalue"], tmp_path)

    assert said.splitlines() == [
        "colour = red, in place of None",
        "read: red red red",
        "the leader has left",
        "colour = green, in place of red",
        "read: green green",
    ]


def test_its_types_are_seen_and_a_misspelt_name_is_not_one(python: Path, tmp_path: Path) -> None:
    """Without `py.typed` the import would be an error, and with a loose `__getattr__` no error."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from consensus import NodeId, RaftConfig, RaftNod\n"
        "RaftConfig(node='1', voters=())\n"
        "reveal_type(NodeId(1))\n",
        "utf-8",
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    mypy += ["--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache")]

    assert "Success" in _run([*mypy, EMBEDDER], tmp_path)
    said = _run([*mypy, wrong], tmp_path, code=1)
    assert 'has no attribute "RaftNod"' in said
    assert 'incompatible type "str"; expected "NodeId"' in said
    assert 'Revealed type is "consensus.types.NodeId"' in said
