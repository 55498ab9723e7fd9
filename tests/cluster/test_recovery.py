"""A node whose files are lost or damaged: it rebuilds, or keeps silent until it has caught up."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.load import start_rejoining

pytestmark = pytest.mark.slow


def remove_index(data: Path) -> None:
    for path in data.glob("index.db*"):
        path.unlink()


def remove_marker(data: Path) -> None:
    (data / "marker").unlink()


def damage_marker(data: Path) -> None:
    marker = data / "marker"
    content = bytearray(marker.read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 0xFF
    marker.write_bytes(content)


def cut_log(data: Path) -> None:
    """Lose the newest half of what SQLite has not moved into the file yet."""
    wal = data / "raft.db-wal"
    os.truncate(wal, wal.stat().st_size // 2)


def cut_ledger(data: Path) -> None:
    """As a power cut may: the ledger is not synced, and is replayed from the log."""
    wal = data / "ledger.db-wal"
    os.truncate(wal, wal.stat().st_size // 2)


@pytest.mark.parametrize(
    "harm",
    [remove_index, remove_marker, damage_marker, cut_log, cut_ledger],
    ids=lambda harm: harm.__name__,
)
def test_a_harmed_node_comes_back(cluster: Cluster, harm: Callable[[Path], None]) -> None:
    name = harm.__name__
    numbers = [cluster.issue(f"{name}-before-{n}")["number"] for n in range(5)]
    leader = cluster.leader()
    victim = next(m for m in cluster.living if m is not leader and m.name != "issuer")
    victim.kill()
    harm(victim.data)
    numbers += [cluster.issue(f"{name}-meanwhile-{n}")["number"] for n in range(5)]

    start_rejoining(cluster, victim)
    numbers.append(cluster.issue(f"{name}-after")["number"])

    cluster.wait_equal()
    wait_until("its index has everything", lambda: all(reads(victim, n) for n in numbers))
    assert victim.business_rows() == leader.business_rows()
    check_votes_again(cluster, victim, name)


def answers(member: Member) -> bool:
    return member.ask("GET", "/livez").status == 200


def hears_all(member: Member) -> bool:
    return all(peer["connected"] for peer in member.status()["peers"])


def reads(member: Member, number: str) -> bool:
    reply = member.ask("GET", f"/v1/invoices/{number}")
    assert reply.status in {200, 404}, reply
    return reply.status == 200


def check_votes_again(cluster: Cluster, victim: Member, name: str) -> None:
    """Without another node, nothing commits or becomes final but with the victim's vote."""
    spare = next(m for m in cluster.living if m is not victim and m.name != "issuer")
    cluster.stop(spare.name)
    wait_until(
        "a leader of three",
        lambda: cluster["issuer"].status()["raft"]["leader"] not in {None, spare.name},
    )
    reply = wait_until(
        "a final write with the victim's cosignature",
        lambda: attempt(cluster, f"{name}-needed"),
        25.0,
    )
    proof = cluster["issuer"].receipt(reply)
    verdict = cluster.verify(proof)
    assert verdict.valid, verdict
    assert victim.name in verdict.cosigners
    cluster.start(spare.name)


def attempt(cluster: Cluster, order: str) -> str | None:
    """The final transaction of an order; repeating it changes nothing."""
    body = {
        "order_id": order,
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 700}],
    }
    reply = cluster["issuer"].ask("POST", "/v1/invoices?wait=final&timeout_s=10", body)
    return reply.body["transaction"] if reply.status == 201 else None


def test_with_no_marker_at_a_majority_nobody_signs_or_leads_on_trust(cluster: Cluster) -> None:
    """Two of four without their memory: the other two are too few, and the cluster must wait."""
    victims = ["payer", "reimburser"]
    before = cluster.wait_equal()
    for name in cluster.members:
        cluster[name].kill()
    kept = {name: (cluster[name].data / "marker").read_bytes() for name in victims}
    for name in victims:
        remove_marker(cluster[name].data)
    for member in cluster.members.values():
        member.local.start()
        member.alive = True

    for member in cluster.living:
        wait_until("it answers", partial(answers, member))
    for name in victims:
        wait_until(
            f"{name} hears its peers",
            partial(hears_all, cluster[name]),
        )
    statuses = [member.status() for member in cluster.living]
    assert all(status["raft"]["leader"] is None for status in statuses)
    assert {status["final_height"] for status in statuses} == {before["final_height"]}
    reply = cluster["issuer"].ask("GET", "/readyz")
    assert reply.status == 503

    # The operator finds the markers again: it goes on where it was.
    for name in cluster.members:
        cluster[name].kill()
    for name, content in kept.items():
        (cluster[name].data / "marker").write_bytes(content)
    cluster.start()
    cluster.issue("goes on")
    cluster.wait_equal()
