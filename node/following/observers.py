"""What a node gives to those that follow it without voting: news, blocks, proofs, evidence.

Owns the pace of the news. Whose node may observe is `node.custody.credentials`, what a guest may
cost `node.peers.guests`. Takes nothing from guests that changes this node but evidence, which
proves itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from node.following.blockserver import BlockServer
from node.following.certificates import Certificates
from node.following.parts import Following
from node.following.peer_states import OwnStatus
from node.peers.guests import GuestLinks, Judge
from node.peers.messages import CertificateMessage, HistoryWantedMessage, Kind, StatusMessage
from node.storage.ledger_values import AppliedBlock
from node.system.clock import Clock

NEWS_S = 0.2
"""Between two tellings of a later final height."""
CATCH_UP_BYTES_PER_S = 8 << 20
"""To all that are far behind: so many that begin at once leave a voter time to vote."""
QUIET_S = 0.5
"""Between two while nothing becomes final."""


class Observers:
    """The serving side of observing."""

    def __init__(
        self, judge: Judge, guests: GuestLinks, following: Following, clock: Clock
    ) -> None:
        self._guests = guests
        self._following = following
        self._status = OwnStatus(guests, following.tracker, clock, lambda: False)
        self._server = BlockServer(guests, following.books.reader, clock, CATCH_UP_BYTES_PER_S)
        self._judge = judge

    def attach(self) -> None:
        """Let observers in from now on."""
        guests, following = self._guests, self._following
        guests.judge_by(self._judge)
        guests.on(Kind.STATUS, StatusMessage, self._on_status, price=0.5)
        guests.on(
            Kind.HISTORY_WANTED,
            HistoryWantedMessage,
            lambda guest, message: following.neighbours.history.want(guest, message.size),
            price=3.0,
        )
        self._status.attach(guests)
        self._server.attach(guests)
        following.evidence.attach(guests)

    def on_block(self, block: AppliedBlock) -> None:
        """A block is stored: who may observe has perhaps changed."""
        if block.participants:
            self._guests.review()

    def loops(self) -> tuple[Coroutine[object, object, None], ...]:
        """Answering, and telling; both run until cancelled."""
        return self._server.serve(), self._tell()

    async def _tell(self) -> None:
        tracker = self._following.tracker
        while True:
            told = tracker.final_height
            if self._guests.peers:
                self._status.tell()
            await asyncio.sleep(NEWS_S)
            await tracker.wait_heights(1 << 62, told, QUIET_S - NEWS_S)

    def _on_status(self, guest: int, message: StatusMessage) -> None:
        """A guest that has the blocks, and not yet what makes them final."""
        newest = self._certificates.newest
        if newest is not None and newest[0] > message.final_height:
            self._guests.send(guest, CertificateMessage(*newest))

    @property
    def _certificates(self) -> Certificates:
        return self._following.certificates
