"""The vocabulary of the package: identities, links, what an embedder supplies. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, Protocol

PeerId = NewType("PeerId", bytes)
"""The Ed25519 public key (32 bytes) that identifies a peer."""
ItemId = NewType("ItemId", bytes)
"""The 32-byte name of a gossiped item; the embedder derives it from the item's content."""

ID_BYTES = 32
KIND_MAX = 255
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""The largest body that either link carries; a receiver reassembles at most this much per lane."""
URGENT_KINDS = 16
"""On the gossip link, kinds below this overtake the others."""


class Link(IntEnum):
    """The two connections between a pair of peers. Each has its own socket, task and queue."""

    GOSSIP = 0
    RAFT = 1


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """A peer that may connect."""

    peer: PeerId
    name: str
    address: str | None
    """`host:port` to dial; None when the peer is only ever expected to dial us."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A snapshot of what is known of one peer's links."""

    peer: PeerId
    name: str
    connected: bool
    """Both links are up."""
    gossip: bool
    raft: bool
    rtt_ms: float | None
    """The newest round trip, of the gossip link when it is up, else of the Raft link."""
    queued_bytes: int
    """Bytes waiting to be sent on both links."""
    last_error: str | None
    """Why the newest link went down or the newest dial failed; None before the first."""
    strikes: int
    """How often it broke the rules since this node started."""


class PeerHandler(Protocol):
    """What the embedder does with links and messages. Called from the event loop only."""

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        """An authenticated link is open: `send` works from here on."""
        ...

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        """The link is gone; no message of it is delivered afterwards."""
        ...

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        """Take one message. The next message of this link waits until this returns.

        Cancelled when the link goes down meanwhile.

        Raises:
            RemoteProtocolError: no honest peer sends this; the link is closed.
        """
        ...


class Rng(Protocol):
    """Randomness for jitter and for choosing among peers; never for keys."""

    def randrange(self, start: int, stop: int, /) -> int:
        """A number in [start, stop)."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...
