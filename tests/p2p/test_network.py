"""Real networks on loopback: they connect, exchange, lose each other and meet again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random  # noqa: TID251 - seeded
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from p2p.errors import CloseCode, DialError, LinkLostError, LocalProtocolError, RemoteProtocolError
from p2p.handshake import Listener as NoiseListener
from p2p.network import PeerNetwork
from p2p.transport import Listener as WebSocketListener
from p2p.transport import WebSocketDialler, WebSocketStream
from p2p.types import MESSAGE_BYTES_MAX, KnownPeer, Link
from tests.p2p.support import (
    Member,
    Recorder,
    all_connected,
    config,
    introduce_all,
    local,
    members,
    peer_id,
    raw_peer,
    signing_key,
    wait_until,
)


async def test_two_nodes_connect_and_exchange_on_both_links() -> None:
    async with members(2) as (one, two):
        for link in Link:
            assert one.network.send(two.peer, link, 20, b"to two")
            assert two.network.send(one.peer, link, 3, b"to one")
        await wait_until(lambda: len(one.handler.messages) == len(two.handler.messages) == 2)
        assert sorted(two.handler.messages) == [(one.peer, link, 20, b"to two") for link in Link]
        assert sorted(one.handler.messages) == [(two.peer, link, 3, b"to one") for link in Link]
        await wait_until(lambda: one.network.statuses()[0].rtt_ms is not None)
        (status,) = one.network.statuses()
        assert (status.peer, status.name, status.connected) == (two.peer, "node-2", True)
        assert 0 < (status.rtt_ms or 0) < 5_000


async def test_stopping_says_goodbye_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with members(3) as (one, two, three):
        await one.network.stop()
        await wait_until(lambda: len(two.handler.downs()) == len(three.handler.downs()) == 2)
        assert two.handler.downs() == ["closed by peer: stopping"] * 2
        assert not one.network.send(two.peer, Link.RAFT, 0, b"late")
        assert two.reaches(three)
    await wait_until(lambda: asyncio.all_tasks() == before)
    for member in (one, two, three):
        assert member.handler.ups() == len(member.handler.downs())


async def test_messages_of_every_size_arrive_in_order() -> None:
    rng = random.Random(3)
    async with members(2) as (one, two):
        sizes = [0, 1, 300, 1_023, 65_531, 65_532, 65_533, 131_072, 1_000_000, MESSAGE_BYTES_MAX]
        sizes += [rng.randrange(3_000) for _ in range(500)]
        sent = [size.to_bytes(4, "big")[:size] + bytes(max(0, size - 4)) for size in sizes]
        for link in Link:
            for body in sent:
                assert one.network.send(two.peer, link, 200, body)
        await wait_until(lambda: len(two.handler.messages) == 2 * len(sent))
        for link in Link:
            assert [b for _, li, _, b in two.handler.messages if li is link] == sent


async def test_messages_that_cannot_be_sent_are_refused() -> None:
    async with members(2) as (one, two):
        with pytest.raises(LocalProtocolError):
            one.network.send(two.peer, Link.RAFT, 0, bytes(MESSAGE_BYTES_MAX + 1))
        with pytest.raises(LocalProtocolError):
            one.network.send(two.peer, Link.RAFT, 256, b"")
        assert not one.network.send(peer_id(9), Link.RAFT, 0, b"to a stranger")
        assert one.reaches(two)


async def test_three_nodes_form_a_mesh_and_survive_the_loss_of_one() -> None:
    async with members(3) as group:
        one, two, three = group
        await three.network.stop()
        await wait_until(lambda: not one.reaches(three) and not two.reaches(three))
        again = Member(3, [1, 2], config(port=three.network.port))
        await again.network.start()
        try:
            introduce_all([one, two, again])
            await wait_until(lambda: all_connected([one, two, again]))
            assert again.network.send(one.peer, Link.GOSSIP, 16, b"back")
            await wait_until(lambda: one.handler.messages)
        finally:
            await again.network.stop()


async def test_a_blocked_handler_holds_up_its_own_link_only() -> None:
    async with members(2) as (one, two):
        free = asyncio.Event()

        async def hold(kind: int, body: bytes) -> None:
            if kind == 20:
                await free.wait()

        two.handler.on_message_hook = hold
        for number in range(3):
            one.network.send(two.peer, Link.GOSSIP, 20, bytes([number]))
        one.network.send(two.peer, Link.RAFT, 0, b"through")
        await wait_until(lambda: two.handler.messages)
        assert two.handler.messages == [(one.peer, Link.RAFT, 0, b"through")]
        free.set()
        await wait_until(lambda: len(two.handler.messages) == 4)


async def test_a_long_record_of_messages_does_not_hold_the_loop() -> None:
    async with members(2) as (one, two):
        loop = asyncio.get_running_loop()

        async def work(kind: int, body: bytes) -> None:
            until = loop.time() + 0.001
            while loop.time() < until:
                pass

        two.handler.on_message_hook = work
        for _ in range(300):
            one.network.send(two.peer, Link.GOSSIP, 20, b"")
        turns = 0
        while len(two.handler.messages) < 300:
            await asyncio.sleep(0)
            turns += bool(two.handler.messages)
        assert turns >= 20, "300 ms of work in slices of 5 ms"


async def test_a_full_queue_says_so_and_empties_again() -> None:
    async with members(2) as (one, two):
        body = bytes(1_000_000)
        for link, queue_max in ((Link.GOSSIP, 8 << 20), (Link.RAFT, 16 << 20)):
            accepted = 0
            while one.network.send(two.peer, link, 20, body):
                accepted += 1
            assert accepted * len(body) <= queue_max
        assert one.network.statuses()[0].queued_bytes > 20_000_000
        await wait_until(lambda: one.network.statuses()[0].queued_bytes == 0)
        assert one.network.send(two.peer, Link.GOSSIP, 20, body)


async def test_a_rule_broken_at_the_handler_closes_the_link_and_it_comes_back_later() -> None:
    async with members(2) as (one, two):

        async def refuse(kind: int, body: bytes) -> None:
            if body == b"bad":
                raise RemoteProtocolError("no honest peer sends this")

        two.handler.on_message_hook = refuse
        one.network.send(two.peer, Link.GOSSIP, 20, b"bad")
        await wait_until(two.handler.downs)
        assert two.handler.downs() == ["no honest peer sends this"]
        await wait_until(one.handler.downs)
        await wait_until(lambda: one.reaches(two) and two.reaches(one))
        assert two.handler.downs(Link.RAFT) == []


async def test_a_rule_found_broken_later_costs_the_link_once() -> None:
    async with members(2, penalty_initial_s=0.3, penalty_max_s=5.0) as (one, two):
        for _ in range(50):  # all in one message: it was judged after it was taken
            two.network.strike(one.peer, Link.RAFT, "forged")
        await wait_until(two.handler.downs)
        assert two.handler.downs() == ["forged"]
        await wait_until(one.handler.downs)
        assert one.handler.downs() == ["closed by peer: forged"]
        assert not two.network.connected(one.peer, Link.RAFT)
        assert [status.strikes for status in two.network.statuses()] == [1]
        await wait_until(lambda: one.reaches(two) and two.reaches(one))
        assert two.handler.downs() == ["forged"], "the other link has stayed"


async def test_who_has_gone_first_is_not_spared() -> None:
    two = Member(2, [1], config(penalty_initial_s=30.0))
    await two.network.start()
    try:
        async with raw_peer(two.network.port, 1, 2):
            await wait_until(two.handler.ups)
        await wait_until(two.handler.downs)
        two.network.strike(peer_id(1), Link.GOSSIP, "forged")
        with pytest.raises(LinkLostError, match=str(CloseCode.PENALISED.value)):
            async with raw_peer(two.network.port, 1, 2):
                pass
        assert two.network.statuses()[0].strikes == 1
    finally:
        await two.network.stop()


async def test_a_member_that_comes_and_goes_is_paced_and_nobody_else_waits() -> None:
    two = Member(2, [1, 3], config(links_per_s=2.0, links_burst=5.0))
    await two.network.start()
    loop = asyncio.get_running_loop()
    began, refusals = loop.time(), []
    try:
        for _ in range(60):
            try:
                async with raw_peer(two.network.port, 1, 2):
                    pass
            except LinkLostError as error:
                refusals.append(str(error))
        allowed = 5 + 2 * (loop.time() - began) + 1
        assert 5 <= two.handler.ups() <= allowed
        assert two.handler.ups() + len(refusals) == 60
        assert all(str(CloseCode.PENALISED.value) in refusal for refusal in refusals)
        before = two.handler.ups()
        async with raw_peer(two.network.port, 3, 2):
            await wait_until(lambda: two.handler.ups() == before + 1)
        await asyncio.sleep(0.6)  # it comes in again at its pace
        async with raw_peer(two.network.port, 1, 2):
            await wait_until(lambda: two.handler.ups() == before + 2)
    finally:
        await two.network.stop()


async def test_a_bug_in_the_handler_closes_the_link_not_the_node() -> None:
    async with members(2) as (one, two):

        async def fail(kind: int, body: bytes) -> None:
            raise ZeroDivisionError

        two.handler.on_message_hook = fail
        one.network.send(two.peer, Link.GOSSIP, 20, b"x")
        await wait_until(two.handler.downs)
        assert two.handler.downs() == ["internal error: ZeroDivisionError"]
        two.handler.on_message_hook = None
        await wait_until(lambda: one.reaches(two) and two.reaches(one))


async def test_disconnect_closes_both_links_and_the_peer_may_return() -> None:
    async with members(2) as (one, two):
        one.network.disconnect(two.peer, "for a test")
        assert not one.network.connected(two.peer, Link.GOSSIP)
        assert one.handler.downs() == ["for a test"] * 2
        await wait_until(lambda: len(two.handler.downs()) == 2)
        await wait_until(lambda: one.reaches(two) and two.reaches(one))


@pytest.mark.parametrize("seed", range(12))
async def test_crossing_dials_leave_exactly_one_link_and_no_flapping(seed: int) -> None:
    rng = random.Random(seed)
    async with members(2, introduce=False) as group:
        one, two = group
        first, second = (one, two) if rng.random() < 0.5 else (two, one)
        first.network.set_address(second.peer, f"127.0.0.1:{second.network.port}")
        await asyncio.sleep(rng.random() * 0.006)
        second.network.set_address(first.peer, f"127.0.0.1:{first.network.port}")
        await wait_until(lambda: all_connected(group))
        await asyncio.sleep(0.05)
        assert all_connected(group)
        for member in group:
            assert member.handler.downs() == []
            assert member.handler.ups() == 2
        one.network.send(two.peer, Link.RAFT, 0, b"x")
        await wait_until(lambda: two.handler.messages)


class HesitantPeer:
    """A peer that is dialled, takes the whole handshake, and does not confirm."""

    def __init__(self, number: int, static: bytes) -> None:
        self._local = local(number, static=static)
        self.dialled = 0
        self._listener = WebSocketListener(config(), self._serve)

    async def _serve(self, stream: WebSocketStream, link: Link, let_in: object) -> None:
        if link is Link.GOSSIP:
            handshake = NoiseListener(self._local, {peer_id(1), peer_id(2)})
            await stream.send(handshake.answer(await stream.receive()))
            handshake.finish(await stream.receive())
            self.dialled += 1
            with contextlib.suppress(LinkLostError):
                await stream.receive()

    async def __aenter__(self) -> HesitantPeer:
        await self._listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.port}"


STATIC, RESTARTED = b"\x21" * 32, b"\x22" * 32


@pytest.mark.parametrize(
    ("mine", "theirs", "static", "accepted"),
    [
        pytest.param("lower", "higher", STATIC, False, id="the lower keeps its own dial"),
        pytest.param("higher", "lower", STATIC, True, id="the higher takes the other's"),
        pytest.param("lower", "higher", RESTARTED, True, id="a restarted process is no crossing"),
    ],
)
async def test_of_two_crossing_dials_the_one_by_the_lower_identity_stays(
    mine: str, theirs: str, static: bytes, accepted: bool
) -> None:
    numbers = sorted((1, 2), key=peer_id)
    by_rank = {"lower": numbers[0], "higher": numbers[1]}
    me, other = by_rank[mine], by_rank[theirs]
    member = Member(me, [other], config())
    await member.network.start()
    try:
        async with HesitantPeer(other, STATIC) as peer:
            member.network.set_address(peer_id(other), peer.address)
            await wait_until(lambda: peer.dialled)
            if accepted:
                async with raw_peer(member.network.port, other, me, static=static):
                    await wait_until(lambda: member.handler.ups() == 1)
            else:
                with pytest.raises(LinkLostError, match=str(CloseCode.REPLACED.value)):
                    async with raw_peer(member.network.port, other, me, static=static):
                        pass
                assert member.handler.events == []
    finally:
        await member.network.stop()


async def test_a_restarted_process_replaces_its_stale_link() -> None:
    settings = config()
    two = Member(2, [1], settings)
    await two.network.start()
    one = Member(1, [2], settings)
    try:
        async with raw_peer(two.network.port, 1, 2):
            await wait_until(lambda: two.handler.ups() == 1)
            await one.network.start()
            one.network.set_address(two.peer, f"127.0.0.1:{two.network.port}")
            await wait_until(lambda: one.reaches(two) and two.reaches(one))
            assert two.handler.downs() == ["replaced by a new connection"]
            on_gossip = [what for what, _, link, _ in two.handler.events if link is Link.GOSSIP]
            assert on_gossip == ["up", "down", "up"]
    finally:
        await one.network.stop()
        await two.network.stop()


async def test_a_dialler_that_meets_another_member_goes_away() -> None:
    settings = config()
    one, three = Member(1, [2], settings), Member(3, [1], settings)
    await three.network.start()
    await one.network.start()
    try:
        one.network.set_address(peer_id(2), f"127.0.0.1:{three.network.port}")
        await wait_until(lambda: "in place of" in str(one.network.statuses()[0].last_error))
        assert not one.handler.events
        assert not three.handler.events
    finally:
        await one.network.stop()
        await three.network.stop()


async def test_nodes_of_two_networks_do_not_connect() -> None:
    one, two = Member(1, [2], config()), Member(2, [1], config(network_id=b"\xff" * 32))
    await one.network.start()
    await two.network.start()
    try:
        introduce_all([one, two])
        await wait_until(lambda: one.network.statuses()[0].last_error)
        await asyncio.sleep(0.2)
        assert not one.handler.events
        assert not two.handler.events
    finally:
        await one.network.stop()
        await two.network.stop()


async def test_an_unknown_identity_is_closed_with_4401() -> None:
    async with members(2) as (one, _):
        with pytest.raises(LinkLostError, match=str(CloseCode.UNKNOWN_IDENTITY.value)):
            async with raw_peer(one.network.port, 9, 1):
                pass
        assert one.handler.ups() == 2, "only those of the known peer"


# --- kill -9 ---------------------------------------------------------------------------------

CHILD = """
import asyncio, random, sys
from p2p.handshake import Listener as NoiseListener
from p2p.network import PeerNetwork
from p2p.transport import Listener as WebSocketListener
from p2p.transport import WebSocketStream
from p2p.types import KnownPeer
from tests.p2p.support import Recorder, config, peer_id, signing_key

