"""What a voter may sign, answer and resume from, so that lost memory makes no second history.

Owns the rules and the counting of answers; pure, and the only place of each rule. ARCHITECTURE
(Rejoining) has the argument; `tests/rejoin` searches this very code for counterexamples.

- Window: a height is signed only up to `WINDOW` above the newest certificate held. So whatever a
  voter ever signed, even for a lying leader alone, lies at most that far above a certificate that
  q - 1 others signed.
- A voter that may have forgotten asks with a nonce of its own. r = n - q + f + 1 answers meet the
  signers of that certificate in one that does not lie.
- It signs again only above a certificate that is a window above the highest signature of any of
  those r. An answer is void if it tells a signature above the window of the certificate that it
  shows, so liars invent no height, and low answers are outvoted.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from node.chain.certificate import Certificate
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint
from node.chain.voters import VoterSet

WINDOW = 64
"""Heights above the newest certificate that may be signed; one constant for the whole network.

It may be raised, never lowered: signatures made under a larger window would lie above a smaller
one. At most 256 (`proposer.BACKLOG_BLOCKS_MAX`): an honest leader proposes no more without
finality, and the wait of a voter that rejoins grows with it: up to two windows of empty blocks.
At 60 blocks a second and a round trip of 0.2 s, ordinary work is 12 heights ahead of finality."""


class Rules:
    """The decisions. A class, so that the model can weaken one at a time."""

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window

    def may_sign(self, height: int, certified: int) -> bool:
        """Whether a height may be signed by who holds a certificate of height `certified`."""
        return height <= certified + self.window

    def may_answer(self, *, rejoining: bool, signed: int, certified: int) -> bool:
        """Whether a voter's answer would be worth something: it remembers, and can show it."""
        return not rejoining and self.may_sign(signed, certified)

    def answers(self, voters: VoterSet) -> int:
        """Answers that are needed, of others."""
        return voters.r

    def is_current(self, asked: bytes, answered: bytes) -> bool:
        """Whether an answer is to the question of this start: later than all that was lost."""
        return asked == answered

    def is_void(self, signed: int, certified: int) -> bool:
        """Whether an answer tells a signature that its certificate does not bear out."""
        return not self.may_sign(signed, certified)

    def base_height(self, signed: int) -> int:
        """The least height of a base, given the highest signature told.

        Some teller signed the certificate F that the asker held when it signed its highest height
        H <= F + window. So `signed` >= F, and a base a window above it is not below H.
        """
        return signed + self.window


RULES = Rules()
"""Those of the network."""


class Answer(msgspec.Struct, frozen=True):
    """What another voter told."""

    certificate: Certificate | None
    """Its newest, verified; None: it holds none, which is height 0."""
    signed: int
    """The highest height that it signed."""


class Inquiry:
    """One voter's question, and what the others answered to it. Lives from a start to the end."""

    def __init__(self, rules: Rules, voters: VoterSet, number: int, nonce: bytes) -> None:
        self._rules = rules
        self._voters = voters
        self.nonce = nonce
        self._others = [voter.number for voter in voters.voters if voter.number != number]
        self._answers: dict[int, Answer] = {}
        self._heights: dict[int, int] = {}
        """Of the certificates told, as the own ledger has them at their sizes."""

    @property
    def needed(self) -> int:
        """Answers that settle it."""
        return self._rules.answers(self._voters)

    @property
    def answered(self) -> int:
        """Voters that have answered."""
        return len(self._answers)

    @property
    def missing(self) -> list[int]:
        """Voters that have not."""
        return [number for number in self._others if number not in self._answers]

    def hear(self, number: int, nonce: bytes, answer: Answer) -> bool:
        """Take a voter's first answer to this question; True if it is one.

        Raises:
            CertificateError: its certificate does not verify.
        """
        if not self._rules.is_current(self.nonce, nonce) or number not in self.missing:
            return False
        if answer.certificate is None:
            if self._rules.is_void(answer.signed, 0):
                return False
            self._heights[number] = 0
        else:
            answer.certificate.verify(self._voters)
        self._answers[number] = answer
        return True

    def unplaced(self) -> Mapping[int, Checkpoint]:
        """Certified checkpoints whose height here is not known yet, by who told them."""
        return {
            number: answer.certificate.checkpoint
            for number, answer in self._answers.items()
            if answer.certificate is not None and number not in self._heights
        }

    def place(self, number: int, height: int) -> bool:
        """The own ledger has the tree of a told certificate, at this height.

        Returns:
            False if that makes the answer void; the voter is asked again.
        """
        if self._rules.is_void(self._answers[number].signed, height):
            del self._answers[number]
            return False
        self._heights[number] = height
        return True

    def base_height(self) -> int | None:
        """The least height of a base; None while answers are missing or cannot be placed.

        Any r answers are enough, so the lowest r are taken: a liar can only lower it.
        """
        told = sorted(self._answers[number].signed for number in self._heights)
        if len(told) < self.needed:
            return None
        return self._rules.base_height(told[self.needed - 1])


def is_base(
    head: CertifiedHead, told: int | None, known: int | None, *, own: int, own_size: int
) -> bool:
    """Whether a voter may resume above this certificate, which fits its ledger.

    Args:
        head: The certificate.
        told: The least height of a base, by the answers.
        known: A height that all it signed does not exceed: an operator's word, or the loss's own.
        own: This voter's number.
        own_size: Of the largest tree that it is shown to have signed. What an operator or a torn
            marker says must not be below it. What the others told needs no such bound: nothing that
            an honest life of this voter signed is above it. A larger tree was signed by somebody
            who lied with the key, at any size, and would keep the voter silent for good.
    """
    unsigned = not head.is_signed_by(own)
    if told is not None and head.height >= told and unsigned:
        return True
    if known is None or head.size < own_size:
        return False
    if head.height == known:
        return True  # its own signature may be under what it signed last
    return head.height >= known and unsigned
