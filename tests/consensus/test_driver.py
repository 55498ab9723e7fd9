"""The async node: three of them in one loop, with memory for disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random  # noqa: TID251 - seeded
from typing import Any

import pytest

from consensus.config import RaftConfig
from consensus.core.status import RaftStatus
from consensus.driver.node import RaftNode
from consensus.errors import NotLeaderError, ProtocolError, StoppedError
from consensus.ports import Life
from consensus.types import EntryKind, LogIndex, NodeId, Role
from tests.consensus.lab import chain
from tests.consensus.memory import ListApplier, MemoryStore, Network, OpenAuthority

pytestmark = pytest.mark.timeout(20)


class Trio:
    """Some nodes with fast ticks. Stopped by leaving the context."""

    def __init__(
        self, count: int = 3, stores: list[MemoryStore] | None = None, **limits: Any
    ) -> None:
        self.network = Network()
        self.stores = stores or [MemoryStore() for _ in range(count)]
        self.appliers = [ListApplier() for _ in range(count)]
        self.seen: list[list[RaftStatus]] = [[] for _ in range(count)]
        voters = tuple(NodeId(n) for n in range(count))
        self.nodes = [
            RaftNode(
                RaftConfig(node=n, voters=voters, tick_ms=5, **limits),
                self.stores[n],
                self.network.sender(n),
                self.appliers[n],
                OpenAuthority(),
                self.seen[n].append,
                life=Life(rng=Random(n)),
            )
            for n in voters
        ]
        self.network.nodes = dict(zip(voters, self.nodes, strict=True))

    async def __aenter__(self) -> Trio:
        for node in self.nodes:
            await node.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.stop()

    async def leader(self) -> int:
        """The number of a leader whose term has begun everywhere."""
        while True:
            for number, node in enumerate(self.nodes):
                status = node.status
                if status.role is Role.LEADER and status.commit_index == status.last_index:
                    return number
            await asyncio.sleep(0.002)


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; the test's timeout is the limit."""
    while not holds():
        await asyncio.sleep(0.001)


async def test_what_is_proposed_is_applied_everywhere_in_order() -> None:
    async with Trio() as trio:
        number = await trio.leader()
        node = trio.nodes[number]
        indices = [node.propose(b"%d" % n, node.status.term) for n in range(500)]
        for applier in trio.appliers:
            await applier.wait(indices[-1])

        assert indices == list(range(indices[0], indices[0] + 500))
        for applier in trio.appliers:
            data = [e.payload for e in applier.entries if e.kind is EntryKind.DATA]
            assert data == [b"%d" % n for n in range(500)]


async def test_proposals_of_one_turn_are_one_write() -> None:
    async with Trio(1) as trio:
        await trio.leader()
        before = trio.stores[0].batches
        term = trio.nodes[0].status.term
        indices = [trio.nodes[0].propose(b"x", term) for _ in range(1_000)]
        await trio.appliers[0].wait(indices[-1])

        assert trio.stores[0].batches - before <= 2


async def test_a_new_leader_takes_over_when_the_old_one_is_cut_off() -> None:
    async with Trio() as trio:
        old = await trio.leader()
        trio.network.cut = {NodeId(old)}
        await until(lambda: trio.nodes[old].status.role is not Role.LEADER)
        others = [n for n in range(3) if n != old]
        await until(lambda: any(trio.nodes[n].status.role is Role.LEADER for n in others))
        new = next(n for n in others if trio.nodes[n].status.role is Role.LEADER)
        index = trio.nodes[new].propose(b"after", trio.nodes[new].status.term)
        trio.network.cut = set()
        for applier in trio.appliers:
            await applier.wait(index)

        assert [a.entries[index - 1].payload for a in trio.appliers] == [b"after"] * 3


async def test_a_restarted_node_applies_only_what_it_had_not_applied() -> None:
    store = MemoryStore()
    async with Trio(1, [store]) as trio:
        await trio.leader()
        last = trio.nodes[0].propose(b"x", trio.nodes[0].status.term)
        await trio.appliers[0].wait(last)

    second = Trio(1, [store])
    second.appliers[0]._applied = LogIndex(1)
    async with second:
        await second.appliers[0].wait(last + 1)

        assert [e.index for e in second.appliers[0].entries] == list(range(2, last + 2))


