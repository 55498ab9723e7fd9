"""Seeded runs of whole clusters: the safety of Raft in a bad world, and life after it."""

from __future__ import annotations

import os
from random import Random  # noqa: TID251 - seeded

import pytest

from tests.sim.cluster import Cluster, Faults

SEEDS = 25
"""For each size of cluster and kind of world; `make soak` runs more."""


def run_seed(voters: int, seed: int, *, amnesia: bool, duration_ms: int = 9_000) -> Cluster:
    """A bad world for a while, then a good one in which everything must come together."""
    label = f"voters={voters} seed={seed} amnesia={amnesia}"
    cluster = Cluster(voters, seed, Faults.draw(Random(seed), amnesia=amnesia))
    try:
        cluster.run(duration_ms)
        cluster.heal()
        cluster.run(max(6_000, duration_ms))  # who was away has as much to catch up with
        check_liveness(cluster)
    except BaseException as error:
        error.add_note(f"simulation {label} at {cluster.now_ms} ms")
        raise
    return cluster


def check_liveness(cluster: Cluster) -> None:
    """One leader, one log, and the newest proposals are applied everywhere."""
    leader = cluster.leader()
    assert leader is not None
    assert leader.core is not None
    reached = leader.core.log.last_index
    cluster.run(1_000)
    for node in cluster.nodes:
        assert node.core is not None
        assert node.core.leader == leader.id
        assert not node.core.suspect
        assert node.applied >= reached > 0


@pytest.mark.parametrize("voters", [3, 5])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_safety_holds_and_the_cluster_recovers(voters: int, seed: int) -> None:
    run_seed(voters, seed, amnesia=False)


@pytest.mark.parametrize("voters", [3, 5])
@pytest.mark.parametrize("seed", range(1_000, 1_008))
def test_a_disk_that_forgets_loses_nothing_committed(voters: int, seed: int) -> None:
    run_seed(voters, seed, amnesia=True)


def test_same_seed_gives_the_same_run() -> None:
    first, second = (run_seed(3, 7, amnesia=False, duration_ms=3_000) for _ in range(2))

    assert first.trace.digest() == second.trace.digest()
    assert first.committed_count() == second.committed_count() > 0


@pytest.mark.soak
def test_many_seeds() -> None:
    for seed in range(int(os.environ.get("SEEDS", "1000"))):
        run_seed((3, 5, 4, 7)[seed % 4], seed, amnesia=seed % 5 == 4, duration_ms=15_000)
