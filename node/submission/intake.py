"""From submitted bytes to the pool, and the promise to keep sending them. Owns the outbox's use.

Local submissions are admitted, fsynced in the outbox and only then pooled and gossiped; gossiped
ones are admitted and pooled. What is in the outbox is sent again until it is final or expired.
Knows no p2p and no consensus: sending is handed in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Protocol

import structlog

from node.following.tracker import Outcome, Tracker
from node.ledger.codes import Code
from node.ledger.transaction import Transaction
from node.storage.ledger_values import AppliedBlock
from node.storage.outbox import Outbox, OutboxItem, Promise
from node.submission.admission import Admission, Judged
from node.submission.pool import Pool
from node.system.clock import Clock

SLICE = 16
"""Transactions judged in one slice of the event loop: about 1.2 ms. A block needs some ten turns
of the loop on its way to finality, and waits for one slice in each."""
GIVEN_UP_MAX = 100_000
EXAMINE_MS = 3_000
"""How often each promise is looked at on its own; blocks settle the ordinary ones."""
EXAMINE_SLICE = 2_000
"""Promises looked at in one turn of the loop: about 2 ms."""
RESEND_AFTER_MS = 1_500
RESEND_BYTES_MAX = 2 * 1024 * 1024

_log = structlog.get_logger("node.submission.intake")


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
        outbox_max: int,
        spread: Callable[[Sequence[Transaction]], None],
        on_work: Callable[[], None],
    ) -> None:
        """Put it together; `resume` begins.

        Args:
            admission: Judges what comes.
            pool: Where admitted transactions wait.
            outbox: Keeps what is promised.
            tracker: What became of transactions.
            clock: Paces repeated sending.
            outbox_max: Transactions promised at a time.
            spread: Sends transactions to others.
            on_work: The pool has something new.
        """
        self._admission = admission
        self._pool = pool
        self._outbox = outbox
        self._tracker = tracker
        self._clock = clock
        self._outbox_max = outbox_max
        self._judging = asyncio.Lock()
        """One slice a turn of the loop, however many peers send at once."""
        self._promised: dict[bytes, tuple[OutboxItem, int]] = {}
        """Outbox items by txid, with the monotonic time of their last sending."""
        self._given_up: dict[bytes, Code] = {}
        self._applied: deque[tuple[int, bytes]] = deque()
        """Own transactions that wait for their height to become final, in order."""
        self._examined_ms = 0
        self._spread = spread
        self._on_work = on_work

    @property
    def pool(self) -> Pool:
        """What waits for a block."""
        return self._pool

    @property
    def promised(self) -> int:
        """Transactions in the outbox."""
        return len(self._promised)

    def waits(self, txid: bytes) -> bool:
        """True while the pool holds the transaction."""
        return self._pool.get(txid) is not None

    def promises(self, txid: bytes) -> bool:
        """True while the outbox holds the transaction; it may be applied already."""
        return txid in self._promised

    def given_up(self, txid: bytes) -> Code | None:
        """Why an own transaction will never be applied: EXPIRED, or refused without a leaf."""
        return self._given_up.get(txid)

    async def resume(self, applied: Sequence[bytes]) -> None:
        """Pool again what the outbox promised before a restart.

        The pool knows what the ledger holds already and does not take it; `settle` drops that.

        Args:
            applied: The newest transactions of the ledger. Else they would wait here, for good: no
                leader proposes them again.
        """
        self._pool.applied(applied)
        for item in await self._outbox.load():
            self._promised[item.txid] = (item, 0)
            self._pool_again(item)

    async def judge(self, wires: Sequence[bytes], until: Container[Code] = ()) -> list[Judged]:
        """Judge received transactions in slices that leave the event loop free between them.

        Ends with the first whose outcome is one of `until`: a sender that lies causes no more work.

        Not in a thread: verification is one short foreign call after another, and threads that
        pass the interpreter lock back and forth around each cost half as much again.
        """
        judged: list[Judged] = []
        async with self._judging:
            for start in range(0, len(wires), SLICE):
                if start:
                    await asyncio.sleep(0)
                for wire in wires[start : start + SLICE]:
                    judged += self._admission.judge([wire], self._tracker.height)
                    if judged[-1].code in until:
                        return judged
        return judged

    async def submit(self, wires: Sequence[bytes]) -> list[Judged]:
        """Take local submissions: durable in the outbox when this returns.

        Raises:
            OutboxFullError: nothing was stored.
        """
        self._check_room(wires)  # before any signature is looked at
        judged = await self.judge(wires)
        accepted = [j.transaction for j in judged if j.code is Code.OK and j.transaction]
        if accepted:
            await self.promise(accepted, Promise(items=()))
        return judged

    async def promise(self, transactions: Sequence[Transaction], promise: Promise) -> None:
        """Make verified transactions and what belongs to them durable, then send them.

        Raises:
            OutboxFullError: nothing was stored.
        """
        self._check_room([transaction.wire for transaction in transactions])
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
        self._spread(transactions)

    def _check_room(self, wires: Sequence[bytes]) -> None:
        room = self._pool.has_room(len(wires), sum(map(len, wires)))
        if not room or len(self._promised) + len(wires) > self._outbox_max:
            raise OutboxFullError("too many transactions wait already")

    def received(self, judged: Sequence[Judged]) -> list[Transaction]:
        """Pool gossiped transactions; returns those that are new here."""
        return self._enter([j.transaction for j in judged if j.code is Code.OK and j.transaction])

    def pass_on(self, judged: Sequence[Judged]) -> None:
        """Pool what a node handed in that cannot spread it itself, and spread what is new here."""
        new = self.received(judged)
        if new:
            self._spread(new)

    def _enter(self, transactions: Sequence[Transaction]) -> list[Transaction]:
        entered = [transaction for transaction in transactions if self._pool.add(transaction)]
        if entered:
            self._on_work()
        return entered

    def resend(self, *, at_once: bool = False) -> None:
        """Send again what was promised and is still waiting, a bounded amount at a time."""
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
            self._spread(late)

    def applied(self, block: AppliedBlock) -> None:
        """A block was applied: its transactions wait no more; own ones need only become final."""
        self._pool.applied([t.txid for t in block.transactions])
        self._pool.applied([txid for txid, _ in block.skipped])
        self._admission.forget([t.wire for t in block.transactions])
        promised = self._promised
        for transaction in block.transactions:
            if transaction.txid in promised:
                self._applied.append((block.height, transaction.txid))
        for txid, code in block.skipped:
            if txid in promised and code is not Code.DUPLICATE:
                self._give_up(txid, code)
                self._applied.append((block.height, txid))

    async def settle(self, history: History) -> None:
        """Drop from the outbox what is final or expired; put back what the pool lost."""
        final = self._tracker.final_height
        done: list[bytes] = []
        while self._applied and self._applied[0][0] <= final:
            done.append(self._applied.popleft()[1])
        now = self._clock.monotonic_ms()
        if now - self._examined_ms >= EXAMINE_MS:
            self._examined_ms = now
            self._pool.expire(final)
            done += await self._examine(history, final)
        if done:
            await self._outbox.drop(done)
            for txid in done:
                self._promised.pop(txid, None)

    async def _examine(self, history: History, final: int) -> list[bytes]:
        """Own transactions that no block brought: applied before a restart, lost, or expired."""
        done: list[bytes] = []
        for number, (txid, (item, _)) in enumerate(list(self._promised.items())):
            if number % EXAMINE_SLICE == EXAMINE_SLICE - 1:
                await asyncio.sleep(0)
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
                    self._give_up(txid, Code.EXPIRED)
                done.append(txid)
        return done

    def _pool_again(self, item: OutboxItem) -> None:
        judged = self._admission.judge([item.wire], self._tracker.height)[0]
        self.received([judged])

    def _give_up(self, txid: bytes, code: Code) -> None:
        self._given_up[txid] = code
        while len(self._given_up) > GIVEN_UP_MAX:
            self._given_up.pop(next(iter(self._given_up)))
        self._tracker.expired([txid])
        _log.warning("transaction given up", transaction=txid.hex(), code=code.name)
