"""The arithmetic of quorums, in plain and in joint memberships."""

from __future__ import annotations

from itertools import combinations

import pytest

from consensus.membership import Membership
from consensus.types import NodeId


def membership(
    voters: tuple[int, ...], outgoing: tuple[int, ...] = (), learners: tuple[int, ...] = ()
) -> Membership:
    return Membership(
        tuple(map(NodeId, voters)), tuple(map(NodeId, outgoing)), tuple(map(NodeId, learners))
    )


def nodes(*numbers: int) -> set[NodeId]:
    return {NodeId(number) for number in numbers}


MEMBERSHIPS = [
    membership((1,)),
    membership((1, 2)),
    membership((1, 2, 3)),
    membership((1, 2, 3, 4)),
    membership((1, 2, 3, 4, 5)),
    membership((1, 2, 3), learners=(4,)),
    membership((1, 2, 3, 4), (1, 2, 3)),
    membership((4, 5, 6), (1, 2, 3)),
    membership((1, 2), (1, 2, 3), (3,)),
    membership((1,), (1, 2, 3, 4, 5)),
]


@pytest.mark.parametrize(
    ("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_a_quorum_is_more_than_half(voters: int, needed: int) -> None:
    whole = membership(tuple(range(1, voters + 1)))

    assert whole.has_quorum(nodes(*range(1, needed + 1)))
    assert not whole.has_quorum(nodes(*range(1, needed)))


@pytest.mark.parametrize(
    ("whole", "present", "decides"),
    [
        # learners and strangers decide nothing
        (membership((1, 2, 3), learners=(4, 5)), (1, 4, 5), False),
        (membership((1, 2, 3)), (1, 8, 9), False),
        (membership((1, 2, 3), learners=(4, 5)), (1, 2), True),
        # joint: a majority of each half
        (membership((1, 2, 3), (1, 2, 3, 4, 5)), (1, 2), False),
        (membership((1, 2, 3), (1, 2, 3, 4, 5)), (1, 2, 4), True),
        (membership((4, 5, 6), (1, 2, 3)), (1, 2, 4), False),
        (membership((4, 5, 6), (1, 2, 3)), (4, 5, 6), False),
        (membership((4, 5, 6), (1, 2, 3)), (1, 2, 4, 5), True),
        (membership((1,), (1, 2, 3)), (2, 3), False),
        (membership((1,), (1, 2, 3)), (1, 3), True),
        # one that is demoted still counts in the old half
        (membership((1, 2), (1, 2, 3), (3,)), (1, 3), False),
        (membership((1, 2), (1, 2, 3), (3,)), (1, 2), True),
        # nobody is nothing
        (membership(()), (), False),
        (membership(()), (1,), False),
    ],
)
def test_who_decides(whole: Membership, present: tuple[int, ...], decides: bool) -> None:
    assert whole.has_quorum(nodes(*present)) is decides


@pytest.mark.parametrize("whole", MEMBERSHIPS, ids=str)
def test_two_quorums_always_meet(whole: Membership) -> None:
    """Without this no property of Raft would hold."""
    members = sorted(whole.members)
    quorums = [
        set(chosen)
        for size in range(len(members) + 1)
        for chosen in combinations(members, size)
        if whole.has_quorum(chosen)
    ]

    assert quorums
    assert all(one & other for one in quorums for other in quorums)


@pytest.mark.parametrize("whole", MEMBERSHIPS, ids=str)
def test_no_quorum_is_possible_without_a_member_of_each(whole: Membership) -> None:
    """`can_reach_quorum` is what `has_quorum` says of everybody else."""
    members = sorted(whole.members)
    for size in range(len(members) + 1):
        for gone in combinations(members, size):
            rest = set(members) - set(gone)
            assert whole.can_reach_quorum(gone) is whole.has_quorum(rest & whole.voting)


def test_old_and_joint_and_new_quorums_meet_each_other() -> None:
    """A change is safe because each of its memberships overlaps the one before."""
    old = membership((1, 2, 3))
    joint = old.entering([NodeId(3), NodeId(4), NodeId(5), NodeId(6)], [])
    new = joint.left()
    everybody = sorted(joint.members)

    def quorums(of: Membership) -> list[set[NodeId]]:
        return [
            set(chosen)
            for size in range(len(everybody) + 1)
            for chosen in combinations(everybody, size)
            if of.has_quorum(chosen)
        ]

    assert all(a & b for a in quorums(old) for b in quorums(joint))
    assert all(a & b for a in quorums(joint) for b in quorums(new))
    assert not all(a & b for a in quorums(old) for b in quorums(new)), "why joint is needed"


@pytest.mark.parametrize(
    ("whole", "reached", "agreed"),
    [
        (membership((1,)), {1: 5}, 5),
        (membership((1,)), {}, 0),
        (membership((1, 2)), {1: 5, 2: 3}, 3),
        (membership((1, 2, 3)), {1: 5, 2: 3, 3: 9}, 5),
        (membership((1, 2, 3)), {1: 5}, 0),
        (membership((1, 2, 3)), {1: 5, 3: 4}, 4),
        (membership((1, 2, 3, 4)), {1: 5, 2: 5, 3: 4, 4: 1}, 4),
        (membership((1, 2, 3, 4, 5)), {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}, 3),
        (membership((1, 2, 3, 4, 5)), {1: 7, 2: 7, 3: 7}, 7),
        # who is no voter does not matter
        (membership((1, 2, 3), learners=(4,)), {1: 5, 4: 9, 8: 9}, 0),
        # joint: what both halves have
        (membership((4, 5, 6), (1, 2, 3)), {1: 9, 2: 9, 4: 5, 5: 4}, 4),
        (membership((4, 5, 6), (1, 2, 3)), {1: 2, 2: 3, 3: 1, 4: 5, 5: 4}, 2),
        (membership((4, 5, 6), (1, 2, 3)), {4: 5, 5: 4, 6: 4}, 0),
        (membership((1, 2, 3), (2, 3, 4)), {2: 5, 3: 6}, 5),
        (membership(()), {1: 5}, 0),
    ],
)
def test_what_a_quorum_has_reached(whole: Membership, reached: dict[int, int], agreed: int) -> None:
    assert whole.agreed({NodeId(node): value for node, value in reached.items()}) == agreed


@pytest.mark.parametrize("whole", MEMBERSHIPS, ids=str)
def test_what_is_agreed_is_what_a_quorum_has(whole: Membership) -> None:
    """The same by another way: the highest value that the holders of as much decide on."""
    values = {node: (node * 7) % 5 for node in whole.members}
    expected = max(
        (
            value
            for value in {0, *values.values()}
            if whole.has_quorum({node for node, own in values.items() if own >= value})
        ),
        default=0,
    )

    assert whole.agreed(values) == expected
