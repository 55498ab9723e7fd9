"""Guests of a node: whose they are comes first, and they may say little."""

from __future__ import annotations

from typing import Any

import pytest

from node.custody.credentials import Credentials, credential
from node.following.participants import Participants
from node.ledger.signing import public_key, secret_key
from node.peers.guests import OF_ONE_MAX, STRANGERS_MAX, GuestLinks
from node.peers.messages import (
    SHAPES,
    DishonestError,
    Kind,
    ObserverMessage,
    StatusMessage,
    encode_control,
)
from node.system.clock import SystemClock
from p2p.errors import RemoteProtocolError
from p2p.types import Link, PeerId
from tests.chain.network import AUTHOR, make_genesis, seed

NETWORK = bytes(range(32))
AUTHOR_KEY = secret_key(seed("author/signing"))


class Wire:
    """What guests are sent, and who is shown out."""

    def __init__(self) -> None:
        self.sent: list[tuple[PeerId, int]] = []
        self.out: list[tuple[PeerId, str]] = []

    def send(self, peer: PeerId, link: Link, kind: int, body: bytes) -> bool:
        assert link is Link.GOSSIP
        self.sent.append((peer, kind))
        return True

    def rtt_ms(self, peer: PeerId) -> float | None:
        return 1.0

    def disconnect(self, peer: PeerId, reason: str) -> None:
        self.out.append((peer, reason))


class House:
    """A node with guests."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.participants = Participants(make_genesis())
        self.guests = GuestLinks(SystemClock(), lambda: self.wire)
        self.guests.judge_by(Credentials(NETWORK, self.participants))
        self.heard: list[tuple[int, Any]] = []
        self.ups: list[int] = []
        self.downs: list[int] = []
        self.guests.on(
            Kind.STATUS, StatusMessage, lambda *heard: self.heard.append(heard), price=0.5
        )
        self.guests.when_up(self.ups.append)
        self.guests.when_down(self.downs.append)

    async def say(self, peer: PeerId, message: Any) -> None:
        await self.guests.on_message(peer, *encode_control(message))

    async def let_in(self, number: int) -> PeerId:
        peer = peer_of(number)
        self.guests.link_up(peer)
        await self.say(peer, credential(NETWORK, peer, AUTHOR, [AUTHOR_KEY]))
        return peer


def peer_of(number: int) -> PeerId:
    return PeerId(public_key(seed(f"guest {number}")))


STATUS = StatusMessage(1, 1, work=False, time_ms=1)


async def test_a_guest_says_whose_node_it_is_and_is_heard_then() -> None:
    house = House()
    peer = await house.let_in(1)
    await house.say(peer, STATUS)
    (number,) = house.ups
    assert house.heard == [(number, STATUS)]
    assert house.guests.participants() == (AUTHOR,)
    house.guests.broadcast(STATUS)
    assert house.wire.sent == [(peer, Kind.STATUS)]
    house.guests.link_down(peer)
    assert (house.downs, house.guests.participants()) == ([number], ())
    assert not house.guests.send(number, STATUS)


@pytest.mark.parametrize("kind", [kind for kind in SHAPES if kind != Kind.OBSERVER] + [16, 32, 200])
async def test_nothing_else_comes_first(kind: int) -> None:
    house = House()
    house.guests.link_up(peer_of(1))
    with pytest.raises(RemoteProtocolError, match="whose node it is"):
        await house.guests.on_message(peer_of(1), kind, b"\x90")
    assert house.heard == []


@pytest.mark.parametrize(
    "kind",
    [Kind.COSIGNED, Kind.CERTIFICATE, Kind.BLOCKS, Kind.QUESTION, Kind.ANSWER, Kind.OBSERVER, 99],
)
async def test_a_guest_has_no_business_with_what_voters_say(kind: int) -> None:
    house = House()
    peer = await house.let_in(1)
    with pytest.raises(RemoteProtocolError, match="no business"):
        await house.guests.on_message(peer, kind, b"\x90")


async def test_a_credential_that_its_key_did_not_sign_is_dishonest() -> None:
    house = House()
    others = credential(NETWORK, peer_of(2), AUTHOR, [AUTHOR_KEY])
    for peer, shown in (
        (peer_of(1), others),  # of another node
        (peer_of(1), credential(bytes(32), peer_of(1), AUTHOR, [AUTHOR_KEY])),  # another network
    ):
        house.guests.link_up(peer)
        with pytest.raises(DishonestError):
            await house.say(peer, shown)
        house.guests.link_down(peer)
    assert house.ups == []


async def test_who_is_not_known_here_goes_without_blame() -> None:
    """This node may be behind, or the participant be admitted in the next block."""
    house = House()
    stranger = secret_key(seed("stranger"))
    for participant, key in (("91310115337099624K", stranger), (AUTHOR, stranger)):
        peer = peer_of(1)
        house.guests.link_up(peer)
        await house.say(peer, credential(NETWORK, peer, participant, [key]))
        house.guests.link_down(peer)
    reasons = [reason for _, reason in house.wire.out]
    assert reasons == [
        "91310115337099624K is no participant yet",
        f"no live key of {AUTHOR} vouches for this node",
    ]
    assert house.ups == house.downs == []


async def test_one_participant_has_only_so_many_nodes_here() -> None:
    house = House()
    for number in range(OF_ONE_MAX + 1):
        await house.let_in(number)
    assert house.wire.out == [
        (peer_of(OF_ONE_MAX), f"{OF_ONE_MAX} nodes of {AUTHOR} are here already")
    ]
    assert len(house.guests.peers) == OF_ONE_MAX


async def test_who_holds_links_open_keeps_nobody_out() -> None:
    house = House()
    strangers = [peer_of(number) for number in range(STRANGERS_MAX)]
    for peer in strangers:
        house.guests.link_up(peer)
    assert house.wire.out == []
    await house.let_in(99)
    assert house.wire.out == [(strangers[0], "others wait, too")]
    assert house.guests.participants() == (AUTHOR,)


async def test_a_key_beside_the_live_one_does_no_harm_and_too_many_are_malformed() -> None:
    house, peer = House(), peer_of(1)
    older = [secret_key(seed(f"older {n}")) for n in range(9)]
    shown = credential(NETWORK, peer, AUTHOR, [*older, AUTHOR_KEY])
    assert len(shown.signatures) == 4
    house.guests.link_up(peer)
    await house.say(peer, shown)
    assert house.guests.participants() == (AUTHOR,)
    many = ObserverMessage(AUTHOR, shown.signatures * 2)
    house.guests.link_up(peer_of(2))
    with pytest.raises(DishonestError):
        await house.say(peer_of(2), many)
