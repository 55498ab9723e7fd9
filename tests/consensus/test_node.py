"""What an embedder asks of a running node: outcomes, reads, members, hand-over, snapshots.

Whole nodes in one loop over the in-memory stores; the network between them is `memory.Network`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random  # noqa: TID251 - seeded
from typing import Any

import pytest
from typing_extensions import override

from consensus.codec import encode
from consensus.config import RaftConfig
from consensus.driver.node import RaftNode
from consensus.errors import (
    ConsensusError,
    ProtocolError,
    ReadError,
    SnapshotError,
    StoppedError,
)
from consensus.membership import Membership
from consensus.messages import ReadIndexResponse, SnapshotChunk
from consensus.outcomes import Committed, Rejected, RejectReason, Unknown, UnknownReason
from consensus.ports import Life
from consensus.snapshot import Snapshot
from consensus.stores.memory import MemoryStore
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Role, Term
from tests.consensus.memory import Network

pytestmark = pytest.mark.timeout(30)


class Words:
    """A state machine: the list of all payloads. Its state lives in memory."""

    def __init__(self) -> None:
        self.words: list[bytes] = []
        self.restored: list[LogIndex] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.declines = False
        self._applied = LogIndex(0)

    @property
    def applied_index(self) -> LogIndex:
        return self._applied

    async def apply(self, entries: Sequence[Entry]) -> Sequence[object]:
        await self.gate.wait()
        assert entries[0].index == self._applied + 1
        results: list[object] = []
        for entry in entries:
            if entry.kind is EntryKind.DATA:
                self.words.append(entry.payload)
            results.append(len(self.words))
        self._applied = entries[-1].index
        return results

    @property
    def captured_index(self) -> LogIndex:
        return self._applied

    async def capture(self) -> AsyncIterator[bytes]:
        frozen = list(self.words)

        async def parts() -> AsyncIterator[bytes]:
            for word in frozen:
                if self.declines:
                    raise SnapshotError("not now")
                yield word + b"\n"

        return parts()

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        self.words = b"".join([part async for part in data]).split(b"\n")[:-1]
        self.restored.append(snapshot.index)
        self._applied = snapshot.index


class Group:
    """Nodes by number, some of which vote from the start."""

    def __init__(self, *founders: int, **limits: Any) -> None:
        self.network = Network()
        self.founders = tuple(NodeId(n) for n in founders)
        self.limits = limits
        self.nodes: dict[int, RaftNode] = {}
        self.machines: dict[int, Words] = {}
        self.stores: dict[int, MemoryStore] = {}

    async def __aenter__(self) -> Group:
        for number in self.founders:
            await self.add(number, self.founders)
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            await node.stop(hand_over=False)

    async def add(self, number: int, founders: tuple[NodeId, ...] = ()) -> RaftNode:
        """Start a node; without founders it waits to be told who its fellows are."""
        store = self.stores.setdefault(number, MemoryStore())
        machine = self.machines[number] = Words()
        node = RaftNode(
            RaftConfig(node=NodeId(number), voters=founders, tick_ms=5, **self.limits),
            store,
            self.network.sender(NodeId(number)),
            machine,
            life=Life(rng=Random(number)),
            snapshots=store,
        )
        self.nodes[number] = node
        self.network.nodes[NodeId(number)] = node
        await node.start()
        return node

    async def leader(self) -> int:
        """Who leads and has committed in its term."""
        while True:
            for number, node in self.nodes.items():
                status = node.status
                if status.role is Role.LEADER and status.commit_index == status.last_index:
                    return number
            await asyncio.sleep(0.002)


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; the test's timeout is the limit."""
    while not holds():
        await asyncio.sleep(0.001)


async def read(node: RaftNode) -> LogIndex:
    """The index of a linearizable read; a follower may not have heard of its leader yet."""
    while True:
        try:
            return await node.read_index()
        except ReadError:
            await asyncio.sleep(0.002)


# --- Outcomes ------------------------------------------------------------------------------------


