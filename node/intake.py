"""From submitted bytes to the pool, and the promise to keep sending them. Owns the outbox's use.

Local submissions are admitted, fsynced in the outbox and only then pooled and gossiped; gossiped
ones are admitted and pooled. What is in the outbox is sent again until it is final or expired.
Knows no p2p and no consensus: `Carrier` is what it needs of the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from node.admission import Admission, Judged
from node.clock import Clock
from node.ledger.codes import Code
from node.ledger.transaction import Transaction
from node.pool import Pool
from node.storage.outbox import Outbox, OutboxItem, Promise
from node.tracker import Outcome, Tracker

INLINE_MAX = 4
"""So few are judged on the event loop (about 70 µs each); more go to the admission thread."""
CHUNK = 256
OUTBOX_MAX = 100_000
RESEND_AFTER_MS = 1_500
RESEND_BYTES_MAX = 2 * 1024 * 1024

_log = structlog.get_logger("node.intake")


class Carrier(Protocol):
    """The network as the intake needs it."""

    def spread(self, transactions: Sequence[Transaction]) -> None:
        """Push to the leader and enough voters, announce to the others."""
        ...

    def work(self) -> None:
        """The pool has work."""
        ...


class History(Protocol):
    """Outcomes of older transactions: the query index."""

    @property
    def height(self) -> int:
        """Up to which height it knows every transaction."""
        ...

    async def outcome(self, txid: bytes) -> Outcome | None:
        """The outcome of an applied transaction."""
        ...


class OutboxFullError(RuntimeError):
    """So much is promised already that nothing more is taken."""


class Intake:
    """Admission, pool and outbox together."""

    def __init__(
        self,
        admission: Admission,
        pool: Pool,
        outbox: Outbox,
        tracker: Tracker,
        clock: Clock,
    ) -> None:
        self._admission = admission
        self._pool = pool
        self._outbox = outbox
        self._tracker = tracker
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="admission")
        self._promised: dict[bytes, tuple[OutboxItem, int]] = {}
        """Outbox items by txid, with the monotonic time of their last sending."""
        self._expired: dict[bytes, None] = {}
        self.carrier: Carrier | None = None

    @property
    def promised(self) -> int:
        """Transactions in the outbox."""
        return len(self._promised)

    def holds(self, txid: bytes) -> bool:
        """True while the outbox or the pool holds the transaction."""
        return txid in self._promised or self._pool.get(txid) is not None

    def is_expired(self, txid: bytes) -> bool:
        """True if an own transaction is known to have expired."""
        return txid in self._expired

    async def resume(self) -> None:
        """Pool again what the outbox promised before a restart.

        What the ledger holds already is refused there as a duplicate and settled by `settle`.
        """
        for item in await self._outbox.load():
            self._promised[item.txid] = (item, 0)
            self._pool_again(item)

    def close(self) -> None:
        """Stop the admission thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def judge(self, wires: Sequence[bytes]) -> list[Judged]:
        """Judge received transactions without holding the event loop."""
        height = self._tracker.height
        if len(wires) <= INLINE_MAX:
            return self._admission.judge(wires, height)
        loop = asyncio.get_running_loop()
        judged: list[Judged] = []
        for start in range(0, len(wires), CHUNK):
            judged += await loop.run_in_executor(
                self._thread, self._admission.judge, wires[start : start + CHUNK], height
            )
        return judged

    async def submit(self, wires: Sequence[bytes]) -> list[Judged]:
        """Take local submissions: durable in the outbox when this returns.

        Raises:
            OutboxFullError: nothing was stored.
        """
        size = sum(map(len, wires))
        if len(self._promised) + len(wires) > OUTBOX_MAX or not self._pool.has_room(
            len(wires), size
        ):
            raise OutboxFullError("too many transactions wait already")
        judged = await self.judge(wires)
        accepted = [j.transaction for j in judged if j.code is Code.OK and j.transaction]
        if accepted:
            await self.promise(accepted, Promise(items=()))
        return judged

    async def promise(self, transactions: Sequence[Transaction], promise: Promise) -> None:
        """Make verified transactions and what belongs to them durable, then send them."""
        items = [OutboxItem(t.txid, t.wire, t.body.valid_until) for t in transactions]
        await self._outbox.keep(
            Promise(
                items=items,
                serials=promise.serials,
                idempotency_key=promise.idempotency_key,
                remembered=promise.remembered,
                height=self._tracker.height,
            )
        )
        now = self._clock.monotonic_ms()
        for item in items:
            self._promised[item.txid] = (item, now)
        self._enter(transactions)
        if self.carrier is not None:
            self.carrier.spread(transactions)

    def received(self, judged: Sequence[Judged]) -> list[Transaction]:
        """Pool gossiped transactions; returns those that are new here."""
        return self._enter([j.transaction for j in judged if j.code is Code.OK and j.transaction])

    def _enter(self, transactions: Sequence[Transaction]) -> list[Transaction]:
        entered = [transaction for transaction in transactions if self._pool.add(transaction)]
        if entered and self.carrier is not None:
            self.carrier.work()
        return entered

    def resend(self, *, at_once: bool = False) -> None:
        """Send again what was promised and is still waiting, a bounded amount at a time."""
        if self.carrier is None:
            return
        now = self._clock.monotonic_ms()
        late: list[Transaction] = []
        size = 0
        for txid, (item, sent) in list(self._promised.items()):
            if not at_once and now - sent < RESEND_AFTER_MS:
                continue
            transaction = self._pool.get(txid)
            if transaction is None:
                continue
            self._promised[txid] = (item, now)
            late.append(transaction)
            size += len(item.wire)
            if size > RESEND_BYTES_MAX:
                break
        if late:
            self.carrier.spread(late)

    async def settle(self, history: History) -> None:
        """Drop from the outbox what is final or expired; put back what the pool lost."""
        final = self._tracker.final_height
        done: list[bytes] = []
        for txid, (item, _) in list(self._promised.items()):
            outcome = self._tracker.outcome(txid)
            if outcome is None and self._pool.get(txid) is None:
                outcome = await history.outcome(txid)
                if outcome is None and item.valid_until > self._tracker.height:
                    self._pool_again(item)
            if outcome is not None:
                if outcome.height <= final:
                    done.append(txid)
            elif item.valid_until < min(final, history.height):
                # A final block above valid-until without the txid: it can never be applied.
                if await history.outcome(txid) is None:
                    self._expire(txid)
                done.append(txid)
        self._pool.expire(final)
        if done:
            await self._outbox.drop(done)
            for txid in done:
                self._promised.pop(txid, None)

    def _pool_again(self, item: OutboxItem) -> None:
        judged = self._admission.judge([item.wire], self._tracker.height)[0]
        self.received([judged])

    def _expire(self, txid: bytes) -> None:
        self._expired[txid] = None
        while len(self._expired) > OUTBOX_MAX:
            self._expired.pop(next(iter(self._expired)))
        self._tracker.expired([txid])
        _log.warning("transaction expired", transaction=txid.hex())
