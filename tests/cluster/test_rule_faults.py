"""Four daemons whose rules fail over some transactions: each costs itself only, on all alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.audit.run import Audit
from node.ledger.codes import Code
from node.ledger.invoices.operations import BookInvoice
from tests.cluster.cluster import Cluster, Member, make_cluster
from tests.cluster.faulty_node import FAULTS, FOOTPRINT, plant
from tests.cluster.hand_signed import Author, outcome
from tests.index_parts import INDEX_PARTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = make_cluster(tmp_path_factory.mktemp("network") / "net")
    for member in cluster.members.values():
        member.local.program = ("-m", "tests.cluster.faulty_node")
    try:
        cluster.start()
        cluster.open_registers()
        yield cluster
    finally:
        cluster.close()


def faults_counted(member: Member) -> int:
    text = member.ask("GET", "/metrics").body.decode()
    line = next(line for line in text.splitlines() if line.startswith("piaolian_rule_faults_total"))
    return int(float(line.split()[1]))


def test_a_rule_that_fails_costs_its_transaction_only(faulty: Cluster) -> None:
    number = faulty.issue("order")["number"]
    author = Author(faulty, faulty["payer"])
    sent = [author.send(BookInvoice(number, fault)) for fault in FAULTS]
    assert [reply.status for _, reply in sent] == [202] * len(FAULTS)
    for txid, _ in sent:
        for member in faulty.living:
            seen = outcome(member, txid)
            assert (seen["state"], seen["code"]) == ("refused", "RULE_FAULT"), seen

    # What only the reading ahead fails over is applied as ever.
    txid, _ = author.send(BookInvoice(number, FOOTPRINT))
    assert outcome(author.member, txid)["state"] == "final"

    faulty.issue("another order")
    faulty.wait_equal()
    for member in faulty.living:
        assert member.ask("GET", "/readyz").status == 200
        assert faults_counted(member) == len(FAULTS)
        assert member.status()["rule_faults"] == len(FAULTS)
        told = [line for line in member.log_text().splitlines() if '"rule fault"' in line]
        assert [txid in line for (txid, _), line in zip(sent, told, strict=True)] == [True] * 3
        assert '"footprint failed"' in member.log_text()
    verdict = faulty.verify(author.member.receipt(sent[0][0]))
    assert (verdict.valid, verdict.code) == (True, Code.RULE_FAULT), "it is proven like any leaf"


def test_the_network_starts_again_and_its_ledger_passes_the_audit(
    faulty: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.stop()
    faulty.start()
    faulty.issue("after the restart")
    faulty.wait_equal()
    faulty.stop()
    plant(monkeypatch)  # the audit runs the rules of the nodes
    for member in faulty.members.values():
        audit = Audit(faulty.genesis, member.name, INDEX_PARTS, workers=0, from_height=0)
        assert audit.run(member.data).first is None, member.name
