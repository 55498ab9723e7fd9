"""Time and mail of a node: what is counted in which order, and what a flood can do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from consensus.config import RaftConfig
from consensus.core.raft import RaftCore
from consensus.driver.inbox import Inbox
from consensus.driver.turns import Turns
from consensus.messages import Heartbeat, Message, TimeoutNow
from consensus.types import NodeId, Term

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)
NOTE: Message = TimeoutNow(Term(1))


class Recorder:
    """Stands for a core: what reaches it, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.raises: BaseException | None = None

    def tick(self) -> None:
        self.seen.append("tick")

    def step(self, sender: NodeId, message: Message) -> None:
        if self.raises is not None:
            raise self.raises
        self.seen.append(type(message).__name__ if sender == ONE else f"of {sender}")


class Bench:
    """Turns over a recorder, with a clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.now = 0.0
        self.core = Recorder()
        self.turns_taken = 0
        self.failures: list[BaseException] = []
        config = RaftConfig(node=NodeId(0), voters=(NodeId(0), ONE), tick_ms=1_000, **limits)
        self.turns = Turns(config, self._carry_out, self.failures.append)
        monkeypatch.setattr(self.turns, "_loop", self)
        self._loop = asyncio.get_running_loop()
        self.turns.begin(cast("RaftCore", self.core))

    def time(self) -> float:
        return self.now

    def call_soon(self, *call: Any) -> None:
        self._loop.call_soon(*call)

    def call_later(self, _: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        """The timer goes off only by hand (`timer`)."""
        return self._loop.call_later(3_600, callback, *arguments)

    def timer(self) -> None:
        self.turns._on_time(0)

    def _carry_out(self, _: RaftCore) -> None:
        self.turns_taken += 1

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Bench(monkeypatch)
    await made.settle()
    yield made
    made.turns.halt()


def beat() -> Message:
    return Heartbeat(Term(1), *[0] * (len(Heartbeat.__struct_fields__) - 1))  # type: ignore[arg-type]


async def test_a_tick_that_was_due_before_a_message_is_counted_before_it(bench: Bench) -> None:
    bench.now = 1.0
    bench.turns.receive(ONE, beat(), 10)
    await bench.settle()
    bench.timer()
    await bench.settle()

    assert bench.core.seen == ["tick", "Heartbeat"]


async def test_what_was_slept_through_does_not_count_against_who_is_heard(bench: Bench) -> None:
    """The loop was blocked for seven ticks; a heartbeat is read before the timer goes off."""
    bench.now = 7.5
    bench.turns.receive(ONE, beat(), 10)
    await bench.settle()
    bench.timer()
    await bench.settle()
    assert bench.core.seen == ["tick", "Heartbeat"]

    bench.now = 8.0
    bench.timer()
    await bench.settle()
    assert bench.core.seen == ["tick", "Heartbeat", "tick"]


async def test_without_mail_it_is_made_up_for_within_bounds(bench: Bench) -> None:
    bench.now = 100.0
    bench.turns.want()
    await bench.settle()
    assert bench.core.seen == []  # the sockets may not have been read yet

    bench.timer()
    await bench.settle()
    assert bench.core.seen == ["tick"] * 8


async def test_mail_that_arrives_a_few_rounds_after_the_timer_is_read_first(bench: Bench) -> None:
    bench.now = 5.0
    bench.timer()
    await asyncio.sleep(0)
    bench.turns.receive(ONE, beat(), 10)
    await bench.settle()

    assert bench.core.seen == ["tick", "Heartbeat"]


async def test_a_flood_does_not_hold_up_the_time(bench: Bench) -> None:
    for n in range(50):
        bench.now = n / 2
        for _ in range(1_500):  # more than a turn takes in: the inbox is never empty
            bench.turns.receive(ONE, NOTE, 10)
        await asyncio.sleep(0)

    assert 23 <= bench.core.seen.count("tick") <= 25


async def test_after_the_end_nothing_is_counted_or_taken_in(bench: Bench) -> None:
    bench.turns.receive(ONE, NOTE, 10)
    before = bench.turns_taken
    bench.turns.halt()
    bench.now = 9.0
    bench.timer()
    bench.turns.receive(ONE, NOTE, 10)
    bench.turns.want()
    await bench.settle()

    assert (bench.core.seen, bench.turns_taken) == ([], before)


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError(), GeneratorExit()])
async def test_whatever_is_raised_in_a_turn_is_told(bench: Bench, error: BaseException) -> None:
    bench.core.raises = error
    bench.turns.receive(ONE, NOTE, 10)
    await bench.settle()

    assert bench.failures == [error]


# --- The inbox -----------------------------------------------------------------------------------


def box(**limits: Any) -> Inbox:
    return Inbox(RaftConfig(node=NodeId(0), voters=(NodeId(0),), **limits))


def drained(inbox: Inbox) -> Iterator[tuple[NodeId, Message]]:
    while inbox:
        yield inbox.take()


def test_senders_take_turns_and_each_keeps_its_order() -> None:
    inbox = box()
    notes = [TimeoutNow(Term(n)) for n in range(6)]
    for sender, note in zip([ONE, ONE, ONE, TWO, THREE, TWO], notes, strict=True):
        inbox.put(sender, note, 1)

    assert [(sender, message.term) for sender, message in drained(inbox)] == [
        (ONE, 0),
        (TWO, 3),
        (THREE, 4),
        (ONE, 1),
        (TWO, 5),
        (ONE, 2),
    ]


@pytest.mark.parametrize("bound", ["messages", "bytes"])
def test_who_floods_loses_its_own_messages_only(bound: str) -> None:
    size = 1_000 if bound == "messages" else 16 * 2**20
    inbox = box(inbox_messages_max=10) if bound == "messages" else box()
    inbox.put(TWO, NOTE, 10)
    for _ in range(1_000):
        inbox.put(ONE, NOTE, size)
    inbox.put(THREE, NOTE, 10)
    senders = [sender for sender, _ in drained(inbox)]

    assert (senders.count(TWO), senders.count(THREE)) == (1, 1)
    assert len(senders) == (10 if bound == "messages" else 5)
