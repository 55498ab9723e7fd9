"""The command line: every `--help`, exit codes, what goes to which stream, the dry run."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer

from node.command import app, main
from node.setup.network_files import create_network

SLICE = Path(__file__).parents[1] / "data" / "online-retail-slice.csv.gz"
WITHOUT_JSON = {"start"}
"""Commands that print no data."""


AMOUNT = ["invoice", "issue", "--order-id", "A", "--buyer", "B", "--rate", "0", "--net"]


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    members = getattr(group, "commands", None)
    if members is None:
        yield path
        return
    for name, member in members.items():
        yield from commands(member, (*path, name))


ALL = sorted(commands(typer.main.get_command(app)))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a node.toml of the machine it runs on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PIAOLIAN_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    assert f"Usage: piaolian {' '.join(path)}" in shown
    assert "Example:" in shown
    assert f"piaolian {' '.join(path)}" in shown.partition("Example:")[2]
    assert ("--json" in shown) == (path[0] not in WITHOUT_JSON)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, ""),
        (["bogus"], 2, "bogus"),
        (["status", "--bogus"], 2, "bogus"),
        (["status"], 2, "no configuration"),
        (["status", "--config", "missing.toml"], 2, "missing.toml"),
        (["start", "--config", "missing.toml"], 2, "missing.toml"),
        (["invoice", "show", "1"], 2, "no configuration"),
        (["invoice", "issue", "--net", "5"], 2, "--order-id"),
        (["invoice", "issue", "missing.json"], 2, "missing.json"),
        (["invoice", "import", "missing.csv", "--format", "online-retail"], 2, "missing.csv"),
        (["invoice", "import", "x", "--format", "papyrus"], 2, "papyrus"),
        (["invoice", "red", "issue", "1", "0"], 2, "either"),
        (
            ["quota", "grant", "--issuer", "X", "--month", "2026-13", "--net", "1"],
            2,
            "no such month",
        ),
        (["network", "new", "net", "--nodes", "shop"], 2, "must begin with its role"),
        (["network", "new", "net", "--voters", "3"], 2, "every node votes"),
        (["network", "assemble", "missing.toml"], 2, "missing.toml: No such file or directory\n"),
        (["invoice", "issue", "missing.json"], 2, "missing.json: No such file or directory\n"),
        (
            ["participant", "propose-admit", "--card", "a.toml"],
            2,
            "a.toml: No such file or directory\n",
        ),
        (["cluster", "status", "nowhere"], 2, "no */node.toml"),
        (["verify", "missing.proof", "--network", "network.toml"], 2, "network.toml"),
        (["verify", "x", "--network", str(SLICE)], 2, f"{SLICE}: not UTF-8"),
        (["verify", "x", "--network", __file__], 2, f"{__file__}: "),
        (["compare", "missing", "missing", "--network", "network.toml"], 2, "network.toml"),
        (["evidence", "export", "00"], 2, "no configuration"),
        (["demo", "--data", "missing.csv"], 2, "missing.csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_exit_code_2_and_a_line_on_standard_error(
    arguments: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()

    assert complaint in err
    assert "Traceback" not in out + err
    assert not arguments or out == ""


@pytest.mark.parametrize(
    "text",
    ["250,00", "2_500", " 5", "+5", "0", "0.00", "٣", "1e3", "9" * 31, "2.505", "5 GBP", "cny 5"],
)
def test_a_sum_is_digits_and_in_its_range(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*AMOUNT, text]) == 2
    assert "no configuration" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["250.00", "+5", "0", "٣", "1e3", "9" * 31])
def test_a_number_is_digits_and_in_its_range(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    allot = ["segment", "allot", "--issuer", "X", "--first", "26310000000000000001"]
    assert main([*allot, "--count", text]) == 2
    assert "--count" in capsys.readouterr().err


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_no_number_is_left_to_typers_own_reading(path: tuple[str, ...]) -> None:
    """Which takes `250.00` for 250."""
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    for name, hint in hints.items():
        kinds, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if int in (kinds, *get_args(kinds)):
            assert [extra.parser for extra in extras] != [None], name


def test_a_node_that_does_not_answer_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_network(tmp_path / "net", ["issuer"], base_port=1)

    config = str(tmp_path / "net" / "issuer" / "node.toml")
    assert main(["status", "--json", "--config", config]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no answer" in err
    assert main(["cluster", "status", "net", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["nodes"]
    assert (row["node"], row["pid"], row["ready"]) == ("issuer", None, False)


def test_a_token_open_to_others_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_network(tmp_path / "net", ["issuer"], base_port=1)
    (tmp_path / "net" / "issuer" / "tokens" / "read.token").chmod(0o644)

    config = str(tmp_path / "net" / "issuer" / "node.toml")
    assert main(["status", "--config", config]) == 2
    assert "chmod 600" in capsys.readouterr().err


def test_network_new_and_key_show_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "new", "net", "--nodes", "tax-bureau,issuer", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(made["nodes"]) == {"tax-bureau", "issuer"}
    assert len(made["network_id"]) == 64

    config = made["nodes"]["issuer"]
    assert main(["key", "show", "--json", "--config", config]) == 0
    assert len(json.loads(capsys.readouterr().out)["cosign"]) == 64
    assert main(["key", "backup", "copy", "--config", config]) == 0
    assert Path("copy").read_bytes() == Path("net/issuer/keys").read_bytes()
    assert main(["key", "backup", "copy", "--config", config]) == 2


def test_init_and_assemble_make_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    Path("passphrase").write_text("secret\n")
    Path("passphrase").chmod(0o600)
    arguments = ["init", "mine", "--node", "issuer", "--participant", "91310115337099624K"]
    arguments += ["--name", "Paper Ltd", "--role", "issuer", "--address", "127.0.0.1:7101"]
    assert main([*arguments, "--key-passphrase-file", "passphrase", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)["card"]

    assert main(["network", "assemble", card, "--install", "mine", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["network_id"]
    assert Path("mine/network.toml").is_file()
    assert main(["key", "show", "--config", "mine/node.toml"]) == 0
    assert len(first) == 64


def test_the_dry_run_prints_the_promised_document(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["invoice", "import", str(SLICE), "--format", "online-retail", "--dry-run"]

    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["accepted"] == 2_299
    assert document["skipped"] == 0
    assert (document["net"], document["tax"], document["gross"]) == (
        116_865_373,
        23_373_066,
        140_238_439,
    )
    assert len(document["refused"]) == 444
    assert document["refused"][0] == {
        "row": 143,
        "code": "NO_ORIGINAL",
        "message": "C536379: no earlier invoice of customer 14527 still holds 1 × D at 27.5",
        "order_id": "C536379",
    }


def test_a_file_of_another_format_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")

    assert main(["invoice", "import", "x.csv", "--format", "online-retail", "--dry-run"]) == 1
    assert "first line" in capsys.readouterr().err


def test_verify_of_no_proof_says_why_and_is_exit_code_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["network", "new", "net", "--nodes", "issuer"])
    Path("bad.proof").write_text("not a proof\n")
    capsys.readouterr()

    assert main(["verify", "bad.proof", "--network", "net/network.toml", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["valid"] is False
    assert verdict["reason"]
    assert {"transaction", "height", "cosigners"} <= set(verdict)


def test_a_fault_of_the_program_shows_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("node.cli.transactions.connect", broken)

    assert main(["status"]) == 4  # 1 would be a verdict of `verify`, `compare` and `audit`
    assert "internal error: RuntimeError: broken" in capsys.readouterr().err
