"""`piaolian invoice print` against a real API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from node.api.security import Scope
from node.command import main
from tests.api.client import TOKENS, ApiClient
from tests.api.fake_node import ISSUER, FakeNode, invoice_row, issue
from tests.cli.configs import write_config

NUMBER = "26310000000000000042"


@pytest.fixture
async def run(
    tmp_path: Path, api: ApiClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The arguments up to the options, with a node that answers behind them."""
    write_config(tmp_path, ISSUER, api.port, {"read": TOKENS[Scope.READ]})
    node.put(invoice_row(issue(NUMBER), ISSUER, bytes(32), 0))
    monkeypatch.chdir(tmp_path)
    return ["invoice", "print", NUMBER, "--config", "node.toml"]


async def command(arguments: list[str]) -> int:
    return await asyncio.to_thread(main, arguments)


async def test_a_pdf_named_after_the_number_for_its_owner_only(
    run: list[str], tmp_path: Path
) -> None:
    assert await command(run) == 0
    written = tmp_path / f"invoice-{NUMBER}.pdf"
    assert written.read_bytes().startswith(b"%PDF-")
    assert written.stat().st_mode & 0o777 == 0o600


async def test_the_name_of_the_file_says_the_format(run: list[str], tmp_path: Path) -> None:
    assert await command([*run, "-o", "face.html", "--lang", "zh"]) == 0
    assert "购买方信息" in (tmp_path / "face.html").read_text()
    assert await command([*run, "-o", "face.html", "--format", "pdf"]) == 0
    assert (tmp_path / "face.html").read_bytes().startswith(b"%PDF-")


async def test_json_says_what_was_written(
    run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command([*run, "--json", "--format", "html", "--lang", "en"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == f"invoice-{NUMBER}.html"
    assert told["bytes"] == Path(told["file"]).stat().st_size
    assert (told["number"], told["format"], told["language"]) == (NUMBER, "html", "en")


async def test_standard_output(run: list[str], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert await command([*run, "-o", "-"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"%PDF-")
    assert await command([*run, "-o", "-", "--json"]) == 2


async def test_what_cannot_be_written_or_found(
    run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command([*run, "-o", "missing/face.pdf"]) == 2
    assert "missing/face.pdf" in capsys.readouterr().err
    assert await command([*run[:2], "26310000000000000043", *run[3:]]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
