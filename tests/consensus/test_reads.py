"""Linearizable reads: rounds, leases, and what makes an answer void."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.config import RaftConfig
from consensus.core.raft import RaftCore, Ready
from consensus.core.reads import FollowerReads, LeaderReads, ReadAnswer
from consensus.errors import ReadError
from consensus.membership import Membership
from consensus.messages import (
    Heartbeat,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    VoteRequest,
    VoteResponse,
)
from consensus.types import ZERO_HASH, LogIndex, NodeId, Role, Term
from tests.consensus.directives import act, play
from tests.consensus.lab import make_core
from tests.consensus.letters import heartbeat
from tests.consensus.member import PACE, StageRng
from tests.consensus.stage import Stage

ME, TWO, THREE, LEARNER = NodeId(1), NodeId(2), NodeId(3), NodeId(4)
THREE_VOTERS = Membership((ME, TWO, THREE), (), (LEARNER,))
LATER = 10**6
"""A life after all that the stage has seen."""
LEASE_MS = 0.7 * (10 - 3) * 10
"""With the pace of the bench: ten ticks of ten milliseconds, three of which are conceded."""


def config(**limits: Any) -> RaftConfig:
    return RaftConfig(node=ME, voters=(ME, TWO, THREE), **{**PACE, **limits})


def leader_reads(**limits: Any) -> LeaderReads:
    return LeaderReads(config(**limits))


def confirmed(reads: LeaderReads, members: Membership = THREE_VOTERS) -> list[tuple[int, int]]:
    """(ticket, index) of what may be answered."""
    return [(ticket, index) for _, ticket, index in reads.take_confirmed(members, ME)]


# --- Rounds --------------------------------------------------------------------------------------


def test_all_reads_since_the_last_round_share_the_next() -> None:
    reads = leader_reads()
    for ticket in (7, 8):
        reads.add(ME, ticket)
    assert reads.begin_round(LogIndex(5), 0.0, beat=False)
    assert not reads.begin_round(LogIndex(6), 0.0, beat=False), "nobody waits for another"
    reads.acknowledge(TWO, 1)

    assert reads.round == 1
    assert confirmed(reads) == [(7, 5), (8, 5)]
    assert confirmed(reads) == []


def test_a_round_is_answered_with_the_commit_index_of_its_start() -> None:
    reads = leader_reads()
    reads.add(ME, 7)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    reads.add(ME, 8)
    reads.begin_round(LogIndex(9), 0.0, beat=False)
    reads.acknowledge(TWO, 2)

    assert confirmed(reads) == [(7, 5), (8, 9)]


def test_an_answer_to_an_earlier_round_confirms_no_later_one() -> None:
    reads = leader_reads()
    reads.add(ME, 7)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    reads.add(ME, 8)
    reads.begin_round(LogIndex(9), 0.0, beat=False)
    for _ in range(3):
        reads.acknowledge(TWO, 1)
        reads.acknowledge(THREE, 1)

    assert confirmed(reads) == [(7, 5)]


@pytest.mark.parametrize("number", [0, 2, 99])
def test_an_answer_to_no_round_confirms_nothing(number: int) -> None:
    reads = leader_reads()
    reads.add(ME, 7)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    reads.acknowledge(TWO, number)

    assert confirmed(reads) == []


@pytest.mark.parametrize(
    ("members", "answering", "enough"),
    [
        (THREE_VOTERS, (TWO,), True),
        (THREE_VOTERS, (), False),
        (THREE_VOTERS, (LEARNER, NodeId(9)), False),
        (Membership((ME,)), (), True),
        (Membership((TWO, THREE), (ME, TWO, THREE)), (TWO,), False),
        (Membership((TWO, THREE), (ME, TWO, THREE)), (TWO, THREE), True),
        (Membership((TWO, THREE)), (TWO,), False),  # its own word does not count any more
    ],
)
def test_a_quorum_of_voters_confirms(
    members: Membership, answering: tuple[NodeId, ...], enough: bool
) -> None:
    reads = leader_reads()
    reads.add(ME, 7)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    for follower in answering:
        reads.acknowledge(follower, 1)

    assert confirmed(reads, members) == ([(7, 5)] if enough else [])


def test_waiting_reads_are_bounded_and_make_room_again() -> None:
    reads = leader_reads(reads_max=2)
    reads.add(ME, 1)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    reads.add(ME, 2)
    with pytest.raises(ReadError, match="too many"):
        reads.add(ME, 3)

    reads.acknowledge(TWO, 1)
    assert confirmed(reads) == [(1, 5)]
    reads.add(ME, 3)


def test_nobody_uses_up_the_reads_of_others() -> None:
    reads = leader_reads(reads_max=4)
    for ticket in (1, 2):
        reads.add(TWO, ticket, askers=2)
    with pytest.raises(ReadError, match="too many"):
        reads.add(TWO, 3, askers=2)

    reads.add(THREE, 3, askers=2)
    for ticket in range(4):
        reads.add(ME, ticket)


def test_with_leadership_the_own_reads_end_and_the_others_notice_by_themselves() -> None:
    reads = leader_reads()
    reads.add(ME, 1)
    reads.add(TWO, 2)
    reads.begin_round(LogIndex(5), 0.0, beat=False)
    reads.add(ME, 3)

    assert sorted(reads.abandon(ME), key=lambda answer: answer.ticket) == [
        ReadAnswer(1, None),
        ReadAnswer(3, None),
    ]


# --- Leases --------------------------------------------------------------------------------------


def written(core: RaftCore) -> Ready:
    """What the core has ready once its disk is done."""
    ready = core.ready()
    while ready.write is not None:
        core.on_persisted(ready.write.seq)
        ready = core.ready()
    return ready


def renewed(sent_ms: float = 1_000.0, **limits: Any) -> LeaderReads:
    """A leader whose round, sent at `sent_ms`, a quorum has confirmed."""
    reads = leader_reads(lease_reads=True, **limits)
    reads.begin_round(LogIndex(5), sent_ms, beat=True)
    reads.acknowledge(TWO, 1)
    assert confirmed(reads) == []
    return reads


@pytest.mark.parametrize(
    ("now", "holds"), [(1_000.0, True), (1_000.0 + LEASE_MS - 1, True), (1_000.0 + LEASE_MS, False)]
)
def test_a_lease_lasts_from_the_sending_of_its_round(now: float, holds: bool) -> None:
    assert renewed().holds_lease(now) is holds


def test_no_voter_forgets_its_leader_while_a_lease_lasts() -> None:
    """Although its clock is a quarter faster than the leader's, and its ticks fall badly."""
    voter = make_core(0)
    voter.step(ME, heartbeat(1))
    ticks = 0
    granted = False
    while not granted:
        voter.tick()
        ticks += 1
        voter.step(TWO, VoteRequest(Term(2), True, LogIndex(0), Term(0), LogIndex(0), ZERO_HASH))
        granted = any(
            isinstance(message, VoteResponse) and message.granted
            for _, message in written(voter).messages
        )
    # The first tick may come at once, and one that was due before the heartbeat may come after it.
    spans = ticks - 2

    assert spans * PACE["tick_ms"] / 1.25 > LEASE_MS


