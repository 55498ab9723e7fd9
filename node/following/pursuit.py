"""Follows the certified history: what peers hold final, this ledger does again, as it comes.

Owns the loop of a node that has no log. Where ranges come from is `node.following.ranges`. Knows no
consensus, and nothing of who signs.
"""

from __future__ import annotations

import asyncio

import structlog

from node.chain.leaf_range import Assembler, CertifiedBlock
from node.chain.merkle import decode_frontier
from node.chain.voters import VoterSet
from node.following.applier import Applier
from node.following.ranges import Ranges
from node.peers.ports import Neighbours
from node.storage.ledger import Ledger
from node.system.clock import Clock

NO_LOG_INDEX = 0
"""Stands in the ledger's head where a voter keeps how far its Raft log is applied."""
_LOOK_S = 0.5
"""A status that was lost is made up for within that time."""
_PROGRESS_MS = 2_000

_log = structlog.get_logger("node.following.pursuit")


class Pursuit:
    """Brings a ledger to where its peers are, again and again."""

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        applier: Applier,
        ranges: Ranges,
        neighbours: Neighbours,
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._applier = applier
        self._ranges = ranges
        self._neighbours = neighbours
        self._clock = clock
        self._news = asyncio.Event()
        self._logged_ms = clock.monotonic_ms()

    def look(self) -> None:
        """Some peer may be further now."""
        self._news.set()

    async def run(self) -> None:
        """Follow; runs until cancelled.

        Raises:
            FalseLedgerError: this ledger comes to something else than what is certified.
            HaltedError: it holds another history than the certified one.
        """
        assembler = Assembler(decode_frontier(self._ledger.head.frontier), self._voters)
        while True:
            if not self._is_behind():
                await self._wait()
                continue
            for block in assembler.add(await self._ranges.best(assembler)):
                await self._applier.adopt(block, NO_LOG_INDEX, last=True)
                self._tell(block)

    def _is_behind(self) -> bool:
        heights = self._neighbours.final_heights().values()
        return max(heights, default=0) > self._ledger.head.height

    async def _wait(self) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._news.wait()
        except TimeoutError:
            return

    def _tell(self, block: CertifiedBlock) -> None:
        now = self._clock.monotonic_ms()
        if now - self._logged_ms >= _PROGRESS_MS and self._is_behind():
            self._logged_ms = now
            _log.info("catching up", height=self._ledger.head.height, leaves=block.seal.index + 1)
