"""`piaolian invoice import|export --format ubl`: what the commands print and return."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.command import main
from tests.importing.documents import FILES, edited, text, without

CREDIT_NOTE = next(path for path in FILES if "creditnote" in path.stem)
EXAMPLE = next(path for path in FILES if path.stem.endswith("example2"))


def dry_run(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, object], str]:
    assert main(["invoice", "import", str(path), "--format", "ubl", "--dry-run", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert isinstance(document, dict)
    return document, err


def test_a_dry_run_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    document, err = dry_run(EXAMPLE, capsys)
    sums = {name: document[name] for name in ("net", "tax", "gross", "currency")}
    assert sums == {"net": 143_650, "tax": 36_528, "gross": 180_178, "currency": "NOK"}
    assert (document["accepted"], document["skipped"], document["refused"]) == (1, 0, [])
    assert err == ""


def test_a_credit_note_counts_negative_and_one_without_original_is_warned_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document, err = dry_run(CREDIT_NOTE, capsys)
    assert (document["accepted"], document["gross"], document["refused"]) == (1, -10_011, [])
    assert "NO_ORIGINAL" in err


def test_a_dry_run_needs_no_node_and_no_configuration(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "node", "invoice", "import", str(EXAMPLE)]
    done = subprocess.run(
        [*command, "--format", "ubl", "--dry-run", "--json"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["accepted"] == 1


def test_every_broken_rule_is_a_refusal_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total = "cac:LegalMonetaryTotal/cbc:PayableAmount"
    path = tmp_path / "x.xml"
    path.write_bytes(edited("example2", without("cbc:IssueDate"), text(total, "1.00")))
    document, _ = dry_run(path, capsys)
    refused = document["refused"]
    assert isinstance(refused, list)
    assert [(each["code"], each["message"].split(":")[0]) for each in refused] == [
        ("MALFORMED", "BR-03"),
        ("TOTALS_MISMATCH", "BR-CO-16"),
    ]
    assert all(each["row"] >= 1 for each in refused)
    assert (document["accepted"], document["gross"]) == (0, 0)


@pytest.mark.parametrize("content", [b"", b"<a/>", b"\x00", b"invoice,net\n1,2\n"])
def test_a_file_that_is_no_ubl_fails(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(content)
    assert main(["invoice", "import", str(path), "--format", "ubl", "--dry-run"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip()
    assert "Traceback" not in err


def test_several_invoices_need_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ["26310000000000000001", "26310000000000000002"]
    assert main(["invoice", "export", *numbers, "--format", "ubl"]) == 2
    assert "--output" in capsys.readouterr().err
