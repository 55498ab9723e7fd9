"""Handing leadership over: who may be the heir, what waits for it, and what ends it."""

from __future__ import annotations

import pytest

from consensus.core.raft import RaftCore
from consensus.errors import (
    MembershipError,
    NotLeaderError,
    TransferringError,
)
from consensus.messages import Heartbeat, TimeoutNow
from consensus.types import LogIndex, NodeId, Role, Term
from tests.consensus.directives import act, play
from tests.consensus.lab import make_core
from tests.consensus.letters import heartbeat, vote_request
from tests.consensus.stage import Stage

ELECTION = 10


def led_by_one(*more: str) -> Stage:
    """Three voters, of which 1 leads, and a learner 4."""
    return play(
        "add-nodes 3 learners=4",
        "add-nodes 1 voters=1,2,3 learners=4",
        "campaign 1",
        "stabilize",
        *more,
    )


def kinds(stage: Stage, to: int) -> list[str]:
    """What is on its way to a member, in order."""
    return [stage.kind(mail) for mail in stage.mail if mail[1] == to]


def heirs(stage: Stage) -> list[tuple[int, int | None]]:
    """(receiver, heir) of the heartbeats on their way."""
    return [
        (to, message.heir)
        for sender, to, data in stage.mail
        for message in [stage.decode(data, sender)]
        if isinstance(message, Heartbeat)
    ]


def leaders(stage: Stage) -> list[int]:
    return [
        n for n, member in stage.members.items() if member.core and member.core.role is Role.LEADER
    ]


# --- Who -----------------------------------------------------------------------------------------


def test_only_a_leader_hands_over() -> None:
    stage = led_by_one()
    with pytest.raises(NotLeaderError) as refused:
        stage.running(2).transfer(NodeId(3))

    assert refused.value.leader == 1


@pytest.mark.parametrize("to", [1, 4, 9])
def test_leadership_goes_to_another_voter_and_to_nobody_else(to: int) -> None:
    core = led_by_one().running(1)
    with pytest.raises(MembershipError, match=f"cannot go to {to}"):
        core.transfer(NodeId(to))

    assert not core.handing_over


def test_a_lone_voter_has_nobody_to_hand_over_to() -> None:
    core = play("add-nodes 1", "campaign 1", "stabilize").running(1)
    with pytest.raises(MembershipError, match="cannot go to None"):
        core.transfer()


def test_the_default_is_the_voter_with_most_of_the_log() -> None:
    stage = led_by_one("cut 1->2", "propose 1 a", "stabilize")

    assert stage.running(1).transfer() == 3


def test_among_equals_the_default_is_the_lowest_number() -> None:
    assert led_by_one().running(1).transfer() == 2


def test_a_suspect_is_not_the_default() -> None:
    stage = led_by_one("crash 2", "wipe 2", "restart 2", "cut 1->3", "tick 1 2", "stabilize 1 2")
    assert not stage.running(1).followers()[NodeId(2)].counted

    assert stage.running(1).transfer() == 3


def test_who_leaves_is_not_the_heir() -> None:
    stage = led_by_one()
    core = stage.running(1)
    core.change_membership([NodeId(1), NodeId(2)], [NodeId(4)])
    assert core.membership.joint
    with pytest.raises(MembershipError, match="cannot go to 3"):
        core.transfer(NodeId(3))

    assert core.transfer(NodeId(2)) == 2


# --- How -----------------------------------------------------------------------------------------


def test_everybody_hears_of_the_heir_before_the_heir_does() -> None:
    stage = led_by_one("transfer 1 2", "process 1")

    assert heirs(stage) == [(2, 2), (3, 2), (4, 2)]
    assert kinds(stage, 2)[-1] == "TimeoutNow"
    assert "TimeoutNow" not in kinds(stage, 3)


def test_the_heir_campaigns_without_a_pre_vote_and_wins_at_once() -> None:
    stage = led_by_one(
        "transfer 1 2", "process 1", "deliver 2", "process 2", "write 2", "process 2"
    )
    asked = [stage.kind(mail) for mail in stage.mail if mail[0] == 2]
    assert "PreVote" not in asked
    assert asked.count("Vote") == 2

    act(stage, "stabilize")
    assert leaders(stage) == [2]
    assert {stage.running(n).term for n in stage.members} == {2}


def test_the_heir_is_asked_when_it_has_the_whole_log() -> None:
    stage = led_by_one("propose 1 a", "transfer 1 2", "process 1")
    assert "TimeoutNow" not in kinds(stage, 2)

    act(stage, "deliver 2", "process 2", "write 2", "process 2", "deliver 1", "process 1")
    assert "TimeoutNow" in kinds(stage, 2)


def test_the_request_is_repeated_with_each_heartbeat() -> None:
    stage = led_by_one("transfer 1 2", "process 1", "deliver 2 drop", "tick 1 2", "process 1")

    assert "TimeoutNow" in kinds(stage, 2)


