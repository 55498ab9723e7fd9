"""The world of the model: honest voters, f liars that lead and sign all they like, lost memories.

Owns what may happen next and what must never be: two certificates that contradict each other. A
certificate exists as soon as q signatures do, whoever holds them. Liars sign everything, answer
what hurts most (nothing signed, nothing certified), and lead each voter on its own: it applies
whatever block they like. Blocks have two kinds, so two histories are enough to contradict.

`eager` leaves out orders that cannot help the liars: a voter learns at once what is certified of
its own ledger (it may only sign more for that), who asks hears at once everybody that may answer
(nobody's highest signature ever falls, and a lower answer allows more), and takes certified blocks
only when it resumes with them. A small exhaustive run, and some walks, leave nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from node.chain.voters import VoterSet
from node.voting.resumption import Rules
from tests.rejoin.voter import BEFORE, NEW, NOW, Steps, Told, Voter, key_of, renumbered, voters_of

KINDS = "AB"


class Bounds(NamedTuple):
    """How far a search goes."""

    heights: int
    losses: int
    """Of all voters together."""
    astray: int = 0
    """How often a voter may drop its ledger, since another one is certified."""


class State(NamedTuple):
    """All honest voters at one instant, in an order that their numbers do not matter to."""

    voters: tuple[Voter, ...]
    losses: int
    astray: int = 0


class World:
    """The moves of all, and the judgement."""

    def __init__(self, count: int, rules: Rules, bounds: Bounds, *, eager: bool = True) -> None:
        self.set: VoterSet = voters_of(count)
        self.bounds = bounds
        self.eager = eager
        self.steps = Steps(self.set, rules)
        self.honest = count - self.set.f
        self._liars = tuple(Told(number, "", 0) for number in range(self.honest, count))
        self._key = cache(key_of)
        self.start = State((NEW,) * self.honest, 0)

    def certified(self, state: State) -> dict[str, int]:
        """Trees that are certified, with how many honest voters signed them."""
        counts: dict[str, int] = {}
        for voter in state.voters:
            for path in voter.signed:
                counts[path] = counts.get(path, 0) + 1
        return {path: n for path, n in counts.items() if n + self.set.f >= self.set.q}

    def conflict(self, state: State) -> tuple[str, str] | None:
        """Two certificates of which neither continues the other."""
        paths = sorted(self.certified(state))
        for number, one in enumerate(paths):
            for other in paths[number + 1 :]:
                if not other.startswith(one):
                    return one, other
        return None

    def moves(self, state: State) -> Iterator[tuple[str, State]]:
        """What may happen next, in words, and the state after it."""
        certified = self.certified(state)
        used = {voter.chain[: n + 1] for voter in state.voters for n in range(len(voter.chain))}
        used.update(path for voter in state.voters for path in voter.signed)
        for number, voter in enumerate(state.voters):
            for what, after, losses in self._of(state, number, voter, certified, used):
                voters = [*state.voters[:number], after, *state.voters[number + 1 :]]
                if self.eager:
                    self._hurry(voters)
                aside = state.astray + (what == "sets aside")
                after_all = self._canonical(tuple(voters), state.losses + losses, aside)
                yield f"v{number} {what}", after_all

    def _of(
        self, state: State, number: int, voter: Voter, certified: dict[str, int], used: set[str]
    ) -> Iterator[tuple[str, Voter, int]]:
        if not voter.memory.rejoining and len(voter.chain) < self.bounds.heights:
            for kind in KINDS:
                # The first block in a place is called A: its name is nothing.
                if kind != "A" and voter.chain + "A" not in used:
                    continue
                grown = self.steps.sign(voter, kind)
                if grown is not None:
                    yield f"signs {grown.chain}", grown, 0
        for path, signers in certified.items():
            own = path in voter.signed and signers + self.set.f <= self.set.q
            learned = self.steps.learn(voter, path, own)
            if learned is not None and self.eager and voter.memory.rejoining:
                resumed = self.steps.resume(learned)
                if resumed is not None:
                    yield f"resumes above {path}", resumed, 0
            elif learned is not None:
                yield f"learns the certificate of {path}", learned, 0
        # Who rejoins applies what a leader shows it, too: nothing of that stays in its chain here.
        astray = voter.memory.rejoining or any(_contradicts(voter, path) for path in certified)
        if astray and state.astray < self.bounds.astray:
            yield "sets aside", self.steps.set_aside(voter, self._liars), 0
        if state.losses < self.bounds.losses and voter.signed and not voter.memory.rejoining:
            yield "forgets", self.steps.forget(voter, self._liars), 1
        if voter.memory.rejoining and not self.eager:
            for heard in self._hears(state.voters, number):
                yield f"hears {heard.answers}", heard, 0
            resumed = self.steps.resume(voter)
            if resumed is not None:
                yield f"resumes above {voter.held_path}", resumed, 0

    def _hears(self, voters: Sequence[Voter], number: int) -> Iterator[Voter]:
        """The voter after one more answer, of each that may come."""
        voter = voters[number]
        answered = {told.by for told in voter.answers}
        for by, other in enumerate(voters):
            if by == number or by in answered:
                continue
            # Of its first start's question, when nobody had signed anything: if it counts at all.
            heard = self.steps.hear(voter, Told(by, "", 0), BEFORE)
            told = self.steps.tells(other, by)
            if heard is None and told is not None:
                heard = self.steps.hear(voter, told, NOW)
            if heard is not None:
                yield heard

    def _hurry(self, voters: list[Voter]) -> None:
        """Let happen what only helps the liars."""
        certified = sorted(self.certified(State(tuple(voters), 0)), key=len)
        for number, voter in enumerate(voters):
            if voter.memory.rejoining:
                while (heard := next(self._hears(voters, number), None)) is not None:
                    voters[number] = heard
                continue
            for path in certified:
                if voters[number].chain.startswith(path):
                    learned = self.steps.learn(voters[number], path, False)
                    voters[number] = learned or voters[number]

    def _canonical(self, voters: tuple[Voter, ...], losses: int, astray: int) -> State:
        order = sorted(range(len(voters)), key=lambda number: self._key(voters[number]))
        if order == list(range(len(voters))):
            return State(voters, losses, astray)
        numbers = {old: new for new, old in enumerate(order)}
        return State(tuple(renumbered(voters[old], numbers) for old in order), losses, astray)


def _contradicts(voter: Voter, path: str) -> bool:
    """Whether a certificate shows a ledger false, none of whose own is as high."""
    continues = voter.chain.startswith(path) or path.startswith(voter.chain)
    return not continues and len(voter.held_path) < len(path)
