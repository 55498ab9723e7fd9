"""Gossip of opaque items: push to some, announce to the others, pull what is missing. Sans-IO.

    ITEMS (16)  length u32 ‖ body, repeated      pushed, or asked for
    HAVE  (17)  concatenated 32-byte ids         announced in batches
    WANT  (18)  concatenated 32-byte ids         asked of one announcer at a time

Owns who is told and who is asked; the embedder owns the items, their validity and what is known.
Must not know sockets, clocks or randomness. An announced item is asked of its first announcer; if
it does not come within `RETRY_MS`, or that peer goes away, the next one is asked. What leaves the
embedder's store meanwhile is not announced any more. Invariants: whatever a peer sends, the
memory held for it is bounded, its announcements displace no other peer's, and one WANT yields at
most `REPLY_BYTES_MAX`.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from p2p.errors import RemoteProtocolError
from p2p.limits import GossipRates
from p2p.types import ID_BYTES, ItemId, PeerId

ITEMS, HAVE, WANT = 16, 17, 18
HAVE_IDS_MAX = 1_024
WANT_IDS_MAX = 512
ITEMS_MAX = 4_096
"""Bodies in one message."""
ITEM_BYTES_MAX = 1_280 * 1_024
"""One body: a transaction with a megabyte of blobs."""
ITEMS_BYTES = 256 * 1_024
"""A message of bodies is cut when it would pass this; one body may be larger."""
REPLY_BYTES_MAX = 2 * 1_024 * 1_024
"""Given in answer to one WANT; what is left over is asked for again."""
SERVED_MAX = 3
"""Times that one item is given to one peer that asks."""
RETRY_MS = 1_000
"""Long enough for an honest answer under load: a second asking doubles the load."""
RELAY_DELAY_MS = 500
"""Items learned from a peer are announced on only after this: their origin announces them at once
itself, and most are done with by then. Without the delay each item is announced once a pair."""
ATTEMPTS_MAX = 4
REMEMBERED_MAX = 20_000
"""Ids remembered for each peer as known to it."""
WANTED_PER_PEER_MAX = 20_000
"""Items asked for at a time on one peer's word: one that invents ids crowds out nobody."""
UNTOLD_MAX = 50_000
"""Announcements that wait for the next tick, for each peer; the oldest are dropped."""

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send on the gossip link."""

    peer: PeerId
    kind: int
    body: bytes


class _PeerView:
    """What one peer is known to have, what it was given, and what it is still to be told."""

    __slots__ = ("has", "relayed", "served", "untold", "wanted")

    def __init__(self) -> None:
        self.has: OrderedDict[ItemId, None] = OrderedDict()
        self.untold: OrderedDict[ItemId, None] = OrderedDict()
        self.relayed: OrderedDict[ItemId, int] = OrderedDict()
        """To be announced from this time on, in milliseconds; ascending."""
        self.served: OrderedDict[ItemId, int] = OrderedDict()
        self.wanted = 0
        """Items that are wanted on this peer's word before that of others."""

    def mark(self, ids: Iterable[ItemId]) -> None:
        """The peer has these, or was told."""
        has, untold, relayed = self.has, self.untold, self.relayed
        for item in ids:
            has[item] = None
            if untold:
                untold.pop(item, None)
            if relayed:
                relayed.pop(item, None)
        while len(has) > REMEMBERED_MAX:
            has.popitem(last=False)

    def tell(self, ids: Iterable[ItemId]) -> None:
        """Announce these at the next tick, unless the peer has them."""
        has, untold = self.has, self.untold
        for item in ids:
            if item not in has:
                untold[item] = None
        while len(untold) > UNTOLD_MAX:
            untold.popitem(last=False)

    def tell_later(self, ids: Iterable[ItemId], due_ms: int) -> None:
        """Announce these from `due_ms` on, unless the peer has them by then."""
        has, relayed = self.has, self.relayed
        for item in ids:
            if item not in has:
                relayed[item] = due_ms
        while len(relayed) > UNTOLD_MAX:
            relayed.popitem(last=False)

    def take_due(self, now_ms: int) -> list[ItemId]:
        """What is to be announced now."""
        due = list(self.untold)
        self.untold.clear()
        while self.relayed and next(iter(self.relayed.values())) <= now_ms:
            due.append(self.relayed.popitem(last=False)[0])
        return due

    def serve(self, item: ItemId) -> bool:
        """Whether the peer may be given `item` once more."""
        served = self.served.get(item, 0)
        if served >= SERVED_MAX:
            return False
        self.served[item] = served + 1
        if len(self.served) > REMEMBERED_MAX:
            self.served.popitem(last=False)
        return True


