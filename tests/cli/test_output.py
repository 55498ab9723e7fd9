"""What people read of a result: lists without JSON, paths and commands as they work from here."""

import sys
from pathlib import Path

import pytest

from node.cli.output import fields_text, nearby, plain, program


def test_a_list_is_told_without_brackets_and_quotes() -> None:
    assert fields_text({"roles": ["issuer", "payer"], "missing": [], "sizes": [7, 9]}) == (
        "roles    issuer, payer\nmissing  -\nsizes    7, 9"
    )


def test_each_sentence_has_a_line() -> None:
    assert fields_text({"not": ["that it is true", "that it lasts"]}) == (
        "not\n  that it is true\n  that it lasts"
    )


def test_what_is_nested_in_a_cell_stays_json() -> None:
    assert plain([{"a": 1}]) == '[{"a": 1}]'


def test_a_path_below_is_told_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert nearby(tmp_path / "net" / "issuer" / ".." / "network.toml") == Path("net/network.toml")
    assert nearby(tmp_path.parent / "other") == tmp_path.parent / "other"


def test_a_command_is_told_by_the_path_that_the_shell_would_not_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / ".venv" / "bin" / "piaolian"
    own.parent.mkdir(parents=True)
    own.write_text("")
    own.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(own)])

    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == ".venv/bin/piaolian"

    monkeypatch.setenv("PATH", str(own.parent))
    assert program() == "piaolian"

    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    assert program() == "piaolian"
