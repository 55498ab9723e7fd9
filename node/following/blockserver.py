"""Gives blocks to peers that lack them. Owns what they ask for, one request each, and the pace.

A newer request of a peer replaces its older one, and each peer is answered so many times a second
at most: whoever asks more gets no more. Reading is one job of the ledger's reader at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, defaultdict

from node.chain.leaf_range import LeafRange
from node.peers.messages import BlocksMessage, BlocksWantedMessage, Kind
from node.peers.ports import Routing, Sending
from node.storage.ledger_reader import LedgerReader
from node.system.clock import Clock

INTERVAL_MS = 100
"""Between answers to one peer: 10 MiB a second at most, more than a node can do again."""
FRESH_MS = 200
"""A range that was read is given to whoever else asks for it within that time: those that follow
the newest blocks all ask for the same."""
SMALL_BYTES = 65_536
"""A range of the newest blocks; larger ones are of who catches up."""
KEPT_MAX = 4
"""Ranges that are kept so; each is a few mebibytes at most."""


class BlockServer:
    """The serving side."""

    def __init__(
        self,
        sending: Sending,
        reader: LedgerReader,
        clock: Clock,
        bytes_per_s: float = math.inf,
    ) -> None:
        """Put it together; `serve` is the work.

        Args:
            sending: To those that may ask.
            reader: Where blocks are.
            clock: Its monotonic time sets the pace.
            bytes_per_s: Of large ranges to all of them together.
        """
        self._sending = sending
        self._reader = reader
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        self._wanted: dict[int, tuple[int, int]] = {}
        self._next_ms: defaultdict[int, int] = defaultdict(int)
        self._links: defaultdict[int, int] = defaultdict(int)
        """Counts the links of each peer: what it asked on an older one is not answered."""
        self._asked = asyncio.Event()
        self._kept: OrderedDict[int, tuple[int, LeafRange]] = OrderedDict()
        """By first leaf: when it was read, and the range."""

    def attach(self, routes: Routing) -> None:
        """Take requests from now on."""
        routes.on(
            Kind.BLOCKS_WANTED,
            BlocksWantedMessage,
            lambda peer, message: self.want(peer, message.number, message.first),
            price=3.0,
        )
        routes.when_down(self.forget)

    def want(self, peer: int, number: int, first: int) -> None:
        """A peer asks for the leaves from `first` on."""
        self._wanted[peer] = (number, first)
        self._asked.set()

    def forget(self, peer: int) -> None:
        """The link to a peer is gone."""
        self._wanted.pop(peer, None)
        self._links[peer] += 1

    async def serve(self) -> None:
        """Answer; runs until cancelled."""
        while True:
            if not self._wanted:
                self._asked.clear()
                await self._asked.wait()
            peer = min(self._wanted, key=lambda peer: self._next_ms[peer])
            wait_ms = self._next_ms[peer] - self._clock.monotonic_ms()
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1_000)
                continue  # the link may be down by now
            number, first = self._wanted.pop(peer)
            self._next_ms[peer] = self._clock.monotonic_ms() + INTERVAL_MS
            link = self._links[peer]
            run = await self._read(first)
            if self._links[peer] == link:
                self._sending.send(peer, BlocksMessage(number, run))
            size = 0 if run is None else sum(map(len, run.leaves + run.blobs))
            if size > SMALL_BYTES and math.isfinite(self._bytes_per_s):
                await asyncio.sleep(size / self._bytes_per_s)

    async def _read(self, first: int) -> LeafRange | None:
        now_ms = self._clock.monotonic_ms()
        found = self._kept.get(first)
        if found is not None and now_ms - found[0] < FRESH_MS:
            return found[1]
        run = await self._reader.leaf_range(first)
        self._kept.pop(first, None)
        if run is not None:
            self._kept[first] = (now_ms, run)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return run
