"""What an observer says of itself while some of its voters lie, or are away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from node.services.observer_health import BEHIND_MAX, ObserverHealth

HEIGHT = 100


def health(claims: dict[int, int], reason: str | None = None) -> ObserverHealth:
    """An observer at `HEIGHT`, linked to voters that claim these final heights."""
    following: Any = SimpleNamespace(
        peers=SimpleNamespace(final_heights=lambda: claims), tracker=SimpleNamespace(height=HEIGHT)
    )
    router: Any = SimpleNamespace(
        peers=(0, 1, 2, 3),
        linked=lambda number: number in claims,
        links=lambda: [SimpleNamespace(last_error=reason)] * 4,
    )
    return ObserverHealth(cast("Any", following), cast("Any", router), 1)


def failing(of: ObserverHealth) -> dict[str, str]:
    return {check.name: check.detail for check in of.checks() if not check.ok}


def test_one_voter_that_claims_too_much_makes_nobody_unready() -> None:
    far = HEIGHT + BEHIND_MAX + 1
    assert failing(health({0: 2**53, 1: HEIGHT, 2: HEIGHT, 3: HEIGHT})) == {}
    assert failing(health({0: far, 1: far, 2: HEIGHT, 3: HEIGHT})) == {
        "applied": f"{BEHIND_MAX + 1} blocks behind"
    }


def test_without_a_link_it_is_not_ready_takes_no_writes_and_says_why() -> None:
    alone = health({}, "closed by peer: 91310115337099624K is no participant yet")
    told = "no voter is linked: closed by peer: 91310115337099624K is no participant yet"
    assert failing(alone) == {"linked": told}
    refusal = alone.write_refusal()
    assert refusal is not None
    assert (refusal.code, refusal.detail) == ("NO_QUORUM", told)
    assert health({0: HEIGHT}).write_refusal() is None


def test_it_takes_no_part_in_consensus() -> None:
    one = health({0: HEIGHT})
    assert (one.raft_view().state, one.raft_view().leader) == ("observer", None)
    assert (one.signing_view().state, one.signing_view().detail) == ("observing", "")
