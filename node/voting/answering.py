"""What this voter answers another one that asks at its start. Owns the answer, and how often.

Who is rejoining answers nobody; what the asker makes of it is `node.voting.rejoining`.
"""

from __future__ import annotations

from node.chain.certified import CertifiedHead
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.peers.messages import AnswerMessage, HeldSignature, Kind, QuestionMessage
from node.peers.ports import Links
from node.system.clock import Clock
from node.voting.cosigner import Cosigner

ANSWER_MS_MIN = 200
"""No peer is answered more often."""


class Answering:
    """The answering side of rejoining."""

    def __init__(
        self, voters: VoterSet, cosigner: Cosigner, finality: Finality, clock: Clock
    ) -> None:
        self._voters = voters
        self._cosigner = cosigner
        self._finality = finality
        self._clock = clock
        self._answered_ms: dict[int, int] = {}

    def attach(self, links: Links) -> None:
        """Take questions from now on."""

        def on_question(number: int, message: QuestionMessage) -> None:
            answer = self.answer(number, message.nonce)
            if answer is not None:
                links.send(number, answer)

        links.on(Kind.QUESTION, QuestionMessage, on_question, price=0.5)

    def answer(self, number: int, nonce: bytes) -> AnswerMessage | None:
        """The answer to a voter; None while this one cannot give one, which is asked again."""
        now = self._clock.monotonic_ms()
        if now - self._answered_ms.get(number, -ANSWER_MS_MIN) < ANSWER_MS_MIN:
            return None
        signed = self._cosigner.signed_height  # read first: certificates only get newer
        head = self._certified()
        certified = 0 if head is None else head.height
        rejoining = self._cosigner.rejoining
        rules = self._cosigner.rules
        if not rules.may_answer(rejoining=rejoining, signed=signed, certified=certified):
            return None
        self._answered_ms[number] = now
        note = "" if head is None else head.certificate(self._voters).encode()
        newest = self._finality.newest_of(number)
        held = None
        if newest is not None:
            held = HeldSignature(newest.size, newest.root, newest.cosignature)
        return AnswerMessage(nonce, signed, note, held)

    def _certified(self) -> CertifiedHead | None:
        remembered, held = self._cosigner.memory.certified, self._finality.certified
        heads = [head for head in (remembered, held) if head is not None]
        return max(heads, key=lambda head: head.height, default=None)