async def test_every_submission_has_its_own_place_and_result() -> None:
    async with Group(1, 2, 3) as group:
        node = group.nodes[await group.leader()]
        outcomes = await asyncio.gather(*[node.submit(b"%d" % n) for n in range(300)])

        assert all(isinstance(outcome, Committed) for outcome in outcomes)
        committed = [outcome for outcome in outcomes if isinstance(outcome, Committed)]
        assert [o.result for o in committed] == list(range(1, 301))
        first = committed[0].index
        assert [o.index for o in committed] == list(range(first, first + 300))


async def test_what_was_not_taken_is_rejected_with_a_reason() -> None:
    async with Group(1, 2, 3, payload_bytes_max=100, uncommitted_entries_max=3) as group:
        leader = await group.leader()
        node, follower = group.nodes[leader], group.nodes[leader % 3 + 1]
        await until(lambda: follower.status.leader == leader)

        assert await follower.submit(b"x") == Rejected(
            RejectReason.NOT_LEADER, NodeId(leader), f"not the leader; the leader may be {leader}"
        )
        reasons = [
            await node.submit(b"x" * 101),
            await node.submit(b"x", Term(node.status.term + 1)),
        ]
        for _ in range(3):
            node.submit(b"x")
        reasons.append(await node.submit(b"x"))
        await node.stop(hand_over=False)
        reasons.append(await node.submit(b"x"))

        assert [r.reason for r in reasons if isinstance(r, Rejected)] == [
            RejectReason.TOO_LARGE,
            RejectReason.TERM_CHANGED,
            RejectReason.WINDOW_FULL,
            RejectReason.STOPPED,
        ]


async def test_a_replaced_entry_is_rejected_and_not_before_that_is_certain() -> None:
    async with Group(1, 2, 3) as group:
        old = await group.leader()
        group.network.cut = {NodeId(old)}
        lost = group.nodes[old].submit(b"lost")
        others = [n for n in (1, 2, 3) if n != old]
        await until(lambda: any(group.nodes[n].status.role is Role.LEADER for n in others))
        assert not lost.done()
        new = next(n for n in others if group.nodes[n].status.role is Role.LEADER)
        kept = await group.nodes[new].submit(b"kept")
        assert not lost.done()
        group.network.cut = set()

        outcome = await lost
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.REPLACED
        assert isinstance(kept, Committed)
        await until(lambda: group.machines[old].words == [b"kept"])


async def test_without_a_quorum_the_outcome_is_unknown() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}
        timed = await node.execute(b"x", timeout_s=0.05)
        open_still = node.submit(b"y")
        await node.stop(hand_over=False)
        stopped = await open_still

        assert isinstance(timed, Unknown)
        assert timed.reason is UnknownReason.TIMEOUT
        assert isinstance(stopped, Unknown)
        assert stopped.reason is UnknownReason.STOPPED


async def test_a_place_passed_by_a_snapshot_is_unknown() -> None:
    async with Group(1, 2, 3, trailing_entries=0) as group:
        old = await group.leader()
        group.network.cut = {NodeId(old)}
        lost = group.nodes[old].submit(b"lost")
        others = [n for n in (1, 2, 3) if n != old]
        await until(lambda: any(group.nodes[n].status.role is Role.LEADER for n in others))
        new = next(n for n in others if group.nodes[n].status.role is Role.LEADER)
        for n in range(5):
            await group.nodes[new].submit(b"%d" % n)
        for n in others:
            await until(lambda n=n: len(group.machines[n].words) == 5)  # type: ignore[misc]
            assert await group.nodes[n].take_snapshot() is not None
        group.network.cut = set()

        outcome = await lost
        assert isinstance(outcome, Unknown)
        assert outcome.reason is UnknownReason.SNAPSHOT
        assert group.machines[old].restored


# --- Reads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease", [False, True])
async def test_a_read_anywhere_sees_every_acknowledged_write(lease: bool) -> None:
    async with Group(1, 2, 3, lease_reads=lease) as group:
        leader = await group.leader()
        for n in range(30):
            outcome = await group.nodes[leader].submit(b"%d" % n)
            assert isinstance(outcome, Committed)
            for number in (1, 2, 3):
                assert await read(group.nodes[number]) >= outcome.index
                assert len(group.machines[number].words) == n + 1


