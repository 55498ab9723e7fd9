"""Links to nodes that are no voters: who they are, what they may say, what they cost.

Owns their numbers, which are above those of voters, and their accounts. A guest says first whose
node it is; until then it hears nothing and may say nothing else. What is judged and what is
answered is registered by other parts, as with voters. Knows p2p, and no ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol, cast

import msgspec
import structlog

from node.peers.allowance import CHECKS_BURST, CHECKS_PER_S
from node.peers.messages import SHAPES, Codec, Kind, ObserverMessage
from node.peers.ports import BytesHandler, M
from node.system.clock import Clock
from p2p.errors import RemoteProtocolError
from p2p.limits import TokenBucket
from p2p.types import Link, PeerId

FIRST_NUMBER = 1_000
"""Voters' numbers are below 256."""
GUESTS_MAX = 64
OF_ONE_MAX = 4
"""Nodes of one participant that are linked at a time."""
GREETING_S = 10.0
"""For saying whose node it is."""
STRANGERS_MAX = 16
"""Links on which it was not said yet. When there are more, the oldest ends: an honest node says it
at once, and whoever holds links open keeps nobody out."""
LINKS_MAX = GUESTS_MAX + STRANGERS_MAX

_log = structlog.get_logger("node.peers.guests")


class Network(Protocol):
    """What guests need of the links."""

    def send(self, peer: PeerId, link: Link, kind: int, body: bytes) -> bool:
        """Queue a message."""
        ...

    def rtt_ms(self, peer: PeerId) -> float | None:
        """The newest round trip."""
        ...

    def disconnect(self, peer: PeerId, reason: str) -> None:
        """Close the link; the peer may come again."""
        ...


class Judge(Protocol):
    """Whose node it is, and whether it may be here (`node.custody.credentials`)."""

    def keys(self, identity: bytes, shown: ObserverMessage) -> tuple[bytes, ...]:
        """The keys that vouch for a node."""
        ...

    def complaint(self, participant: str, keys: Sequence[bytes]) -> str | None:
        """Why it may not be here."""
        ...


class _Guest:
    def __init__(self, number: int, peer: PeerId, now_s: float) -> None:
        self.number = number
        self.peer = peer
        self.account = TokenBucket(CHECKS_PER_S, CHECKS_BURST, now_s)
        self.participant: str | None = None
        self.keys: tuple[bytes, ...] = ()
        self.deadline: asyncio.TimerHandle | None = None


