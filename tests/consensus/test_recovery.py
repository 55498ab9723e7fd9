"""What a node may believe of its own disk: every combination of log and marker."""

from __future__ import annotations

from itertools import product

import pytest

from consensus.membership import Membership
from consensus.ports import Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.stores.marker import Condition, Promises
from consensus.stores.recovery import Found, later, reconcile
from consensus.types import ZERO_HASH, HardState, LogIndex, NodeId, Term

HASHES = [bytes([n]) * 32 for n in range(10)]
POSITIONS = [(Term(1), HASHES[1]), (Term(1), HASHES[2]), (Term(2), HASHES[3])]
STATE = HardState(Term(3), NodeId(1))
BASE = Base(LogIndex(5), Term(2), HASHES[5], Membership((NodeId(1),)))
MEMBERSHIPS = [(LogIndex(2), Membership((NodeId(1), NodeId(2))))]


def promises(
    last: int = 3, entry_hash: bytes = HASHES[3], state: HardState = STATE, *, suspect: bool = False
) -> Promises:
    return Promises(state.term, state.vote, LogIndex(last), entry_hash, suspect)


WHOLE = Found(STATE, BEGINNING, POSITIONS, MEMBERSHIPS, False, Term(2))
"""What `promises()` promises."""
COMPACTED = Found(STATE, BASE, POSITIONS, [], False, Term(2))
"""Entries 6 to 8."""


def test_a_whole_log_is_presented_as_it_is() -> None:
    assert reconcile(WHOLE, promises(), Condition.OK) == Recovered(
        STATE, POSITIONS, False, BEGINNING, MEMBERSHIPS
    )


# --- Who is suspect ------------------------------------------------------------------------------

NOTHING = Promises()
SUSPECT = [
    # A new node, and one that lost everything but its marker.
    ("new", Found(), NOTHING, Condition.MISSING, False),
    ("new, second start", Found(), NOTHING, Condition.OK, False),
    ("log lost, nothing was promised of it", Found(), promises(0, ZERO_HASH), Condition.OK, False),
    ("log lost", Found(), promises(), Condition.OK, True),
    ("log lost, marker torn", Found(), NOTHING, Condition.TORN, True),
    ("everything lost, and the marker's rest says so", Found(), NOTHING, Condition.DAMAGED, True),
    # The marker.
    ("marker lost", WHOLE, NOTHING, Condition.MISSING, True),
    ("marker damaged", WHOLE, NOTHING, Condition.DAMAGED, True),
    ("marker torn by a crash", WHOLE, promises(2, HASHES[2]), Condition.TORN, False),
    ("marker torn, log shorter all the same", WHOLE, promises(4, HASHES[4]), Condition.TORN, True),
    ("suspect before", WHOLE, promises(suspect=True), Condition.OK, True),
    ("suspect before, marker torn", WHOLE, promises(suspect=True), Condition.TORN, True),
    # The end that was promised.
    ("end is there", WHOLE, promises(), Condition.OK, False),
    ("log ahead", WHOLE, promises(1, HASHES[1]), Condition.OK, False),
    ("log ahead of an empty one", WHOLE, promises(0, ZERO_HASH), Condition.OK, False),
    ("log shorter", WHOLE, promises(4, HASHES[4]), Condition.OK, True),
    ("another entry at the end", WHOLE, promises(3, HASHES[4]), Condition.OK, True),
    ("another entry below the end", WHOLE, promises(2, HASHES[4]), Condition.OK, True),
    ("another beginning", WHOLE, promises(0, HASHES[4]), Condition.OK, True),
    # The same, after a base.
    ("end is there, base", COMPACTED, promises(8, HASHES[3]), Condition.OK, False),
    ("log ahead, base", COMPACTED, promises(6, HASHES[1]), Condition.OK, False),
    ("end is the base", COMPACTED, promises(5, HASHES[5]), Condition.OK, False),
    ("another base", COMPACTED, promises(5, HASHES[6]), Condition.OK, True),
    ("end before the base", COMPACTED, promises(4, HASHES[4]), Condition.OK, False),
    ("log shorter, base", COMPACTED, promises(9, HASHES[9]), Condition.OK, True),
    ("only a base", Found(STATE, BASE), promises(5, HASHES[5]), Condition.OK, False),
    ("only a base, log shorter", Found(STATE, BASE), promises(6, HASHES[1]), Condition.OK, True),
    ("only a base, marker lost", Found(STATE, BASE), NOTHING, Condition.MISSING, True),
]


@pytest.mark.parametrize(
    ("found", "promised", "condition", "suspect"),
    [row[1:] for row in SUSPECT],
    ids=[row[0] for row in SUSPECT],
)
def test_who_is_suspect(
    found: Found, promised: Promises, condition: Condition, suspect: bool
) -> None:
    assert reconcile(found, promised, condition).suspect is suspect
    assert reconcile(found, promised, condition, rejoins=True).suspect


@pytest.mark.parametrize("last", [2, 3, 4])
def test_a_write_that_replaced_the_promised_end_excuses_its_absence(last: int) -> None:
    found = Found(STATE, BEGINNING, POSITIONS, replaced=True)
    recovered = reconcile(found, promises(last, HASHES[9]), Condition.OK)

    assert (recovered.suspect, recovered.positions) == (False, POSITIONS)
    assert reconcile(found, promises(last, HASHES[9], suspect=True), Condition.OK).suspect


# --- Damage --------------------------------------------------------------------------------------


