"""How a node ends: whatever ends it, it ends whole, once, and everybody who waits is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random  # noqa: TID251 - seeded
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from consensus.config import RaftConfig
from consensus.core.durability import Write
from consensus.core.progress import LogRead
from consensus.core.raft import Ready
from consensus.core.snapshot_transfer import ChunkRead, ChunkWrite
from consensus.core.status import RaftStatus
from consensus.driver.applying import Applying
from consensus.driver.node import RaftNode
from consensus.driver.storing import Storing
from consensus.driver.waiting import Proposals, Reads
from consensus.errors import ConsensusError, ReadError, StoppedError
from consensus.membership import Membership
from consensus.outcomes import Rejected, RejectReason, Unknown, UnknownReason
from consensus.ports import AppendBatch, Life, Recovered
from consensus.snapshot import Snapshot
from consensus.stores.memory import MemoryStore
from consensus.types import Entry, LogIndex, NodeId, Role, Term
from tests.consensus.lab import chain
from tests.consensus.memory import Network
from tests.consensus.test_node import Group, Words, until

pytestmark = pytest.mark.timeout(30)
ALONE = (NodeId(1),)


class Store(MemoryStore):
    """A store that raises what it is told to, or holds up a write."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: dict[str, BaseException] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.stubborn = False
        """A cancelled write ends as if nothing had been."""
        self.running = 0

    def _meet(self, name: str) -> None:
        assert self.running == 0, "calls never overlap"
        if name in self.raises:
            raise self.raises[name]

    @override
    async def load(self) -> Recovered:
        await self.gate.wait()
        return await super().load()

    @override
    async def append(self, batch: AppendBatch) -> None:
        self._meet("append")
        self.running += 1
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
        finally:
            self.running -= 1
        await super().append(batch)

    @override
    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        self._meet("read")
        return await super().read(first, last, bytes_max)

    @override
    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        self._meet("read_chunk")
        return await super().read_chunk(snapshot, offset, size)

    @override
    async def create(self, base: Any, membership: Any, data: AsyncIterator[bytes]) -> Snapshot:
        if "create" in self.raises:
            raise self.raises["create"]
        await self.gate.wait()
        return await super().create(base, membership, data)


