"""Gossip of opaque items: push to some, announce to the others, pull what is missing. Sans-IO.

    ITEMS (16)  MessagePack array of bodies      pushed, or asked for
    HAVE  (17)  concatenated 32-byte ids         announced in batches
    WANT  (18)  concatenated 32-byte ids         asked of one announcer at a time

Owns who is told and who is asked; the embedder owns the items, their validity and what is known.
An announced item is asked of its first announcer; if it does not come within `RETRY_MS` the next
one is asked. What leaves the embedder's store in the meantime is not announced any more.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from p2p.errors import RemoteProtocolError
from p2p.types import ItemId, PeerId

ITEMS, HAVE, WANT = 16, 17, 18
ID_BYTES = 32
HAVE_IDS_MAX = 1_024
WANT_IDS_MAX = 512
ITEMS_MAX = 4_096
"""Bodies in one message."""
ITEMS_BYTES = 256 * 1024
"""A message of bodies is cut when it passes this; one body may be larger."""
REPLY_BYTES_MAX = 2 * 1_048_576
"""One answer stops after this; what it leaves out is asked for again."""
RETRY_MS = 1_000
RELAY_DELAY_MS = 500
"""Items learned from a peer are announced on only after this: their origin announces them at once
itself, and most are done with by then. Without the delay each item is announced once a pair."""
ATTEMPTS_MAX = 4
REMEMBERED_MAX = 20_000
"""Ids remembered for each peer as known to it."""
WANTED_PEER_MAX = 20_000
"""Items asked for at a time because of one peer's announcements; what it announces beyond is
ignored. Counted by peer, so that one that announces what it does not have crowds out nobody."""
UNTOLD_MAX = 50_000
"""Announcements that wait for the next tick, for each peer; the oldest are dropped."""


class Outgoing(msgspec.Struct, frozen=True):
    """A message to send."""

    peer: PeerId
    kind: int
    body: bytes


class _PeerView:
    """What one peer is known to have, and what it is still to be told."""

    def __init__(self) -> None:
        self.has: OrderedDict[ItemId, None] = OrderedDict()
        self.untold: OrderedDict[ItemId, None] = OrderedDict()
        self.relayed: OrderedDict[ItemId, int] = OrderedDict()
        """To be announced from this time on, in milliseconds; ascending."""

    def mark(self, ids: Sequence[ItemId]) -> None:
        for item in ids:
            self.has[item] = None
            self.untold.pop(item, None)
            self.relayed.pop(item, None)
        while len(self.has) > REMEMBERED_MAX:
            self.has.popitem(last=False)

    def tell(self, ids: Sequence[ItemId]) -> None:
        for item in ids:
            if item not in self.has:
                self.untold[item] = None
        while len(self.untold) > UNTOLD_MAX:
            self.untold.popitem(last=False)

    def tell_later(self, ids: Sequence[ItemId], due_ms: int) -> None:
        for item in ids:
            if item not in self.has:
                self.relayed[item] = due_ms
        while len(self.relayed) > UNTOLD_MAX:
            self.relayed.popitem(last=False)

    def take_due(self, now_ms: int) -> list[ItemId]:
        due = list(self.untold)
        self.untold.clear()
        while self.relayed and next(iter(self.relayed.values())) <= now_ms:
            due.append(self.relayed.popitem(last=False)[0])
        return due


class _Wanted:
    """An item that was announced and is not here."""

    __slots__ = ("announcers", "asked_ms", "attempts")

    def __init__(self, peer: PeerId, now_ms: int) -> None:
        self.announcers: list[PeerId] = [peer]
        self.asked_ms = now_ms
        self.attempts = 1


_decoder = msgspec.msgpack.Decoder(Annotated[list[bytes], msgspec.Meta(max_length=ITEMS_MAX)])


class Gossip:
    """The gossip of one node. Every method returns what to send."""

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
        self._wanted: OrderedDict[ItemId, _Wanted] = OrderedDict()
        self._awaited: Counter[PeerId] = Counter()
        """Wanted items by who announced them first; a peer that comes back keeps its count."""

    def peer_up(self, peer: PeerId, held: Sequence[ItemId]) -> None:
        """A peer connected: it is told of everything that is held here, at the next tick."""
        self._peers[peer] = _PeerView()
        self._peers[peer].tell(held)

    def peer_down(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._peers.pop(peer, None)

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
        bodies = _pack([body for _, body in items]) if eager else []
        return [Outgoing(peer, ITEMS, body) for peer in eager for body in bodies]

    def decode_items(self, body: bytes) -> list[bytes]:
        """The bodies of an ITEMS message.

        Raises:
            RemoteProtocolError: it is malformed or holds too many.
        """
        try:
            bodies: list[bytes] = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise RemoteProtocolError(f"malformed items: {error}") from error
        return bodies

    def learned(
        self, peer: PeerId, ids: Sequence[ItemId], new: Sequence[ItemId], now_ms: int
    ) -> None:
        """`peer` sent the items `ids`, of which `new` were accepted and go on to the others."""
        for item in ids:
            self._settle(item)
        for other, view in self._peers.items():
            if other == peer:
                view.mark(ids)
            else:
                view.tell_later(new, now_ms + RELAY_DELAY_MS)

    def receive_have(self, peer: PeerId, body: bytes, now_ms: int) -> list[Outgoing]:
        """`peer` announced items; asks for those that nobody was asked for.

        Raises:
            RemoteProtocolError: malformed or too many ids.
        """
        ids = _split_ids(body, HAVE_IDS_MAX)
        view = self._peers.get(peer)
        if view is None:
            return []
        view.mark(ids)
        asked: list[ItemId] = []
        for item in ids:
            if self._known(item):
                continue
            wanted = self._wanted.get(item)
            if wanted is not None:
                if peer not in wanted.announcers and len(wanted.announcers) < ATTEMPTS_MAX:
                    wanted.announcers.append(peer)
            elif self._awaited[peer] < WANTED_PEER_MAX:
                self._wanted[item] = _Wanted(peer, now_ms)
                self._awaited[peer] += 1
                asked.append(item)
        return _ask(peer, asked)

    def receive_want(self, peer: PeerId, body: bytes) -> list[Outgoing]:
        """`peer` asks for items; gives those that are still here.

        Raises:
            RemoteProtocolError: malformed or too many ids.
        """
        bodies: list[bytes] = []
        size = 0
        for item in dict.fromkeys(_split_ids(body, WANT_IDS_MAX)):
            found = self._lookup(item)
            if found is not None and size < REPLY_BYTES_MAX:
                bodies.append(found)
                size += len(found)
        return [Outgoing(peer, ITEMS, packed) for packed in _pack(bodies)]

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Announce what waits, and ask others for what did not come."""
        outgoing: list[Outgoing] = []
        for peer, view in self._peers.items():
            ids = [item for item in view.take_due(now_ms) if self._lookup(item) is not None]
            view.mark(ids)
            outgoing += (
                Outgoing(peer, HAVE, b"".join(ids[start : start + HAVE_IDS_MAX]))
                for start in range(0, len(ids), HAVE_IDS_MAX)
            )
        return outgoing + self._retry(now_ms)

    def _retry(self, now_ms: int) -> list[Outgoing]:
        asked: dict[PeerId, list[ItemId]] = {}
        while self._wanted:
            item, wanted = next(iter(self._wanted.items()))
            if now_ms - wanted.asked_ms < RETRY_MS:
                break  # in the order of asking
            reachable = [peer for peer in wanted.announcers if peer in self._peers]
            if not reachable or self._known(item) or wanted.attempts >= ATTEMPTS_MAX:
                self._settle(item)
                continue
            wanted.attempts += 1
            wanted.asked_ms = now_ms
            self._wanted.move_to_end(item)
            asked.setdefault(reachable[(wanted.attempts - 1) % len(reachable)], []).append(item)
        return [out for peer, ids in asked.items() for out in _ask(peer, ids)]

    def _settle(self, item: ItemId) -> None:
        wanted = self._wanted.pop(item, None)
        if wanted is not None:
            self._awaited[wanted.announcers[0]] -= 1


def _ask(peer: PeerId, ids: Sequence[ItemId]) -> list[Outgoing]:
    return [
        Outgoing(peer, WANT, b"".join(ids[start : start + WANT_IDS_MAX]))
        for start in range(0, len(ids), WANT_IDS_MAX)
    ]


def _pack(bodies: Sequence[bytes]) -> list[bytes]:
    packed: list[bytes] = []
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (size + len(body) > ITEMS_BYTES or len(part) == ITEMS_MAX):
            packed.append(msgspec.msgpack.encode(part))
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        packed.append(msgspec.msgpack.encode(part))
    return packed


def _split_ids(body: bytes, count_max: int) -> list[ItemId]:
    if len(body) % ID_BYTES or not 0 < len(body) <= count_max * ID_BYTES:
        raise RemoteProtocolError("malformed list of ids")
    return [ItemId(body[at : at + ID_BYTES]) for at in range(0, len(body), ID_BYTES)]
