"""A voter that may not campaign holds up nobody who may."""

from __future__ import annotations

from tests.sim.failover import failover_ms


def test_a_voter_that_may_not_campaign_holds_up_nobody() -> None:
    seeds = range(60)
    without = [failover_ms(seed, 4, barred=False) for seed in seeds]
    barred = [failover_ms(seed, 4, barred=True) for seed in seeds]

    assert sum(barred) < 1.2 * sum(without)
    assert max(barred) < 2_500
