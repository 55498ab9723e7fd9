"""Guests on real networks: whom nobody knows beforehand, on the gossip link only, and not many."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from p2p.errors import LinkLostError, P2PError, RemoteProtocolError
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, Link
from tests.p2p.support import Recorder, config, peer_id, raw_peer, signing_key, wait_until

HOST = 1


def is_gone(party: Party, number: int) -> bool:
    return not party.network.connected(peer_id(number), Link.GOSSIP)


class Party:
    """A network of one identity, and what it heard."""

    def __init__(self, number: int, peers: list[KnownPeer], **changes: Any) -> None:
        self.peer = peer_id(number)
        self.handler = Recorder()
        self.network = PeerNetwork(
            config(**changes), signing_key(number), peers, self.handler, random.Random(number)
        )


@asynccontextmanager
async def host(guests_max: int = 2, **changes: Any) -> AsyncIterator[Party]:
    party = Party(HOST, [KnownPeer(peer_id(9), "node-9", None)], guests_max=guests_max, **changes)
    await party.network.start()
    try:
        yield party
    finally:
        await party.network.stop()


@asynccontextmanager
async def guest(number: int, of: Party) -> AsyncIterator[Party]:
    known = KnownPeer(of.peer, "host", f"127.0.0.1:{of.network.port}")
    party = Party(number, [known], links=(Link.GOSSIP,), listens=False)
    await party.network.start()
    try:
        yield party
    finally:
        await party.network.stop()


async def test_a_guest_that_listens_nowhere_has_a_gossip_link_and_no_other() -> None:
    async with host() as one, guest(2, one) as two:
        await wait_until(lambda: one.network.connected(two.peer, Link.GOSSIP))
        await wait_until(lambda: two.network.statuses()[0].connected)
        assert one.network.send(two.peer, Link.GOSSIP, 20, b"welcome")
        assert two.network.send(one.peer, Link.GOSSIP, 3, b"thanks")
        await wait_until(lambda: one.handler.messages and two.handler.messages)
        assert one.handler.messages == [(two.peer, Link.GOSSIP, 3, b"thanks")]
        assert not one.network.connected(two.peer, Link.RAFT)
        assert [status.name for status in one.network.statuses()] == ["node-9"]
        with pytest.raises(P2PError):
            async with raw_peer(one.network.port, 3, HOST, Link.RAFT):
                pass
        one.network.disconnect(two.peer, "enough")
        await wait_until(lambda: "closed by peer: enough" in two.handler.downs())


async def test_without_guests_a_stranger_is_refused() -> None:
    async with host(guests_max=0) as one:
        with pytest.raises(P2PError):
            async with raw_peer(one.network.port, 2, HOST):
                pass
        assert one.handler.events == []


async def test_there_is_no_room_for_more_than_so_many_until_one_goes() -> None:
    async with host(guests_max=2) as one:
        async with raw_peer(one.network.port, 2, HOST), raw_peer(one.network.port, 3, HOST):
            for _ in range(20):  # what is refused leaves nothing behind
                with pytest.raises(P2PError):
                    async with raw_peer(one.network.port, 4, HOST):
                        pass
            async with raw_peer(one.network.port, 2, HOST):  # its own newer connection
                assert one.handler.downs() == ["replaced by a new connection"]
        await wait_until(lambda: len(one.handler.downs()) == 3)
        async with raw_peer(one.network.port, 4, HOST):
            pass


async def test_a_guest_that_breaks_the_rules_waits_and_is_remembered_among_many() -> None:
    async with host(guests_max=2, penalty_initial_s=60.0, penalty_max_s=60.0) as one:

        async def refuse(_: int, __: bytes) -> None:
            raise RemoteProtocolError("no honest guest says this")

        one.handler.on_message_hook = refuse
        async with guest(2, one) as two:
            await wait_until(lambda: two.network.send(one.peer, Link.GOSSIP, 3, b"x"))
            await wait_until(one.handler.downs)
        one.handler.on_message_hook = None
        for number in range(10, 20):
            async with raw_peer(one.network.port, number, HOST):
                pass
            await wait_until(partial(is_gone, one, number))
        with pytest.raises((LinkLostError, P2PError)):
            async with raw_peer(one.network.port, 2, HOST):
                pass


async def test_places_of_guests_that_are_gone_do_not_pile_up() -> None:
    async with host(guests_max=2) as one:
        for number in range(10, 60):
            async with raw_peer(one.network.port, number, HOST):
                pass
        kept = one.network._guests._places
        assert len(kept) <= 2 * 8 + 2