async def main():
    number, other, port, other_port = map(int, sys.argv[1:])
    known = [KnownPeer(peer_id(other), "other", f"127.0.0.1:{other_port}" if other_port else None)]
    network = PeerNetwork(
        config(port=port), signing_key(number), known, Recorder(), random.Random(1))
    await network.start()
    print(network.port, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def spawn(number: int, other: int, port: int, other_port: int) -> tuple[Process, int]:
    arguments = map(str, (number, other, port, other_port))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, *arguments, stdout=PIPE, env={**os.environ}
    )
    assert child.stdout is not None
    return child, int(await child.stdout.readline())


@pytest.mark.parametrize(("mine", "theirs"), [(1, 2), (2, 1)], ids=["higher dies", "lower dies"])
@pytest.mark.parametrize("child_dials", [True, False])
async def test_a_killed_node_is_connected_soon_after_its_restart(
    mine: int, theirs: int, child_dials: bool
) -> None:
    """Whoever has the lower identity, and whichever side knows an address to dial."""
    handler = Recorder()
    network = PeerNetwork(
        config(),
        signing_key(mine),
        [KnownPeer(peer_id(theirs), "child", None)],
        handler,
        random.Random(2),
    )
    await network.start()
    child, port = await spawn(theirs, mine, 0, network.port)
    network.set_address(peer_id(theirs), f"127.0.0.1:{port}")
    loop = asyncio.get_running_loop()
    try:
        await wait_until(lambda: all(network.connected(peer_id(theirs), link) for link in Link))
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await wait_until(lambda: len(handler.downs()) == 2)
        await asyncio.sleep(0.7)  # dials fail meanwhile, so their waits have grown
        child, _ = await spawn(theirs, mine, port, network.port if child_dials else 0)
        listening = loop.time()
        await wait_until(lambda: all(network.connected(peer_id(theirs), link) for link in Link))
        assert loop.time() - listening < (1.0 if child_dials else 2.5)
    finally:
        child.kill()
        await child.wait()
        await network.stop()


