"""A network that its members assembled without invoices, where each of them governs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.command import main
from node.ledger.codes import Code
from node.ledger.genesis_file import parse_genesis
from node.ledger.invoices.operations import BookInvoice
from tests.cluster.cluster import Cluster, make_cluster, read_only
from tests.cluster.hand_signed import Author

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("network") / "net"
    cluster = make_cluster(folder)
    network = folder / "network.toml"
    cards = [str(folder / name / "card.toml") for name in cluster.members]
    options = ["--domain", "membership", "--governor", "all", "--threshold", "2"]
    assert main(["network", "assemble", *cards, *options, "--output", str(network)]) == 0
    made = Cluster(folder, parse_genesis(network.read_text()), cluster.members)
    try:
        made.start()
        yield made
    finally:
        made.close()


def config_of(cluster: Cluster, name: str) -> list[str]:
    return ["--config", str(cluster.folder / name / "node.toml")]


def test_members_decide_by_their_own_threshold(alone: Cluster) -> None:
    """An issuer and a payer, of four governors."""
    suspended = alone["reimburser"].participant
    asked = {"action": "suspend", "participant": suspended, "reason": "asked to"}
    proposal = alone["issuer"].write("/v1/proposals", asked)["proposal"]
    alone["payer"].write(f"/v1/proposals/{proposal}/vote", {"approve": True})

    alone.wait_equal()
    for member in alone.living:
        assert member.get(f"/v1/participants/{suspended}")["state"] == "suspended"


def test_a_signed_operation_of_another_domain_is_refused_by_all(alone: Cluster) -> None:
    author = Author(alone, alone["issuer"])
    txid, _ = author.send(BookInvoice("26310000000000000001", "books"))

    for member in alone.living:
        status = member.get(f"/v1/transactions/{txid}?wait=final&timeout_s=30")
        assert (status["state"], status["code"]) == ("refused", Code.DOMAIN_ABSENT.name)
    alone.wait_equal()


def test_programs_and_commands_hear_that_the_domain_is_absent(
    alone: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = alone["issuer"].ask("GET", "/v1/invoices")
    assert (reply.status, reply.code) == (404, Code.DOMAIN_ABSENT.name)

    number = "26310000000000000001"
    assert main(["invoice", "deduct", number, *config_of(alone, "payer")]) == 1
    assert "DOMAIN_ABSENT" in capsys.readouterr().err


def test_the_index_has_no_table_of_invoices(alone: Cluster) -> None:
    with read_only(alone["issuer"].data / "index.db") as index:
        tables = {name for (name,) in index.execute("SELECT name FROM sqlite_master")}

    assert tables
    assert not [name for name in tables if name.startswith("invoice")]


def test_what_they_stored_passes_the_audit(alone: Cluster) -> None:
    assert main(["audit", *config_of(alone, "payer")]) == 0
