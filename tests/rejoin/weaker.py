"""Rules with one thing less. The model must find two final histories under each of them."""

from __future__ import annotations

from typing_extensions import override

from node.chain.voters import VoterSet
from node.voting.resumption import Rules


class Unbounded(Rules):
    """No window: nothing says how far ahead of the others a lying leader leads a voter."""

    @override
    def may_sign(self, height: int, certified: int) -> bool:
        return True


class BelievingTheLeader(Unbounded):
    """As before there were rules: caught up is who a leader calls so."""

    @override
    def answers(self, voters: VoterSet) -> int:
        return voters.f  # the liars' word is enough

    @override
    def base_height(self, signed: int) -> int:
        return 0


class AboveTheOthers(Unbounded):
    """Asks all that are needed, and resumes above the highest height that any of them signed."""

    @override
    def base_height(self, signed: int) -> int:
        return signed + 1


class OneAnswerFewer(Rules):
    """r - 1 answers: they may meet the signers of a certificate in liars only."""

    @override
    def answers(self, voters: VoterSet) -> int:
        return voters.r - 1


class OneHeightLower(Rules):
    """A base one below a window above the highest signature told."""

    @override
    def base_height(self, signed: int) -> int:
        return signed + self.window - 1


class WithoutNonce(Rules):
    """An answer to the question of an earlier start counts."""

    @override
    def is_current(self, asked: bytes, answered: bytes) -> bool:
        return True


class RejoiningAnswers(Rules):
    """Who has forgotten answers, of what it signed since."""

    @override
    def may_answer(self, *, rejoining: bool, signed: int, certified: int) -> bool:
        return self.may_sign(signed, certified)


WEAKER: tuple[type[Rules], ...] = (
    BelievingTheLeader,
    AboveTheOthers,
    Unbounded,
    OneAnswerFewer,
    OneHeightLower,
    WithoutNonce,
    RejoiningAnswers,
)
