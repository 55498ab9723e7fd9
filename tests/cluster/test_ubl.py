"""UBL documents through real nodes: imported by the issuer, exported by the payer, the same."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.command import main
from node.domains.invoices.importing.ubl.reading import read_ubl
from tests.cluster.cluster import Cluster
from tests.importing.documents import FILES, canonical, credit_note_of, example, mapped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def rates(cluster: Cluster) -> None:
    bureau = cluster["tax-bureau"]
    allowed = [0, 600, 1_000, 1_200, 1_300, 1_500, 2_100, 2_500]
    issuer = cluster["issuer"].participant
    bureau.write("/v1/tax-rates", {"issuer": issuer, "rates": allowed})
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    for currency, micro in (("EUR", 7_800_000), ("DKK", 1_050_000), ("NOK", 690_000)):
        bureau.write("/v1/exchange-rates", {"currency": currency, "micro": micro, "date": today})


@pytest.fixture
def run(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command at a node, and reads its JSON."""

    def call(name: str, *arguments: str | Path) -> dict[str, Any]:
        config = cluster.folder / name / "node.toml"
        words = [*map(str, arguments), "--json", "--config", str(config)]
        assert main(words) == 0, capsys.readouterr().err
        answer = json.loads(capsys.readouterr().out)
        assert isinstance(answer, dict)
        return answer

    return call


def take_in(run: Run, path: Path) -> dict[str, Any]:
    return run("issuer", "invoice", "import", path, "--format", "ubl")


def number_of(cluster: Cluster, content: bytes) -> str:
    issuer = cluster["issuer"]
    answer = issuer.ask("POST", "/v1/orders:find", {"order_ids": [mapped(content).order_id]})
    (order,) = answer.body["orders"]
    return str(order["number"])


def exported(run: Run, name: str, number: str, folder: Path) -> bytes:
    target = folder / f"{name}-{number}.xml"
    run(name, "invoice", "export", number, "--format", "ubl", "-o", target)
    return target.read_bytes()


def test_the_examples_are_issued_once_and_the_payer_gets_them_back_as_they_were(
    cluster: Cluster, run: Run, tmp_path: Path
) -> None:
    first = {path.stem: take_in(run, path) for path in FILES}
    issued = {stem for stem, answer in first.items() if answer["accepted"]}
    # The guide's example is the first one again: the same seller, the same number, another text.
    assert issued == {"guide-example1", *(f"ubl-tc434-example{n}" for n in range(2, 6))}
    assert first["ubl-tc434-example1"]["skipped"] == 0
    (conflict,) = first["ubl-tc434-example1"]["refused"]
    assert conflict["code"] == "ORDER_CONFLICT"
    assert "other content: line 19 description, extensions" in conflict["message"]
    assert [each["code"] for each in first["ubl-tc434-creditnote1"]["refused"]] == ["NO_ORIGINAL"]
    assert first["ubl-tc434-example2"]["gross"] == 180_178

    again = [take_in(run, path) for path in FILES if path.stem in issued]
    assert {(answer["accepted"], answer["skipped"]) for answer in again} == {(0, 1)}

    cluster.wait_equal()
    for path in FILES:
        if path.stem in issued:
            content = path.read_bytes()
            back = exported(run, "payer", number_of(cluster, content), tmp_path)
            assert canonical(back) == canonical(content)


def test_a_credit_note_takes_its_invoice_back(cluster: Cluster, run: Run, tmp_path: Path) -> None:
    original = example("example2")
    (tmp_path / "blue.xml").write_bytes(original)
    take_in(run, tmp_path / "blue.xml")
    content = credit_note_of(original, "CN-1", "TOSL108")
    (tmp_path / "red.xml").write_bytes(content)
    answer = take_in(run, tmp_path / "red.xml")
    assert (answer["accepted"], answer["red_letters"], answer["gross"]) == (1, 1, -180_178)
    assert take_in(run, tmp_path / "red.xml")["skipped"] == 1
    cluster.wait_equal()
    blue = cluster["payer"].get(f"/v1/invoices/{number_of(cluster, original)}")
    assert (blue["state"], blue["available"]) == ("credited", 0)
    back = exported(run, "payer", number_of(cluster, content), tmp_path)
    assert canonical(back) == canonical(content)


def test_a_credit_note_of_an_invoice_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "red.xml").write_bytes(credit_note_of(example("example3"), "CN-2", "NOBODY"))
    answer = take_in(run, tmp_path / "red.xml")
    assert answer["accepted"] == 0
    assert [each["code"] for each in answer["refused"]] == ["NO_ORIGINAL"]


def test_an_invoice_that_was_never_ubl_becomes_a_valid_document_and_its_red_letter_too(
    cluster: Cluster, run: Run, tmp_path: Path
) -> None:
    body = {
        "order_id": "native",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "lines": [
            {
                "description": "\u7eb8\u5f20 A4",
                "quantity": "3",
                "unit_price": "33.333",
                "net": 10_000,
                "rate": 1_300,
            }
        ],
        "details": {"remarks": "\u8c22\u8c22"},
    }
    number = str(cluster["issuer"].write("/v1/invoices", body)["number"])
    cluster.wait_equal()
    blue = mapped(exported(run, "payer", number, tmp_path))
    assert (blue.number, blue.net, blue.gross) == (number, 10_000, 11_300)

    issuer = cluster["issuer"]
    issuer.write(f"/v1/invoices/{number}/red", {"amount": 11_300, "reason": "return"})
    red = str(
        issuer.write(
            f"/v1/invoices/{number}/red/0/issue",
            {"order_id": "native red", "details": {"remarks": "returned"}},
        )["number"]
    )
    cluster.wait_equal()
    root = read_ubl(exported(run, "payer", red, tmp_path))
    assert root.name == "CreditNote"
    reference = root.value("cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID")
    assert reference == number


def test_a_node_that_cannot_read_the_details_says_so(
    cluster: Cluster, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blue.xml").write_bytes(example("example4"))
    take_in(run, tmp_path / "blue.xml")
    cluster.wait_equal()
    config = str(cluster.folder / "reimburser" / "node.toml")
    number = number_of(cluster, example("example4"))
    words = ["invoice", "export", number, "--format", "ubl", "--config", config]
    assert main(words) == 1
    assert "cannot read the details" in capsys.readouterr().err
