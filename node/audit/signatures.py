"""Verifying many signatures, in this process and in others. Owns the queue between them.

Each claim carries its place in the ledger; the one that fails at the lowest place is told. Work is
handed over in large parts, because each part costs a message; the queue of parts is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import NamedTuple

import msgspec

from node.chain.certificate import CertificateError, parse_certificate
from node.chain.voters import VoterSet
from node.ledger.signing import verify

_PART = 1_000
_PARTS_WAITING_MAX = 4
"""For each worker; the messages of one part take about half a megabyte."""

Claim = tuple[int, bytes, bytes, bytes]
"""Place, public key, message, signature."""


class FalseClaim(msgspec.Struct, frozen=True):
    """A signature that does not verify."""

    place: int
    reason: str


class _Part(NamedTuple):
    """What was handed over."""

    future: Future[FalseClaim | None]
    claims: Sequence[Claim]
    notes: Sequence[tuple[int, str]]


class SignatureChecker:
    """Takes claims and certificates; `finish` or `failure` tells the first that is false."""

    def __init__(self, voters: VoterSet, pool: ProcessPoolExecutor | None, workers: int) -> None:
        """Prepare.

        Args:
            voters: Of the certificates.
            pool: Of other processes; None: all is verified in this one.
            workers: How many processes it has.
        """
        self._voters = voters
        self._pool = pool
        self._workers = workers
        self._claims: list[Claim] = []
        self._notes: list[tuple[int, str]] = []
        self._waiting: deque[_Part] = deque()
        self.failure: FalseClaim | None = None
        """The false one at the lowest place, as far as is known."""
        self.count = 0
        """Signatures taken."""

    def add(self, place: int, key: bytes, message: bytes, signature: bytes) -> None:
        """Take a signature that is claimed at a place of the tree."""
        self.count += 1
        self._claims.append((place, key, message, signature))
        if len(self._claims) >= _PART:
            self._hand_over()

    def add_certificate(self, place: int, note: str, signatures: int) -> None:
        """Take a certificate that must be true as a whole."""
        self.count += signatures
        self._notes.append((place, note))
        if len(self._notes) >= _PART // 4:
            self._hand_over()

    def finish(self) -> FalseClaim | None:
        """Wait for everything that was taken; the false one at the lowest place."""
        self._hand_over()
        while self._waiting:
            part = self._waiting.pop()  # the newest: no other process has begun it, if any is free
            if part.future.cancel():
                self._settle(_check(part.claims, part.notes, self._voters))
            else:
                self._settle(part.future.result())
        return self.failure

    def _hand_over(self) -> None:
        claims, self._claims = self._claims, []
        notes, self._notes = self._notes, []
        if not claims and not notes:
            return
        while self._waiting and self._waiting[0].future.done():
            self._settle(self._waiting.popleft().future.result())
        if self._pool is None or len(self._waiting) >= _PARTS_WAITING_MAX * self._workers:
            self._settle(_check(claims, notes, self._voters))  # rather than wait
        else:
            future = self._pool.submit(_check, claims, notes, self._voters)
            self._waiting.append(_Part(future, claims, notes))

    def _settle(self, failure: FalseClaim | None) -> None:
        if failure is not None and (self.failure is None or failure.place < self.failure.place):
            self.failure = failure


def _check(
    claims: Sequence[Claim], notes: Sequence[tuple[int, str]], voters: VoterSet
) -> FalseClaim | None:
    """The first of a part that is false. Runs in a worker."""
    failures = [
        FalseClaim(place, "the author's signature does not verify")
        for place, key, message, signature in claims
        if not verify(key, message, signature)
    ]
    for place, note in notes:
        try:
            parse_certificate(note).verify(voters)
        except CertificateError as error:
            failures.append(FalseClaim(place, f"certificate: {error}"))
    return min(failures, key=lambda failure: failure.place, default=None)
