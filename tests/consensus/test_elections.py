"""Elections: Raft paper 5.2 and 5.4.1, PreVote and CheckQuorum of the thesis."""

from __future__ import annotations

import pytest

from consensus.core.raft import RaftCore
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    VoteRequest,
    VoteResponse,
)
from consensus.types import ZERO_HASH, HardState, LogIndex, NodeId, Role, Term
from tests.consensus.lab import Lab, ScriptedRng, chain, make_core

ELECTION = 10


def vote_request(
    term: int, last_index: int = 0, last_term: int = 0, *, pre: bool = False, floor: int = 0
) -> VoteRequest:
    return VoteRequest(
        Term(term), pre, LogIndex(last_index), Term(last_term), LogIndex(floor), ZERO_HASH
    )


def heartbeat(term: int, commit: int = 0, last: int = 0) -> Heartbeat:
    return Heartbeat(Term(term), LogIndex(commit), LogIndex(last))


def answers(core: RaftCore) -> list[VoteResponse]:
    return [message for _, message in core.ready().messages if isinstance(message, VoteResponse)]


def role_of(core: RaftCore) -> Role:
    return core.role


def persist(core: RaftCore) -> list[VoteResponse]:
    """Write what there is to write; the votes that were held for it."""
    ready = core.ready()
    votes = [m for _, m in ready.messages if isinstance(m, VoteResponse)]
    if ready.write is not None:
        core.on_persisted(ready.write.seq)
        votes += answers(core)
    return votes


def test_a_node_starts_as_follower_without_leader() -> None:
    core = make_core(term=5, vote=1)

    assert (core.role, core.term, core.vote, core.leader) == (Role.FOLLOWER, 5, 1, None)


def test_a_lone_voter_leads_only_after_its_vote_is_on_disk() -> None:
    core = make_core(voters=1)
    for _ in range(ELECTION):
        core.tick()
    write = core.ready().write

    assert write is not None
    assert write.batch.hard_state == HardState(Term(1), NodeId(0))

    assert role_of(core) == Role.CANDIDATE

    core.on_persisted(write.seq)
    assert role_of(core) == Role.LEADER
    assert core.commit_index == 0

    noop = core.ready().write
    assert noop is not None
    core.on_persisted(noop.seq)
    assert core.commit_index == 1


def test_one_round_elects_the_first_to_time_out() -> None:
    lab = Lab(3)
    lab.tick(0, ELECTION)
    lab.settle()

    assert [core.role for core in lab.cores] == [Role.LEADER, Role.FOLLOWER, Role.FOLLOWER]
    assert {core.leader for core in lab.cores} == {0}
    assert {core.term for core in lab.cores} == {1}


def test_timeouts_cover_the_whole_interval() -> None:
    seen = set()
    for shift in range(ELECTION):
        core = make_core()
        core.roles.elections._rng = ScriptedRng(shift)
        core.roles.elections.reset_timeout()
        ticks = 0
        while core.role is Role.FOLLOWER:
            core.tick()
            ticks += 1
        seen.add(ticks)

    assert seen == set(range(ELECTION, 2 * ELECTION))


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"),
    [
        (2, 2, True),  # equal
        (3, 2, True),  # longer
        (1, 3, True),  # later term wins over length
        (1, 2, False),  # shorter
        (9, 1, False),  # earlier term loses, however long
        (0, 0, False),
    ],
)
@pytest.mark.parametrize("pre", [False, True])
def test_a_vote_goes_only_to_a_log_at_least_as_new(
    last_index: int, last_term: int, granted: bool, pre: bool
) -> None:
    core = make_core(entries=chain(1, 2))
    core.step(NodeId(1), vote_request(5, last_index, last_term, pre=pre))

    assert [answer.granted for answer in persist(core)] == [granted]


def test_who_votes_waits_a_whole_timeout_before_it_campaigns_itself() -> None:
    core = make_core(entries=chain(1, 2))
    core.step(NodeId(1), vote_request(5, 1, 1))  # too short a log: a new term, and no vote
    assert [answer.granted for answer in persist(core)] == [False]
    for _ in range(ELECTION - 1):
        core.tick()
    core.step(NodeId(2), vote_request(5, 2, 2))
    assert [answer.granted for answer in persist(core)] == [True]
    for _ in range(ELECTION - 1):
        core.tick()

    assert core.role is Role.FOLLOWER


