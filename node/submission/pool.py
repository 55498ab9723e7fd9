"""The pool: verified transactions that wait for a block. Owns order, bounds and what is in flight.

Knows no storage, no peer and no rule. A transaction stays until it is applied or expired; while
an entry that carries it is in flight it is not offered again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from node.ledger.transaction import Transaction


class PoolLimits:
    """Bounds of a pool: a full pool refuses newcomers, it never drops what it holds."""

    def __init__(
        self,
        *,
        transactions_max: int = 50_000,
        bytes_max: int = 64 * 1024 * 1024,
        remembered_max: int = 200_000,
    ) -> None:
        self.transactions_max = transactions_max
        self.bytes_max = bytes_max
        self.remembered_max = remembered_max
        """Applied txids remembered, so that late gossip is not pooled again."""


class Pool:
    """Insertion-ordered transactions by txid."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[bytes, Transaction] = OrderedDict()
        self._in_flight: dict[bytes, Transaction] = {}
        self._done: OrderedDict[bytes, None] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    @property
    def remembered_max(self) -> int:
        """How many applied txids are remembered."""
        return self._limits.remembered_max

    @property
    def size_bytes(self) -> int:
        """Wire bytes held."""
        return self._bytes

    @property
    def waiting(self) -> int:
        """Transactions that no entry in flight carries."""
        return len(self._waiting)

    def txids(self) -> list[bytes]:
        """All that are held, oldest first."""
        return [*self._in_flight, *self._waiting]

    def knows(self, txid: bytes) -> bool:
        """True if the transaction is here or was applied lately."""
        return txid in self._waiting or txid in self._in_flight or txid in self._done

    def has_room(self, transactions: int = 1, size: int = 0) -> bool:
        """True if as many more would fit."""
        return (
            len(self) + transactions <= self._limits.transactions_max
            and self._bytes + size <= self._limits.bytes_max
        )

    def get(self, txid: bytes) -> Transaction | None:
        """A held transaction."""
        return self._waiting.get(txid) or self._in_flight.get(txid)

    def add(self, transaction: Transaction) -> bool:
        """Hold a verified transaction. False if it is known already or there is no room."""
        if self.knows(transaction.txid) or not self.has_room(1, len(transaction.wire)):
            return False
        self._waiting[transaction.txid] = transaction
        self._bytes += len(transaction.wire)
        return True

    def take(self, bytes_max: int, count_max: int, operations_max: int) -> list[Transaction]:
        """Move the oldest waiting transactions into flight, at least one, at most so much."""
        taken: list[Transaction] = []
        size = operations = 0
        for txid, transaction in self._waiting.items():
            size += len(transaction.wire)
            operations += len(transaction.body.operations)
            if len(taken) >= count_max or (
                taken and (size > bytes_max or operations > operations_max)
            ):
                break
            taken.append(transaction)
            self._in_flight[txid] = transaction
        for transaction in taken:
            del self._waiting[transaction.txid]
        return taken

    def give_back(self, transactions: Sequence[Transaction]) -> None:
        """An entry was not taken: its transactions wait again, at the front."""
        for transaction in reversed(transactions):
            if self._in_flight.pop(transaction.txid, None) is not None:
                self._waiting[transaction.txid] = transaction
                self._waiting.move_to_end(transaction.txid, last=False)

    def give_back_all(self) -> None:
        """Leadership ended: what was in flight may or may not be applied, so it waits again."""
        self.give_back(list(self._in_flight.values()))

    def applied(self, txids: Iterable[bytes]) -> None:
        """These are in the ledger now, whatever their outcome."""
        for txid in txids:
            transaction = self._waiting.pop(txid, None) or self._in_flight.pop(txid, None)
            if transaction is not None:
                self._bytes -= len(transaction.wire)
            self._done[txid] = None
        while len(self._done) > self._limits.remembered_max:
            self._done.popitem(last=False)

    def expire(self, height: int) -> list[bytes]:
        """Drop what can no longer be applied above `height`; returns the txids."""
        late = [t for t in self._waiting.values() if t.body.valid_until <= height]
        for transaction in late:
            del self._waiting[transaction.txid]
            self._bytes -= len(transaction.wire)
        return [transaction.txid for transaction in late]
