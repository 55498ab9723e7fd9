"""Every voter of a running cluster is replaced, or killed, while clients work; nothing is lost.

Real processes, real disks, real sockets. What the clients saw must be linearizable, and each
acknowledged write of a key that is written once must be there at the end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import pytest

from tests.raftkv.client import Client, wait_for_leader
from tests.raftkv.processes import Processes
from tests.raftkv.workload import Workload

pytestmark = pytest.mark.slow

SMALL_SNAPSHOTS = ("--snapshot-entries=200", "--trailing-entries=20", "--chunk-bytes=1024")
KILLING_S = 20.0
KILLS = 10
GIVE_UP_S = 60.0
"""A slow machine needs longer for as much work."""


async def _judge(workload: Workload, client: Client, least: int) -> None:
    await workload.stop()
    await workload.read_all()
    leader = await wait_for_leader(client)
    assert await workload.lost(leader.node) == []
    assert workload.contradictions() == []
    assert workload.history.completed > least, "the load was too light to show anything"
    await client.close()


async def _replace(processes: Processes, client: Client, old: int, new: int) -> None:
    """A fresh process learns, then votes in place of the old one: one joint change."""
    report = await wait_for_leader(client)
    processes.join(new)
    await client.tell_address(new, *processes.addresses[new])
    voters = tuple(sorted({*report.voters, new} - {old}))
    await client.change_members(voters)
    processes.remove(old)


@pytest.mark.parametrize("options", [(), SMALL_SNAPSHOTS], ids=["log", "snapshots"])
async def test_every_voter_is_replaced_under_load(tmp_path: Path, options: tuple[str, ...]) -> None:
    with Processes(tmp_path, options) as processes:
        processes.found(1, 2, 3)
        client = Client(processes.addresses)
        first = await wait_for_leader(client)
        workload = Workload(processes, sessions=6, seed=len(options))
        workload.start()
        await asyncio.sleep(1.0)

        followers = [node for node in (1, 2, 3) if node != first.node]
        for new, old in enumerate([*followers, first.node], start=4):
            await _replace(processes, client, old, new)
            await asyncio.sleep(0.5)

        leader = await wait_for_leader(client)
        assert (leader.voters, leader.outgoing, leader.learners) == ((4, 5, 6), (), ())
        joiners = await client.reports()
        assert sorted(report.node for report in joiners) == [4, 5, 6]
        assert all(bool(report.restored) == bool(options) for report in joiners)
        least, end = 1_000, asyncio.get_running_loop().time() + GIVE_UP_S
        while workload.history.completed <= least and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)
        await _judge(workload, client, least)


async def _kill_some(processes: Processes, client: Client, rng: Random) -> int:
    """One to three at once, and back."""
    victims = rng.sample([1, 2, 3], k=rng.choice([1, 1, 1, 2, 3]))
    for node in victims:
        processes.kill(node)
    await asyncio.sleep(rng.uniform(0.0, 0.8))
    for node in victims:
        processes.start(node)
    return len(victims)


async def _kill_who_knows_most(processes: Processes, client: Client, rng: Random) -> int:
    """The leader works on while its followers stand still and die, and comes back after them.

    What it alone had on its disk is gone then, so nobody may have been told that it is committed.
    """
    leader = await wait_for_leader(client)
    followers = [node for node in (1, 2, 3) if node != leader.node]
    processes.pause(*followers)
    await asyncio.sleep(rng.uniform(0.01, 0.1))
    for node in (*followers, leader.node):
        processes.kill(node)
    for node in followers:
        processes.start(node)
    await asyncio.sleep(rng.uniform(1.0, 2.0))
    processes.start(leader.node)
    return 3


@pytest.mark.parametrize("options", [(), SMALL_SNAPSHOTS], ids=["log", "snapshots"])
async def test_processes_are_killed_under_load(tmp_path: Path, options: tuple[str, ...]) -> None:
    rng = Random(len(options))
    with Processes(tmp_path, options) as processes:
        processes.found(1, 2, 3)
        client = Client(processes.addresses)
        await wait_for_leader(client)
        workload = Workload(processes, sessions=6, seed=7)
        workload.start()

        loop = asyncio.get_running_loop()
        begun, kills, least = loop.time(), 0, 500
        while loop.time() < begun + GIVE_UP_S:
            if (
                loop.time() > begun + KILLING_S
                and kills > KILLS
                and workload.history.completed > least
            ):
                break
            await asyncio.sleep(rng.uniform(0.3, 0.8))
            kills += await rng.choice([_kill_some, _kill_who_knows_most])(processes, client, rng)

        assert kills > KILLS
        await _judge(workload, client, least)
