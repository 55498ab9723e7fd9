"""Statements that may be of another history than ours. Owns them until our tree can tell.

Nobody signs a height, so what a voter cosigned for a size that is none of ours cannot be compared
with anything until our own tree has that size within it. Then either its root was ours, or the
voter has signed another history; and if it also signed a head of ours at least as large, that is
evidence. Keeps only what was verified; the roots of our tree are looked up by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from node.chain.certificate import Certificate
from node.chain.evidence.kinds import (
    Evidence,
    PrefixEvidence,
    PrefixStatement,
    RootEvidence,
    RootStatement,
)
from node.chain.voters import VoterSet

PENDING_MAX = 64
"""Statements a voter. Over it the largest tree is forgotten: ours reaches it last, if ever."""
CERTIFICATES_MAX = 64
FRESH_MAX = 64
SETTLED_MAX = 8
"""Statements of a voter that are settled in one pass: each costs a path and two signatures."""


_Said = TypeVar("_Said")


class PendingStatement(msgspec.Struct, frozen=True):
    """What a voter signed, and what is to be compared with it."""

    voter: int
    said: RootStatement
    under: RootStatement | None
    """A head of ours at least as large that the voter signed too; None: it signed none yet."""


class PendingStatements:
    """The memory of one node. Sizes are those of its own tree."""

    def __init__(self, voters: VoterSet) -> None:
        self._voters = voters
        self._open: list[dict[int, RootStatement]] = [{} for _ in voters.voters]
        self._foreign: list[dict[int, RootStatement]] = [{} for _ in voters.voters]
        """Known not to be ours, by size; evidence once the voter signs a larger head of ours."""
        self._newest: list[RootStatement | None] = [None] * voters.n
        self._certificates: dict[int, Certificate] = {}
        self._fresh: deque[tuple[int, RootStatement]] = deque(maxlen=FRESH_MAX)
        self._size = 0

    def grown(self, size: int) -> None:
        """Our tree has `size` leaves now, and they are stored."""
        self._size = max(self._size, size)

    def agree(self, voter: int, said: RootStatement) -> None:
        """A voter signed a head of ours."""
        newest = self._newest[voter]
        if newest is None or newest.size < said.size:
            self._newest[voter] = said

    def add(self, voter: int, said: RootStatement, *, told: bool = False) -> None:
        """A voter signed what is not known to be ours.

        Args:
            voter: Its number.
            said: Verified.
            told: All others have it too, or were told of it by the one that told us.
        """
        known = self._foreign[voter].get(said.size)
        if known is None or known.root != said.root:
            if not told and said.size not in self._open[voter]:
                self._fresh.append((voter, said))
            _keep(self._open[voter], said.size, said, PENDING_MAX)

    def at(self, voter: int, size: int) -> RootStatement | None:
        """What a voter signed for this size and is kept here, longer than newer places push out."""
        return self._open[voter].get(size) or self._foreign[voter].get(size)

    def fresh(self, limit: int) -> list[tuple[int, RootStatement]]:
        """Statements made to this node that others may not have seen; each once."""
        return [self._fresh.popleft() for _ in range(min(limit, len(self._fresh)))]

    def question(self, certificate: Certificate) -> None:
        """A verified certificate is not known to be of our history."""
        checkpoint = certificate.checkpoint
        _keep(self._certificates, checkpoint.size, certificate, CERTIFICATES_MAX)
        for line in certificate.cosignatures:
            number = self._voters.by_cosigner[line.cosigner].number
            said = RootStatement(checkpoint.size, checkpoint.root, line.blob)
            self.add(number, said, told=True)

    def suspects(self, voter: int) -> bool:
        """Whether there is anything open against a voter: then its signatures are of use."""
        return bool(self._open[voter] or self._foreign[voter])

    # --- Settling ----------------------------------------------------------------------------

    def due(self) -> list[PendingStatement]:
        """Statements whose root our tree can tell, or that can be proven false, now."""
        found = []
        for voter, (unknown, foreign) in enumerate(zip(self._open, self._foreign, strict=True)):
            newest = self._newest[voter]
            told = [
                PendingStatement(voter, s, None) for s in unknown.values() if s.size <= self._size
            ]
            if newest is not None:
                told += [
                    PendingStatement(voter, s, newest)
                    for s in foreign.values()
                    if s.size <= newest.size
                ]
            found += told[:SETTLED_MAX]
        return found

    def due_certificates(self) -> list[Certificate]:
        """Certificates whose root our tree can tell now."""
        return [c for size, c in self._certificates.items() if size <= self._size]

    def told(self, pending: PendingStatement, root: bytes) -> bool:
        """Our root at the statement's size is known.

        Returns:
            Whether the statement is of another history.
        """
        said = pending.said
        self._open[pending.voter].pop(said.size, None)
        if said.root == root:
            self.agree(pending.voter, said)
            return False
        _keep(self._foreign[pending.voter], said.size, said, PENDING_MAX)
        return True

    def prove(self, pending: PendingStatement, root: bytes, path: Sequence[bytes]) -> Evidence:
        """Evidence of a foreign statement, which is settled so.

        Args:
            pending: With a head of ours that the voter signed.
            root: Our root at the statement's size.
            path: The consistency proof from there to that head.
        """
        said, under = pending.said, pending.under
        assert under is not None
        self._foreign[pending.voter].pop(said.size, None)
        if said.size == under.size:
            return RootEvidence(pending.voter, *sorted((said, under)))
        return PrefixEvidence(pending.voter, said, PrefixStatement(root, tuple(path), under))

    def certificate_told(self, certificate: Certificate, root: bytes) -> bool:
        """As `told`, of a certificate."""
        self._certificates.pop(certificate.checkpoint.size, None)
        return certificate.checkpoint.root != root


def _keep(memory: dict[int, _Said], size: int, said: _Said, places_max: int) -> None:
    memory.setdefault(size, said)
    if len(memory) > places_max:
        del memory[max(memory)]