def test_without_leases_there_is_none() -> None:
    reads = leader_reads()
    assert not reads.begin_round(LogIndex(5), 1_000.0, beat=True), "nor rounds for it"
    reads.add(ME, 7)
    reads.begin_round(LogIndex(5), 1_000.0, beat=True)
    reads.acknowledge(TWO, 1)
    assert confirmed(reads) == [(7, 5)]

    assert not reads.holds_lease(1_000.0)


def test_a_round_that_is_not_confirmed_gives_no_lease() -> None:
    reads = leader_reads(lease_reads=True)
    reads.begin_round(LogIndex(5), 1_000.0, beat=True)
    reads.acknowledge(LEARNER, 1)
    assert confirmed(reads) == []

    assert not reads.holds_lease(1_000.0)


def test_a_late_confirmation_counts_from_when_its_round_was_sent() -> None:
    reads = leader_reads(lease_reads=True)
    for sent_ms in (1_000.0, 1_020.0, 1_040.0):
        reads.begin_round(LogIndex(5), sent_ms, beat=True)
    reads.acknowledge(TWO, 2)
    assert confirmed(reads) == []

    assert reads.holds_lease(1_020.0 + LEASE_MS - 1)
    assert not reads.holds_lease(1_020.0 + LEASE_MS)


def test_a_lease_that_was_given_up_does_not_come_back() -> None:
    reads = renewed()
    reads.void_lease()
    assert not reads.holds_lease(1_000.0)

    reads.begin_round(LogIndex(5), 2_000.0, beat=True)
    reads.acknowledge(TWO, 2)
    reads.take_confirmed(THREE_VOTERS, ME)
    assert not reads.holds_lease(2_000.0)


def test_an_election_timeout_too_short_for_a_lease_gives_none() -> None:
    reads = leader_reads(
        lease_reads=True, election_ticks=3, heartbeat_ticks=1, catch_up_ticks_max=1
    )
    reads.begin_round(LogIndex(5), 1_000.0, beat=True)
    reads.acknowledge(TWO, 1)
    reads.take_confirmed(THREE_VOTERS, ME)

    assert not reads.holds_lease(1_000.0)