def test_a_new_leader_names_no_heir_of_the_last_one() -> None:
    core = make_core()
    core.step(NodeId(1), Heartbeat(Term(4), LogIndex(0), LogIndex(0), 0, NodeId(2)))
    while core.role.value != Role.PRE_CANDIDATE.value:
        core.tick()
    persist(core)
    core.step(NodeId(2), VoteResponse(Term(4), Term(5), True, True, LogIndex(0)))
    persist(core)
    core.step(NodeId(1), VoteResponse(Term(5), Term(5), False, True, LogIndex(0)))
    assert core.role is Role.LEADER
    for _ in range(2):
        core.tick()
    beats = [m for _, m in core.ready().messages if isinstance(m, Heartbeat)]

    assert beats
    assert {beat.heir for beat in beats} == {None}


def test_one_vote_a_term_first_come_and_repeated_to_the_same() -> None:
    core = make_core()
    results = []
    for sender in (1, 2, 1):
        core.step(NodeId(sender), vote_request(3))
        results += [answer.granted for answer in persist(core)]

    assert results == [True, False, True]


def test_a_vote_waits_for_the_disk() -> None:
    core = make_core()
    core.step(NodeId(1), vote_request(3))
    ready = core.ready()

    assert ready.messages == []
    assert ready.write is not None
    core.on_persisted(ready.write.seq)
    assert [answer.granted for answer in answers(core)] == [True]


def test_a_restarted_voter_remembers_its_vote() -> None:
    core = make_core(term=5, vote=1)
    core.step(NodeId(2), vote_request(5))

    assert [answer.granted for answer in persist(core)] == [False]


def test_vote_requests_wait_for_the_candidates_own_vote() -> None:
    lab = Lab(3)
    lab.slow_disks = {0}
    lab.tick(0, ELECTION)
    lab.settle()

    assert role_of(lab.cores[0]) == Role.CANDIDATE
    assert {core.term for core in lab.cores[1:]} == {0}

    lab.write(0)
    lab.settle()
    assert role_of(lab.cores[0]) == Role.LEADER


def test_duplicated_votes_count_once() -> None:
    core = make_core(voters=5)
    for _ in range(ELECTION):
        core.tick()
    for _ in range(4):
        core.step(
            NodeId(1), VoteResponse(Term(0), Term(1), pre=True, granted=True, floor=LogIndex(0))
        )

    assert core.role is Role.PRE_CANDIDATE


def test_stale_votes_of_an_earlier_campaign_do_not_count() -> None:
    core = make_core(voters=3, term=4)
    for _ in range(ELECTION):
        core.tick()
    core.step(NodeId(1), VoteResponse(Term(3), Term(4), pre=True, granted=True, floor=LogIndex(0)))
    core.step(NodeId(1), VoteResponse(Term(3), Term(5), pre=False, granted=True, floor=LogIndex(0)))

    assert core.role is Role.PRE_CANDIDATE


def test_same_term_step_down_keeps_the_vote() -> None:
    """A pre-candidate that falls back in its term must not vote a second time in it."""
    core = make_core(entries=chain(1), term=3, vote=1)
    for _ in range(ELECTION):
        core.tick()
    core.step(NodeId(1), AppendRequest(Term(3), LogIndex(9), Term(3), ZERO_HASH, LogIndex(0), ()))
    core.step(NodeId(2), vote_request(3, 9, 3))

    assert (core.role, core.vote) == (Role.FOLLOWER, 1)
    assert [answer.granted for answer in persist(core)] == [False]


@pytest.mark.parametrize("pre", [False, True])
def test_who_hears_a_leader_gives_no_vote_and_keeps_its_term(pre: bool) -> None:
    core = make_core()
    core.step(NodeId(1), heartbeat(2))
    core.step(NodeId(2), vote_request(7, 9, 7, pre=pre))

    assert not any(answer.granted for answer in persist(core))
    assert (core.term, core.leader) == (2, 1)


def test_a_pre_vote_changes_nothing_at_the_voter() -> None:
    core = make_core(term=2)
    core.step(NodeId(1), vote_request(3, pre=True))
    ready = core.ready()

    assert ready.write is None
    assert (core.term, core.vote) == (2, None)
    assert [m.granted for _, m in ready.messages if isinstance(m, VoteResponse)] == [True]


