"""Members and how they change: the values, their history along a log, and a leader's guards."""

from __future__ import annotations

import pytest

from consensus.core.raft import RaftCore
from consensus.errors import MembershipError, NotLeaderError, TransferringError
from consensus.membership import (
    MEMBERS_MAX,
    Membership,
    MembershipHistory,
    decode_membership,
)
from consensus.messages import VoteRequest, VoteResponse
from consensus.snapshot import Base
from consensus.types import ZERO_HASH, LogIndex, NodeId, Role, Term
from tests.consensus.directives import act, play
from tests.consensus.member import Member
from tests.consensus.settling import run_once, stabilize
from tests.consensus.stage import Stage


def membership(
    voters: tuple[int, ...], outgoing: tuple[int, ...] = (), learners: tuple[int, ...] = ()
) -> Membership:
    return Membership(
        tuple(map(NodeId, voters)), tuple(map(NodeId, outgoing)), tuple(map(NodeId, learners))
    )


def led_by_one(*more: str) -> Stage:
    """Three voters, of which 1 leads, and a learner 4 that has the whole log."""
    return play(
        "add-nodes 3 learners=4",
        "add-nodes 1 voters=1,2,3 learners=4",
        "campaign 1",
        "stabilize",
        *more,
    )


def change(core: RaftCore, voters: tuple[int, ...], learners: tuple[int, ...] = ()) -> LogIndex:
    return core.change_membership(list(map(NodeId, voters)), list(map(NodeId, learners)))


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "voters", "learners", "after"),
    [
        (membership((1, 2)), (1, 2), (3,), membership((1, 2), (), (3,))),
        (membership((1, 2), (), (3,)), (1, 2), (), membership((1, 2))),
        (membership((1, 2), (), (3,)), (1, 2, 3), (), membership((1, 2, 3), (1, 2))),
        (membership((1, 2, 3)), (1, 2), (3,), membership((1, 2), (1, 2, 3), (3,))),
        (membership((1, 2, 3)), (3, 2, 2), (), membership((2, 3), (1, 2, 3))),
        (membership((1,)), (2,), (), membership((2,), (1,))),
    ],
)
def test_only_a_change_of_voters_is_joint(
    before: Membership, voters: tuple[int, ...], learners: tuple[int, ...], after: Membership
) -> None:
    entered = before.entering(list(map(NodeId, voters)), list(map(NodeId, learners)))

    assert entered == after
    assert entered.left() == membership(entered.voters, (), entered.learners)
    assert not entered.left().joint


def test_who_votes_and_who_gets_the_log() -> None:
    joint = membership((1, 4), (1, 2, 3), (3, 9))

    assert joint.voting == {1, 2, 3, 4}
    assert joint.members == {1, 2, 3, 4, 9}


def test_a_membership_survives_its_encoding() -> None:
    for whole in (membership((1, 2, 3)), membership((1, 4), (1, 2, 3), (3, 2**32 - 1))):
        assert decode_membership(whole.encode()) == whole