def leased() -> Stage:
    """Three nodes with leases; 1 leads and holds one."""
    stage = play(
        "add-nodes 3 lease-reads=yes", "tick 2 10", "tick 3 10", "campaign 1", "stabilize", "run 6"
    )
    act(stage, "read-index 1 1", "process 1")
    assert stage.members[1].answers == {1: 1}
    return stage


def test_a_lease_answers_without_a_message() -> None:
    stage = leased()
    act(stage, "propose 1 work", "stabilize", "read-index 1 2", "process 1")

    assert stage.members[1].answers[2] == 2
    assert stage.mail == []


def test_a_lease_ends_on_the_clock_and_not_with_ticks() -> None:
    """A process that stands still counts no ticks."""
    stage = leased()
    act(stage, f"clock 1 {int(LEASE_MS)}", "read-index 1 2", "process 1")

    assert 2 not in stage.members[1].answers
    assert {stage.kind(mail) for mail in stage.mail} == {"Heartbeat"}


def test_the_next_leader_has_no_lease_of_the_last_one() -> None:
    stage = leased()
    act(stage, "transfer 1 2", "stabilize", "read-index 2 5", "process 2")

    assert stage.running(2).role is Role.LEADER
    assert 5 not in stage.members[2].answers


@pytest.mark.parametrize(("leases", "votes"), [("yes", False), ("no", True)])
def test_a_voter_that_restarted_waits_before_it_votes_if_there_are_leases(
    leases: str, votes: bool
) -> None:
    stage = play(
        f"add-nodes 3 lease-reads={leases}",
        *("tick 2 10", "tick 3 10", "campaign 1", "stabilize", "run 6"),
        *("crash 2", "restart 2", "crash 1", "tick 3 12", "stabilize"),
    )

    assert (stage.running(3).role is Role.LEADER) is votes


# --- The leader in the core ----------------------------------------------------------------------


def safe_leader() -> Stage:
    return play("add-nodes 3 learners=4", "campaign 1", "stabilize")


def rounds(stage: Stage, node: int = 1) -> list[tuple[int, int]]:
    """(receiver, round) of the heartbeats on their way from `node`."""
    stage.process(stage.members[node])
    found = [
        (to, message.round)
        for sender, to, data in stage.mail
        if sender == node
        for message in [stage.decode(data, sender)]
        if isinstance(message, Heartbeat)
    ]
    stage.mail.clear()
    return found


def test_a_read_sends_heartbeats_of_a_new_round_at_once() -> None:
    stage = safe_leader()
    stage.running(1).read_index(7, 0.0)

    assert rounds(stage) == [(2, 1), (3, 1), (4, 1)]
    assert rounds(stage) == []


def test_a_read_before_the_leaders_own_term_has_committed_waits() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize type=Votes", "read-index 1 7")
    assert rounds(stage) == []

    act(stage, "tick 1 2", "stabilize")
    assert stage.members[1].answers == {7: 1}


def test_a_suspects_answer_confirms_nothing() -> None:
    """It may have forgotten that it voted for another leader."""
    stage = safe_leader()
    core = stage.running(1)
    core.read_index(7, 0.0)
    assert rounds(stage) == [(2, 1), (3, 1), (4, 1)]
    core.step(TWO, HeartbeatResponse(core.term, 1, counted=False, life=LATER))
    assert core.ready().reads == []

    core.step(THREE, HeartbeatResponse(core.term, 1, life=LATER))
    assert core.ready().reads == [ReadAnswer(7, LogIndex(1))]


@pytest.mark.parametrize("term", [0, 2])
def test_an_answer_of_another_term_confirms_nothing(term: int) -> None:
    stage = safe_leader()
    core = stage.running(1)
    core.read_index(7, 0.0)
    rounds(stage)
    core.step(TWO, HeartbeatResponse(Term(term), 1, life=LATER))

    assert ReadAnswer(7, LogIndex(1)) not in core.ready().reads


def test_reads_fail_when_leadership_is_lost() -> None:
    stage = safe_leader()
    core = stage.running(1)
    core.read_index(7, 0.0)
    rounds(stage)
    core.read_index(8, 0.0)
    core.step(TWO, heartbeat(9))

    assert sorted(answer.ticket for answer in core.ready().reads) == [7, 8]


def test_a_question_of_another_term_is_not_taken() -> None:
    stage = safe_leader()
    for term in (0, 2):
        stage.running(1).step(TWO, ReadIndexRequest(Term(term), 7))
    assert rounds(stage) == []

    stage.running(1).step(TWO, ReadIndexRequest(Term(1), 7))
    assert rounds(stage) == [(2, 1), (3, 1), (4, 1)]