async def test_a_leader_that_is_cut_off_answers_no_read() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        group.network.cut = {NodeId(leader)}

        with pytest.raises(ReadError):
            await group.nodes[leader].read_index()
        await until(lambda: group.nodes[leader].status.role is not Role.LEADER)
        with pytest.raises(ReadError, match="no leader"):
            await group.nodes[leader].read_index()


async def test_an_index_that_a_lying_leader_invents_holds_up_a_read_no_longer_than_it_leads() -> (
    None
):
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        follower = group.nodes[next(number for number in group.nodes if number != leader)]
        await read(follower)
        group.network.cut = {NodeId(leader)}
        reading = asyncio.ensure_future(follower.read_index())
        core = follower._core
        assert core is not None
        await until(lambda: bool(core.state.asked._asked))
        (ticket,) = core.state.asked._asked
        lie = ReadIndexResponse(core.term, ticket, LogIndex(2**62))
        follower.receive(NodeId(leader), encode(lie))

        with pytest.raises(ReadError, match="leadership changed"):
            await reading
        assert await read(follower) < 2**62


async def test_reads_that_wait_are_bounded_and_fail_when_the_node_stops() -> None:
    async with Group(1, 2, 3, reads_max=2) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}
        waiting = [asyncio.ensure_future(node.read_index()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ReadError, match="too many"):
            await node.read_index()
        await node.stop(hand_over=False)
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(result) for result in results] == [ReadError, ReadError]
        with pytest.raises(StoppedError):
            await node.read_index()


# --- Members -------------------------------------------------------------------------------------


async def test_every_voter_is_replaced_one_by_one() -> None:
    async with Group(1, 2, 3) as group:
        voters = [1, 2, 3]
        for new in (4, 5, 6):
            await group.add(new)
            leader = await group.leader()
            await group.nodes[leader].submit(b"%d" % new)
            voters = sorted([*voters[1:], new])
            outcome = await group.nodes[leader].change_membership([NodeId(n) for n in voters])
            assert isinstance(outcome, Committed)

        leader = await group.leader()
        assert leader in {4, 5, 6}
        assert group.nodes[leader].status.membership.voters == (4, 5, 6)
        await group.nodes[leader].submit(b"last")
        for number in (4, 5, 6):
            await until(lambda n=number: group.machines[n].words[-1:] == [b"last"])  # type: ignore[misc]
            assert group.machines[number].words == [b"4", b"5", b"6", b"last"]
        for number in (1, 2, 3):
            await until(lambda n=number: n not in group.nodes[n].status.membership.voters)  # type: ignore[misc]


async def test_a_joiner_far_behind_comes_by_snapshot() -> None:
    async with Group(1, 2, 3, snapshot_entries=20, trailing_entries=5, chunk_bytes=7) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        for n in range(100):
            await node.submit(b"%d" % n)
        await until(lambda: node.status.base_index > 50)
        await group.add(4)
        outcome = await node.change_membership([NodeId(n) for n in (1, 2, 3, 4)])

        assert isinstance(outcome, Committed)
        await node.submit(b"last")
        await until(lambda: group.machines[4].words[-1:] == [b"last"])
        assert group.machines[4].words == [b"%d" % n for n in range(100)] + [b"last"]
        assert len(group.machines[4].restored) == 1


async def test_a_change_that_cannot_be_is_rejected() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        same = await node.change_membership([NodeId(n) for n in (1, 2, 3)])
        none = await node.change_membership([])
        both = await node.change_membership([NodeId(1), NodeId(2)], [NodeId(2)])
        elsewhere = await group.nodes[leader % 3 + 1].change_membership([NodeId(1)])

        assert [o.reason for o in (same, none, both, elsewhere) if isinstance(o, Rejected)] == [
            RejectReason.MEMBERSHIP,
            RejectReason.MEMBERSHIP,
            RejectReason.MEMBERSHIP,
            RejectReason.NOT_LEADER,
        ]