class Machine(Words):
    """A state machine that raises what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: BaseException | None = None
        self.results: Callable[[Sequence[object]], Sequence[object]] = lambda results: results
        self.stubborn = False

    @override
    async def apply(self, entries: Sequence[Entry]) -> Sequence[object]:
        if self.raises is not None:
            raise self.raises
        try:
            return self.results(await super().apply(entries))
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
            return self.results([None] * len(entries))


class Lone:
    """A node that is its own quorum, and what it stands on."""

    def __init__(self, **limits: Any) -> None:
        self.store = Store()
        self.machine = Machine()
        self.observer: Callable[[RaftStatus], None] = lambda _: None
        self.network = Network()
        self.node = RaftNode(
            RaftConfig(node=NodeId(1), voters=ALONE, tick_ms=5, **limits),
            self.store,
            self.network.sender(NodeId(1)),
            self.machine,
            life=Life(rng=Random(1)),
            observer=self._observe,
            snapshots=self.store,
        )

    async def __aenter__(self) -> Lone:
        await self.node.start()
        await until(lambda: self.leads and self.machine.applied_index >= 1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.store.gate.set()
        self.machine.gate.set()
        await self.node.stop()

    def _observe(self, status: RaftStatus) -> None:
        self.observer(status)

    @property
    def leads(self) -> bool:
        return self.node.status.role is Role.LEADER


def tasks_of(node: RaftNode) -> list[asyncio.Task[None]]:
    return node._lifetime._tasks


# --- Any end of a task is the end of the node ----------------------------------------------------


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), asyncio.CancelledError("by a library")]
)
@pytest.mark.parametrize("where", ["append", "apply"])
async def test_a_cancellation_out_of_store_or_state_machine_fails_the_node(
    where: str, error: asyncio.CancelledError
) -> None:
    async with Lone() as lone:
        lone.store.raises["append"] = error
        if where == "apply":
            lone.store.raises.clear()
            lone.machine.raises = error
        outcome = await lone.node.submit(b"x")

        assert isinstance(outcome, Unknown)
        assert outcome.reason is UnknownReason.STOPPED
        with pytest.raises(ConsensusError, match="cancelled"):
            await lone.node.failed
        with pytest.raises(StoppedError):
            lone.node.propose(b"y", lone.node.status.term)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_task_that_somebody_cancels_fails_the_node(which: int) -> None:
    async with Lone() as lone:
        tasks_of(lone.node)[which].cancel()
        with pytest.raises(ConsensusError, match="cancelled"):
            await lone.node.failed
        await lone.node.stop()

        assert all(task.done() for task in tasks_of(lone.node))


@pytest.mark.parametrize(
    "error",
    [StopIteration("hook"), asyncio.CancelledError("hook"), ValueError("hook"), GeneratorExit()],
)
async def test_whatever_an_observer_raises_fails_the_node(error: BaseException) -> None:
    def observe(_: RaftStatus) -> None:
        raise error

    async with Lone() as lone:
        lone.observer = observe
        lone.node._observed = ()
        lone.node._turns.want()
        with pytest.raises(Exception, match=r"hook|GeneratorExit"):
            await lone.node.failed
        with pytest.raises(StoppedError):
            lone.node.propose(b"y", lone.node.status.term)


async def test_an_authority_that_cannot_sign_fails_the_node_and_submit_does_not_raise() -> None:
    async with Lone() as lone:

        def attest(_: bytes) -> bytes:
            raise OSError("the key is gone")

        lone.node._core.state.authority.attest = attest  # type: ignore[union-attr, method-assign]
        outcome = await lone.node.submit(b"x")

        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.STOPPED
        with pytest.raises(OSError, match="the key is gone"):
            await lone.node.failed


async def test_the_first_error_is_the_one_that_is_told() -> None:
    async with Lone() as lone:
        lone.store.gate.clear()
        lone.node.submit(b"x")
        await until(lambda: lone.store.running == 1)
        lone.node._lifetime.fail(OSError("first"))
        lone.node._lifetime.fail(OSError("second"))
        with pytest.raises(OSError, match="first"):
            await lone.node.failed


async def test_who_gives_up_waiting_for_the_failure_takes_it_from_nobody() -> None:
    async with Lone() as lone:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lone.node.failed
        assert not lone.node.failed.done()
        given_up = lone.node.failed
        lone.node._lifetime.fail(OSError("disk"))
        assert given_up.done()
        with pytest.raises(OSError, match="disk"):
            await lone.node.failed


async def test_a_state_machine_with_too_few_results_fails_the_node_and_nobody_waits_for_ever() -> (
    None
):
    async with Lone() as lone:
        lone.machine.results = lambda results: results[:-1]
        outcomes = await asyncio.gather(*(lone.node.submit(b"%d" % n) for n in range(5)))

        assert {type(outcome) for outcome in outcomes} == {Unknown}
        with pytest.raises(ConsensusError, match="results for"):
            await lone.node.failed


# --- Stopping ------------------------------------------------------------------------------------


async def test_a_stop_that_is_cancelled_stops_all_the_same() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}  # so that the hand-over takes its time
        stopping = asyncio.ensure_future(node.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        outcome = await node.submit(b"x")

        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.STOPPED
        await node.stop()
        assert all(task.done() for task in tasks_of(node))


async def test_a_failure_while_leadership_is_handed_over_ends_the_stop() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}
        stopping = asyncio.ensure_future(node.stop())
        await asyncio.sleep(0)
        node._lifetime.fail(OSError("disk"))
        await stopping

        assert isinstance(node.failed.exception(), OSError)


async def test_a_node_that_is_stopped_while_it_starts_does_not_start() -> None:
    lone = Lone()
    lone.store.gate.clear()
    starting = asyncio.ensure_future(lone.node.start())
    await asyncio.sleep(0)
    await lone.node.stop()
    lone.store.gate.set()
    with pytest.raises(StoppedError, match="before it had started"):
        await starting
    with pytest.raises(StoppedError, match="once"):
        await lone.node.start()


@pytest.mark.parametrize("ends", ["stop", "fail"])
async def test_a_store_that_swallows_the_cancellation_changes_nothing_any_more(ends: str) -> None:
    async with Lone() as lone:
        lone.store.gate.clear()
        lone.store.stubborn = True
        future = lone.node.submit(b"x")
        await until(lambda: lone.store.running == 1)
        before = lone.node.status
        if ends == "fail":
            lone.node._lifetime.fail(OSError("elsewhere"))
        await lone.node.stop()

        assert lone.node.status == before
        assert isinstance(await future, Unknown)
        assert all(task.done() for task in tasks_of(lone.node))


async def test_a_state_machine_that_swallows_the_cancellation_answers_nobody() -> None:
    async with Lone() as lone:
        lone.machine.gate.clear()
        lone.machine.stubborn = True
        future = lone.node.submit(b"x")
        await until(lambda: lone.node.status.commit_index == 2)
        await asyncio.sleep(0.01)
        await lone.node.stop()

        assert lone.node.status.applied_index == 1
        assert await future == Unknown(UnknownReason.STOPPED, LogIndex(2), lone.node.status.term)


async def test_everybody_who_waits_is_told_when_the_node_fails() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}
        waiting = [
            asyncio.ensure_future(waits)
            for waits in (
                node.submit(b"x"),
                node.execute(b"y", 30),
                node.read_index(),
                node.change_membership([NodeId(n) for n in (1, 2, 3)], [NodeId(4)]),
                node.transfer_leadership(),
            )
        ]
        await asyncio.sleep(0)
        node._lifetime.fail(OSError("disk"))
        told = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(answer) for answer in told] == [Unknown, Unknown, ReadError, Unknown, bool]


# --- What was asked is answered for what was asked -----------------------------------------------


async def test_a_timeout_names_the_place_of_its_own_entry() -> None:
    async with Group(1, 2, 3) as group:
        leader = await group.leader()
        node = group.nodes[leader]
        group.network.cut = {NodeId(leader)}
        term, last = node.status.term, node.status.last_index
        first = asyncio.ensure_future(node.execute(b"x", 0.02))
        await asyncio.sleep(0)
        for _ in range(10):
            node.submit(b"y")

        assert await first == Unknown(UnknownReason.TIMEOUT, LogIndex(last + 1), term)


async def test_a_timeout_in_a_node_that_stopped_meanwhile_raises_nothing() -> None:
    async with Lone() as lone:
        lone.store.gate.clear()
        waiting = asyncio.ensure_future(lone.node.execute(b"x", 0.0))
        await asyncio.sleep(0)
        await lone.node.stop()

        assert isinstance(await waiting, Unknown)


async def test_reads_that_wait_for_a_slow_state_machine_are_bounded() -> None:
    async with Lone(reads_max=3) as lone:
        lone.machine.gate.clear()
        lone.node.submit(b"x")
        await until(lambda: lone.node.status.commit_index == 2)
        waiting = [asyncio.ensure_future(lone.node.read_index()) for _ in range(3)]
        await asyncio.sleep(0.02)
        with pytest.raises(ReadError, match="too many"):
            await lone.node.read_index()
        lone.machine.gate.set()

        assert await asyncio.gather(*waiting) == [2, 2, 2]


# --- Snapshots -----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [0, 3])
async def test_a_suspect_makes_no_snapshot_of_what_its_log_does_not_know(held: int) -> None:
    """Its state is ahead of its log, or its log may hold other entries than were applied."""
    network = Network()
    store = MemoryStore(suspect=True)
    store.entries = chain(*[1] * held)
    machine = Words()
    machine._applied = LogIndex(3)
    node = RaftNode(
        RaftConfig(node=NodeId(1), voters=(NodeId(1), NodeId(2)), tick_ms=5),
        store,
        network.sender(NodeId(1)),
        machine,
        life=Life(rng=Random(1)),
        snapshots=store,
    )
    await node.start()
    assert node.status.suspect

    assert await node.take_snapshot() is None
    assert not node.failed.done()
    await node.stop()


async def test_a_snapshot_that_was_asked_for_ends_with_the_node() -> None:
    async with Lone() as lone:
        await lone.node.submit(b"x")
        lone.store.gate.clear()
        asked = asyncio.ensure_future(lone.node.take_snapshot())
        await asyncio.sleep(0.01)
        await lone.node.stop()

        with pytest.raises(StoppedError):
            await asked


async def test_a_store_that_cannot_keep_a_snapshot_that_was_asked_for_fails_the_node() -> None:
    async with Lone() as lone:
        await lone.node.submit(b"x")
        lone.store.raises["create"] = OSError("disk full")
        with pytest.raises(StoppedError):
            await lone.node.take_snapshot()
        with pytest.raises(OSError, match="disk full"):
            await lone.node.failed


async def test_who_gives_up_waiting_for_a_snapshot_does_not_end_its_making() -> None:
    async with Lone() as lone:
        await lone.node.submit(b"x")
        lone.store.gate.clear()
        asked = asyncio.ensure_future(lone.node.take_snapshot())
        await asyncio.sleep(0.01)
        asked.cancel()
        lone.store.gate.set()
        await asyncio.sleep(0.01)

        newest = await lone.store.newest()
        assert newest is not None
        assert newest.index == 2
        assert await lone.node.take_snapshot() is None


async def test_a_leader_whose_snapshot_is_gone_makes_one_where_its_log_begins() -> None:
    """Without anything to apply: whoever needs it must not wait for work."""
    async with Lone(trailing_entries=0) as lone:
        await lone.node.submit(b"x")
        assert await lone.node.take_snapshot() is not None
        await until(lambda: lone.store.base.index == 2)
        await lone.node.stop()
        lone.store._snapshots.clear()
        second = Lone(trailing_entries=0)
        second.store.__dict__.update(lone.store.__dict__)
        second.machine._applied = LogIndex(2)
        second.node._core = None
        await second.node.start()
        snapshot = await second.node.take_snapshot()
        await second.node.stop()

    assert snapshot is not None
    assert snapshot.index == 2


async def test_the_newest_snapshot_saves_a_state_in_memory_the_entries_before_it() -> None:
    """Also when the log still begins at its beginning."""
    async with Group(1, trailing_entries=1_000) as group:
        await group.leader()
        for n in range(5):
            await group.nodes[1].submit(b"%d" % n)
        snapshot = await group.nodes[1].take_snapshot()
        assert snapshot is not None
        await group.nodes[1].submit(b"later")
        assert group.stores[1].base.index == 0
        await group.nodes[1].stop()
        await group.add(1, group.founders)
        await until(lambda: group.machines[1].words[-1:] == [b"later"])

        assert group.machines[1].restored == [snapshot.index]
        assert group.machines[1].words == [b"%d" % n for n in range(5)] + [b"later"]


async def test_a_state_is_restored_between_the_calls_of_the_stores() -> None:
    async with Lone(chunk_bytes=1, trailing_entries=0) as lone:
        for n in range(20):
            await lone.node.submit(b"%d" % n)
        assert await lone.node.take_snapshot() is not None
        await until(lambda: lone.store.base.index == 21)
        await lone.node.stop()
        second = Lone(chunk_bytes=1)
        second.store.__dict__.update(lone.store.__dict__)
        second.store.gate.set()
        await second.node.start()  # the leader's first write goes on while parts are read
        await until(lambda: len(second.machine.words) == 20)
        assert not second.node.failed.done()
        await second.node.stop()


# --- The stores answer, and a turn follows -------------------------------------------------------


class Scripted:
    """Stands for a core: what the task of the stores tells it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def on_read(self, read: LogRead, entries: list[Entry]) -> None:
        self.told.append(("read", entries))

    def on_persisted(self, seq: int) -> None:
        self.told.append(("persisted", seq))

    def on_chunk_written(self, write: ChunkWrite, held: int, *, ok: bool) -> None:
        self.told.append(("chunk", ok))

    def on_chunk_read(self, read: ChunkRead, data: bytes | None) -> None:
        self.told.append(("chunk read", data))