@pytest.mark.parametrize(
    "wrong",
    [
        membership(()),
        membership((2, 1)),
        membership((1, 1)),
        membership((1, 2), (3, 2)),
        membership((1, 2), (), (4, 3)),
        membership((1, 2), (), (2,)),
        membership((2**32,)),
        membership((-1,)),
        membership(tuple(range(MEMBERS_MAX + 1))),
    ],
    ids=["empty", "order", "twice", "outgoing", "learners", "both", "large", "negative", "many"],
)
def test_an_impossible_membership_is_not_decoded(wrong: Membership) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec says it in its own words
        decode_membership(wrong.encode())


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\x93\x91\x01\x90", b"\x94\x91\x01\x90\x90\x90"]
)
def test_what_is_no_membership_is_not_decoded(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec says it in its own words
        decode_membership(payload)


# --- History -------------------------------------------------------------------------------------

FIRST, SECOND, THIRD = membership((1,)), membership((1, 2), (1,)), membership((1, 2))


def history() -> MembershipHistory:
    """FIRST from the start, SECOND from entry 5, THIRD from entry 6."""
    return MembershipHistory(FIRST, [(LogIndex(5), SECOND), (LogIndex(6), THIRD)])


def test_each_place_of_the_log_has_its_membership() -> None:
    found = [history().at(LogIndex(index)) for index in (0, 4, 5, 6, 99)]

    assert found == [FIRST, FIRST, SECOND, THIRD, THIRD]
    assert history().index == 6
    assert history().since(LogIndex(5)) == [SECOND, THIRD]
    assert history().since(LogIndex(6)) == [THIRD]


@pytest.mark.parametrize(
    ("first", "current", "index"),
    [(7, THIRD, 6), (6, SECOND, 5), (5, FIRST, 0), (1, FIRST, 0)],
)
def test_a_membership_goes_with_its_entry(first: int, current: Membership, index: int) -> None:
    """Also two at once: what was in force before both comes back."""
    changed = history()
    truncated = changed.truncate(LogIndex(first))

    assert (changed.current, changed.index, truncated) == (current, index, first < 7)


@pytest.mark.parametrize("index", [1, 4, 5, 6, 8])
def test_compaction_keeps_what_is_in_force_behind_it(index: int) -> None:
    whole, compacted = history(), history()
    compacted.compact(LogIndex(index))

    for later in range(index, 10):
        assert compacted.at(LogIndex(later)) == whole.at(LogIndex(later))
    assert (compacted.current, compacted.index) == (whole.current, whole.index)


def test_after_compaction_the_oldest_one_left_is_never_truncated() -> None:
    compacted = history()
    compacted.compact(LogIndex(5))
    compacted.truncate(LogIndex(6))
    assert compacted.current == SECOND

    compacted.truncate(LogIndex(1))
    assert compacted.current == SECOND


def test_a_snapshot_begins_a_new_history() -> None:
    replaced = history()
    replaced.reset(FIRST)
    replaced.append(LogIndex(9), THIRD)

    assert [replaced.at(LogIndex(index)) for index in (3, 8, 9)] == [FIRST, FIRST, THIRD]
    replaced.truncate(LogIndex(9))
    assert replaced.current == FIRST


# --- Guards --------------------------------------------------------------------------------------


def test_only_a_leader_changes_members() -> None:
    stage = led_by_one()
    with pytest.raises(NotLeaderError) as refused:
        change(stage.running(2), (1, 2))

    assert refused.value.leader == 1


def test_no_change_before_the_leaders_own_term_has_committed() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize type=Votes")
    core = stage.running(1)
    assert (core.role, core.leads_safely) == (Role.LEADER, False)
    with pytest.raises(MembershipError, match="own term"):
        change(core, (1, 2))

    stabilize(stage)
    assert change(core, (1, 2)) == 2


def test_no_change_while_leadership_is_handed_over() -> None:
    stage = led_by_one()
    core = stage.running(1)
    core.transfer(NodeId(2))
    with pytest.raises(TransferringError):
        change(core, (1, 2))


def test_no_change_while_another_is_under_way() -> None:
    stage = led_by_one()
    core = stage.running(1)
    change(core, (1, 2, 3), ())  # even if it only takes a learner away
    with pytest.raises(MembershipError, match="under way"):
        change(core, (1, 2))

    stabilize(stage)
    change(core, (1, 2))
    assert core.membership.joint
    with pytest.raises(MembershipError, match="under way"):
        change(core, (1, 2, 3))

    stabilize(stage)
    assert core.membership == membership((1, 2))


@pytest.mark.parametrize(
    ("voters", "learners", "reason"),
    [
        ((1, 2, 3), (4,), "nothing would change"),
        ((3, 2, 1, 1), (4, 4), "nothing would change"),
        ((), (4,), "needs voters"),
        ((1, 2, 3), (3, 4), "both votes and learns"),
        ((1, 2, 3, 9), (4,), "9 must become a learner"),
        (tuple(range(1, MEMBERS_MAX + 2)), (), "length <= 1024"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    voters: tuple[int, ...], learners: tuple[int, ...], reason: str
) -> None:
    core = led_by_one().running(1)
    last = core.log.last_index
    with pytest.raises(MembershipError, match=reason):
        change(core, voters, learners)

    assert core.log.last_index == last
    assert core.membership == membership((1, 2, 3), (), (4,))


def test_a_learner_must_catch_up_before_it_votes() -> None:
    stage = play("add-nodes 3 message-entries-max=2", "campaign 1", "stabilize")
    core = stage.running(1)
    core.change_membership(core.membership.voters, [NodeId(4)])
    for _ in range(3):
        core.propose(b"work", core.term)
    stabilize(stage)
    assert not core.is_caught_up(NodeId(4)), "it is not there at all"
    with pytest.raises(MembershipError, match="catch up"):
        change(core, (1, 2, 3, 4))

    act(stage, "add-nodes 1 voters=none")
    for _ in range(3):
        run_once(stage)
    assert core.is_caught_up(NodeId(4))
    change(core, (1, 2, 3, 4))
    stabilize(stage)
    assert core.membership == membership((1, 2, 3, 4))


def test_a_member_whose_disk_was_lost_is_not_promoted() -> None:
    stage = led_by_one("crash 4", "wipe 4", "restart 4", "tick 1 2")
    stabilize(stage, (1, 4))
    core = stage.running(1)
    assert not core.followers()[NodeId(4)].counted
    with pytest.raises(MembershipError, match="4 must become a learner"):
        change(core, (1, 2, 3, 4))


def test_no_change_to_a_quorum_that_needs_a_suspect() -> None:
    stage = led_by_one("crash 3", "wipe 3", "restart 3", "cut 1->2 2->1", "tick 1 2")
    stabilize(stage, (1, 3))
    core = stage.running(1)
    assert not core.followers()[NodeId(3)].counted
    with pytest.raises(MembershipError, match=r"no quorum without \[3\]"):
        change(core, (1, 3), (4,))


# --- In force ------------------------------------------------------------------------------------


def test_a_membership_is_in_force_when_it_is_in_the_log() -> None:
    stage = led_by_one()
    core = stage.running(1)
    index = change(core, (1, 2, 3, 4))

    assert core.membership == membership((1, 2, 3, 4), (1, 2, 3))
    assert (core.membership_index, core.commit_index) == (index, index - 1)
    stage.process(stage.members[1])
    for mail in stage.mail:
        stage.deliver(mail)
    assert stage.running(2).membership == core.membership
    assert stage.running(2).commit_index < index


def test_a_commit_below_the_change_does_not_end_it() -> None:
    stage = led_by_one("propose 1 a", "process 1")
    core = stage.running(1)
    change(core, (1, 2, 3, 4))
    act(stage, "process 1", "deliver 2 3 4 first=1", "write 1", "process 1")
    act(stage, "deliver 3 first=1", "process 2 3", "write 2 3", "process 2 3")
    act(stage, "deliver 1 type=AppendAnswer")

    assert core.commit_index == 2
    assert core.membership == membership((1, 2, 3, 4), (1, 2, 3))


def test_a_membership_goes_when_its_entry_is_replaced() -> None:
    stage = led_by_one("cut 1->2 1->3")
    change(stage.running(1), (1, 4))
    stabilize(stage, (1, 4))
    assert stage.running(4).membership.joint

    act(stage, "crash 1", "tick 3 9", "campaign 2", "stabilize", "run 3")

    assert stage.running(2).role is Role.LEADER
    for number in (2, 3, 4):
        assert stage.running(number).membership == membership((1, 2, 3), (), (4,))


def test_a_restarted_node_finds_its_membership_in_its_log() -> None:
    stage = led_by_one("cut 1->2 1->3")
    change(stage.running(1), (1, 4))
    stabilize(stage, (1, 4))
    act(stage, "crash 4", "restart 4")

    assert stage.running(4).membership == membership((1, 4), (1, 2, 3))


def test_a_restarted_node_finds_its_membership_below_its_log() -> None:
    """After compaction the entry is gone; what it put in force is kept with the base."""
    stage = led_by_one()
    change(stage.running(1), (1, 2, 3, 4))
    stabilize(stage)
    core = stage.running(1)
    last = core.log.last_index
    act(stage, "snapshot 1", f"compact 1 {last}", "stabilize", "crash 1", "restart 1")

    assert stage.running(1).log.base == Base(
        last, Term(1), core.log.hash_at(last), membership((1, 2, 3, 4))
    )
    assert stage.running(1).membership == membership((1, 2, 3, 4))


# --- Who counts ----------------------------------------------------------------------------------


def test_a_learner_is_not_counted() -> None:
    stage = led_by_one("cut 2->1 3->1")
    core = stage.running(1)
    index = core.propose(b"work", core.term)
    stabilize(stage)

    assert core.followers()[NodeId(4)].match == index
    assert core.commit_index == index - 1


def test_a_learner_does_not_campaign() -> None:
    stage = led_by_one("cut 1->4")
    for _ in range(60):
        stage.tick(stage.members[4])

    assert stage.running(4).role is Role.FOLLOWER


def test_the_vote_of_one_that_is_no_voter_does_not_count() -> None:
    stage = play("add-nodes 3 learners=4", "campaign 1")
    core = stage.running(1)
    for stranger in (4, 9):
        answer = VoteResponse(Term(0), Term(1), pre=True, granted=True, floor=LogIndex(0))
        core.step(NodeId(stranger), answer)
    assert core.term == 0

    core.step(NodeId(2), VoteResponse(Term(0), Term(1), pre=True, granted=True, floor=LogIndex(0)))
    assert core.term == 1


def test_whoever_is_asked_gives_a_vote() -> None:
    """A learner, and a node without any membership, may have been promoted without hearing it."""
    for known in ("learners=4", "voters=none"):
        core = play("add-nodes 3 learners=4", f"add-nodes 1 {known}").running(4)
        core.step(
            NodeId(2), VoteRequest(Term(3), False, LogIndex(0), Term(0), LogIndex(0), ZERO_HASH)
        )
        assert core.vote == 2


def test_one_that_is_removed_hears_it_and_is_then_left_alone() -> None:
    stage = led_by_one()
    change(stage.running(1), (1, 2))
    stabilize(stage)
    assert stage.running(3).membership == membership((1, 2))
    assert sorted(stage.running(1).followers()) == [2, 3, 4]

    for _ in range(11):
        run_once(stage)
    assert sorted(stage.running(1).followers()) == [2]


def test_one_that_returns_in_time_is_not_forgotten() -> None:
    stage = led_by_one()
    core = stage.running(1)
    change(core, (1, 2))
    stabilize(stage)
    for _ in range(5):
        run_once(stage)
    change(core, (1, 2), (3,))
    for _ in range(12):
        run_once(stage)

    assert sorted(core.followers()) == [2, 3]
    assert core.followers()[NodeId(3)].leaving_ticks is None


def test_who_is_to_go_may_still_lead_until_that_is_committed() -> None:
    """Thesis, 4.2.2: it may hold the only log that can be elected."""
    stage = led_by_one()
    change(stage.running(1), (2, 3))
    stabilize(stage, (1, 2, 3), kinds={"Append"})
    act(stage, "deliver 1 type=AppendAnswer", "process 1", "write 1", "crash 1", "restart 1")
    core = stage.running(1)
    assert core.membership == membership((2, 3))
    assert core.commit_index < core.membership_index
    for _ in range(20):
        stage.tick(stage.members[1])

    assert core.role is Role.PRE_CANDIDATE


def test_who_is_gone_does_not_campaign() -> None:
    stage = led_by_one()
    change(stage.running(1), (2, 3))
    stabilize(stage)
    core = stage.running(1)
    assert core.role is Role.FOLLOWER
    assert core.commit_index >= core.membership_index
    for _ in range(60):
        stage.tick(stage.members[1])

    assert core.role is Role.FOLLOWER


def test_the_last_act_of_a_removed_leader_is_to_tell_the_commit() -> None:
    stage = led_by_one()
    change(stage.running(1), (2, 3))
    stabilize(stage, kinds={"Append", "AppendAnswer"})

    assert stage.running(1).role is Role.FOLLOWER
    ends = {stage.running(number).commit_index for number in (1, 2, 3)}
    assert ends == {stage.running(1).membership_index}


def test_a_lone_voter_can_take_in_others() -> None:
    stage = play("add-nodes 1", "campaign 1", "stabilize")
    for number in (2, 3):
        core = stage.running(1)
        core.change_membership(core.membership.voters, [NodeId(number)])
        act(stage, "add-nodes 1 voters=none")
        for _ in range(4):
            run_once(stage)
        change(core, tuple(range(1, number + 1)))
        stabilize(stage)

    members: list[Member] = list(stage.members.values())
    assert [stage.running(member.number).membership for member in members] == [
        membership((1, 2, 3))
    ] * 3


def test_all_voters_can_be_replaced_at_once() -> None:
    stage = play(
        "add-nodes 3 learners=4,5,6",
        "add-nodes 3 voters=1,2,3 learners=4,5,6",
        "campaign 1",
        "stabilize",
        "propose 1 work",
        "stabilize",
    )
    change(stage.running(1), (4, 5, 6))
    stabilize(stage)
    for _ in range(3):
        run_once(stage)

    leading = [n for n in stage.members if stage.running(n).role is Role.LEADER]
    assert len(leading) == 1
    assert set(leading) < {4, 5, 6}
    assert all(stage.members[number].words == ["work"] for number in (4, 5, 6))