async def test_a_learner_gets_everything_and_decides_nothing() -> None:
    async with Group(1, 2, 3) as group:
        await group.add(4)
        leader = await group.leader()
        node = group.nodes[leader]
        outcome = await node.change_membership([NodeId(n) for n in (1, 2, 3)], [NodeId(4)])
        assert isinstance(outcome, Committed)
        await node.submit(b"x")
        await until(lambda: group.machines[4].words == [b"x"])

        group.network.cut = {NodeId(n) for n in (1, 2, 3) if n != leader}
        held = node.submit(b"needs two voters")
        await until(lambda: node.status.role is not Role.LEADER)
        assert not held.done()


# --- Hand-over -----------------------------------------------------------------------------------


async def test_a_clean_stop_hands_leadership_over_without_a_timeout() -> None:
    async with Group(1, 2, 3, election_ticks=4_000, catch_up_ticks_max=8) as group:
        # With timeouts of 20 s and more only an election that somebody asks for can happen.
        core = group.nodes[2]._core
        assert core is not None
        core.roles.elections._start(pre=True)
        group.nodes[2]._turns.want()
        assert await group.leader() == 2
        await group.nodes[2].stop()

        await until(lambda: any(group.nodes[n].status.role is Role.LEADER for n in (1, 3)))
        new = next(n for n in (1, 3) if group.nodes[n].status.role is Role.LEADER)
        assert isinstance(await group.nodes[new].submit(b"at once"), Committed)


async def test_leadership_goes_where_it_is_sent() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        to = leader % 3 + 1
        assert await group.nodes[leader].transfer_leadership(NodeId(to))
        await until(lambda: group.nodes[to].status.role is Role.LEADER)

        assert not await group.nodes[to].transfer_leadership(NodeId(9))
        assert not await group.nodes[to].transfer_leadership(NodeId(to))
        assert group.nodes[to].status.role is Role.LEADER


async def test_a_hand_over_to_the_dead_is_given_up_and_work_goes_on() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        dead = leader % 3 + 1
        group.network.cut = {NodeId(dead)}
        node = group.nodes[leader]
        await node.submit(b"so that the dead one lacks something")
        handing = asyncio.ensure_future(node.transfer_leadership(NodeId(dead)))
        await asyncio.sleep(0)
        refused = await node.submit(b"x")
        assert isinstance(refused, Rejected)
        assert refused.reason is RejectReason.TRANSFERRING
        change = await node.change_membership([NodeId(leader)])
        assert isinstance(change, Rejected)

        assert not await handing
        assert isinstance(await node.submit(b"x"), Committed)


# --- Snapshots -----------------------------------------------------------------------------------


async def test_the_log_is_compacted_and_a_restart_begins_with_the_snapshot() -> None:
    async with Group(1, snapshot_entries=50, trailing_entries=10) as group:
        await group.leader()
        for n in range(200):
            await group.nodes[1].submit(b"%d" % n)
        await until(lambda: group.nodes[1].status.base_index >= 150)
        await group.nodes[1].stop()
        before = group.machines[1].words
        await group.add(1, group.founders)
        await until(lambda: group.machines[1].words == before)

        assert len(group.machines[1].restored) == 1
        assert len(before) == 200


async def test_bytes_alone_also_bring_a_snapshot() -> None:
    async with Group(1, snapshot_bytes=100_000, trailing_entries=0) as group:
        await group.leader()
        await group.nodes[1].submit(b"x" * 100_000)
        await until(lambda: group.nodes[1].status.base_index > 0)


async def test_a_log_that_begins_after_the_state_needs_its_snapshot() -> None:
    async with Group(1, trailing_entries=0) as group:
        await group.leader()
        await group.nodes[1].submit(b"x")
        assert await group.nodes[1].take_snapshot() is not None
        assert await group.nodes[1].take_snapshot() is None  # nothing new to capture
        await until(lambda: group.nodes[1].status.stable_index > 0)
        await asyncio.sleep(0.02)
        await group.nodes[1].stop()
        without = RaftNode(
            RaftConfig(node=NodeId(1), voters=group.founders, tick_ms=5),
            group.stores[1],
            group.network.sender(NodeId(1)),
            Words(),
        )

        with pytest.raises(SnapshotError, match="no snapshot reaches"):
            await without.start()


