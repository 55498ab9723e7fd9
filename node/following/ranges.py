"""The asking side of block exchange: the next range of leaves, from whoever has it, proven.

Owns the one request that is under way and what becomes of its peer. Whom to ask is
`node.following.blocksync`, what is true `node.chain.leaf_range`. Changes no ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from node.chain.leaf_range import (
    Assembler,
    FalseRangeError,
    LeafRange,
    OtherHistoryError,
    ProvenRange,
)
from node.chain.voters import VoterSet
from node.following.blocksync import BlockSync
from node.following.finality import Finality
from node.following.halt import HaltedError
from node.peers.messages import BlocksMessage, BlocksWantedMessage, Kind
from node.peers.ports import Neighbours, Routing
from node.system.clock import Clock

_log = structlog.get_logger("node.following.ranges")


class Ranges:
    """Ranges of certified leaves, asked for one after another."""

    def __init__(
        self,
        voters: VoterSet,
        height: Callable[[], int],
        finality: Finality,
        neighbours: Neighbours,
        clock: Clock,
        on_false: Callable[[int, str], None] = lambda _, __: None,
    ) -> None:
        """Put it together.

        Args:
            voters: Who certifies.
            height: Of this ledger: who has no more is not asked.
            finality: Compares the certificates of another history.
            neighbours: Who is asked.
            clock: Its monotonic time tells who is slow.
            on_false: Told of a peer that sent a range which no honest node sends, and why.
        """
        self._voters = voters
        self._height = height
        self._finality = finality
        self._neighbours = neighbours
        self._clock = clock
        self._on_false = on_false
        self._sync = BlockSync(neighbours.peers)
        self._answer: asyncio.Future[LeafRange | None] | None = None
        self._strangers: set[int] = set()
        """Peers whose certified history does not continue this ledger, one after another."""

    def attach(self, routes: Routing) -> None:
        """Take answers from now on. They cost nothing: only what was asked for is taken."""
        routes.on(
            Kind.BLOCKS,
            BlocksMessage,
            lambda peer, message: self.receive(peer, message.number, message.leaf_range),
            price=0.0,
        )
        routes.when_down(self.link_down)

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

    async def best(self, assembler: Assembler) -> ProvenRange:
        """The next range, from the first peer that has all of its blobs; waits for peers.

        One that lacks some is taken when nobody else can be asked who has more.

        Raises:
            HaltedError: more than f peers hold another certified history.
        """
        best: ProvenRange | None = None
        asked: list[int] = []
        while best is None or best.lacking:
            leaf_range = await self._next_range(assembler.size, asked if best else ())
            request = self._sync.open
            if leaf_range is not None and request is not None:
                asked.append(request.peer)
                proven = await self._prove(assembler, leaf_range, request.peer)
                if proven and (best is None or proven.lacking < best.lacking):
                    best = proven
            elif best is not None:
                _log.warning("blobs are missing", count=best.lacking, first=assembler.size)
                break
        return best

    async def _next_range(self, first: int, but: Collection[int]) -> LeafRange | None:
        """A range from some peer, not judged yet; None: there is nobody, or no answer."""
        sync = self._sync
        height = self._height() + 1
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
        self, assembler: Assembler, leaf_range: LeafRange, peer: int
    ) -> ProvenRange | None:
        """Judge a range, and the peer by it; None when it is false."""
        try:
            proven = await asyncio.to_thread(assembler.prove, leaf_range)
        except FalseRangeError as error:
            self._sync.false(self._clock.monotonic_ms())
            _log.error("false blocks", peer=self._name(peer), reason=str(error))
            if isinstance(error, OtherHistoryError):
                self._strangers.add(peer)
                for certificate in error.certificates:
                    self._finality.compare_certificate(certificate)
            else:
                self._on_false(peer, str(error))
            if len(self._strangers) > self._voters.f:
                raise HaltedError("the certified history does not continue this ledger") from error
            return None
        for stranger in self._strangers:  # this ledger goes on: they were wrong, and not it
            self._on_false(stranger, "blocks of another history than the certified one")
        self._strangers.clear()
        self._sync.good(
            self._clock.monotonic_ms(), sum(map(len, leaf_range.leaves + leaf_range.blobs))
        )
        return proven

    def _name(self, peer: int) -> str:
        return self._voters.voters[peer].node
