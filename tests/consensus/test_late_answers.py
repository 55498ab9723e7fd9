"""Answers that come too late: of stores, of followers and of voters. They must change nothing."""

from __future__ import annotations

import pytest

from consensus.core.campaign import Campaign
from consensus.core.progress import LogRead, Progress, ProgressState
from consensus.core.raft import RaftCore
from consensus.core.snapshot_transfer import ChunkRead
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    VoteRequest,
    VoteResponse,
)
from consensus.snapshot import Snapshot
from consensus.types import ZERO_HASH, Entry, LogIndex, NodeId, Role, Term
from tests.consensus.directives import act, play
from tests.consensus.lab import chain, make_core
from tests.consensus.letters import heartbeat, vote_request
from tests.consensus.stage import Stage
from tests.consensus.test_snapshots import lagging, offer, snapshot_of, take_part

THREE = NodeId(3)


def reading(limit: str = "message-entries-max=2") -> tuple[Stage, LogRead]:
    """Leader 1 was restarted, so that what 3 lacks is on its disk only; it has asked for that."""
    stage = play(
        f"add-nodes 3 {limit}",
        *("campaign 1", "stabilize", "crash 3", "propose 1 a b c d", "stabilize 1 2"),
        *("crash 1", "restart 1", "tick 2 9", "campaign 1", "stabilize 1 2", "restart 3"),
        *("tick 1 2", "stabilize 1 3 type=Heartbeat,HeartbeatAnswer", "process 1", "deliver 3"),
        *("process 3", "deliver 1", "process 1"),
    )
    return stage, stage.members[1].log_reads.popleft()


def stored(stage: Stage, request: LogRead) -> list[Entry]:
    return stage.members[1].disk.read(request.first, request.last)


def progress(stage: Stage) -> Progress:
    return stage.running(1).followers()[THREE]


def appends(core: RaftCore) -> list[AppendRequest]:
    """What is sent to 3."""
    return [m for to, m in core.ready().messages if to == 3 and isinstance(m, AppendRequest)]


# --- Of the log store ----------------------------------------------------------------------------


def test_entries_from_the_store_are_sent_from_where_they_are_needed() -> None:
    stage, request = reading()
    stage.running(1).on_read(request, stored(stage, request))

    assert (request.first, request.last) == (2, 3)
    assert [entry.index for m in appends(stage.running(1)) for entry in m.entries] == [2, 3]


def test_a_message_carries_no_more_than_fits_however_much_the_store_gives() -> None:
    stage, request = reading()
    everything = stage.members[1].disk.read(LogIndex(2), LogIndex(5))
    stage.running(1).on_read(request, everything)

    assert [entry.index for m in appends(stage.running(1)) for entry in m.entries] == [2, 3]


def test_a_store_that_could_not_tell_is_asked_again() -> None:
    stage, request = reading()
    core = stage.running(1)
    core.on_read(request, [])
    ready = core.ready()

    assert [(read.first, read.last) for read in ready.log_reads] == [(2, 3)]
    assert ready.log_reads[0] is not request


def test_an_answer_to_a_question_that_was_dropped_is_dropped() -> None:
    stage, request = reading()
    core = stage.running(1)
    entries = stored(stage, request)
    progress(stage).probe(4)  # a refusal said meanwhile that it holds more
    core.on_read(request, entries)

    assert all(entry.index > 3 for m in appends(core) for entry in m.entries)


@pytest.mark.parametrize("first", [3, 4])
def test_entries_that_do_not_begin_where_they_should_are_not_sent(first: int) -> None:
    stage, request = reading()
    core = stage.running(1)
    core.on_read(request, stage.members[1].disk.read(LogIndex(first), LogIndex(5)))

    assert appends(core) == []


def test_entries_that_are_not_those_of_the_log_are_not_sent() -> None:
    stage, request = reading()
    core = stage.running(1)
    core.on_read(request, chain(1, 1, 1, leader=9)[1:])

    assert appends(core) == []