class _Wanted:
    """An item that was announced and is not here."""

    __slots__ = ("announcers", "asked", "asked_ms", "attempts", "first")

    def __init__(self, peer: PeerId, now_ms: int) -> None:
        self.first = peer
        """Whose bound it counts against."""
        self.announcers: list[PeerId] = [peer]
        """Connected peers that announced it; never empty."""
        self.asked = peer
        self.asked_ms = now_ms
        self.attempts = 1


class Gossip:
    """The gossip of one node. What a method returns is to be sent."""

    def __init__(
        self, lookup: Callable[[ItemId], bytes | None], known: Callable[[ItemId], bool]
    ) -> None:
        """Begin.

        Args:
            lookup: The body of an item that may still be given to others.
            known: Whether an item is here, or was and is done with.
        """
        self._lookup = lookup
        self._known = known
        self._peers: dict[PeerId, _PeerView] = {}
        self._rates: dict[PeerId, GossipRates] = {}
        self._wanted: OrderedDict[ItemId, _Wanted] = OrderedDict()
        """In the order of asking."""

    @property
    def wanted(self) -> int:
        """Items that have been asked for and are awaited."""
        return len(self._wanted)

    # --- Peers -------------------------------------------------------------------------------

    def peer_up(self, peer: PeerId, held: Sequence[ItemId]) -> None:
        """A peer connected: it is told of everything that is held here, at the next tick."""
        self.peer_down(peer)
        self._peers[peer] = view = _PeerView()
        view.tell(held)

    def peer_down(self, peer: PeerId) -> None:
        """A peer is gone; what it was asked for is due at the next tick."""
        view = self._peers.pop(peer, None)
        if view is None:
            return
        concerned = [item for item, w in self._wanted.items() if peer in w.announcers]
        for item in reversed(concerned):
            wanted = self._wanted[item]
            wanted.announcers.remove(peer)
            if not wanted.announcers:
                del self._wanted[item]
                continue
            if wanted.first == peer:
                wanted.first = wanted.announcers[0]
                self._peers[wanted.first].wanted += 1
            if wanted.asked == peer:
                wanted.asked_ms = -RETRY_MS
                self._wanted.move_to_end(item, last=False)

    # --- Items that are here -----------------------------------------------------------------

    def originate(
        self, items: Sequence[tuple[ItemId, bytes]], eager_to: Sequence[PeerId]
    ) -> list[Outgoing]:
        """Spread own items: bodies at once to `eager_to`, an announcement to the others."""
        ids = [item for item, _ in items]
        eager = [peer for peer in eager_to if peer in self._peers]
        for peer, view in self._peers.items():
            if peer in eager:
                view.mark(ids)
            else:
                view.tell(ids)
        bodies = pack_items([body for _, body in items]) if eager else []
        return [Outgoing(peer, ITEMS, body) for peer in eager for body in bodies]

    def learned(
        self, peer: PeerId, ids: Sequence[ItemId], new: Sequence[ItemId], now_ms: int
    ) -> None:
        """`peer` sent the items `ids`, of which `new` were accepted and go on to the others."""
        if self._wanted:
            for item in ids:
                self._forget_want(item)
        for other, view in self._peers.items():
            if other == peer:
                view.mark(ids)
            else:
                view.tell_later(new, now_ms + RELAY_DELAY_MS)

    # --- Messages ----------------------------------------------------------------------------

    @staticmethod
    def decode_items(body: bytes) -> list[bytes]:
        """The bodies of an ITEMS message.

        Raises:
            RemoteProtocolError: it is malformed, or holds too many or too large ones.
        """
        items: list[bytes] = []
        position, end = 0, len(body)
        while position < end:
            start = position + _LENGTH.size
            if start > end:
                raise RemoteProtocolError("malformed items: a truncated length")
            position = start + _LENGTH.unpack_from(body, position)[0]
            if not start < position <= min(end, start + ITEM_BYTES_MAX):
                raise RemoteProtocolError("malformed items: an impossible length")
            items.append(body[start:position])
        if not 0 < len(items) <= ITEMS_MAX:
            raise RemoteProtocolError(f"{len(items)} items in one message")
        return items

    def receive_have(self, peer: PeerId, body: bytes, now_ms: int) -> list[Outgoing]:
        """`peer` announced items; asks for those that nobody was asked for.

        Raises:
            RemoteProtocolError: malformed or too many ids.
        """
        count = _count_ids(body, HAVE_IDS_MAX)
        view = self._peers.get(peer)
        if view is None or not self._rates_of(peer, now_ms).told.take(count, now_ms / 1_000):
            return []
        ids = _split_ids(body)
        view.mark(ids)
        asked: list[ItemId] = []
        known, wants = self._known, self._wanted
        for item in ids:
            if known(item):
                continue
            wanted = wants.get(item)
            if wanted is not None:
                if len(wanted.announcers) < ATTEMPTS_MAX and peer not in wanted.announcers:
                    wanted.announcers.append(peer)
            elif view.wanted < WANTED_PER_PEER_MAX:
                wants[item] = _Wanted(peer, now_ms)
                view.wanted += 1
                asked.append(item)
        return _ask(peer, asked)

    def receive_want(self, peer: PeerId, body: bytes, now_ms: int) -> list[Outgoing]:
        """`peer` asks for items; gives those that are still here, within bounds.

        Raises:
            RemoteProtocolError: malformed or too many ids.
        """
        count = _count_ids(body, WANT_IDS_MAX)
        view = self._peers.get(peer)
        if view is None or not self._rates_of(peer, now_ms).asked.take(count, now_ms / 1_000):
            return []
        bodies: list[bytes] = []
        size = 0
        for item in _split_ids(body):
            found = self._lookup(item)
            if found is None or not view.serve(item):
                continue
            size += len(found)
            bodies.append(found)
            if size >= REPLY_BYTES_MAX:
                break
        return [Outgoing(peer, ITEMS, packed) for packed in pack_items(bodies)]

    def takes_items(self, peer: PeerId, count: int, now_ms: int) -> bool:
        """Whether so many items of `peer` are to be looked at now; else the message is ignored."""
        rates, now_s = self._rates_of(peer, now_ms), now_ms / 1_000
        return rates.refused.take(0, now_s) and rates.items.take(count, now_s)

    def refused(self, peer: PeerId, count: int, now_ms: int) -> None:
        """So many of the items that `peer` sent were of no use to anybody."""
        self._rates_of(peer, now_ms).refused.spend(count, now_ms / 1_000)

    def _rates_of(self, peer: PeerId, now_ms: int) -> GossipRates:
        rates = self._rates.get(peer)
        if rates is None:
            rates = self._rates[peer] = GossipRates(now_ms / 1_000)
        return rates

    # --- Time --------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Announce what waits, and ask others for what did not come."""
        outgoing: list[Outgoing] = []
        for peer, view in self._peers.items():
            ids = [item for item in view.take_due(now_ms) if self._lookup(item) is not None]
            view.mark(ids)
            outgoing += _in_batches(peer, HAVE, ids, HAVE_IDS_MAX)
        return outgoing + self._retry(now_ms)

    def _retry(self, now_ms: int) -> list[Outgoing]:
        asked: dict[PeerId, list[ItemId]] = {}
        for item, wanted in list(self._due(now_ms)):
            if wanted.attempts >= ATTEMPTS_MAX or self._known(item):
                self._forget_want(item)
                continue
            # The next announcer in order, so one that never answers is asked every other time.
            peer = wanted.announcers[wanted.attempts % len(wanted.announcers)]
            wanted.attempts += 1
            wanted.asked, wanted.asked_ms = peer, now_ms
            self._wanted.move_to_end(item)
            asked.setdefault(peer, []).append(item)
        return [out for peer, ids in asked.items() for out in _ask(peer, ids)]

    def _due(self, now_ms: int) -> Iterable[tuple[ItemId, _Wanted]]:
        for item, wanted in self._wanted.items():
            if now_ms - wanted.asked_ms < RETRY_MS:
                return
            yield item, wanted

    def _forget_want(self, item: ItemId) -> None:
        wanted = self._wanted.pop(item, None)
        if wanted is not None:
            self._peers[wanted.first].wanted -= 1