def test_proposals_wait_until_it_is_over() -> None:
    stage = led_by_one("transfer 1 2")
    core = stage.running(1)
    with pytest.raises(TransferringError, match="to 2"):
        core.propose(b"work", core.term)
    with pytest.raises(TransferringError, match="to 2"):
        core.change_membership([NodeId(1), NodeId(2)])
    assert core.log.last_index == 1

    act(stage, "stabilize")
    assert not core.handing_over


def test_a_second_wish_replaces_the_first() -> None:
    stage = led_by_one("transfer 1 2", "transfer 1 3", "stabilize")

    assert len(leaders(stage)) == 1
    act(stage, "run 30")
    assert len(leaders(stage)) == 1


def test_it_ends_after_an_election_timeout() -> None:
    stage = led_by_one("cut 1->2", "transfer 1 2")
    core = stage.running(1)
    act(stage, f"run {ELECTION - 1}")
    assert core.handing_over

    act(stage, "run 1")
    assert not core.handing_over
    assert core.propose(b"work", core.term) == 2


def test_an_heir_that_was_given_up_may_not_campaign_any_more() -> None:
    """The next heartbeats name nobody, so its request is held against the leader that lives."""
    stage = led_by_one("cut 1->2", "transfer 1 2", f"run {ELECTION + 2}", "heal", "run 2")
    for number in (1, 3):
        core = stage.running(number)
        core.step(NodeId(2), vote_request(2, 9, 1))
        assert (core.term, core.vote) == (1, 1)


def test_a_leader_that_loses_its_quorum_meanwhile_steps_down() -> None:
    stage = led_by_one("cut 2->1 3->1", "transfer 1 2", "run 25")

    assert not stage.running(1).handing_over
    assert stage.running(1).role is not Role.LEADER


# --- The heir's end ------------------------------------------------------------------------------


def follower(*, suspect: bool = False, voters: int = 3) -> RaftCore:
    """Node 0 follows node 1 in term 2."""
    core = make_core(0, voters=voters, suspect=suspect)
    core.step(NodeId(1), heartbeat(2))
    return core


def test_the_heir_campaigns_at_its_leaders_word() -> None:
    core = follower()
    core.step(NodeId(1), TimeoutNow(Term(2)))

    assert (core.role, core.term, core.vote) == (Role.CANDIDATE, 3, 0)


@pytest.mark.parametrize(("sender", "term"), [(2, 2), (1, 1), (1, 3)])
def test_nobody_else_can_make_it_campaign(sender: int, term: int) -> None:
    core = follower()
    core.step(NodeId(sender), TimeoutNow(Term(term)))

    assert (core.role, core.term) == (Role.FOLLOWER, 2)


def test_one_that_must_not_campaign_does_not_do_it_when_asked() -> None:
    suspect = follower(suspect=True)
    suspect.step(NodeId(1), TimeoutNow(Term(2)))
    assert suspect.role is Role.FOLLOWER

    learner = led_by_one().running(4)
    learner.step(NodeId(1), TimeoutNow(Term(1)))
    assert learner.role is Role.FOLLOWER

    lacking = make_core(0, protected=5)
    lacking.step(NodeId(1), heartbeat(2))
    lacking.step(NodeId(1), TimeoutNow(Term(2)))
    assert lacking.role is Role.FOLLOWER


# --- The voter's end -----------------------------------------------------------------------------


def heir_beat(term: int, heir: int | None) -> Heartbeat:
    named = None if heir is None else NodeId(heir)
    return Heartbeat(Term(term), LogIndex(0), LogIndex(0), 0, named)


@pytest.mark.parametrize(
    ("named", "candidate", "granted"),
    [(2, 2, True), (2, 1, False), (None, 2, False), (1, 2, False)],
)
def test_a_fresh_leader_is_unseated_only_by_the_heir_that_it_named(
    named: int | None, candidate: int, granted: bool
) -> None:
    core = make_core(0, voters=4)
    core.step(NodeId(3), heir_beat(2, named))
    core.step(NodeId(candidate), vote_request(3))

    assert (core.vote == candidate) is granted
    assert core.term == (3 if granted else 2)


def test_a_later_heartbeat_takes_the_heir_back() -> None:
    core = make_core(0, voters=4)
    core.step(NodeId(3), heir_beat(2, 2))
    core.step(NodeId(3), heir_beat(2, None))
    core.step(NodeId(2), vote_request(3))

    assert (core.term, core.vote) == (2, None)


def test_the_next_leader_has_not_named_the_last_ones_heir() -> None:
    core = make_core(0, voters=4)
    core.step(NodeId(3), heir_beat(2, 2))
    core.step(NodeId(1), heartbeat(3))
    core.step(NodeId(2), vote_request(4))

    assert (core.term, core.leader, core.vote) == (3, 1, None)


def test_an_heir_still_needs_a_log_as_new_as_the_voters() -> None:
    stage = led_by_one("propose 1 a", "stabilize 1 3", "transfer 1 2")
    voter = stage.running(3)
    voter.step(NodeId(1), heir_beat(1, 2))
    voter.step(NodeId(2), vote_request(2, 1, 1))

    assert (voter.term, voter.vote) == (2, None)
