"""The gossip of transactions: pushed, announced, pulled. Owns who is pushed to, and what is taken.

What an announcement is, and how it is paced, is `p2p.gossip`. Beside `node.peers` and the runtime
the only module that knows p2p. No consensus: who leads is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from node.chain.voters import VoterSet
from node.ledger.codes import Code
from node.ledger.transaction import Transaction
from node.peers.messages import DishonestError
from node.peers.ports import RawRouting, Routing
from node.submission.intake import Intake
from node.submission.pool import Pool
from node.system.clock import Clock
from p2p.gossip import HAVE, ITEMS, WANT, Gossip, Outgoing
from p2p.types import ItemId, PeerId

DISHONEST = frozenset({Code.MALFORMED, Code.BAD_SIGNATURE, Code.WRONG_NETWORK})
"""An honest node relays nothing of these: they need no knowledge of the ledger. An author's keys do
need it, and the peer's ledger may be ahead of or behind this one."""


class _Links(Routing, RawRouting, Protocol):
    """What gossip needs of the links."""


class Spreading:
    """The gossip of one node; implements `intake.Carrier`."""

    def __init__(
        self,
        voters: VoterSet,
        number: int,
        pool: Pool,
        links: RawRouting,
        leader: Callable[[], int | None],
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._number = number
        self._pool = pool
        self._links = links
        self._leader = leader
        self._clock = clock
        self._gossip = Gossip(self._wire_of, pool.knows)
        self._ids = {
            voter.number: PeerId(voter.identity_key)
            for voter in voters.voters
            if voter.number != number
        }
        self._numbers = {peer: each for each, peer in self._ids.items()}

    def attach(self, links: _Links, intake: Intake) -> None:
        """Take gossip from now on, transactions into `intake`."""

        async def on_items(number: int, body: bytes) -> None:
            await self._on_items(number, body, intake)

        links.on_bytes(ITEMS, on_items)
        links.on_bytes(HAVE, self._on_have)
        links.on_bytes(WANT, self._on_want)
        links.when_up(self._peer_up)
        links.when_down(lambda number: self._gossip.peer_down(self._ids[number]))

    def spread(self, transactions: Sequence[Transaction]) -> None:
        """Push to the leader and enough voters, announce to the others."""
        items = [(ItemId(t.txid), t.wire) for t in transactions]
        self._send(self._gossip.originate(items, self._eager()))

    def tick(self) -> None:
        """Every 50 ms: announcements and retries."""
        self._send(self._gossip.tick(self._clock.monotonic_ms()))

    def _eager(self) -> list[PeerId]:
        """The leader, and voters enough that f + 1 others hold the transaction at once.

        A leader pushes to nobody: its entry, on the way at once, carries the transaction.
        """
        leader = self._leader()
        if leader == self._number:
            return []
        order = sorted(self._ids, key=lambda n: (n != leader, (n - self._number) % self._voters.n))
        return [self._ids[n] for n in order[: self._voters.f + 1]]

    def _peer_up(self, number: int) -> None:
        self._gossip.peer_up(self._ids[number], [ItemId(txid) for txid in self._pool.txids()])

    async def _on_items(self, number: int, body: bytes, intake: Intake) -> None:
        wires, peer = self._gossip.decode_items(body), self._ids[number]
        if not self._gossip.takes_items(peer, len(wires), self._clock.monotonic_ms()):
            return
        judged = await intake.judge(wires, DISHONEST)
        if judged and judged[-1].code in DISHONEST:
            raise DishonestError(f"relayed a transaction that is {judged[-1].code.name}")
        refused = sum(j.code not in {Code.OK, Code.DUPLICATE} for j in judged)
        self._gossip.refused(peer, refused, self._clock.monotonic_ms())
        new = intake.received(judged)
        ids = [ItemId(j.txid) for j in judged if j.txid is not None]
        accepted = [ItemId(transaction.txid) for transaction in new]
        self._gossip.learned(peer, ids, accepted, self._clock.monotonic_ms())

    def _on_have(self, number: int, body: bytes) -> None:
        now_ms = self._clock.monotonic_ms()
        self._send(self._gossip.receive_have(self._ids[number], body, now_ms))

    def _on_want(self, number: int, body: bytes) -> None:
        now_ms = self._clock.monotonic_ms()
        self._send(self._gossip.receive_want(self._ids[number], body, now_ms))

    def _wire_of(self, txid: bytes) -> bytes | None:
        transaction = self._pool.get(txid)
        return None if transaction is None else transaction.wire

    def _send(self, outgoing: Sequence[Outgoing]) -> None:
        for out in outgoing:
            self._links.send_bytes(self._numbers[out.peer], out.kind, out.body)