def test_an_answer_after_the_follower_was_forgotten_is_dropped() -> None:
    stage, request = reading()
    core = stage.running(1)
    del core.followers()[THREE]
    core.on_read(request, stored(stage, request))

    assert appends(core) == []


def test_an_answer_after_leadership_was_lost_is_dropped() -> None:
    stage, request = reading()
    core = stage.running(1)
    core.step(NodeId(2), heartbeat(9))
    core.on_read(request, stored(stage, request))

    assert appends(core) == []


# --- Of the snapshot store -----------------------------------------------------------------------


def reading_a_part() -> tuple[Stage, ChunkRead]:
    stage = lagging("deliver 3 type=Offer", "process 3", "write 3", "process 3", "deliver 1")
    act(stage, "process 1")
    return stage, stage.members[1].chunk_reads.popleft()


@pytest.mark.parametrize("how", ["forgotten", "leadership", "ended"])
def test_a_part_that_nobody_waits_for_any_more_is_not_sent(how: str) -> None:
    stage, request = reading_a_part()
    core = stage.running(1)
    if how == "forgotten":
        del core.followers()[THREE]
    elif how == "leadership":
        core.step(NodeId(2), heartbeat(9))
    else:
        core.step(THREE, AppendResponse(core.term, AppendStatus.OK, LogIndex(4), life=10**6))
    core.on_chunk_read(request, b"lorem ip")
    act(stage, "process 1")

    assert "Chunk" not in [stage.kind(mail) for mail in stage.mail]


def test_an_older_snapshot_does_not_take_the_place_of_a_newer_one() -> None:
    stage = lagging("propose 1 sit", "stabilize 1 2", "snapshot 1")
    core = stage.running(1)
    older, _ = stage.members[1].disk.shelf.complete[0]
    core.snapshot_made(older)
    act(stage, "crash 3")

    assert core.compact(LogIndex(5)) in {4, 5}
    for _ in range(12):
        act(stage, "tick 1 1", "tick 2 1", "stabilize 1 2")
    assert core.compact(LogIndex(5)) == 5


def test_the_restoring_of_an_earlier_snapshot_does_not_end_that_of_a_later_one() -> None:
    log = chain(1, 1, 1, 1, 2, 2)
    core = make_core(1, entries=log[:1], term=2)
    snapshots: list[Snapshot] = [snapshot_of(log, 4), snapshot_of(log, 6)]
    for snapshot in snapshots:
        core.step(NodeId(0), offer(snapshot, 2, 0, b"state"))
        core.on_chunk_written(take_part(core), snapshot.size, ok=True)
    core.restored(snapshots[0])
    assert core.restore is snapshots[1]

    core.restored(snapshots[1])
    assert core.restore is None


def test_a_state_that_is_ahead_of_its_log_is_not_taken_back_by_a_snapshot() -> None:
    """Only the log was older: it is replaced, and the state goes on from where it is."""
    log = chain(1, 1, 1, 1, 2, 2)
    core = make_core(1, entries=log[:1], term=2, applied=5)
    assert core.suspect
    snapshot = snapshot_of(log, 4)
    core.step(NodeId(0), offer(snapshot, 2, 0, b"state"))
    core.on_chunk_written(take_part(core), snapshot.size, ok=True)

    assert (core.log.base.index, core.commit_index, core.restore) == (4, 4, None)


# --- Of followers --------------------------------------------------------------------------------


def refuse(stage: Stage, index: int, hint: int, hint_term: int = 1) -> None:
    """3, in its present life, says that it has no such entry at `index`."""
    leader = stage.running(1)
    refusal = AppendResponse(
        leader.term,
        AppendStatus.MISMATCH,
        LogIndex(index),
        LogIndex(hint),
        Term(hint_term),
        life=stage.members[3].life,
    )
    leader.step(THREE, refusal)


def test_a_refusal_of_what_is_known_to_match_is_out_of_date() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize", "propose 1 a b", "stabilize")
    for index in (1, 2, 3):
        refuse(stage, index, 0, 0)

    assert (progress(stage).match, progress(stage).state) == (3, ProgressState.REPLICATE)


