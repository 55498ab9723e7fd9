"""What the p2p tests share: identities, a recording handler, networks on loopback, a raw peer."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded, for tests
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from nacl.bindings import crypto_sign_seed_keypair

from p2p.config import P2PConfig
from p2p.errors import LinkLostError, P2PError
from p2p.frames import ACCEPT, FrameReader, Opener, Received, Sealer, session_piece
from p2p.handshake import Dialler, Local
from p2p.identity import Identity
from p2p.network import PeerNetwork
from p2p.transport import WebSocketDialler, WebSocketStream
from p2p.types import KnownPeer, Link, PeerId

NETWORK_ID = bytes(range(32))


def signing_key(number: int) -> bytes:
    key: bytes = crypto_sign_seed_keypair(number.to_bytes(32, "big"))[1]
    return key


def peer_id(number: int) -> PeerId:
    return PeerId(signing_key(number)[32:])


def local(
    number: int,
    link: Link = Link.GOSSIP,
    network_id: bytes = NETWORK_ID,
    static: bytes | None = None,
) -> Local:
    """What identity `number` brings to a handshake; secrets derive from the number."""
    return Local(
        identity=Identity(signing_key(number)),
        network_id=network_id,
        link=link,
        static_secret=static or bytes([number, 1] * 16),
        ephemeral_secret=bytes([number, 2] * 16),
    )


def config(**changes: Any) -> P2PConfig:
    """A configuration for loopback with limits that tests do not meet by accident."""
    values: dict[str, Any] = {
        "network_id": NETWORK_ID,
        "host": "127.0.0.1",
        "port": 0,
        "penalty_initial_s": 0.05,
        "penalty_max_s": 0.1,
        "accept_per_s": 1_000.0,
        "accept_burst": 10_000.0,
        "links_per_s": 1_000.0,
        "links_burst": 10_000.0,
    }
    return P2PConfig(**(values | changes))


class Recorder:
    """A handler that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[PeerId, Link, int, bytes]] = []
        self.events: list[tuple[str, PeerId, Link, str]] = []
        self.on_message_hook: Callable[[int, bytes], Any] | None = None

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        self.events.append(("up", peer, link, ""))

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        self.events.append(("down", peer, link, reason))

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        if self.on_message_hook is not None:
            await self.on_message_hook(kind, body)
        self.messages.append((peer, link, kind, body))

    def downs(self, link: Link | None = None) -> list[str]:
        return [r for what, _, li, r in self.events if what == "down" and link in (None, li)]

    def ups(self, link: Link | None = None) -> int:
        return sum(what == "up" and link in (None, li) for what, _, li, _ in self.events)


class Member:
    """A network with its handler."""

    def __init__(self, number: int, others: Iterable[int], settings: P2PConfig) -> None:
        self.number = number
        self.peer = peer_id(number)
        self.handler = Recorder()
        known = [KnownPeer(peer_id(other), f"node-{other}", None) for other in others]
        self.network = PeerNetwork(
            settings, signing_key(number), known, self.handler, random.Random(number)
        )

    def reaches(self, other: Member) -> bool:
        return all(self.network.connected(other.peer, link) for link in Link)


@asynccontextmanager
async def members(count: int, *, introduce: bool = True, **changes: Any) -> AsyncIterator[Any]:
    """`count` started networks that know one another; with addresses unless told otherwise."""
    numbers = range(1, count + 1)
    settings = config(**changes)
    group = [Member(n, [m for m in numbers if m != n], settings) for n in numbers]
    try:
        for member in group:
            await member.network.start()
        if introduce:
            introduce_all(group)
            await wait_until(lambda: all_connected(group))
        yield group
    finally:
        for member in group:
            await member.network.stop()


def introduce_all(group: list[Member]) -> None:
    for member in group:
        for other in group:
            if other is not member:
                member.network.set_address(other.peer, f"127.0.0.1:{other.network.port}")


def all_connected(group: list[Member]) -> bool:
    return all(m.reaches(o) for m in group for o in group if o is not m)


async def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Turn the loop until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


class RawPeer:
    """A peer without manners: speaks the wire, keeps none of the rules by itself."""

    def __init__(self, stream: WebSocketStream, sealer: Sealer, opener: Opener, link: Link) -> None:
        self.stream = stream
        self.sealer = sealer
        self.opener = opener
        self.reader = FrameReader(link)

    async def send_plain(self, plaintext: bytes) -> None:
        await self.stream.send(self.sealer.seal(plaintext))

    async def receive(self) -> list[Received]:
        return self.reader.feed(self.opener.open(await self.stream.receive()))

    async def ended(self, timeout_s: float = 5.0) -> str:
        """Read on until the other side ends the connection; how it ended."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    await self.stream.receive()
                except P2PError as error:
                    return str(error)


@asynccontextmanager
async def open_stream(port: int, link: Link = Link.GOSSIP) -> AsyncIterator[WebSocketStream]:
    """A WebSocket to a network that has proved nothing yet."""
    dialler = WebSocketDialler(config())
    try:
        stream = await dialler.open(f"127.0.0.1:{port}", link)
        yield stream
        stream.abort()
    finally:
        await dialler.close()
        await asyncio.sleep(0)  # lets the aborted transports close


@asynccontextmanager
async def raw_peer(
    port: int,
    number: int,
    target: int,
    link: Link = Link.GOSSIP,
    static: bytes | None = None,
) -> AsyncIterator[RawPeer]:
    """An authenticated connection of identity `number` to the network of `target`."""
    async with open_stream(port, link) as stream:
        mine = local(number, link, static=static or secrets.token_bytes(32))
        handshake = Dialler(mine, peer_id(target))
        await stream.send(handshake.hello())
        message, keys = handshake.finish(await stream.receive())
        await stream.send(message)
        sealer, opener = Sealer(keys.send_key), Opener(keys.receive_key)
        if opener.open(await stream.receive()) != session_piece(ACCEPT):
            raise LinkLostError("not confirmed")
        yield RawPeer(stream, sealer, opener, link)