async def test_what_the_store_lost_to_a_reset_while_it_was_read_is_no_failure() -> None:
    """The log begins after a snapshot now, which takes the place of what was to be applied."""

    class Reset(Scripted):
        durable_commit_index = LogIndex(3)
        restore: Snapshot | None = None

        def committed(self, first: LogIndex) -> None:
            """Not in memory."""

    core = Reset()

    class Resetting(Store):
        @override
        async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
            core.restore = Snapshot(LogIndex(5), Term(1), b"h" * 32, Membership(ALONE), 4, b"")
            return []

    store, machine = Resetting(), Machine()
    storing = Storing(store, store, lambda: None)
    serving = asyncio.ensure_future(storing.serve(core))  # type: ignore[arg-type]
    config = RaftConfig(node=NodeId(1), voters=ALONE)
    applying = Applying(config, machine, store, storing, Proposals(), Reads(9), lambda: None)
    await applying._apply_some(core)  # type: ignore[arg-type]
    serving.cancel()

    assert (applying.applied, machine.words) == (0, [])


class Refusing(Store):
    """No snapshot is right."""

    @override
    async def complete(self, snapshot: Snapshot) -> bool:
        return False


@pytest.mark.parametrize("kind", ["write", "read", "chunk write", "chunk read"])
async def test_each_answer_of_a_store_reaches_the_core_and_brings_a_turn(kind: str) -> None:
    core, turns, store = Scripted(), 0, Refusing()

    def wake() -> None:
        nonlocal turns
        turns += 1

    store.entries = chain(1, 1)
    storing = Storing(store, store, wake)
    serving = asyncio.ensure_future(storing.serve(core))  # type: ignore[arg-type]
    snapshot = Snapshot(LogIndex(1), Term(1), b"h" * 32, Membership(ALONE), 4, b"c" * 32)
    ready = Ready([], None, [], [], [], [], False)
    changes: dict[str, dict[str, object]] = {
        "write": {"write": Write(1, AppendBatch(None, []))},
        "read": {"log_reads": [LogRead(NodeId(2), Term(1), LogIndex(1), LogIndex(2), 9_999)]},
        "chunk write": {"chunk_writes": [ChunkWrite(NodeId(2), Term(1), snapshot, 0, b"abcd")]},
        "chunk read": {"chunk_reads": [ChunkRead(NodeId(2), Term(1), snapshot, 0, 4)]},
    }
    storing.take(msgspec.structs.replace(ready, **changes[kind]))
    await until(lambda: bool(core.told))
    serving.cancel()

    assert turns == 1
    assert core.told == [
        {
            "write": ("persisted", 1),
            "read": ("read", store.entries),
            "chunk write": ("chunk", False),
            "chunk read": ("chunk read", None),
        }[kind]
    ]
