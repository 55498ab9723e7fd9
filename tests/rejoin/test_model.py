"""The rules of rejoining find no second history within bounds; each weaker set of rules does.

`make rejoin-model` searches further. Heights and the window are small (W = 1): what can go wrong
goes wrong within a few heights, and the argument in ARCHITECTURE has no such bounds.
"""

from __future__ import annotations

import pytest

from node.voting.resumption import Rules
from tests.rejoin.search import exhaust, walk
from tests.rejoin.voter import Voter
from tests.rejoin.weaker import WEAKER, OneHeightLower, RejoiningAnswers
from tests.rejoin.world import Bounds, World

W = 1
FOUR, SEVEN = 4, 7


@pytest.mark.parametrize("rules", WEAKER, ids=lambda rules: rules.__name__)
def test_each_weaker_rule_makes_two_histories(rules: type[Rules]) -> None:
    bounds = Bounds(heights=4, losses=2) if rules is RejoiningAnswers else Bounds(3, 1)
    found = exhaust(World(FOUR, rules(W), bounds))
    assert found.conflict is not None
    assert any("forgets" in step for step in found.trace)
    assert any("resumes" in step for step in found.trace)


@pytest.mark.parametrize("eager", [True, False])
def test_the_rules_make_none_of_four_voters_with_one_loss(eager: bool) -> None:
    bounds = Bounds(3, 1) if eager else Bounds(2, 1)
    found = exhaust(World(FOUR, Rules(W), bounds, eager=eager))
    assert found.finished
    assert found.conflict is None
    assert found.states > 1_000


def test_the_rules_make_none_beside_a_voter_that_was_led_astray() -> None:
    """It knows what it signed, so a certificate of that height is its base; another one forgot."""
    world, resumed = World(FOUR, Rules(W), Bounds(3, losses=1, astray=1)), 0
    original = world.steps.resume

    def resume(voter: Voter) -> Voter | None:
        nonlocal resumed
        after = original(voter)
        resumed += after is not None and voter.memory.above is not None
        return after

    world.steps.resume = resume  # type: ignore[assignment]
    found = exhaust(world)
    assert (found.finished, found.conflict) == (True, None)
    assert found.states > 20_000
    assert resumed, "one that was led astray signs again"


def test_walks_of_seven_voters_find_a_weaker_rule_and_nothing_in_these() -> None:
    bounds = Bounds(3, 2)
    assert walk(World(SEVEN, OneHeightLower(W), bounds), 500, seed=1).conflict is not None
    found = walk(World(SEVEN, Rules(W), bounds), 100, seed=1)
    assert (found.finished, found.conflict) == (True, None)


def test_a_voter_comes_back_in_the_model() -> None:
    """Else a rule that lets nobody resume would pass."""
    world = World(FOUR, Rules(W), Bounds(4, 1))

    class Resumed(Exception):  # noqa: N818 - it is what is wanted
        pass

    original = world.steps.resume

    def resume(voter: object) -> object:
        after = original(voter)
        if after is not None:
            raise Resumed
        return after

    world.steps.resume = resume  # type: ignore[assignment]
    with pytest.raises(Resumed):
        exhaust(world)
