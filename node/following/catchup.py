"""Brings a ledger to a final head that its Raft log cannot bring it to any more.

Owns the loop: take the next range of leaves, let its blocks be done again on this ledger, until the
named head is reached. Where ranges come from is `node.following.ranges`. Knows no consensus.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from node.chain.head import NamedHead
from node.chain.leaf_range import Assembler, CertifiedBlock
from node.chain.merkle import decode_frontier
from node.chain.voters import VoterSet
from node.following.applier import Applier
from node.following.halt import FalseLedgerError
from node.following.ranges import Ranges
from node.storage.ledger import Ledger
from node.system.clock import Clock

PROGRESS_MS = 2_000

_log = structlog.get_logger("node.following.catchup")


class CatchUp:
    """The way to a head that somebody named."""

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        applier: Applier,
        ranges: Ranges,
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._applier = applier
        self._ranges = ranges
        self._clock = clock
        self._logged_ms = 0

    async def reach(self, head: NamedHead, index: int) -> None:
        """Adopt blocks until the ledger's head is `head`, which stands for a Raft index.

        Waits for peers as long as it takes: without these blocks nothing can be applied. What was
        adopted stays when this is cut off, and the next call goes on from there.

        Raises:
            FalseLedgerError: this ledger comes to something else than what is certified.
            HaltedError: it holds another history than the certified one.
        """
        start = self._ledger.head
        _log.info("restoring", height=start.height, to_height=head.height, to_index=index)
        self._logged_ms = self._clock.monotonic_ms()
        assembler = Assembler(decode_frontier(start.frontier), self._voters)
        while self._ledger.head.tree_size < head.size:
            proven = await self._ranges.best(assembler)
            await self._adopt(assembler.add(proven), head, index)
        reached = self._ledger.head
        if (reached.height, reached.tree_size, reached.state_digest()) != (
            head.height,
            head.size,
            head.state_digest,
        ):
            raise FalseLedgerError(
                f"height {reached.height} is not the final head that a leader named"
            )
        if reached.raft_index < index:
            await self._ledger.stand_for(index)
        _log.info("restored", height=head.height, index=index, blocks=head.height - start.height)

    async def _adopt(self, blocks: Sequence[CertifiedBlock], head: NamedHead, index: int) -> None:
        for block in blocks:
            last = block.seal.index + 1 == head.size
            await self._applier.adopt(block, index, last=last)
            if last:
                return
        now = self._clock.monotonic_ms()
        if now - self._logged_ms >= PROGRESS_MS:
            self._logged_ms = now
            _log.info("restoring", height=self._ledger.head.height, to_height=head.height)