async def test_a_handler_that_was_busy_for_long_does_not_cost_the_peer_its_link() -> None:
    """The pings of that time are all read at once afterwards, and so are late answers."""
    async with members(2, tick_s=0.02) as (one, two):
        gate = asyncio.Event()

        async def wait(_kind: int, _body: bytes) -> None:
            await gate.wait()

        two.handler.on_message_hook = wait
        assert one.network.send(two.peer, Link.GOSSIP, 20, b"work")
        await asyncio.sleep(1.2)  # 60 ticks: a minute at the default pace
        gate.set()
        await wait_until(lambda: len(two.handler.messages) == 1)
        assert one.network.send(two.peer, Link.GOSSIP, 20, b"more")
        await wait_until(lambda: len(two.handler.messages) == 2)
        assert one.handler.downs() == two.handler.downs() == []


async def test_the_dialler_follows_no_redirect() -> None:
    visited: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        visited.append(head.split(b" ")[1].decode())
        port = writer.get_extra_info("sockname")[1]
        writer.write(
            b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
            b"Location: http://127.0.0.1:%d/elsewhere\r\n\r\n" % port
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        dialler = WebSocketDialler(config())
        with pytest.raises(DialError, match="redirect"):
            await dialler.open(f"127.0.0.1:{port}", Link.RAFT)
        await dialler.close()
    assert len(visited) == 1
