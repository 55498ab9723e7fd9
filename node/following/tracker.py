"""What became of recent transactions, and who waits for it. In memory, bounded, event loop only.

Owns the newest outcomes and the waiters. Older outcomes come from the query index; nothing here
is durable, and nothing here decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from node.ledger.codes import Code
from node.storage.ledger_values import AppliedBlock

OUTCOMES_MAX = 65_536
WAITERS_MAX = 50_000


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One applied transaction: its leaf's height, tree index and code."""

    height: int
    index: int
    code: Code
    operation: int | None


class Tracker:
    """Outcomes by txid, and futures that resolve when one is known."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}
        self._waiting = 0
        self._height_waiters: set[asyncio.Future[None]] = set()
        self.height = 0
        self.final_height = 0

    def outcome(self, txid: bytes) -> Outcome | None:
        """The outcome, if it is recent."""
        return self._outcomes.get(txid)

    def applied(self, height: int, outcomes: Sequence[tuple[bytes, Outcome]]) -> None:
        """A block was applied."""
        self.height = height
        self._outcomes.update(outcomes)
        while len(self._outcomes) > OUTCOMES_MAX:
            self._outcomes.popitem(last=False)
        if self._waiters:
            for txid, _ in outcomes:
                self._wake(txid)
        self._wake_heights()

    def on_block(self, block: AppliedBlock) -> None:
        """A block is stored: note what became of its transactions."""
        self.applied(
            block.height,
            [
                (t.txid, Outcome(block.height, t.index, t.code, t.operation))
                for t in block.transactions
            ],
        )

    def finalised(self, height: int) -> None:
        """Everything up to `height` is final."""
        self.final_height = max(self.final_height, height)
        self._wake_heights()

    def expired(self, txids: Sequence[bytes]) -> None:
        """These can no longer be applied; whoever waits looks again."""
        for txid in txids:
            self._wake(txid)

    async def wait_outcome(self, txid: bytes, timeout_s: float) -> bool:
        """Wait until something is known of `txid`. False at the timeout or with no room."""
        if self._waiting >= WAITERS_MAX:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(txid, []).append(future)
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            waiters = self._waiters.get(txid, [])
            if future in waiters:
                waiters.remove(future)
            if not waiters:
                self._waiters.pop(txid, None)
        return True

    async def wait_heights(self, height: int, final_height: int, timeout_s: float) -> None:
        """Wait until a height passes the given one, or for the timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self.height <= height and self.final_height <= final_height:
            left = deadline - loop.time()
            if left <= 0 or len(self._height_waiters) >= WAITERS_MAX:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._height_waiters.add(future)
            try:
                async with asyncio.timeout(left):
                    await future
            except TimeoutError:
                return
            finally:
                self._height_waiters.discard(future)

    def _wake(self, txid: bytes) -> None:
        for future in self._waiters.pop(txid, ()):
            if not future.done():
                future.set_result(None)

    def _wake_heights(self) -> None:
        for future in self._height_waiters:
            if not future.done():
                future.set_result(None)
