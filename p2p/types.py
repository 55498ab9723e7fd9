"""The vocabulary of the package: peers, links, items. Owns no behaviour."""

from __future__ import annotations

from enum import IntEnum
from typing import NewType, Protocol

import msgspec

PeerId = NewType("PeerId", bytes)
"""A node's Ed25519 identity public key: 32 bytes."""
ItemId = NewType("ItemId", bytes)
"""Identifies a gossiped item: 32 bytes, chosen by the embedder."""


class Link(IntEnum):
    """The two connections between a pair of peers; neither waits for the other."""

    GOSSIP = 0
    RAFT = 1


class KnownPeer(msgspec.Struct, frozen=True):
    """A peer that may connect, and that is dialled when an address is known."""

    peer: PeerId
    name: str
    address: str | None
    """`host:port`."""


class PeerStatus(msgspec.Struct, frozen=True):
    """What is known of a peer now."""

    peer: PeerId
    name: str
    connected: bool
    """Both links are up."""
    rtt_ms: float | None
    """Of the last ping on the gossip link."""


class Rng(Protocol):
    """The source of jitter."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class PeerHandler(Protocol):
    """What an embedder does with peers and messages. Called on the event loop."""

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        """A link is authenticated and open."""
        ...

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        """A link that was up is gone."""
        ...

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        """One message. The next of this link is read only after this returns.

        Raises:
            RemoteProtocolError: no honest peer sends this; the link is closed.
        """
        ...
