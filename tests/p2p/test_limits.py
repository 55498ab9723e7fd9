"""Buckets, the door, backoff and penalties: arithmetic of time that is handed in."""

from __future__ import annotations

import random  # noqa: TID251 - seeded

import pytest

from p2p.config import MIB, LinkLimits, P2PConfig
from p2p.errors import ConfigError
from p2p.limits import Backoff, Door, Penalty, TokenBucket, source_of
from tests.p2p.support import NETWORK_ID, config


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = TokenBucket(10, 5, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(1, 0.1)
    assert not bucket.take(1, 0.1)
    assert sum(bucket.take(1, 100.0) for _ in range(10)) == 5


def test_a_bucket_in_debt_says_how_long_to_wait() -> None:
    bucket = TokenBucket(10, 5, 0.0)
    assert bucket.spend(5, 0.0) == 0.0
    assert bucket.spend(20, 0.0) == pytest.approx(2.0)
    assert bucket.spend(0, 2.0) == pytest.approx(0.0)


def test_a_bucket_ignores_a_clock_that_goes_back() -> None:
    bucket = TokenBucket(10, 5, 10.0)
    assert bucket.take(5, 10.0)
    assert not bucket.take(1, 0.0)


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.10", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("no address", "unknown"),
    ],
)
def test_addresses_of_one_source_count_together(ip: str, source: str) -> None:
    assert source_of(ip) == source


def test_the_door_lets_in_four_of_an_address_and_32_of_all() -> None:
    door = Door(config(), 0.0)
    assert [door.enter("10.0.0.1", 0.0) for _ in range(5)] == [True] * 4 + [False]
    inside = 4
    for number in range(2, 60):
        inside += door.enter(f"10.0.0.{number}", 0.0)
    assert inside == door.unauthenticated == 32
    door.leave("10.0.0.1")
    assert door.enter("10.0.0.1", 0.0)


def test_the_door_takes_seven_restarting_nodes_of_one_machine() -> None:
    door = Door(P2PConfig(network_id=NETWORK_ID, host="127.0.0.1", port=0), 0.0)
    assert all(door.enter("127.0.0.1", 0.0) for _ in range(6 * 2 * 2))
    assert door.enter("10.0.0.1", 0.0), "loopback leaves room for others"


def test_the_door_bounds_the_rate_of_accepts() -> None:
    door = Door(config(accept_per_s=10.0, accept_burst=20.0), 0.0)
    accepted = 0
    for _ in range(100):
        if door.enter("127.0.0.1", 0.0):
            accepted += 1
            door.leave("127.0.0.1")
    assert accepted == 20
    assert door.enter("127.0.0.1", 0.1)
    assert not door.enter("127.0.0.1", 0.1)
    assert door.unauthenticated == 1


def test_one_source_does_not_use_up_the_rate_of_all() -> None:
    door = Door(P2PConfig(network_id=NETWORK_ID, host="127.0.0.1", port=0, sources_max=3), 0.0)

    def comes(ip: str, now: float) -> bool:
        entered = door.enter(ip, now)
        if entered:
            door.leave(ip)
        return entered

    assert sum(comes("10.0.0.1", 0.0) for _ in range(1_000)) == 40
    assert comes("10.0.0.2", 0.0)
    assert sum(comes("10.0.0.1", 1.0) for _ in range(1_000)) == 10
    for number in range(3, 9):
        comes(f"10.0.0.{number}", 1.0)
    assert len(door._sources) == 3


def test_backoff_doubles_to_its_limit_with_jitter_and_starts_again() -> None:
    backoff, rng = Backoff(0.1, 2.0), random.Random(1)
    for step in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        assert step / 2 <= backoff.next(rng) <= step
    backoff.reset()
    assert backoff.next(rng) <= 0.1


def test_a_penalty_doubles_and_is_forgotten() -> None:
    penalty = Penalty(1.0, 5.0, 600.0)
    assert penalty.remaining(0.0) == 0.0
    waits = []
    now = 0.0
    for _ in range(4):
        penalty.strike(now)
        waits.append(penalty.remaining(now))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 5.0]
    now += 601.0
    penalty.strike(now)
    assert penalty.remaining(now) == 1.0


BAD_CONFIGS = [
    {"network_id": b"short"},
    {"port": 65_536},
    {"port": -1},
    {"gossip": LinkLimits(MIB, 1, 1, 1, 1)},
    {"ping_ticks": 8},
]


@pytest.mark.parametrize("changes", BAD_CONFIGS, ids=lambda c: next(iter(c)))
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        config(**changes)
