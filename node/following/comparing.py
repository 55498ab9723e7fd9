"""What voters state, compared with what they stated before and with the own history. No I/O.

Owns the memory of own heads, and of statements that count for nothing any more: what is final needs
no more cosignatures, but a second root is evidence at any time. Counts nothing, and judges nothing:
evidence is the observer's matter.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from node.chain.certificate import Certificate
from node.chain.checkpoint import Checkpoint, verify_cosignature
from node.chain.cosigned import Cosigned
from node.chain.evidence.kinds import RootStatement
from node.chain.evidence.pending_statements import PendingStatements
from node.chain.voters import VoterSet

LATE_MAX = 4_096
"""Of each voter: one that states many sizes forgets its own, and nobody else's."""
KNOWN_MAX = 16_384
"""Own heads remembered, so that ordinary statements about them need no look at the disk."""


class StatementObserver(Protocol):
    """Whoever compares what voters signed (`node.chain.evidence.watch`)."""

    @property
    def pending(self) -> PendingStatements:
        """What is not known to be of our history."""
        ...

    def observe_cosignature(
        self, voter: int, checkpoint: Checkpoint, cosignature: bytes
    ) -> object | None:
        """Take note of a verified cosignature; evidence, if it contradicts an earlier one."""
        ...

    def contradicts(self, voter: int, checkpoint: Checkpoint) -> bool:
        """True if the voter is known to have cosigned another root of this size."""
        ...


class Comparison:
    """Statements of all voters, as one node has heard them."""

    def __init__(
        self, voters: VoterSet, observer: StatementObserver, on_dissent: Callable[[int], None]
    ) -> None:
        self._voters = voters
        self._observer = observer
        self.on_dissent = on_dissent
        """Told the height at which another root is signed than ours."""
        self._late: list[OrderedDict[int, Cosigned]] = [OrderedDict() for _ in voters.voters]
        """The first statement of each voter about a tree size that was final before it came, or
        that is too far ahead to wait for. Compared when the voter states another root."""
        self._agreed: dict[int, Cosigned] = {}
        """The newest late statement of each voter about a head of ours, not verified."""
        self._known: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        """Roots and heights of our newest heads by size."""
        self._newest: dict[int, Cosigned] = {}
        """Of each voter, its verified statement about the largest tree."""

    # --- The own history ---------------------------------------------------------------------

    def grown(self, height: int, checkpoint: Checkpoint) -> None:
        """A head of ours."""
        self._known[checkpoint.size] = (checkpoint.root, height)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        self._observer.pending.grown(checkpoint.size)

    def height_of(self, checkpoint: Checkpoint) -> int | None:
        """The height of a head of ours, while it is remembered."""
        root, height = self._known.get(checkpoint.size, (b"", 0))
        return height if root == checkpoint.root else None

    def _is_ours(self, checkpoint: Checkpoint) -> bool:
        return self.height_of(checkpoint) is not None

    # --- Statements --------------------------------------------------------------------------

    def stated(self, statement: Cosigned) -> Checkpoint:
        """The checkpoint of a statement."""
        return Checkpoint(self._voters.origin, statement.size, statement.root)

    def is_signed(self, number: int, statement: Cosigned) -> bool:
        """Whether its signature verifies."""
        voter, stated = self._voters.voters[number], self.stated(statement)
        return verify_cosignature(stated, voter.cosigner, voter.cosign_key, statement.cosignature)

    def observe(self, number: int, statement: Cosigned) -> bool:
        """Compare a statement; False if its signature does not verify."""
        if not self.is_signed(number, statement):
            return False
        self.compare(number, self.stated(statement), statement.cosignature)
        return True

    def compare(
        self, number: int, checkpoint: Checkpoint, cosignature: bytes, *, told: bool = False
    ) -> None:
        """Compare a verified one with what its voter signed of this size, and with our history."""
        self.note(Cosigned(0, checkpoint.size, checkpoint.root, cosignature), number)
        if self._observer.observe_cosignature(number, checkpoint, cosignature) is not None:
            return
        said = RootStatement(checkpoint.size, checkpoint.root, cosignature)
        pending = self._observer.pending
        if self._is_ours(checkpoint):
            pending.agree(number, said)
            return
        pending.add(number, said, told=told)
        agreed = self._agreed.pop(number, None)
        if agreed is not None:  # it may be the other half of a lie, so it is verified now
            self.observe(number, agreed)

    def compare_late(self, number: int, statement: Cosigned) -> bool:
        """What is final needs no more cosignatures, but a second root is evidence at any time.

        Returns:
            False if it had to be verified, and its voter did not sign it.
        """
        if self._voters.get(number) is None:
            return False
        stated = self.stated(statement)
        late = self._late[number]
        first = late.setdefault(statement.size, statement)
        if len(late) > LATE_MAX:
            late.popitem(last=False)
        ours = self._is_ours(stated)
        if ours:
            newest = self._agreed.setdefault(number, statement)
            if newest.size < statement.size:
                self._agreed[number] = statement
        known = self._observer.contradicts(number, stated)
        if ours and first.root == statement.root and not known:
            # The ordinary case is not worth a verification.
            return not self._observer.pending.suspects(number) or self.observe(number, statement)
        # Once a contradicting root is remembered the first adds nothing: a message costs its sender
        # the price of one signature, so no more are checked for it, however many roots it signs.
        if first is not statement and not known and self.observe(number, first) and not ours:
            self.on_dissent(statement.height)
        signed = self.observe(number, statement)
        if signed and not ours:
            self.on_dissent(statement.height)
        return signed

    def hear(self, number: int, said: RootStatement) -> bool:
        """A peer tells what a voter signed; False if it did not sign that."""
        voter = self._voters.get(number)
        checkpoint = Checkpoint(self._voters.origin, said.size, said.root)
        if voter is None:
            return False
        if self._is_ours(checkpoint):
            return True  # nothing to prove
        if not verify_cosignature(checkpoint, voter.cosigner, voter.cosign_key, said.cosignature):
            return False
        self.compare(number, checkpoint, said.cosignature, told=True)
        return True

    def compare_certificate(self, certificate: Certificate) -> None:
        """Compare all that is in a verified certificate."""
        checkpoint = certificate.checkpoint
        if not self._is_ours(checkpoint):
            self._observer.pending.question(certificate)
        for line in certificate.cosignatures:
            number = self._voters.by_cosigner[line.cosigner].number
            self.compare(number, checkpoint, line.blob)

    # --- The newest of each voter ------------------------------------------------------------

    def note(self, said: Cosigned, number: int) -> None:
        """A verified statement of a voter."""
        newest = self._newest.get(number)
        if newest is None or newest.size < said.size:
            self._newest[number] = said

    def newest_of(self, number: int) -> Cosigned | None:
        """What this voter signed over the largest tree, as far as it came here.

        Verified, unless the statement came after its tree was final: then only its sender's word.
        """
        newest, late = self._newest.get(number), self._agreed.get(number)
        if newest is None or (late is not None and late.size > newest.size):
            return late
        return newest
