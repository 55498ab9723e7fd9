"""kill -9 under load: what was acknowledged is final in the end, with a proof that verifies."""

from __future__ import annotations

import os
import random  # noqa: TID251 - seeded
import time
from collections import Counter
from functools import partial

import pytest

from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.load import Load

KILLS = 3
SOAK_KILLS = int(os.environ.get("KILLS", "20"))
LEADER_S_MAX = 3.0
SETTLE_S = 60.0
pytestmark = pytest.mark.timeout(1_800)


def kill_leader(cluster: Cluster) -> tuple[Member, float]:
    """Kill the leader; the victim, and the seconds until another node leads."""
    victim = cluster.leader()
    started = time.monotonic()
    victim.kill()
    follower = cluster.leader()
    assert follower is not victim
    return victim, time.monotonic() - started


def flows(load: Load, before: int) -> bool:
    """Whether thirty more transactions were acknowledged."""
    return len(load.acknowledged) > before + 30


def wait_caught_up(cluster: Cluster, member: Member) -> float:
    """Seconds until a restarted node has what was final elsewhere when it came back."""
    started = time.monotonic()
    target = max(other.status()["final_height"] for other in cluster.living if other is not member)
    wait_until(
        f"{member.name} has final height {target}",
        lambda: member.status()["final_height"] >= target,
    )
    return time.monotonic() - started


def check_acknowledged(cluster: Cluster, acknowledged: dict[str, str], rng: random.Random) -> None:
    """Every acknowledged transaction is final and applied, once, with a valid proof."""
    members = list(cluster.members.values())
    deadline = time.monotonic() + SETTLE_S
    places: set[int] = set()
    for txid, acknowledged_by in acknowledged.items():
        member = rng.choice(members)
        left = max(1.0, deadline - time.monotonic())
        reply = member.ask(
            "GET", f"/v1/transactions/{txid}?wait=final&timeout_s={left:.0f}", timeout_s=70
        )
        assert reply.status == 200, (txid, acknowledged_by, member.name, reply)
        assert (reply.body["state"], reply.body["code"]) == ("final", "OK"), (
            acknowledged_by,
            reply,
        )
        verdict = cluster.verify(member.receipt(txid))
        assert (verdict.valid, verdict.transaction, verdict.code) == (True, txid, 0), verdict
        assert verdict.index is not None
        places.add(verdict.index)
    assert len(places) == len(acknowledged), "each has one place of its own"


def run_kills(cluster: Cluster, kills: int) -> None:
    """Kill leader after leader under load, then all four at once, and check everything."""
    rng = random.Random(f"kills {kills}")
    acknowledged: dict[str, str] = {}
    elections: list[float] = []
    with Load(cluster, seed=kills) as load:
        for _ in range(kills):
            wait_until("load flows", partial(flows, load, len(load.acknowledged)), 20.0)
            time.sleep(rng.random())  # kill at any phase
            victim, elapsed = kill_leader(cluster)
            elections.append(elapsed)
            wait_until("writes go on", partial(flows, load, len(load.acknowledged)), 20.0)
            cluster.start(victim.name)
            caught_up = wait_caught_up(cluster, victim)
            print(f"killed {victim.name}: leader {elapsed:.2f} s, caught up {caught_up:.2f} s")
    acknowledged |= load.acknowledged
    print(
        f"{len(acknowledged)} acknowledged, refused {load.refused}, unanswered {load.unanswered}, "
        f"new leader after {max(elections):.2f} s at most"
    )
    assert max(elections) < LEADER_S_MAX
    check_acknowledged(cluster, acknowledged, rng)
    cluster.wait_equal()

    kill_all(cluster, rng)


def kill_all(cluster: Cluster, rng: random.Random) -> None:
    """Kill all four at once in the middle of load, and start them again."""
    final_before = {m.name: m.status()["final_height"] for m in cluster.living}
    with Load(cluster, seed=99) as load:
        wait_until("load flows", lambda: len(load.acknowledged) > 60, 20.0)
        members = list(cluster.members.values())
        pending = [m.status()["outbox"] for m in members]
        for member in members:
            member.kill()
        started = time.monotonic()
        cluster.start()
        print(
            f"all four killed with {pending} in their outboxes, "
            f"ready again after {time.monotonic() - started:.2f} s"
        )
        cluster.leader()
    check_acknowledged(cluster, load.acknowledged, rng)
    status = cluster.wait_equal()
    assert status["final_height"] >= max(final_before.values())
    spread = Counter(load.acknowledged.values())
    assert len(spread) == 4, f"every node acknowledged something: {spread}"


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_leaders_are_killed(cluster: Cluster) -> None:
    run_kills(cluster, KILLS)

    assert cluster.tracebacks() == []


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_many_kills(cluster: Cluster) -> None:
    run_kills(cluster, SOAK_KILLS)

    assert cluster.tracebacks() == []
