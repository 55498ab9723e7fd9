"""Who takes which message, what it costs, and what becomes of one that nobody should send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from node.chain.certificate import CertificateError
from node.chain.voters import VoterSet
from node.peers.messages import (
    BLOCKS_BYTES_MAX,
    DishonestError,
    HistoryWantedMessage,
    Kind,
    QuestionMessage,
    encode_control,
)
from node.peers.router import RAFT_MESSAGE, Router
from node.system.clock import SystemClock
from p2p.errors import RemoteProtocolError
from p2p.network import PeerNetwork
from p2p.types import Link, PeerId
from tests.chain.network import make_genesis

VOTERS = VoterSet.from_genesis(make_genesis())
ME, PEER = 0, 2
ID = PeerId(VOTERS.voters[PEER].identity_key)
ASKED = HistoryWantedMessage(7)
OFFER = 20
"""A kind that no part of the node has: an application's."""


class Offer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message of an application."""

    price: int


class Network:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[PeerId, Link, int, bytes]] = []

    def send(self, peer: PeerId, link: Link, kind: int, body: bytes) -> bool:
        self.sent.append((peer, link, kind, body))
        return True


class Fixture:
    """A router over a network that only keeps what is sent."""

    def __init__(self) -> None:
        self.network = Network()
        self.heard: list[tuple[int, object]] = []
        self.router = Router(VOTERS, ME, SystemClock(), lambda _: cast("PeerNetwork", self.network))

    def take(self, number: int, message: object) -> None:
        self.heard.append((number, message))

    async def say(self, kind: int, body: bytes, link: Link = Link.GOSSIP) -> None:
        await self.router.on_message(ID, link, kind, body)


@pytest.fixture
def at() -> Fixture:
    return Fixture()


def take_history(at: Fixture, handler: Callable[[int, HistoryWantedMessage], object]) -> None:
    at.router.on(Kind.HISTORY_WANTED, HistoryWantedMessage, handler, price=3.0)


async def test_a_message_reaches_the_part_that_registered_for_it(at: Fixture) -> None:
    take_history(at, at.take)
    at.router.on(OFFER, Offer, at.take, price=1.0)
    await at.say(*encode_control(ASKED))
    await at.say(OFFER, msgspec.msgpack.encode(Offer(5)))
    assert at.heard == [(PEER, ASKED), (PEER, Offer(5))]


async def test_a_kind_that_nobody_registered_for_is_refused(at: Fixture) -> None:
    at.router.on_raft(at.take)
    with pytest.raises(RemoteProtocolError, match=r"^unknown kind 10$"):
        await at.say(*encode_control(ASKED))
    with pytest.raises(RemoteProtocolError, match=r"^unknown kind 20 on the gossip link$"):
        await at.say(OFFER, b"")
    with pytest.raises(RemoteProtocolError, match=r"^unknown kind 1 on the raft link$"):
        await at.say(1, b"", Link.RAFT)
    with pytest.raises(RemoteProtocolError, match="unknown kind"):
        await at.say(RAFT_MESSAGE, b"")
    assert at.heard == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xc1", "MessagePack data is malformed"),
        (b"", "Input data was truncated"),
        (msgspec.msgpack.encode([-1]), "Expected `int` >= 0"),
        (msgspec.msgpack.encode([1, 2]), "at most length 1"),
        (bytes(BLOCKS_BYTES_MAX + 1), f"{BLOCKS_BYTES_MAX + 1} bytes are too many"),
    ],
)
async def test_a_malformed_body_closes_the_link_and_reaches_nobody(
    at: Fixture, body: bytes, reason: str
) -> None:
    take_history(at, at.take)
    with pytest.raises(RemoteProtocolError, match=reason):
        await at.say(Kind.HISTORY_WANTED, body)
    assert at.heard == []


@pytest.mark.parametrize("error", [DishonestError("it lies"), CertificateError("it lies")])
async def test_what_no_honest_node_sends_closes_the_link_with_its_reason(
    at: Fixture, error: Exception
) -> None:
    def judge(*_: object) -> None:
        raise error

    take_history(at, judge)
    at.router.on_raft(judge)
    with pytest.raises(RemoteProtocolError, match=r"^it lies$"):
        await at.say(*encode_control(ASKED))
    with pytest.raises(RemoteProtocolError, match=r"^it lies$"):
        await at.say(RAFT_MESSAGE, b"", Link.RAFT)


async def test_a_fault_of_a_part_is_no_fault_of_the_peer(at: Fixture) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a bug")

    take_history(at, fail)
    with pytest.raises(ValueError, match="a bug"):
        await at.say(*encode_control(ASKED))


async def test_a_message_is_paid_for_before_it_is_decoded(
    at: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid: list[tuple[int, float]] = []

    async def pay(peer: int, price: float) -> None:
        paid.append((peer, price))

    monkeypatch.setattr(at.router.allowance, "pay", pay)
    take_history(at, at.take)
    with pytest.raises(RemoteProtocolError):
        await at.say(Kind.HISTORY_WANTED, b"\xc1")
    assert paid == [(PEER, 3.0)]


@pytest.mark.parametrize(
    "again",
    [
        lambda router, take: router.on(Kind.HISTORY_WANTED, Offer, take, price=1.0),
        lambda router, take: router.on(OFFER, HistoryWantedMessage, take, price=1.0),
        lambda router, take: router.on(Kind.QUESTION, Offer, take, price=1.0),
        lambda router, take: router.on_bytes(Kind.HISTORY_WANTED, take),
    ],
)
def test_a_kind_has_one_shape_and_one_handler(at: Fixture, again: Callable[..., Any]) -> None:
    take_history(at, at.take)
    with pytest.raises(ValueError, match="kind"):
        again(at.router, at.take)


async def test_bytes_are_handed_over_as_they_are_and_waited_for(at: Fixture) -> None:
    async def slowly(number: int, body: bytes) -> None:
        at.take(number, body)

    at.router.on_bytes(17, slowly)
    at.router.on_raft(at.take)
    await at.say(17, b"\xc1")
    await at.say(RAFT_MESSAGE, b"raft", Link.RAFT)
    assert at.heard == [(PEER, b"\xc1"), (PEER, b"raft")]


async def test_listeners_hear_of_gossip_links_in_their_order(at: Fixture) -> None:
    heard: list[tuple[str, int]] = []

    def listener(name: str) -> Callable[[int], None]:
        return lambda number: heard.append((name, number))

    for name in ("first", "second"):
        at.router.when_up(listener(f"{name} up"))
        at.router.when_down(listener(f"{name} down"))
    for link in Link:
        at.router.on_link_up(ID, link)
    for link in Link:
        at.router.on_link_down(ID, link, "gone")
    names: Sequence[str] = ("first up", "second up", "first down", "second down")
    assert heard == [(name, PEER) for name in names]


def test_a_message_is_sent_under_the_kind_of_its_shape(at: Fixture) -> None:
    take_history(at, at.take)
    at.router.on(Kind.QUESTION, QuestionMessage, at.take, price=0.5)
    assert at.router.send(PEER, ASKED)
    assert at.network.sent == [(ID, Link.GOSSIP, *encode_control(ASKED))]
    at.network.sent.clear()
    question = QuestionMessage(bytes(16))
    at.router.broadcast(question)
    assert [peer for peer, *_ in at.network.sent] == [
        PeerId(VOTERS.voters[number].identity_key) for number in at.router.peers
    ]
    assert {tuple(rest) for _, *rest in at.network.sent} == {
        (Link.GOSSIP, *encode_control(question))
    }
    assert at.router.peers == (1, 2, 3)
