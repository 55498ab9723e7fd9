"""Two reimbursers race for one invoice, each through its own node: only one may win."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.cluster import FOUR, Cluster, Member, Reply, running_cluster

pytestmark = pytest.mark.slow

GROSS = 11_300
ROUNDS = 12
NODES = (*FOUR, "reimburser-2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("race") / "net", NODES) as running:
        yield running


def claim(member: Member, number: str, amount: int) -> Reply:
    return member.ask("POST", f"/v1/invoices/{number}/claim?wait=final", {"amount": amount})


def test_of_two_racing_claims_beyond_the_amount_exactly_one_wins(cluster: Cluster) -> None:
    racers = [cluster["reimburser"], cluster["reimburser-2"]]
    winners = set()
    with ThreadPoolExecutor(2) as pool:
        for round_number in range(ROUNDS):
            number = cluster.issue(f"race-{round_number}")["number"]
            for racer in racers:
                cluster["payer"].write(
                    f"/v1/invoices/{number}/submit", {"to": racer.participant, "amount": GROSS}
                )

            replies = list(pool.map(claim, racers, [number] * 2, [6_000] * 2))

            assert sorted(reply.status for reply in replies) == [201, 409], replies
            loser = next(reply for reply in replies if reply.status == 409)
            assert loser.code == "INSUFFICIENT_AVAILABLE"
            winners.add(replies[0].status)
            check_everywhere(cluster, number, loser.body["transaction"])
    print(f"winners: {'both' if len(winners) == 2 else 'always the same'} of two")


def check_everywhere(cluster: Cluster, number: str, loser: str) -> None:
    for member in cluster.living:
        outcome = member.get(f"/v1/transactions/{loser}?wait=final&timeout_s=20")
        assert (outcome["code"], outcome["final"]) == ("INSUFFICIENT_AVAILABLE", True)
        invoice = member.get(f"/v1/invoices/{number}")
        assert (invoice["available"], invoice["locked"]) == (GROSS - 6_000, 6_000)


def test_many_small_racing_claims_never_pass_the_amount(cluster: Cluster) -> None:
    racers = [cluster["reimburser"], cluster["reimburser-2"]]
    number = cluster.issue("shared")["number"]
    for racer in racers:
        cluster["payer"].write(
            f"/v1/invoices/{number}/submit", {"to": racer.participant, "amount": GROSS}
        )

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: claim(racers[n % 2], number, 1_000 + n), range(16)))

    taken = sum(1_000 + n for n, reply in enumerate(replies) if reply.status == 201)
    assert {reply.status for reply in replies} == {201, 409}
    assert taken <= GROSS
    cluster.wait_equal()
    views = [member.get(f"/v1/invoices/{number}") for member in cluster.living]
    assert {view["locked"] for view in views} == {taken}
    assert {view["available"] for view in views} == {GROSS - taken}
