"""Help and messages in Chinese: nothing is forgotten, nothing is left over, JSON stays as it is."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer

import node
from node.cli.language import LANGUAGE, said
from node.cli.output import print_fields, print_table
from node.command import _REFUSALS, _catalogues, app, main
from node.ledger.codes import CODE_TEXTS, Code
from node.runtime.domains import DOMAINS

ROOT = Path(node.__file__).parent
CALLS = {"message", "UsageError", "CliError", "NoAnswerError", "BadParameter", "DemoError"}
CALLS |= {"NodeUnreachableError"}
OF_TYPER = (
    *("No such command", "No such option", "Missing", "Got unexpected", "Option {} requires"),
    *("Invalid value", "{} is not one of", "Value {} is not", "{} is not in the range"),
    *("Choose from", "Option {} does not take"),
    *("Example:", "Show this message", "Install completion", "Show completion"),
)
"""What Typer says; its words are found nowhere in this tree."""


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    LANGUAGE.use("zh", _catalogues(), _REFUSALS)
    yield
    LANGUAGE.use("en", (), {})


def helps(command: Any) -> Iterator[str]:
    for holder in (command, *command.params):
        yield from filter(None, (getattr(holder, "help", ""), getattr(holder, "short_help", "")))
    for below in getattr(command, "commands", {}).values():
        yield from helps(below)


def template(value: ast.expr) -> str | None:
    match value:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{template(left)}{template(right)}"
        case _:
            return None


def messages() -> Iterator[str]:
    """Each text with words that a command may print, `{}` for what it is told."""
    sources = [*(ROOT / "cli").glob("*.py"), *(ROOT / "domains").glob("*/cli/*.py")]
    sources += [ROOT / "command.py", *(ROOT / "demo").glob("*.py")]
    for source in sources:
        for call in ast.walk(ast.parse(source.read_text())):
            if not (isinstance(call, ast.Call) and call.args):
                continue
            name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
            text = template(call.args[0]) if name in CALLS else None
            if text and re.search(r"[A-Za-z]{2}", text.replace("piaolian:", "")):
                yield text


TEXTS = sorted(set(helps(typer.main.get_command(app))))
MESSAGES = sorted(set(messages()))


@pytest.mark.parametrize("text", [*TEXTS, *MESSAGES])
def test_every_text_is_known_in_chinese(text: str) -> None:
    """Add what is missing to `lang/zh.json` beside the command."""
    assert re.search("[\u4e00-\u9fff]", said(text)), text


def test_no_text_of_a_catalogue_is_left_over_or_has_another_number_of_places() -> None:
    sources = " ".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in ROOT.rglob("*.py"))
    for folder in _catalogues():
        for text, meaning in json.loads((folder / "zh.json").read_bytes())["texts"].items():
            assert text.count("{}") == meaning.count("{}"), text
            known = text in MESSAGES or any(text == t.split("\n\n")[0] for t in TEXTS)
            longest = max(text.split("{}"), key=len)
            assert known or text.startswith(OF_TYPER) or longest in sources, text


def test_each_domain_has_its_own_words_and_none_twice() -> None:
    seen: dict[str, str] = {}
    for domain in DOMAINS:
        found = files(f"node.domains.{domain.name}.cli") / "lang" / "zh.json"
        for text in json.loads(found.read_bytes())["texts"]:
            assert seen.setdefault(text, domain.name) == domain.name, text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["invoice", "isue"], "没有命令 'isue'"),
        (["invoice", "issue", "--bogus"], "没有选项 --bogus"),
        (["verify", "x"], "缺少选项"),
        (["invoice", "show"], "缺少参数"),
        (["invoice", "show", "1", "2"], "多余的参数"),
        (["invoice", "list", "--state", "x"], "不在可选值之内"),
        (["quota", "grant", "--issuer", "X", "--month", "2026-13", "--net", "5"], "没有这个月"),
        (["invoice", "issue", "--net", "1,5"], "不是金额"),
        (["status"], "没有配置文件"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_chinese_with_the_same_exit_code(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--lang", "zh", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert main(arguments) == 2
    assert not re.search("[\u4e00-\u9fff]", capsys.readouterr().err)


def test_the_environment_names_the_language_and_the_command_line_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIAOLIAN_LANG", "zh")
    assert main(["invoice", "claim", "--help"]) == 0
    assert "锁定" in capsys.readouterr().out
    assert main(["--lang=en", "invoice", "claim", "--help"]) == 0
    assert "Claim part or all" in capsys.readouterr().out
    monkeypatch.setenv("PIAOLIAN_LANG", "de")
    assert main(["status"]) == 2
    assert "PIAOLIAN_LANG de: must be one of en, zh" in capsys.readouterr().err


def test_refusals_are_told_in_chinese_and_json_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english, chinese_text = CODE_TEXTS[Code.INSUFFICIENT_AVAILABLE]
    assert said(f"INSUFFICIENT_AVAILABLE: {english}") == f"INSUFFICIENT_AVAILABLE：{chinese_text}"
    assert (
        main(
            ["--lang", "zh", "network", "new", str(tmp_path / "net"), "--nodes", "issuer", "--json"]
        )
        == 0
    )
    assert set(json.loads(capsys.readouterr().out)) >= {"network_id", "nodes"}


def test_columns_stand_under_each_other_where_characters_are_wide(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table([{"name": "深圳", "state": "x"}, {"name": "A", "state": "y"}], ["name", "state"])
    print_fields({"state": 1, "transaction": 2})
    assert capsys.readouterr().out.splitlines() == [
        "名称  状态",
        "深圳  x",
        "A     y",
        "状态  1",
        "交易  2",
    ]