def test_damage_is_suspect_although_the_promised_end_is_there() -> None:
    found = Found(STATE, BEGINNING, POSITIONS, MEMBERSHIPS, damaged=True)

    assert reconcile(found, promises(), Condition.OK) == Recovered(
        STATE, POSITIONS, True, BEGINNING, MEMBERSHIPS
    )


def test_without_a_base_nothing_is_presented() -> None:
    found = Found(STATE, None, POSITIONS, MEMBERSHIPS)

    assert reconcile(found, promises(), Condition.OK) == Recovered(STATE, [], True, BEGINNING, [])
    assert not found.fresh


# --- Term and vote -------------------------------------------------------------------------------

NO_VOTE = HardState(Term(3))
OTHER_VOTE = HardState(Term(3), NodeId(2))
OLDER = HardState(Term(2), NodeId(2))
LATER = HardState(Term(4))
TERMS = [
    (STATE, STATE, STATE, False),
    (STATE, NO_VOTE, STATE, False),
    (NO_VOTE, STATE, STATE, False),
    (STATE, OLDER, STATE, False),
    (OLDER, STATE, STATE, False),
    (STATE, LATER, LATER, False),
    (LATER, STATE, LATER, False),
    (NO_VOTE, NO_VOTE, NO_VOTE, False),
    (STATE, OTHER_VOTE, STATE, True),
    (OTHER_VOTE, STATE, OTHER_VOTE, True),
]


@pytest.mark.parametrize(("stored", "promised", "expected", "suspect"), TERMS)
def test_term_and_vote_are_the_later_of_both(
    stored: HardState, promised: HardState, expected: HardState, suspect: bool
) -> None:
    found = Found(stored, BEGINNING, POSITIONS)
    recovered = reconcile(found, promises(state=promised), Condition.OK)

    assert (recovered.hard_state, recovered.suspect) == (expected, suspect)


COVER = [
    # condition, promised end, suspect
    (Condition.OK, promises(), False),
    (Condition.OK, promises(2, HASHES[2]), True),  # the write after it may have been a vote
    (Condition.TORN, promises(), True),
    (Condition.OK, promises(suspect=True), True),
]


@pytest.mark.parametrize(("condition", "promised", "suspect"), COVER)
def test_hard_state_that_cannot_be_read_is_the_markers_if_that_is_certainly_as_new(
    condition: Condition, promised: Promises, suspect: bool
) -> None:
    recovered = reconcile(Found(None, BEGINNING, POSITIONS), promised, condition)

    assert (recovered.hard_state, recovered.suspect) == (STATE, suspect)


@pytest.mark.parametrize("condition", [Condition.MISSING, Condition.DAMAGED])
def test_without_any_hard_state_the_term_is_that_of_the_newest_entry(condition: Condition) -> None:
    recovered = reconcile(Found(None, BEGINNING, POSITIONS), NOTHING, condition)

    assert (recovered.hard_state, recovered.suspect) == (HardState(Term(2)), True)


@pytest.mark.parametrize(
    "found",
    [
        Found(OLDER, BEGINNING, [(Term(3), HASHES[3])]),
        Found(OLDER, BASE, [(Term(3), HASHES[6])]),
        Found(OLDER, Base(LogIndex(3), Term(3), HASHES[3])),
        Found(OLDER, BEGINNING, [], damaged=True, newest_term=Term(3)),
        Found(OLDER, None, [(Term(3), HASHES[3])]),
        Found(OLDER, None, newest_term=Term(3)),
    ],
)
def test_an_entry_of_a_later_term_than_the_hard_state_says_that_a_vote_is_lost(
    found: Found,
) -> None:
    recovered = reconcile(found, Promises(term=Term(2), vote=NodeId(2)), Condition.OK)

    if found.base is None and not found.newest_term:
        assert recovered.hard_state == OLDER  # nothing readable says more
    else:
        assert recovered.hard_state == HardState(Term(3))
    assert recovered.suspect


def test_the_rules_that_always_hold() -> None:
    states = [None, OLDER, NO_VOTE, STATE, OTHER_VOTE, LATER]
    ends = [(0, ZERO_HASH), (2, HASHES[2]), (3, HASHES[3]), (3, HASHES[9]), (8, HASHES[3])]
    bases = [BEGINNING, BASE, None]
    combinations = product(
        states, states, ends, bases, [[], POSITIONS], Condition, [False, True], [False, True]
    )
    trusted = 0
    for stored, promised, end, base, positions, condition, damaged, replaced in combinations:
        found = Found(stored, base, positions, [], damaged, Term(2), replaced)
        readable = condition in {Condition.OK, Condition.TORN}
        marked = promises(*end, promised or HardState()) if readable else NOTHING
        recovered = reconcile(found, marked, condition)
        state = recovered.hard_state
        for known in (stored or HardState(), marked.hard_state):
            assert state.term >= known.term
            if state.term == known.term and known.vote is not None:
                assert state.vote == known.vote or recovered.suspect
        assert all(state.term >= term for term, _ in recovered.positions)
        assert list(recovered.positions) in ([], positions)
        if not recovered.suspect:
            trusted += 1
            assert readable or found.fresh
            assert not damaged
            assert base is not None
            assert replaced or recovered.base.index + len(positions) >= marked.last_index
    assert trusted > 100


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(STATE, OLDER, STATE), (OLDER, LATER, LATER), (NO_VOTE, STATE, STATE), (STATE, STATE, STATE)],
)
def test_later(one: HardState, other: HardState, expected: HardState) -> None:
    assert later(one, other) == later(other, one) == expected
