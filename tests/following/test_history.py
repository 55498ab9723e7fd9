"""A node whose head nobody certifies asks for the root that a certified tree had at its size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from typing_extensions import override

from node.following.finality import DivergedError
from node.following.history import ANSWER_MS, STUCK_MS, HistoryCheck
from node.peers.messages import HistoryMessage, HistoryWantedMessage, decode_control, encode_control
from node.system.clock import SystemClock
from tests.following.test_evidence_keeper import Witness
from tests.node.chronicle import Chronicle

PEER = 2


class Hands(SystemClock):
    """A clock that stands until a test turns it."""

    now_ms = 10**6

    @override
    def monotonic_ms(self) -> int:
        return self.now_ms


@dataclass
class Node:
    """One node, with what it asks, answers and concludes."""

    witness: Witness
    clock: Hands = field(default_factory=Hands)
    asked: list[tuple[int, int]] = field(default_factory=list)
    answers: list[HistoryMessage] = field(default_factory=list)
    halts: list[DivergedError] = field(default_factory=list)
    note: str | None = None
    heights: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chronicle = self.witness.chronicle
        self.check = HistoryCheck(
            chronicle.voters,
            self.witness.finality,
            lambda: chronicle.ledger.head,
            chronicle.reader,
            self.clock,
            self.halts.append,
            self,
            lambda: self.note,
        )

    @property
    def peers(self) -> Sequence[int]:
        return tuple(self.heights)

    def final_heights(self) -> Mapping[int, int]:
        return self.heights

    def send(self, number: int, message: msgspec.Struct) -> bool:
        if isinstance(message, HistoryWantedMessage):
            self.asked.append((number, message.size))
        else:
            self.answers.append(_travelled(message))
        return True

    async def later(self, ms: int = STUCK_MS) -> None:
        self.clock.now_ms += ms
        await self.check.step()


def _travelled(message: msgspec.Struct) -> HistoryMessage:
    assert isinstance(message, HistoryMessage)
    again = decode_control(*encode_control(message))
    assert isinstance(again, HistoryMessage)
    return again


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """One that was led astray at the second height, and a peer that is ahead and final."""
    chronicles = [await Chronicle.open(tmp_path / name) for name in ("astray", "ahead")]
    astray, ahead = (Node(Witness.of(chronicle)) for chronicle in chronicles)
    for serial in (1, 9):
        await astray.witness.apply(serial)
    for serial in (1, 2, 3, 4):
        await ahead.witness.apply(serial)
    last = chronicles[1].blocks[-1]
    ahead.note = chronicles[1].certificate(last, (1, 2, 3)).encode()
    astray.heights[PEER] = last.height
    for node in (astray, ahead):
        await node.check.step()
    yield astray, ahead
    for chronicle in chronicles:
        await chronicle.close()


async def answer(astray: Node, ahead: Node) -> HistoryMessage:
    await astray.later()
    ((_, size),) = astray.asked
    ahead.check.want(1, size)
    await ahead.check.step()
    return ahead.answers[-1]


async def test_another_root_at_the_own_size_shows_that_the_node_is_astray(
    nodes: tuple[Node, Node],
) -> None:
    astray, ahead = nodes
    message = await answer(astray, ahead)
    astray.check.receive(PEER, message)
    (halt,) = astray.halts
    assert halt.certificate.encode() == ahead.note
    with pytest.raises(ValueError, match="not asked for"):
        astray.check.receive(PEER, message)


@pytest.mark.parametrize("grows", [False, True])
async def test_an_answer_that_comes_after_the_next_question_costs_an_honest_peer_nothing(
    nodes: tuple[Node, Node], grows: bool
) -> None:
    """Whoever is stuck is busy: answers wait in its socket for longer than its patience."""
    astray, ahead = nodes
    late = await answer(astray, ahead)
    if grows:
        await astray.witness.apply(10)
    await astray.later()
    ahead.check.want(1, astray.asked[-1][1])
    await ahead.later(ANSWER_MS)
    assert len(ahead.answers) == 2
    astray.check.receive(PEER, late)
    astray.check.receive(PEER, ahead.answers[1])
    assert len(astray.halts) == 1
    with pytest.raises(ValueError, match="not asked for"):
        astray.check.receive(PEER, ahead.answers[1])


async def test_who_is_only_behind_in_finality_hears_that_all_is_well(
    nodes: tuple[Node, Node],
) -> None:
    _, ahead = nodes
    ahead.heights[PEER] = 4
    message = await answer(ahead, ahead)
    ahead.check.receive(PEER, message)
    assert ahead.halts == []


async def test_nobody_is_asked_while_heights_become_final_or_peers_are_behind(
    nodes: tuple[Node, Node],
) -> None:
    astray, _ = nodes
    for _ in range(10):
        await astray.later(STUCK_MS // 4)
        astray.witness.finality.final_height += 1
        astray.witness.finality.applied_height += 1
    assert astray.asked == []
    astray.heights[PEER] = 1
    await astray.later()
    await astray.later()
    assert astray.asked == []


async def test_a_false_answer_halts_nobody(nodes: tuple[Node, Node]) -> None:
    astray, ahead = nodes
    true = await answer(astray, ahead)
    replace = msgspec.structs.replace
    chronicle = ahead.witness.chronicle
    few = chronicle.certificate(chronicle.blocks[-1], (1, 2, 3))
    false = (
        replace(true, root=bytes(32)),
        replace(true, path=()),
        replace(true, note=replace(few, cosignatures=few.cosignatures[:2]).encode()),
        replace(true, note=chronicle.certificate(chronicle.blocks[0], (1, 2, 3)).encode()),
        replace(true, size=true.size + 1),
    )
    for message in false:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
            astray.check.receive(PEER, message)
        await astray.later()
    assert astray.halts == []


async def test_answers_have_a_pace_and_are_given_only_where_there_is_one(
    nodes: tuple[Node, Node],
) -> None:
    _, ahead = nodes
    for size in (1, 2, 3):
        ahead.check.want(1, size)
        await ahead.check.step()
    assert [message.size for message in ahead.answers] == [1]
    await ahead.later(ANSWER_MS)
    assert [message.size for message in ahead.answers] == [1, 3]
    for size in (0, 10**6):
        ahead.check.want(1, size)
        await ahead.later(ANSWER_MS)
    assert len(ahead.answers) == 2
    assert HistoryWantedMessage(1).size == 1
