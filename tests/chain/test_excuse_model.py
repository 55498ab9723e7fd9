"""A model of excuses: who is named, and that the honest never are.

Of two certified histories more than f signers are named, however many lie and whatever excuses they
publish. Who was led astray and followed the remedy is convicted of nothing.

Trees are words over two letters, and a word's length is its size: a tree continues another if that
is a beginning of it. Signatures and resumptions are drawn at random, without any rule for liars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from random import Random  # noqa: TID251 - seeded

import pytest

RUNS = 3_000


@dataclass
class World:
    """What was signed by n voters."""

    n: int
    signed: dict[str, set[int]] = field(default_factory=dict)
    """Voters by tree."""
    resumed: dict[int, set[str]] = field(default_factory=dict)
    """Certified trees above which each voter said that it signs again."""

    @property
    def f(self) -> int:
        return (self.n - 1) // 3

    @property
    def q(self) -> int:
        return (self.n + self.f) // 2 + 1

    def sign(self, voter: int, tree: str) -> None:
        self.signed.setdefault(tree, set()).add(voter)

    def is_certified(self, tree: str, without: int | None = None) -> bool:
        return len(self.signed.get(tree, set()) - {without}) >= self.q

    def resume(self, voter: int, tree: str) -> None:
        """Published if it verifies."""
        if self.is_certified(tree, without=voter):
            self.resumed.setdefault(voter, set()).add(tree)

    def certified(self) -> list[str]:
        return [tree for tree in self.signed if self.is_certified(tree)]

    def is_excused(self, voter: int, one: str, other: str) -> bool:
        """`evidence.excuse`: a base of the larger tree's history, between the two sizes."""
        small, large = sorted((one, other), key=len)
        return any(
            len(small) <= len(base) < len(large) and large.startswith(base)
            for base in self.resumed.get(voter, ())
        )

    def named(self, one: str, other: str) -> set[int]:
        """Who is convicted by having signed these two contradicting trees."""
        both = self.signed[one] & self.signed[other]
        return {voter for voter in both if not self.is_excused(voter, one, other)}

    def convicted(self) -> set[int]:
        return {v for pair in contradictions(self.signed) for v in self.named(*pair)}


def contradictions(trees: Iterable[str]) -> Iterator[tuple[str, str]]:
    for one, other in combinations(sorted(trees, key=len), 2):
        if not other.startswith(one):
            yield one, other


def words(rng: Random, length: int) -> str:
    return "".join(rng.choice("ab") for _ in range(length))


@pytest.mark.parametrize("n", [4, 5, 7])
def test_of_two_certified_histories_more_than_f_signers_are_named(n: int) -> None:
    """Whoever lies, and whatever excuses it published."""
    rng, splits = Random(n), 0
    for _ in range(RUNS):
        world = World(n)
        trunk = words(rng, 6)
        for _ in range(rng.randrange(2, 6)):
            branch = trunk[: rng.randrange(5)] + words(rng, 3)
            tree = branch[: rng.randrange(1, len(branch) + 1)]
            for voter in rng.sample(range(n), rng.randrange(world.q - 1, n + 1)):
                world.sign(voter, tree)
        for voter in range(n):
            for tree in list(world.signed):
                if rng.random() < 0.7:
                    world.resume(voter, tree)
        pairs = list(contradictions(world.certified()))
        splits += bool(pairs)
        if pairs:
            assert max(len(world.named(*pair)) for pair in pairs) > world.f
    assert splits > RUNS // 20, "the model does split histories"


def grow(world: World, rng: Random, honest: list[int], liars: list[int]) -> None:
    """The certified history grows; an honest voter may be led astray alone, and comes back."""
    tree, memory = "a", dict.fromkeys(honest, "")
    """Of each honest voter, the largest tree that it signed."""
    astray: set[int] = set()
    for _ in range(14):
        tree += rng.choice("ab")
        for voter in honest:
            own = memory[voter]
            if voter in astray:
                # Set aside; signs again above a certificate without itself, no lower than all.
                if len(tree) > len(own) + 1 and rng.random() < 0.6:
                    base = tree[:-1]
                    if world.is_certified(base, without=voter):
                        world.resume(voter, base)
                        astray.discard(voter)
                        memory[voter] = base
            elif not astray and rng.random() < 0.15:
                other = "b" if tree[-1] == "a" else "a"
                led = tree[:-1] + other + words(rng, rng.randrange(3))
                world.sign(voter, led)
                memory[voter] = led
                astray.add(voter)
                continue
            if voter not in astray:
                world.sign(voter, tree)
                memory[voter] = tree
        for liar in liars:
            world.sign(liar, tree)
            for signed in list(world.signed):  # it helps whatever leads others astray
                if rng.random() < 0.3:
                    world.sign(liar, signed)
            if rng.random() < 0.3:
                world.resume(liar, rng.choice(list(world.signed)))


@pytest.mark.parametrize("n", [4, 7])
def test_an_honest_voter_that_followed_the_remedy_is_never_convicted(n: int) -> None:
    rng, came_back = Random(n), 0
    for _ in range(RUNS // 4):
        world = World(n)
        liars = rng.sample(range(n), world.f)
        honest = [voter for voter in range(n) if voter not in liars]
        grow(world, rng, honest, liars)
        assert world.convicted() <= set(liars)
        assert not list(contradictions(world.certified()))
        came_back += any(voter in world.resumed for voter in honest)
    assert came_back > RUNS // 40, "somebody is led astray and comes back"


def test_without_the_resumption_the_honest_voter_would_be_convicted() -> None:
    """And with a base lower than what it signed: so the model can tell a wrong rule."""
    world = World(4)
    for tree in ("a", "aa", "aaa", "aaaa"):
        for voter in (0, 1, 2):
            world.sign(voter, tree)
    world.sign(3, "ab")
    world.sign(3, "aaaa")
    assert world.convicted() == {3}
    world.resume(3, "a")
    assert world.convicted() == {3}
    world.resume(3, "aaa")
    assert world.convicted() == set()