def pack_items(bodies: Sequence[bytes]) -> list[bytes]:
    """ITEMS messages that carry `bodies`, in order."""
    packed: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for body in bodies:
        if parts and (size + len(body) > ITEMS_BYTES or len(parts) == 2 * ITEMS_MAX):
            packed.append(b"".join(parts))
            parts, size = [], 0
        parts.append(_LENGTH.pack(len(body)))
        parts.append(body)
        size += len(body)
    if parts:
        packed.append(b"".join(parts))
    return packed


def _ask(peer: PeerId, ids: Sequence[ItemId]) -> list[Outgoing]:
    return _in_batches(peer, WANT, ids, WANT_IDS_MAX)


def _in_batches(peer: PeerId, kind: int, ids: Sequence[ItemId], batch: int) -> list[Outgoing]:
    return [
        Outgoing(peer, kind, b"".join(ids[start : start + batch]))
        for start in range(0, len(ids), batch)
    ]


def _count_ids(body: bytes, count_max: int) -> int:
    if len(body) % ID_BYTES or not 0 < len(body) <= count_max * ID_BYTES:
        raise RemoteProtocolError("malformed list of ids")
    return len(body) // ID_BYTES


def _split_ids(body: bytes) -> list[ItemId]:
    return [ItemId(body[at : at + ID_BYTES]) for at in range(0, len(body), ID_BYTES)]
