"""The demo for real: four processes, the whole slice, a killed leader; then the same again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.cli.context import client_of
from node.command import main
from node.demo.processes import find_nodes, stop_nodes
from node.demo.retail import sums_of_file, sums_of_ledger
from node.domains.invoices.importing.online_retail import read_retail_file
from node.domains.invoices.importing.retail_plan import plan_import
from node.system.config import load_config

SLICE = Path(__file__).parents[1] / "data" / "online-retail-slice.csv.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"
    if (tmp_path / "demo").exists():
        stop_nodes(find_nodes(tmp_path / "demo"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demo_does_the_main_job_and_leaves_a_cluster_that_knows_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--keep", "--json", "--dir", str(folder)]) == 0
    facts = json.loads(capsys.readouterr().out)

    assert (facts["invoices"], facts["red_letters"]) == (2_110, 199)
    assert facts["double_claim"] == "INSUFFICIENT_AVAILABLE"
    assert facts["leader_killed"]["election_seconds"] < 3
    assert facts["seconds"] < 180

    assert main(["cluster", "status", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["nodes"]
    assert len({(row["root"], row["height"]) for row in rows}) == 1

    config = ["--config", str(folder / "issuer" / "node.toml")]
    again = ["invoice", "import", str(SLICE), "--format", "online-retail", "--json"]
    assert main([*again, *config]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["accepted"], document["skipped"]) == (0, 2_299)
    assert (document["gross"], len(document["refused"])) == (0, 444)

    issuer, bureau = (load_config(folder / name / "node.toml") for name in ("issuer", "tax-bureau"))
    month = f"{datetime.now(UTC):%Y-%m}"
    statements = []
    for node in (issuer, bureau):
        with client_of(node, "read") as client:
            path = f"/v1/statements/{issuer.node.participant}/{month}"
            statements.append(client.get(path).text)
    assert statements[0] == statements[1]
    (pounds,) = json.loads(statements[0])["currencies"]
    assert (pounds["issued"]["documents"], pounds["red"]["documents"]) == (2_110, 199)
    assert pounds["gross"] == 140_238_439

    file = read_retail_file(SLICE)
    plan = plan_import(file)
    accepted = {invoice.order_id for invoice in plan.invoices}
    accepted |= {cancellation.order_id for cancellation in plan.cancellations}
    with client_of(issuer, "read") as client:
        booked = sums_of_ledger(client, issuer.node.participant)
    assert booked == sums_of_file(d for d in file.documents if d.number in accepted)
    assert sum(each.cancelled for each in booked.values()) == 189

    at_issuer = ["--config", str(folder / "issuer" / "node.toml")]
    for options in (["--format", "csv"], ["--format", "csv", "--lines"], ["--format", "xlsx"]):
        table = folder / f"table.{options[1]}"
        export = ["invoice", "export", *options, "--party", issuer.node.participant]
        assert main([*export, "-o", str(table), "--json", *at_issuer]) == 0
        exported = json.loads(capsys.readouterr().out)
        assert exported["invoices"] == 2_110 + 199
        assert exported["totals"]["GBP"]["net"] == "1168653.73"
        assert table.stat().st_size > 100_000
        assert not list(folder.glob(".table*"))

    proof = facts["proof"]["file"]
    assert main(["verify", proof, "--network", str(folder / "network.toml")]) == 0
    capsys.readouterr()

    assert main(["cluster", "down", str(folder), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out).values()) == {"stopped"}
