"""Guests: identities beyond the known peers that have a gossip link, or had one lately.

Owns how many there may be, and the memory of who broke the rules. Who a guest is, and what it may
say, is the embedder's affair. Opens and closes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from p2p.config import P2PConfig
from p2p.errors import CloseCode, HandshakeError
from p2p.places import Place
from p2p.types import KnownPeer, Link, PeerId

_NAME_DIGITS = 16
_REMEMBERED = 8
"""Times `guests_max`: places kept of guests that are gone, with their penalties."""


class Guests:
    """The places of guests."""

    def __init__(self, config: P2PConfig) -> None:
        self._max = config.guests_max
        self._config = replace(config, gossip=config.guest)
        self._places: dict[PeerId, Place] = {}
        """The newest connection last."""

    @property
    def config(self) -> P2PConfig:
        """Limits of their links."""
        return self._config

    @property
    def are_welcome(self) -> bool:
        """Whether there may be any."""
        return self._max > 0

    def get(self, peer: PeerId, link: Link) -> Place | None:
        """The place of a guest that is or was here."""
        return self._places.get(peer) if link is Link.GOSSIP else None

    def __iter__(self) -> Iterator[Place]:
        """All of them."""
        return iter(tuple(self._places.values()))

    def place(self, peer: PeerId, link: Link) -> Place:
        """The place that a stranger's new connection may take.

        Raises:
            HandshakeError: strangers have no such link, or there is no room.
        """
        if link is not Link.GOSSIP or not self.are_welcome:
            raise HandshakeError("strangers have no such link", CloseCode.UNKNOWN_IDENTITY)
        here = sum(place.session is not None for place in self._places.values())
        found = self._places.pop(peer, None)
        if (found is None or found.session is None) and here >= self._max:
            if found is not None:
                self._places[peer] = found
            raise HandshakeError("no room for another guest", CloseCode.PENALISED)
        if found is None:
            known = KnownPeer(peer, f"guest {peer.hex()[:_NAME_DIGITS]}", None)
            found = Place(known, link, self._config)
        self._places[peer] = found
        gone = [p for p, place in self._places.items() if place.session is None and p != peer]
        for old in gone[: max(0, len(self._places) - self._max * _REMEMBERED)]:
            del self._places[old]
        return found
