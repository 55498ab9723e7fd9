"""Admission: from received bytes to verified transactions, cheapest check first.

Owns the order of the checks and the cache of verified signatures. Pure: no clock, no I/O; the
caller decides in which thread it runs. Every voter verifies every signature itself, once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from node.following.participants import Participants
from node.ledger.codes import Code
from node.ledger.execution.execute import travelling_blobs
from node.ledger.genesis import Genesis
from node.ledger.signing import verify
from node.ledger.transaction import MalformedTransactionError, Transaction, decode_opened, open_wire

VERIFIED_BYTES_MAX = 64 * 1024 * 1024
BEGINNING_BYTES = 128
"""Network, author, key and nonce of a transaction lie in so many: whoever signs with one key makes
them differ, or has its own transactions verified twice."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """The outcome for one transaction: admitted (`code` OK), or why not."""

    transaction: Transaction | None
    """None when it is malformed, or known already and so not decoded again."""
    code: Code
    detail: str = ""
    known: bytes | None = None
    """The txid of one that is known already."""

    @property
    def txid(self) -> bytes | None:
        """Its id; None when it is malformed."""
        return self.known if self.transaction is None else self.transaction.txid


class VerifiedCache:
    """Decoded transactions whose signature this node has verified, by their exact bytes.

    The bytes cover body and signature, so another valid signature over one body is verified anew.
    They are found by their beginning, because hashing all of a batch costs 10 µs each time. Shared
    by the admission thread and the ledger thread.
    """

    def __init__(self, bytes_max: int = VERIFIED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._known: OrderedDict[bytes, Transaction] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, wire: bytes) -> Transaction | None:
        """The transaction if these very bytes were verified."""
        known = self._known.get(wire[:BEGINNING_BYTES])
        return known if known is not None and known.wire == wire else None

    def add(self, transaction: Transaction) -> None:
        """Remember a verified transaction, instead of another one that begins alike."""
        with self._lock:
            self._drop(transaction.wire[:BEGINNING_BYTES])
            self._known[transaction.wire[:BEGINNING_BYTES]] = transaction
            self._bytes += len(transaction.wire)
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._known)))

    def forget(self, wires: Sequence[bytes]) -> None:
        """Applied transactions are not needed again."""
        with self._lock:
            for wire in wires:
                if self.get(wire) is not None:
                    self._drop(wire[:BEGINNING_BYTES])

    def _drop(self, beginning: bytes) -> None:
        dropped = self._known.pop(beginning, None)
        if dropped is not None:
            self._bytes -= len(dropped.wire)


class Admission:
    """Judges received transactions against the participants and the present height."""

    def __init__(
        self,
        genesis: Genesis,
        participants: Participants,
        cache: VerifiedCache,
        knows: Callable[[bytes], bool],
    ) -> None:
        self._network_id = genesis.network_id
        self._participants = participants
        self._window = genesis.terms.validity_heights
        self._cache = cache
        self._knows = knows

    def forget(self, wires: Sequence[bytes]) -> None:
        """Applied transactions are not needed again."""
        self._cache.forget(wires)

    def judge(self, wires: Sequence[bytes], height: int) -> list[Judged]:
        """Judge each of `wires` at ledger height `height`."""
        return [self._judge(wire, height) for wire in wires]

    def _judge(  # noqa: PLR0911 - one answer for each check, cheapest first
        self, wire: bytes, height: int
    ) -> Judged:
        known = self._cache.get(wire)
        if known is not None:
            if self._knows(known.txid):
                return Judged(None, Code.DUPLICATE, known=known.txid)
            # Its signature is good for ever, its key is not.
            return Judged(known, self._participants.refusal(known.body.author, known.body.key))
        try:
            # Most of what gossip brings twice has been applied meanwhile.
            envelope, txid = open_wire(wire)
            if self._knows(txid):
                return Judged(None, Code.DUPLICATE, known=txid)
            transaction = decode_opened(wire, envelope, txid)
        except MalformedTransactionError as error:
            return Judged(None, Code.MALFORMED, str(error))
        body = transaction.body
        if body.network != self._network_id:
            return Judged(transaction, Code.WRONG_NETWORK)
        refusal = self._participants.refusal(body.author, body.key)
        if refusal:
            return Judged(transaction, refusal)
        if body.valid_until <= height:
            return Judged(transaction, Code.EXPIRED)
        if body.valid_until > height + self._window:
            return Judged(transaction, Code.VALIDITY_TOO_LONG)
        _, code = travelling_blobs(transaction)
        if code is not Code.OK:
            # Else a stranger could make a txid known with blobs that void it.
            return Judged(transaction, code)
        if not verify(body.key, transaction.signed_bytes, transaction.signature):
            return Judged(transaction, Code.BAD_SIGNATURE)
        self._cache.add(transaction)
        return Judged(transaction, Code.OK)