async def test_a_long_log_is_applied_from_the_store_in_bounded_pieces() -> None:
    store = MemoryStore()
    store.entries = chain(*[1] * 2_500)
    async with Trio(1, [store], apply_entries_max=100) as trio:
        await trio.appliers[0].wait(2_501)

        assert [e.index for e in trio.appliers[0].entries] == list(range(1, 2_502))


async def test_a_failed_write_stops_the_node_for_good() -> None:
    async with Trio(1) as trio:
        await trio.leader()
        node = trio.nodes[0]
        trio.stores[0].error = OSError("disk full")
        node.propose(b"x", node.status.term)
        with pytest.raises(OSError, match="disk full"):
            await node.failed

        with pytest.raises(StoppedError):
            node.propose(b"x", node.status.term)
        assert trio.appliers[0].applied_index == 1


async def test_a_failed_apply_stops_the_node_for_good() -> None:
    async with Trio(1) as trio:
        await trio.leader()
        trio.appliers[0].error = ValueError("cannot apply")
        trio.nodes[0].propose(b"x", trio.nodes[0].status.term)
        with pytest.raises(ValueError, match="cannot apply"):
            await trio.nodes[0].failed


async def test_a_failing_observer_stops_the_node_for_good() -> None:
    def fail(_: RaftStatus) -> None:
        raise ValueError("observer")

    store, applier = MemoryStore(), ListApplier()
    config = RaftConfig(node=NodeId(0), voters=(NodeId(0),), tick_ms=5)
    sender = Network().sender(NodeId(0))
    node = RaftNode(config, store, sender, applier, OpenAuthority(), fail, life=Life(rng=Random(0)))
    await node.start()
    with pytest.raises(ValueError, match="observer"):
        await node.failed
    await node.stop()


async def test_malformed_bytes_change_nothing() -> None:
    async with Trio() as trio:
        number = await trio.leader()
        before = trio.nodes[number].status
        with pytest.raises(ProtocolError):
            trio.nodes[number].receive(NodeId((number + 1) % 3), b"\xc1 nonsense")

        assert trio.nodes[number].status == before


async def test_a_follower_names_its_leader() -> None:
    async with Trio() as trio:
        leader = await trio.leader()
        other = (leader + 1) % 3
        await until(lambda: trio.nodes[other].status.leader == leader)
        with pytest.raises(NotLeaderError) as refused:
            trio.nodes[other].propose(b"x", trio.nodes[other].status.term)

        assert refused.value.leader == leader


async def test_the_observer_sees_each_change_of_role_once() -> None:
    async with Trio(1) as trio:
        await trio.leader()
        roles = [status.role for status in trio.seen[0]]

        assert roles == [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER]


async def test_heartbeats_go_on_while_the_disk_is_slow() -> None:
    async with Trio(3, disk_stall_ticks=10_000) as trio:
        leader = await trio.leader()
        term = trio.nodes[leader].status.term
        for store in trio.stores:
            store.gate.clear()
        index = trio.nodes[leader].propose(b"slow", term)
        await asyncio.sleep(0.3)  # three election timeouts

        assert {node.status.term for node in trio.nodes} == {term}
        assert trio.nodes[leader].status.commit_index < index
        for store in trio.stores:
            store.gate.set()
        await trio.appliers[leader].wait(index)


async def test_protecting_holds_before_and_after_the_start() -> None:
    trio = Trio(1)
    trio.nodes[0].protect(LogIndex(3))
    async with trio:
        trio.nodes[0].protect(LogIndex(2))

        assert trio.nodes[0].status.protected_index == 3


async def test_nothing_works_before_the_start_and_after_the_stop() -> None:
    trio = Trio(1)
    with pytest.raises(StoppedError):
        _ = trio.nodes[0].status
    async with trio:
        await trio.leader()
    with pytest.raises(StoppedError):
        trio.nodes[0].propose(b"", trio.nodes[0].status.term)
    await trio.nodes[0].stop()

    assert not trio.nodes[0].failed.done()
