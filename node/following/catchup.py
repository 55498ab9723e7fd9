"""Brings a ledger to a final head that its Raft log cannot bring it to any more.

Owns the loop: ask a peer for the next range of leaves, let it be proven, let its blocks be done
again on this ledger, until the named head is reached. Whom to ask is `node.following.blocksync`,
what is true `node.chain.leaf_range`. Knows no consensus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import structlog

from node.chain.head import NamedHead
from node.chain.leaf_range import (
    Assembler,
    CertifiedBlock,
    FalseRangeError,
    LeafRange,
    OtherHistoryError,
    ProvenRange,
)
from node.chain.merkle import decode_frontier
from node.chain.voters import VoterSet
from node.following.applier import Applier
from node.following.blocksync import BlockSync
from node.following.finality import Finality
from node.following.halt import FalseLedgerError, HaltedError
from node.peers.messages import BlocksMessage, BlocksWantedMessage, Kind
from node.peers.ports import Neighbours, Routing
from node.storage.ledger import Ledger
from node.system.clock import Clock

PROGRESS_MS = 2_000

_log = structlog.get_logger("node.following.catchup")


class CatchUp:
    """The asking side of block exchange."""

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        applier: Applier,
        finality: Finality,
        neighbours: Neighbours,
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._applier = applier
        self._finality = finality
        self._neighbours = neighbours
        self._clock = clock
        self._sync = BlockSync(neighbours.peers)
        self._answer: asyncio.Future[LeafRange | None] | None = None
        self._logged_ms = 0

    def attach(self, routes: Routing) -> None:
        """Take answers from now on. They cost nothing: only what was asked for is taken."""
        routes.on(
            Kind.BLOCKS,
            BlocksMessage,
            lambda peer, message: self.receive(peer, message.number, message.leaf_range),
            price=0.0,
        )
        routes.when_down(self.link_down)

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
        strangers: set[int] = set()
        while self._ledger.head.tree_size < head.size:
            leaf_range = await self._best_range(assembler, strangers)
            await self._adopt(assembler.add(leaf_range), head, index)
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

    def receive(self, peer: int, number: int, leaf_range: LeafRange | None) -> None:
        """An answer arrived.

        Raises:
            UnaskedError: nobody asked for it.
        """
        if self._sync.expects(peer, number) and self._answer is not None:
            self._settle(leaf_range, answered=True)

    def link_down(self, peer: int) -> None:
        """The link to a peer is gone, and with it what it was to answer."""
        if self._sync.link_down(peer) and self._answer is not None:
            self._settle(None, answered=False)

    # --- One range -------------------------------------------------------------------------------

    async def _best_range(self, assembler: Assembler, strangers: set[int]) -> ProvenRange:
        """The next range, from the first peer that has all of its blobs.

        One that lacks some is taken when nobody else can be asked who has more.
        """
        best: ProvenRange | None = None
        asked: list[int] = []
        while best is None or best.lacking:
            leaf_range = await self._next_range(assembler.size, asked if best else ())
            request = self._sync.open
            if leaf_range is not None and request is not None:
                asked.append(request.peer)
                proven = await self._prove(assembler, leaf_range, request.peer, strangers)
                if proven and (best is None or proven.lacking < best.lacking):
                    best = proven
            elif best is not None:
                _log.warning("blobs are missing", count=best.lacking, first=assembler.size)
                break
        return best

    async def _next_range(self, first: int, but: Collection[int]) -> LeafRange | None:
        """A range from some peer, not judged yet; None: there is nobody, or no answer."""
        sync = self._sync
        height = self._ledger.head.height + 1
        heights = self._neighbours.final_heights()
        wait_ms = sync.ask(self._clock.monotonic_ms(), first, heights, height, but)
        if wait_ms is not None:
            if not but:
                await asyncio.sleep(wait_ms / 1_000)
            return None
        request = sync.open
        assert request is not None
        self._answer = asyncio.get_running_loop().create_future()
        try:
            wanted = BlocksWantedMessage(request.number, request.first)
            if not self._neighbours.send(request.peer, wanted):
                raise TimeoutError
            async with asyncio.timeout(sync.left_ms(self._clock.monotonic_ms()) / 1_000):
                leaf_range = await self._answer
        except TimeoutError:
            _log.warning("no blocks", peer=self._name(request.peer))
            sync.silent(self._clock.monotonic_ms())
            return None
        except asyncio.CancelledError:
            sync.silent(self._clock.monotonic_ms())
            raise
        finally:
            self._answer = None
        if leaf_range is None:
            sync.empty(self._clock.monotonic_ms())
        return leaf_range

    def _settle(self, leaf_range: LeafRange | None, *, answered: bool) -> None:
        assert self._answer is not None
        if self._answer.done():
            return
        if answered:
            self._answer.set_result(leaf_range)
        else:
            self._answer.set_exception(TimeoutError())

    async def _prove(
        self, assembler: Assembler, leaf_range: LeafRange, peer: int, strangers: set[int]
    ) -> ProvenRange | None:
        """Judge a range, and the peer by it; None when it is false."""
        try:
            proven = await asyncio.to_thread(assembler.prove, leaf_range)
        except FalseRangeError as error:
            self._sync.false(self._clock.monotonic_ms())
            _log.error("false blocks", peer=self._name(peer), reason=str(error))
            if isinstance(error, OtherHistoryError):
                strangers.add(peer)
                for certificate in error.certificates:
                    self._finality.compare_certificate(certificate)
            if len(strangers) > self._voters.f:
                raise HaltedError("the certified history does not continue this ledger") from error
            return None
        strangers.clear()
        self._sync.good(
            self._clock.monotonic_ms(), sum(map(len, leaf_range.leaves + leaf_range.blobs))
        )
        return proven

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

    def _name(self, peer: int) -> str:
        return self._voters.voters[peer].node