class GuestLinks:
    """Implements `node.peers.ports.Links`, and the raw kinds, towards guests."""

    def __init__(self, clock: Clock, network: Callable[[], Network]) -> None:
        self._clock = clock
        self._network = network
        self._guests: dict[PeerId, _Guest] = {}
        self._by_number: dict[int, _Guest] = {}
        self._codec = Codec(SHAPES)
        self._routes: dict[int, tuple[Callable[[int, msgspec.Struct], object], float]] = {}
        self._raw: dict[int, tuple[BytesHandler, Callable[[bytes], float]]] = {}
        self._up: list[Callable[[int], object]] = []
        self._down: list[Callable[[int], object]] = []
        self._judge: Judge | None = None

    # --- Registering -------------------------------------------------------------------------

    def judge_by(self, judge: Judge) -> None:
        """Let guests in by this judgement; without one, none is."""
        self._judge = judge

    def on(
        self, kind: int, shape: type[M], handler: Callable[[int, M], object], *, price: float
    ) -> None:
        """Hand messages of `kind` to `handler` (see `Routing.on`)."""
        if kind not in SHAPES:
            self._codec.add(kind, shape)
        self._routes[kind] = (cast("Callable[[int, msgspec.Struct], object]", handler), price)

    def on_bytes(
        self, kind: int, handler: BytesHandler, price: Callable[[bytes], float] = lambda _: 1.0
    ) -> None:
        """Hand bodies of `kind` over as they are; `price` tells what one may cost at most."""
        self._raw[kind] = (handler, price)

    def when_up(self, listener: Callable[[int], object]) -> None:
        """Tell of each guest that is let in."""
        self._up.append(listener)

    def when_down(self, listener: Callable[[int], object]) -> None:
        """Tell of each that is gone."""
        self._down.append(listener)

    # --- From p2p, by way of the router ------------------------------------------------------

    def link_up(self, peer: PeerId) -> None:
        """Somebody came whom nobody knows."""
        strangers = [guest for guest in self._guests.values() if guest.participant is None]
        if len(strangers) >= STRANGERS_MAX:
            self._show_out(strangers[0], "others wait, too")
        number = next(n for n in count(FIRST_NUMBER) if n not in self._by_number)
        guest = _Guest(number, peer, self._clock.monotonic_ms() / 1_000)
        self._guests[peer] = self._by_number[number] = guest
        late = lambda: self._show_out(guest, "did not say whose node it is")  # noqa: E731
        guest.deadline = asyncio.get_running_loop().call_later(GREETING_S, late)

    def link_down(self, peer: PeerId) -> None:
        """It is gone."""
        guest = self._guests.pop(peer, None)
        if guest is None:
            return
        del self._by_number[guest.number]
        if guest.deadline is not None:
            guest.deadline.cancel()
        if guest.participant is not None:
            for listener in self._down:
                listener(guest.number)

    async def on_message(self, peer: PeerId, kind: int, body: bytes) -> None:
        """Handle one message.

        Raises:
            DishonestError: no honest node sends it.
            RemoteProtocolError: the same.
        """
        guest = self._guests.get(peer)
        if guest is None:
            return  # it was shown out while this waited
        if guest.participant is None:
            await self._greet(guest, kind, body)
            return
        raw = self._raw.get(kind)
        if raw is not None:
            handler, price = raw
            await self._pay(guest, price(body))
            taken = handler(guest.number, body)
            if taken is not None:
                await taken
            return
        route = self._routes.get(kind)
        if route is None:
            raise RemoteProtocolError(f"a guest has no business with kind {kind}")
        await self._pay(guest, route[1])
        route[0](guest.number, self._codec.decode(kind, body))

    async def _greet(self, guest: _Guest, kind: int, body: bytes) -> None:
        if kind != Kind.OBSERVER or self._judge is None:
            raise RemoteProtocolError("a guest says first whose node it is")
        shown = cast("ObserverMessage", self._codec.decode(kind, body))
        await self._pay(guest, float(len(shown.signatures)))
        guest.keys = self._judge.keys(guest.peer, shown)
        complaint = self._judge.complaint(shown.participant, guest.keys)
        here = [g.participant for g in self._guests.values() if g.participant is not None]
        if complaint is None and here.count(shown.participant) >= OF_ONE_MAX:
            complaint = f"{OF_ONE_MAX} nodes of {shown.participant} are here already"
        if complaint is None and len(here) >= GUESTS_MAX:
            complaint = f"{GUESTS_MAX} observers are here already"
        if complaint is not None:  # perhaps this node is behind: no fault of the guest
            self._show_out(guest, complaint)
            return
        guest.participant = shown.participant
        if guest.deadline is not None:
            guest.deadline.cancel()
        _log.info("observer let in", participant=guest.participant, identity=guest.peer.hex()[:16])
        for listener in self._up:
            listener(guest.number)

    async def _pay(self, guest: _Guest, price: float) -> None:
        wait_s = guest.account.spend(price, self._clock.monotonic_ms() / 1_000) if price else 0.0
        if wait_s:
            await asyncio.sleep(wait_s)

    def _show_out(self, guest: _Guest, reason: str) -> None:
        _log.debug("guest shown out", identity=guest.peer.hex()[:16], reason=reason)
        self._network().disconnect(guest.peer, reason)

    def review(self) -> None:
        """Participants have changed: show out whose node may not be here any more."""
        for guest in tuple(self._guests.values()):
            if guest.participant is not None and self._judge is not None:
                complaint = self._judge.complaint(guest.participant, guest.keys)
                if complaint is not None:
                    self._show_out(guest, complaint)

    # --- Sending -----------------------------------------------------------------------------

    @property
    def peers(self) -> Sequence[int]:
        """Those that are let in."""
        return [g.number for g in self._guests.values() if g.participant is not None]

    def participants(self) -> tuple[str, ...]:
        """Whose nodes are let in, in order."""
        return tuple(sorted(g.participant for g in self._guests.values() if g.participant))

    def send(self, number: int, message: msgspec.Struct) -> bool:
        """Send a message of a registered shape; False when that cannot be."""
        return self.send_bytes(number, *self._codec.encode(message))

    def broadcast(self, message: msgspec.Struct) -> None:
        """The same to all that are let in."""
        kind, body = self._codec.encode(message)
        for number in self.peers:
            self.send_bytes(number, kind, body)

    def send_bytes(self, number: int, kind: int, body: bytes) -> bool:
        """Send a body that is no typed message."""
        guest = self._by_number.get(number)
        if guest is None or guest.participant is None:
            return False
        return self._network().send(guest.peer, Link.GOSSIP, kind, body)

    def linked(self, number: int) -> bool:
        """Whether it is here."""
        return number in self._by_number

    def rtt_ms(self, number: int) -> float | None:
        """The newest round trip; None before the first."""
        guest = self._by_number.get(number)
        return None if guest is None else self._network().rtt_ms(guest.peer)