def test_a_cut_off_node_does_not_raise_its_term_and_returns_quietly() -> None:
    lab = Lab(3)
    lab.elect(0)
    term = lab.cores[0].term
    lab.down = {2}
    for _ in range(5):
        lab.tick(2, 20)
        lab.tick(0, 2)
        lab.tick(1)
        lab.deliver()
        lab.settle()
    lab.down = set()
    lab.tick(2, 20)
    lab.settle()

    assert {core.term for core in lab.cores} == {term}
    assert lab.cores[0].role is Role.LEADER


def test_a_node_with_an_old_log_cannot_win_and_does_not_disturb_the_term() -> None:
    log = chain(1, 1)
    lab = Lab(3, [log, log, []], terms=[1, 1, 1])
    lab.tick(2, 20)
    lab.settle()

    assert [core.role is Role.LEADER for core in lab.cores] == [False] * 3
    assert {core.term for core in lab.cores} == {1}


def test_check_quorum_deposes_a_leader_that_hears_nobody() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.down = {1, 2}
    lab.tick(0, 2 * ELECTION)

    assert (lab.cores[0].role, lab.cores[0].leader) == (Role.FOLLOWER, None)


def test_check_quorum_keeps_a_leader_that_hears_a_majority() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.down = {2}
    for _ in range(4 * ELECTION):
        lab.tick(0)
        lab.tick(1)
        lab.settle()

    assert lab.cores[0].role is Role.LEADER


def test_a_leader_whose_disk_hangs_in_a_read_steps_down() -> None:
    """Nothing is being written, and the follower that could commit waits for what is read."""
    lab = Lab(3, disk_stall_ticks=30, tail_bytes_max=400)
    lab.elect(0)
    lab.down = {1, 2}
    for _ in range(20):
        lab.propose(0)
    core = lab.cores[0]
    core.step(NodeId(1), HeartbeatResponse(core.term))
    core.ready()
    probe = core.log.last_index
    core.step(
        NodeId(1), AppendResponse(core.term, AppendStatus.MISMATCH, probe, LogIndex(1), Term(1))
    )
    assert core.ready().log_reads, "nothing has to be read"
    for _ in range(30):
        assert core.role is Role.LEADER
        core.step(NodeId(1), HeartbeatResponse(core.term))
        core.ready()
        core.tick()

    assert role_of(core) is Role.FOLLOWER


def test_a_leader_with_a_hung_disk_steps_down_and_does_not_campaign() -> None:
    lab = Lab(3, disk_stall_ticks=15)
    lab.elect(0)
    lab.slow_disks = {0}
    lab.propose(0)
    for _ in range(16):
        lab.tick(0)
        lab.settle()

    assert lab.cores[0].role is Role.FOLLOWER
    lab.tick(0, 30)
    assert lab.cores[0].role is Role.FOLLOWER


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER])
def test_a_higher_term_makes_a_follower_of_everyone(role: Role) -> None:
    lab = Lab(3)
    core = lab.cores[0]
    if role is Role.LEADER:
        lab.elect(0)
    elif role is Role.CANDIDATE:
        lab.tick(0, ELECTION)
        lab.deliver()
        lab.deliver()
    elif role is Role.PRE_CANDIDATE:
        core.tick()
        for _ in range(ELECTION - 1):
            core.tick()
    assert core.role is role

    core.step(NodeId(1), heartbeat(9))

    assert (core.role, core.term, core.leader) == (Role.FOLLOWER, 9, 1)


def test_a_stale_leader_is_told_the_new_term() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.down = {0}
    lab.elect(1)
    lab.down = set()
    lab.mail.clear()
    lab.tick(0, 2)
    lab.settle()

    assert lab.cores[0].role is Role.FOLLOWER
    assert lab.cores[0].term == lab.cores[1].term


def test_the_second_leader_of_a_term_is_ignored() -> None:
    core = make_core(voters=4)
    core.step(NodeId(1), heartbeat(2))
    core.step(NodeId(2), heartbeat(2))

    assert core.leader == 1
    messages = core.ready().messages
    assert [to for to, m in messages if isinstance(m, HeartbeatResponse)] in ([], [1])


def test_a_node_does_not_hear_itself() -> None:
    core = make_core()
    core.step(NodeId(0), heartbeat(9))

    assert core.term == 0


def test_a_leader_that_this_node_does_not_know_yet_is_followed() -> None:
    """Its membership may be newer: the entry that made it a voter comes with its appends."""
    core = make_core()
    core.step(NodeId(7), heartbeat(9))

    assert (core.term, core.leader) == (9, 7)


# --- The protected floor -------------------------------------------------------------------------


