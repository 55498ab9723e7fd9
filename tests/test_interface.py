"""What users were promised (`tests/data/interface.toml`) is there, and what is pending is not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from node.command import app
from node.runtime.routes import PAGES, ROUTES

PROMISED: Any = tomllib.loads(
    (Path(__file__).parent / "data" / "interface.toml").read_text("utf-8")
)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """Every command with its options, in all their spellings."""
    members = getattr(group, "commands", None)
    if members is None:
        options = {
            name for option in group.params for name in (*option.opts, *option.secondary_opts)
        }
        yield " ".join(path), frozenset(options)
        return
    for name, member in members.items():
        yield from commands(member, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
PATHS = {
    f"{route.method} {re.sub(r':[^}]*}', '}', route.path)}": {query.name for query in route.query}
    for route in (*ROUTES, *PAGES)
}


@pytest.mark.parametrize("command", PROMISED["commands"])
def test_a_promised_command_is_there_with_its_options(command: str) -> None:
    assert command in COMMANDS
    assert set(PROMISED["commands"][command]) <= COMMANDS[command]


@pytest.mark.parametrize("path", PROMISED["paths"])
def test_a_promised_path_is_there_with_its_parameters(path: str) -> None:
    assert path in PATHS
    assert set(PROMISED["paths"][path]) <= PATHS[path]


@pytest.mark.parametrize("command", PROMISED["pending"]["commands"])
def test_a_pending_command_is_not_there_yet(command: str) -> None:
    """Once it is, it stands among the promised ones."""
    assert PROMISED["pending"]["commands"][command], "a reason"
    assert not [name for name in COMMANDS if f"{name} ".startswith(f"{command} ")]


@pytest.mark.parametrize("path", PROMISED["pending"]["paths"])
def test_a_pending_path_is_not_there_yet(path: str) -> None:
    assert PROMISED["pending"]["paths"][path], "a reason"
    assert not [name for name in PATHS if f"{name.split(' ')[1]}/".startswith(f"{path}/")]


def test_nothing_is_promised_and_pending() -> None:
    for kind in ("commands", "paths"):
        assert not PROMISED[kind].keys() & PROMISED["pending"][kind].keys()
