"""How a node that does not vote hands transactions in: pushed to voters, who pass them on.

Owns whom they are pushed to. What is not heard of again is pushed anew by `node.submission.intake`.
Implements its carrier.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.ledger.codes import Code
from node.ledger.transaction import Transaction
from node.peers.guests import GuestLinks
from node.peers.messages import DishonestError
from node.peers.ports import RawRouting, Sending
from node.submission.intake import Intake
from node.submission.spreading import DISHONEST
from p2p.gossip import ITEMS, Gossip, pack_items


class HandingIn:
    """The sending side, at an observer."""

    def __init__(self, sending: Sending, raw: RawRouting, voters_needed: int) -> None:
        """Put it together.

        Args:
            sending: Who is linked.
            raw: To them.
            voters_needed: How many are handed it at once: one more than may lie.
        """
        self._sending = sending
        self._raw = raw
        self._needed = voters_needed
        self._first = 0

    def spread(self, transactions: Sequence[Transaction]) -> None:
        """Push to enough voters, other ones each time: one of them may lie, or be away."""
        linked = [number for number in self._sending.peers if self._sending.linked(number)]
        bodies = pack_items([transaction.wire for transaction in transactions])
        for place in range(min(self._needed, len(linked))):
            number = linked[(self._first + place) % len(linked)]
            for body in bodies:
                self._raw.send_bytes(number, ITEMS, body)
        self._first += 1


class FromObservers:
    """The taking side, at a voter."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def attach(self, guests: GuestLinks) -> None:
        """Take transactions from now on; each costs a check of its signature."""
        guests.on_bytes(ITEMS, self._on_items, lambda body: float(len(Gossip.decode_items(body))))

    async def _on_items(self, _: int, body: bytes) -> None:
        judged = await self._intake.judge(Gossip.decode_items(body), DISHONEST)
        if judged and judged[-1].code in DISHONEST:
            raise DishonestError(f"handed in a transaction that is {judged[-1].code.name}")
        self._intake.pass_on([j for j in judged if j.code is Code.OK])
