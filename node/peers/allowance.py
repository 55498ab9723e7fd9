"""What one peer may cost this node on the gossip link. Owns the account of each, and the rate.

A price is counted in signature checks, of about 60 µs each, and is paid before anything is done:
it is the most that a message of its kind can cause, whether it is true or not, and stands where the
kind is registered. Who is in debt is
read on later, so that a flood fills its sender's socket and nothing here, and nothing of an honest
peer is lost. Transactions are not priced: their first bad signature costs the sender its link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from node.system.clock import Clock
from p2p.limits import TokenBucket

CHECKS_PER_S = 300
"""An honest voter states 100 heights a second and repeats 128 statements, for one check each: less
than 2 % of a core for each peer that lies."""
CHECKS_BURST = 600
"""A node that was busy finds two seconds of honest messages at once."""
ENTRIES_PER_S = 500
"""Entries of a peer that are compared before consensus judges them. Those above the rate are
judged when they are taken in, which is where a follower that is behind has most of them."""


class Allowance:
    """The account of each peer."""

    def __init__(self, peers: Iterable[int], clock: Clock) -> None:
        self._clock = clock
        now_s = self._now_s()
        self._buckets = {peer: TokenBucket(CHECKS_PER_S, CHECKS_BURST, now_s) for peer in peers}
        self._entries = {
            peer: TokenBucket(ENTRIES_PER_S, ENTRIES_PER_S, now_s) for peer in self._buckets
        }

    async def pay(self, peer: int, price: float) -> None:
        """Charge a message; returns once the peer is out of debt."""
        if not price:
            return
        wait_s = self._buckets[peer].spend(price, self._now_s())
        if wait_s:
            await asyncio.sleep(wait_s)

    def takes_entry(self, peer: int, price: float) -> bool:
        """Whether an entry of a peer may cost this now; then it is paid."""
        return self._entries[peer].take(price, self._now_s())

    def _now_s(self) -> float:
        return self._clock.monotonic_ms() / 1_000