def test_no_vote_for_a_log_that_is_newer_but_lacks_the_protected_entry() -> None:
    log = chain(1, 1, 1)
    other = chain(2, 2, 2, 2)
    core = make_core(entries=log, protected=2)
    core.step(
        NodeId(1),
        VoteRequest(Term(5), False, LogIndex(4), Term(2), LogIndex(2), other[1].hash),
    )

    assert [(answer.granted, answer.floor) for answer in persist(core)] == [(False, 2)]


@pytest.mark.parametrize("shown", [2, 3])
def test_a_vote_for_a_log_that_shows_the_protected_entry_or_a_later_one(shown: int) -> None:
    log = chain(1, 1, 1)
    core = make_core(entries=log, protected=2)
    core.step(
        NodeId(1),
        VoteRequest(Term(5), False, LogIndex(4), Term(2), LogIndex(shown), log[shown - 1].hash),
    )

    assert [answer.granted for answer in persist(core)] == [True]


def test_a_candidate_asks_again_with_the_entry_that_the_voter_protects() -> None:
    log = chain(1, 1, 1, 1)
    lab = Lab(3, [log, log[:3], log[:3]])
    lab.cores[1].protect(LogIndex(2))
    lab.cores[2].protect(LogIndex(3))
    lab.tick(0, ELECTION)
    lab.settle()

    assert lab.cores[0].role is Role.LEADER


def test_a_node_whose_log_lacks_what_it_protects_does_not_campaign() -> None:
    core = make_core(entries=chain(1, 1), protected=3)
    for _ in range(50):
        core.tick()

    assert core.role is Role.FOLLOWER


# --- Suspect nodes -------------------------------------------------------------------------------


def test_a_suspect_node_neither_votes_nor_campaigns() -> None:
    core = make_core(entries=chain(1), suspect=True)
    core.step(NodeId(1), vote_request(3, 5, 2))
    votes = persist(core)
    for _ in range(50):
        core.tick()

    assert [answer.granted for answer in votes] == [False]
    assert core.role is Role.FOLLOWER


def test_a_suspect_node_is_trusted_again_only_when_others_have_committed_all_it_has_to_know() -> (
    None
):
    log = chain(1, 1, 1)
    lab = Lab(3, [log, log, []], terms=[1, 1, 1])
    lab.cores[2] = make_core(2, 3, [], term=1, suspect=True)
    lab.down = {2}
    lab.elect_without_noop(0)
    lab.down = {1}
    index = lab.propose(0)
    for _ in range(6):
        lab.tick(0)
        lab.settle()
    assert lab.cores[2].log.last_index == index
    assert lab.cores[0].commit_index == 0, "a suspect acknowledgement made a quorum"
    assert lab.cores[2].suspect

    lab.down = set()
    for _ in range(6):
        lab.tick(0)
        lab.settle()

    assert lab.cores[0].commit_index == index + 1, "an entry was made for its sake"
    assert not lab.cores[2].suspect
    assert lab.cores[2].vote == 0, "it can vote in this term only for its leader"


def test_state_ahead_of_the_log_makes_a_node_suspect() -> None:
    assert make_core(entries=chain(1), applied=2).suspect
    assert not make_core(entries=chain(1), applied=1).suspect


def test_distrust_at_run_time_withdraws_what_waits_and_begins_a_new_life() -> None:
    """The embedder sees its own signature under more than this node remembers."""
    lab = Lab(3)
    lab.elect(0)
    core = lab.cores[1]
    lab.slow_disks = {1}
    lab.propose(0)
    lab.deliver()
    core.distrust()

    assert core.suspect
    assert not core.ready().messages, "no acknowledgement of before goes out"
    lab.write(1)
    lab.slow_disks = set()
    lab.collect(1)
    assert not [m for sender, _, m in lab.mail if sender == 1]
    lab.tick(0, 2)
    lab.deliver()
    lab.deliver()
    progress = lab.cores[0].followers()[NodeId(1)]
    assert not progress.counted, "the leader heard of it in the same run of the process"
    lab.settle()
    assert not core.suspect, "an entry was made for its sake, and it has caught up"


def test_a_distrusted_leader_stops_leading_and_tells_its_store() -> None:
    lab = Lab(3)
    lab.elect(0)
    core = lab.cores[0]
    core.distrust()
    write = core.ready().write

    assert core.role is Role.FOLLOWER
    assert write is not None
    assert write.batch.distrusted
    for _ in range(100):
        core.tick()
    assert core.role is Role.FOLLOWER, "it does not campaign"