async def test_a_follower_that_applies_slowly_finishes_before_its_state_is_replaced() -> None:
    async with Group(
        1, 2, 3, snapshot_entries=10, trailing_entries=0, apply_entries_max=1
    ) as group:
        leader = await group.leader()
        slow = leader % 3 + 1
        for n in range(5):
            await group.nodes[leader].submit(b"%d" % n)
        await until(lambda: len(group.machines[slow].words) == 5)
        group.machines[slow].gate.clear()
        await group.nodes[leader].submit(b"5")
        await until(lambda: group.nodes[slow].status.commit_index >= 7)
        group.network.cut = {NodeId(slow)}
        for n in range(6, 40):
            await group.nodes[leader].submit(b"%d" % n)
        await until(lambda: group.nodes[leader].status.base_index > 20)
        group.network.cut = set()
        await until(lambda: group.nodes[slow].status.base_index > 20)
        assert group.machines[slow].restored == []
        group.machines[slow].gate.set()

        await until(lambda: group.machines[slow].words == [b"%d" % n for n in range(40)])
        assert len(group.machines[slow].restored) == 1


async def test_a_state_that_cannot_be_vouched_for_is_captured_later() -> None:
    async with Group(1, trailing_entries=0) as group:
        await group.leader()
        await group.nodes[1].submit(b"x")
        machine = group.machines[1]
        machine.declines = True
        assert await group.nodes[1].take_snapshot() is None
        machine.declines = False
        snapshot = await group.nodes[1].take_snapshot()

        assert snapshot is not None
        assert snapshot.index == group.nodes[1].status.applied_index


async def test_a_follower_far_behind_is_served_from_the_store() -> None:
    async with Group(1, 2, 3, tail_bytes_max=2_000, message_entries_max=8) as group:
        leader = await group.leader()
        slow = leader % 3 + 1
        group.network.cut = {NodeId(slow)}
        for n in range(100):
            await group.nodes[leader].submit(b"%d" % n)
        group.network.cut = set()

        await until(lambda: group.machines[slow].words == [b"%d" % n for n in range(100)])


async def test_what_no_honest_member_sends_is_refused() -> None:
    members = Membership((NodeId(1),))
    snapshot = Snapshot(LogIndex(1), Term(1), bytes(32), members, 0, bytes(32))
    without = RaftNode(
        RaftConfig(node=NodeId(1), voters=(NodeId(1),)),
        MemoryStore(),
        Network().sender(NodeId(1)),
        Words(),
    )
    with pytest.raises(ProtocolError, match="no store"):
        without.receive(NodeId(2), encode(SnapshotChunk(Term(1), snapshot, 0, b"")))
    await without.stop()


async def test_a_change_that_outlives_its_leader_is_unknown() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        others = [n for n in (1, 2, 3) if n != leader]
        group.network.cut = {NodeId(n) for n in others}
        change = await group.nodes[leader].change_membership([NodeId(leader)])

        assert isinstance(change, Unknown)


async def test_an_answer_within_the_time_is_the_outcome() -> None:
    async with Group(1) as group:
        await group.leader()

        assert isinstance(await group.nodes[1].execute(b"x", timeout_s=20), Committed)


class Forgetful(MemoryStore):
    """Loses what is asked for, or the end of a snapshot."""

    @override
    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        return []

    @override
    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        return b""


@pytest.mark.parametrize("compacted", [False, True])
async def test_a_store_that_lost_what_is_applied_next_stops_the_node(compacted: bool) -> None:
    async with Group(1, trailing_entries=0) as group:
        await group.leader()
        for n in range(5):
            await group.nodes[1].submit(b"%d" % n)
        if compacted:
            assert await group.nodes[1].take_snapshot() is not None
            await asyncio.sleep(0.05)
        await group.nodes[1].stop()
        lost = Forgetful()
        lost.__dict__.update(group.stores[1].__dict__)
        group.stores[1] = lost
        node = await group.add(1, group.founders)

        with pytest.raises(ConsensusError, match="ends at byte 0" if compacted else "has no entry"):
            await node.failed
