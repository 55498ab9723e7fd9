"""The links of this node: which part takes what arrives, and how a part sends.

Owns kinds with their shapes and handlers, what a peer may cost, decoding and sending. Parts
register before anything is started (`node.peers.ports`); none of them is known here, nor what a
message means. Knows p2p, and of consensus only that it has a link of its own. Implements `p2p`'s
handler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import msgspec
import structlog

from node.chain.certificate import CertificateError
from node.chain.evidence.excuse import ExcuseError
from node.chain.evidence.kinds import EvidenceError
from node.chain.voters import VoterSet
from node.peers.allowance import Allowance
from node.peers.guests import GuestLinks
from node.peers.messages import Codec, DishonestError, EvidenceMessage, ResumptionMessage
from node.peers.ports import BytesHandler, M
from node.system.clock import Clock
from p2p.errors import RemoteProtocolError
from p2p.network import PeerNetwork
from p2p.types import Link, PeerHandler, PeerId

CONTROL_KINDS = 16
"""Kinds below are control: they travel ahead of transactions, and of blocks."""
RAFT_MESSAGE = 0

SHARED = (EvidenceMessage, ResumptionMessage)
"""Whoever follows the ledger hears of these."""
_NOT_HONEST = (DishonestError, CertificateError, EvidenceError, ExcuseError)

_log = structlog.get_logger("node.peers.router")


class LinkState(NamedTuple):
    """The links to one peer, as they are now."""

    number: int
    node: str
    connected: bool
    """Both links are up."""
    rtt_ms: float | None
    strikes: int
    """How often it broke the rules of the links since this node started."""
    last_error: str | None
    """Why the newest link went down, or the newest dial failed."""


class _Route(NamedTuple):
    """Who takes the messages of a kind, and what one costs its sender."""

    handler: Callable[[int, msgspec.Struct], object]
    price: float


class Router:
    """Everything this node says to and hears from its peers passes here."""

    def __init__(
        self,
        voters: VoterSet,
        number: int | None,
        clock: Clock,
        connect: Callable[[PeerHandler], PeerNetwork],
    ) -> None:
        """Put it together; links are opened by the network that `connect` makes.

        Args:
            voters: Who the peers are.
            number: This node's own; None: it does not vote.
            clock: Paces what peers may cost.
            connect: Makes the network, given who handles what arrives.
        """
        self._voters = voters
        self._ids = {
            voter.number: PeerId(voter.identity_key)
            for voter in voters.voters
            if voter.number != number
        }
        self._numbers = {peer: each for each, peer in self._ids.items()}
        self.allowance = Allowance(self._ids, clock)
        self._codec = Codec()
        self._routes: dict[int, _Route] = {}
        self._raw: dict[tuple[Link, int], BytesHandler] = {}
        self._up: list[Callable[[int], object]] = []
        self._down: list[Callable[[int], object]] = []
        self.guests = GuestLinks(clock, lambda: self.network)
        """Nodes that are no voters."""
        self.network = connect(self)

    @property
    def peers(self) -> Sequence[int]:
        """All others, in their order."""
        return tuple(self._ids)

    # --- Registering -------------------------------------------------------------------------

    def on(
        self, kind: int, shape: type[M], handler: Callable[[int, M], object], *, price: float
    ) -> None:
        """Hand messages of `kind` to `handler` (see `Routing.on`).

        Raises:
            ValueError: the kind is taken, or is another shape's.
        """
        self._check_free(Link.GOSSIP, kind)
        self._codec.add(kind, shape)
        self._routes[kind] = _Route(cast("Callable[[int, msgspec.Struct], object]", handler), price)

    def on_bytes(self, kind: int, handler: BytesHandler) -> None:
        """Hand bodies of `kind` over as they are."""
        self._on_bytes(Link.GOSSIP, kind, handler)

    def on_raft(self, handler: BytesHandler) -> None:
        """Hand messages of consensus over."""
        self._on_bytes(Link.RAFT, RAFT_MESSAGE, handler)

    def when_up(self, listener: Callable[[int], object]) -> None:
        """Tell of each new gossip link, after those that were registered before."""
        self._up.append(listener)

    def when_down(self, listener: Callable[[int], object]) -> None:
        """Tell of each gossip link that is gone."""
        self._down.append(listener)

    def _on_bytes(self, link: Link, kind: int, handler: BytesHandler) -> None:
        self._check_free(link, kind)
        self._raw[link, kind] = handler

    def _check_free(self, link: Link, kind: int) -> None:
        if (link, kind) in self._raw or (link is Link.GOSSIP and kind in self._routes):
            raise ValueError(f"kind {kind} of the {link.name.lower()} link is taken")

    # --- p2p handler -------------------------------------------------------------------------

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        """A link is authenticated and open."""
        if peer not in self._numbers:
            self.guests.link_up(peer)
            return
        _log.info("link up", peer=self._name(peer), link=link.name.lower())
        if link is Link.GOSSIP:
            for listener in self._up:
                listener(self._numbers[peer])

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        """A link is gone."""
        if peer not in self._numbers:
            self.guests.link_down(peer)
            return
        _log.info("link down", peer=self._name(peer), link=link.name.lower(), reason=reason)
        if link is Link.GOSSIP:
            for listener in self._down:
                listener(self._numbers[peer])

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        """Handle one message; the next of this link waits until it returns.

        Raises:
            RemoteProtocolError: no honest node sends this; the link is closed.
        """
        number = self._numbers.get(peer)
        try:
            if number is None:
                await self.guests.on_message(peer, kind, body)
                return
            raw = self._raw.get((link, kind))
            if raw is not None:
                taken = raw(number, body)
                if taken is not None:
                    await taken
            elif link is Link.GOSSIP and (kind in self._routes or kind < CONTROL_KINDS):
                await self._on_control(number, kind, body)
            else:
                raise RemoteProtocolError(f"unknown kind {kind} on the {link.name.lower()} link")
        except _NOT_HONEST as error:
            raise RemoteProtocolError(str(error)) from error

    async def _on_control(self, number: int, kind: int, body: bytes) -> None:
        route = self._routes.get(kind)
        if route is not None:
            await self.allowance.pay(number, route.price)
        message = self._codec.decode(kind, body)  # refuses an unknown kind too
        if route is not None:
            route.handler(number, message)

    # --- Sending -----------------------------------------------------------------------------

    def send(self, number: int, message: msgspec.Struct) -> bool:
        """Send a message of a registered shape to one peer; False when that cannot be."""
        return self.send_bytes(number, *self._codec.encode(message))

    def broadcast(self, message: msgspec.Struct) -> None:
        """The same to all peers; dropped where a link is down or full."""
        kind, body = self._codec.encode(message)
        for number in self._ids:
            self.send_bytes(number, kind, body)
        if isinstance(message, SHARED):
            self.guests.broadcast(message)

    def send_bytes(self, number: int, kind: int, body: bytes) -> bool:
        """Send a body that is no typed message; False when that cannot be."""
        peer = self._ids.get(number)
        if peer is None:
            return self.guests.send_bytes(number, kind, body)
        return self.network.send(peer, Link.GOSSIP, kind, body)

    def send_raft(self, number: int, message: bytes) -> None:
        """Queue a message of consensus; dropped when the link is down or full."""
        self.network.send(self._ids[number], Link.RAFT, RAFT_MESSAGE, message)

    def strike(self, number: int, reason: str) -> None:
        """A message of the gossip link that was taken earlier broke the rules."""
        self.network.strike(self._ids[number], Link.GOSSIP, reason)

    def strike_raft(self, number: int, reason: str) -> None:
        """A message of consensus that was taken earlier broke the rules."""
        self.network.strike(self._ids[number], Link.RAFT, reason)

    # --- Who is there ------------------------------------------------------------------------

    def linked(self, number: int) -> bool:
        """Whether the gossip link to a peer is up."""
        return self.network.connected(self._ids[number], Link.GOSSIP)

    def connected(self, number: int) -> bool:
        """Whether all links to a peer are up."""
        peer = self._ids[number]
        return all(self.network.connected(peer, link) for link in self.network.links)

    def rtt_ms(self, number: int) -> float | None:
        """The newest round trip to a peer; None before the first."""
        return self.network.rtt_ms(self._ids[number])

    def links(self) -> list[LinkState]:
        """The links to every peer."""
        return [
            LinkState(
                self._numbers[each.peer],
                each.name,
                each.connected,
                each.rtt_ms,
                each.strikes,
                each.last_error,
            )
            for each in self.network.statuses()
        ]

    def _name(self, peer: PeerId) -> str:
        return self._voters.voters[self._numbers[peer]].node