def test_a_refusal_of_an_earlier_probe_does_not_move_the_present_one() -> None:
    stage, _ = reading()
    assert (progress(stage).state, progress(stage).next) == (ProgressState.PROBE, 2)
    refuse(stage, 5, 0, 0)

    assert progress(stage).next == 2


def test_a_refusal_from_before_the_snapshot_does_not_end_it() -> None:
    stage = lagging()
    refuse(stage, 4, 1)

    assert progress(stage).state is ProgressState.SNAPSHOT


def test_an_answer_of_a_stranger_is_not_noted() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize")
    core = stage.running(1)
    core.propose(b"work", core.term)
    for stranger in (8, 9):
        core.step(NodeId(stranger), AppendResponse(core.term, AppendStatus.OK, LogIndex(2)))

    assert sorted(core.followers()) == [2, 3]
    assert core.commit_index == 1


# --- Of voters -----------------------------------------------------------------------------------


def answer(term: int, campaign: int, *, pre: bool, granted: bool = True) -> VoteResponse:
    return VoteResponse(Term(term), Term(campaign), pre, granted, LogIndex(0))


@pytest.mark.parametrize(
    "late",
    [answer(0, 1, pre=True), answer(1, 1, pre=False), answer(1, 1, pre=False, granted=False)],
    ids=["pre-vote", "vote", "refusal"],
)
def test_votes_that_come_after_the_election_change_nothing(late: VoteResponse) -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize")
    core = stage.running(1)
    core.step(THREE, late)

    assert (core.role, core.term) == (Role.LEADER, 1)


def test_a_grant_stands_whatever_the_same_voter_says_later() -> None:
    campaign = Campaign(Membership((NodeId(1), NodeId(2), THREE)), Term(1), pre=False)
    campaign.record(NodeId(1), granted=True)
    campaign.record(NodeId(2), granted=True)
    campaign.record(NodeId(2), granted=False)
    assert campaign.won
    assert not campaign.lost

    campaign.record(THREE, granted=False)
    campaign.record(THREE, granted=True)
    assert not campaign.lost


def test_a_voter_is_asked_again_once_and_not_without_end() -> None:
    """It refused for what it protects, and says something else each time."""
    core = make_core(entries=chain(1, 1, 1, 1), voters=3)
    for _ in range(10):
        core.tick()
    asked = 0
    for floor in (1, 2, 3, 4, 1):
        core.ready()
        core.step(NodeId(1), VoteResponse(Term(1), Term(2), True, False, LogIndex(floor)))
        asked += sum(isinstance(m, VoteRequest) and to == 1 for to, m in core.ready().messages)

    assert asked == 1


@pytest.mark.parametrize(("last", "granted"), [(4, False), (5, True), (9, True)])
def test_who_knows_more_final_than_it_holds_votes_for_who_may_hold_it(
    last: int, granted: bool
) -> None:
    core = make_core(1, entries=chain(1, 1), protected=5)
    core.step(NodeId(0), vote_request(3, last, 2))

    assert (core.vote == 0) is granted


@pytest.mark.parametrize(
    ("shown", "shown_hash", "granted"),
    [
        (3, "own", True),
        (4, "own", True),  # chained: it includes what is protected
        (2, "own", False),  # says nothing of entry 3
        (3, "other", False),
        (4, "other", True),  # this log's entry 4 is no more than a guess
        (9, "other", True),  # its log begins where this one has ended
        (11, "other", False),  # it cannot show what it does not have
    ],
)
def test_a_candidate_shows_that_it_holds_what_is_protected(
    shown: int, shown_hash: str, granted: bool
) -> None:
    log = chain(1, 1, 1, 1)
    core = make_core(1, entries=log, protected=3)
    entry_hash = log[shown - 1].hash if shown_hash == "own" else ZERO_HASH
    core.step(
        NodeId(0),
        VoteRequest(Term(5), False, LogIndex(10), Term(2), LogIndex(shown), entry_hash),
    )

    assert (core.vote == 0) is granted
