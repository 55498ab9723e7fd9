"""What a liar signed and sent, until it is certain that it came.

A node reads on later from whom it is in debt to it (`node.peers.allowance`), and what waits in a
link that is lost meanwhile was never seen. So on the gossip link, which is read in order, a
statement has come once a question that was put after it is answered; on the Raft link, which
nobody is slow to read, once the link has outlived it by `RAFT_S`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.peers.messages import NONCE_BYTES, QuestionMessage
from p2p.types import Link

RAFT_S = 0.4
ASK_S = 0.3


@dataclass
class Claim:
    """One statement in one link."""

    name: str
    link: Link
    closed: int
    """How often the link had gone when it was sent: its life."""
    serial: int
    said: set[bytes]
    """What came at the same place."""
    statement: bytes


@dataclass
class Arrivals:
    """The claims of one liar."""

    closed_count: Callable[[str, Link], int]
    ask: Callable[[str, QuestionMessage], bool]
    lost: int = 0
    """Statements that perhaps nobody saw."""
    _claims: list[Claim] = field(default_factory=list)
    _asked: dict[bytes, Claim] = field(default_factory=dict)
    """By nonce, the newest claim that a question was put after."""
    _serial: int = 0

    def sent(self, name: str, link: Link, said: set[bytes], statement: bytes) -> None:
        """A signed statement went into a link."""
        self._serial += 1
        closed = self.closed_count(name, link)
        self._claims.append(Claim(name, link, closed, self._serial, said, statement))

    def answered(self, nonce: bytes) -> None:
        """A node answered: all that was sent to it before the question has come."""
        newest = self._asked.pop(nonce, None)
        if newest is None:
            return
        for claim in [claim for claim in self._claims if claim.serial <= newest.serial]:
            if (claim.name, claim.link, claim.closed) == (newest.name, newest.link, newest.closed):
                claim.said.add(claim.statement)
                self._claims.remove(claim)

    async def settle(self) -> None:
        """Count what came over Raft links, and ask about the others."""
        await asyncio.sleep(RAFT_S)
        for claim in [claim for claim in self._claims if claim.link is Link.RAFT]:
            if self._lives(claim):
                claim.said.add(claim.statement)
            self._claims.remove(claim)
        self._put_questions()

    async def finish(self, limit_s: float) -> None:
        """Ask until everything that may still come has; what has not by then is not counted."""
        end = time.monotonic() + limit_s
        while self._put_questions() and time.monotonic() < end:
            await asyncio.sleep(ASK_S)
        self.lost += len(self._claims)
        self._claims.clear()

    def _put_questions(self) -> bool:
        """Ask each node that something may still come to; False if there is none."""
        self.lost += sum(not self._lives(claim) for claim in self._claims)
        self._claims = [claim for claim in self._claims if self._lives(claim)]
        newest = {claim.name: claim for claim in self._claims}
        for name, claim in newest.items():
            self._serial += 1
            nonce = self._serial.to_bytes(NONCE_BYTES, "big")
            if self.ask(name, QuestionMessage(nonce)):
                self._asked[nonce] = claim
        return bool(newest)

    def _lives(self, claim: Claim) -> bool:
        return self.closed_count(claim.name, claim.link) == claim.closed