def test_questions_beyond_the_bound_are_dropped() -> None:
    stage = play("add-nodes 3 reads-max=1", "campaign 1", "stabilize")
    core = stage.running(1)
    for ticket in (7, 8):
        core.step(TWO, ReadIndexRequest(core.term, ticket))
        core.step(NodeId(99), ReadIndexRequest(core.term, ticket))
    act(stage, "process 1", "deliver 2 3", "process 2 3", "deliver 1", "process 1")
    answered = [
        message.ticket
        for sender, _, data in stage.mail
        for message in [stage.decode(data, sender)]
        if isinstance(message, ReadIndexResponse)
    ]

    assert answered == [7]
    core.read_index(9, 0.0)


# --- The follower --------------------------------------------------------------------------------


def follower_reads(life: int = 1, **limits: Any) -> FollowerReads:
    return FollowerReads(config(**limits), StageRng(2, life))


def test_all_reads_of_a_turn_go_in_one_question() -> None:
    reads = follower_reads()
    assert reads.take_request() is None
    for ticket in (7, 8):
        reads.add(ticket)
    number = reads.take_request()
    assert number is not None
    assert reads.take_request() is None

    assert reads.answered(number, LogIndex(5)) == [
        ReadAnswer(7, LogIndex(5)),
        ReadAnswer(8, LogIndex(5)),
    ]
    assert reads.answered(number, LogIndex(9)) == [], "a duplicate answers nothing"


def test_each_question_has_its_own_number_also_in_another_life() -> None:
    numbers: list[int | None] = []
    for life in (1, 2):
        reads = follower_reads(life)
        for ticket in range(3):
            reads.add(ticket)
            numbers.append(reads.take_request())

    assert len(set(numbers)) == 6


def test_an_answer_to_another_life_answers_nothing() -> None:
    before, after = follower_reads(1), follower_reads(2)
    before.add(7)
    number = before.take_request()
    after.add(7)
    after.take_request()
    assert number is not None

    assert after.answered(number, LogIndex(1)) == []


def test_a_question_without_an_answer_fails_after_an_election_timeout() -> None:
    reads = follower_reads()
    reads.add(7)
    number = reads.take_request()
    assert number is not None
    for _ in range(5):
        assert reads.tick() == []
    reads.add(8)
    reads.take_request()
    failed = [reads.tick() for _ in range(10)]

    assert failed[4] == [ReadAnswer(7, None)]
    assert failed[9] == [ReadAnswer(8, None)]
    assert reads.answered(number, LogIndex(5)) == [], "too late"


def test_waiting_questions_are_bounded_and_make_room_again() -> None:
    reads = follower_reads(reads_max=2)
    reads.add(7)
    reads.add(8)
    with pytest.raises(ReadError, match="too many"):
        reads.add(9)

    assert reads.abandon() == [ReadAnswer(7, None), ReadAnswer(8, None)]
    reads.add(9)
    number = reads.take_request()
    assert number is not None
    assert reads.answered(number, LogIndex(1)) == [ReadAnswer(9, LogIndex(1))]


def test_a_follower_asks_its_leader_and_is_answered() -> None:
    stage = safe_leader()
    act(stage, "add-nodes 1 voters=1,2,3 learners=4", "run 3")  # learners ask too
    act(stage, "read-index 3 7", "read-index 4 8", "stabilize")

    assert stage.members[3].answers == {7: 1}
    assert stage.members[4].answers == {8: 1}


def test_without_a_leader_nobody_can_be_asked() -> None:
    core = make_core()
    with pytest.raises(ReadError, match="no leader"):
        core.read_index(7, 0.0)


def follower() -> tuple[RaftCore, int]:
    """A follower of node 1 in term 2 that has asked; the number of its question."""
    core = make_core(0)
    core.step(ME, heartbeat(2))
    core.read_index(7, 0.0)
    numbers = [m.ticket for _, m in core.ready().messages if isinstance(m, ReadIndexRequest)]
    return core, numbers[0]


@pytest.mark.parametrize(
    ("sender", "term", "shift", "answered"),
    [(1, 2, 0, True), (2, 2, 0, False), (1, 1, 0, False), (1, 3, 0, False), (1, 2, 1, False)],
)
def test_only_its_leaders_answer_to_its_question_counts(
    sender: int, term: int, shift: int, answered: bool
) -> None:
    core, number = follower()
    core.step(NodeId(sender), ReadIndexResponse(Term(term), number + shift, LogIndex(5)))

    assert core.ready().reads == ([ReadAnswer(7, LogIndex(5))] if answered else [])


@pytest.mark.parametrize("how", ["term", "campaign"])
def test_questions_fail_when_the_leader_changes(how: str) -> None:
    core, number = follower()
    if how == "term":
        core.step(TWO, heartbeat(3))
    else:
        for _ in range(10):
            core.tick()
    assert ReadAnswer(7, None) in core.ready().reads

    core.step(TWO, heartbeat(3))
    core.step(TWO, ReadIndexResponse(Term(3), number, LogIndex(5)))
    assert core.ready().reads == []
