"""The statements of the Raft paper, one test each.

Sections are those of "In Search of an Understandable Consensus Algorithm (Extended Version)" by
Ongaro and Ousterhout. Where this package adds to the paper (a pre-vote before each election, a
heartbeat apart from the append), the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random  # noqa: TID251 - seeded
from typing import TypeVar

import pytest

from consensus.core.durability import Addressed, Write
from consensus.core.raft import RaftCore
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    Message,
    VoteRequest,
    VoteResponse,
)
from consensus.types import EntryKind, HardState, LogIndex, NodeId, Role, Term
from tests.consensus.lab import Lab, chain, make_core
from tests.consensus.letters import append, heartbeat, vote_request

ELECTION = 10
"""`election_ticks` of the bench: timeouts are drawn from [10, 20)."""
BEAT = 2
"""`heartbeat_ticks`."""
M = TypeVar("M", bound=Message)


# --- Steps of one core whose disk is done at once ------------------------------------------------


def work(core: RaftCore) -> list[Addressed]:
    """Let the core work until it is idle; what it sends."""
    sent: list[Addressed] = []
    while True:
        ready = core.ready()
        sent += ready.messages
        if ready.write is not None:
            core.on_persisted(ready.write.seq)
        elif not ready.messages:
            return sent


def of_kind(sent: Sequence[Addressed], kind: type[M]) -> list[tuple[int, M]]:
    """The messages of one kind, with their receivers."""
    return [(to, message) for to, message in sent if isinstance(message, kind)]


def time_out(core: RaftCore) -> int:
    """Tick until the core campaigns; how many ticks it took."""
    before = core.roles.elections.campaign
    for ticks in range(1, 200):
        core.tick()
        if (
            core.roles.elections.campaign is not None
            and core.roles.elections.campaign is not before
        ):
            return ticks
    raise AssertionError("it never campaigns")


def grant(core: RaftCore, *voters: int, pre: bool) -> None:
    """These voters give their (pre-)vote to the core's present campaign."""
    assert core.roles.elections.campaign is not None
    term = core.roles.elections.campaign.term
    mine = Term(term - 1) if pre else term
    for voter in voters:
        core.step(NodeId(voter), VoteResponse(mine, term, pre=pre, granted=True, floor=LogIndex(0)))


def become_candidate(core: RaftCore) -> list[Addressed]:
    """Time out and win the pre-vote; what the candidate sends once its own vote is durable."""
    time_out(core)
    work(core)
    voters = sorted(core.membership.voting - {NodeId(0)})
    grant(core, *voters[: len(voters) // 2 + 1], pre=True)
    assert role_of(core) is Role.CANDIDATE
    return work(core)


def become_leader(core: RaftCore) -> list[Addressed]:
    """Be elected; what the new leader sends first."""
    become_candidate(core)
    grant(core, *sorted(core.membership.voting - {NodeId(0)}), pre=False)
    assert role_of(core) is Role.LEADER
    return work(core)


def lone_leader() -> RaftCore:
    """A leader of three in term 1 with its opening entry, of which nobody has answered."""
    core = make_core()
    become_leader(core)
    return core


def committed_leader() -> RaftCore:
    """A leader of three in term 1 whose opening entry is committed."""
    core = lone_leader()
    acknowledge(core, 1, 1)
    acknowledge(core, 2, 1)
    work(core)
    assert core.commit_index == 1
    return core


def acknowledge(core: RaftCore, follower: int, index: int) -> None:
    """The follower has everything up to `index` on its disk."""
    response = AppendResponse(core.term, AppendStatus.OK, LogIndex(index))
    core.step(NodeId(follower), response)


def role_of(core: RaftCore) -> Role:
    """The role now; mypy does not believe in what it cannot see change."""
    return core.role


def in_role(role: Role) -> RaftCore:
    """A core of three in term 1 (or 0, before it has campaigned) with that role."""
    core = make_core()
    if role is Role.LEADER:
        become_leader(core)
    elif role is Role.CANDIDATE:
        become_candidate(core)
    elif role is Role.PRE_CANDIDATE:
        time_out(core)
    assert core.role is role
    return core


# --- 5.1 Terms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        heartbeat(4),
        append([], 0, 4),
        vote_request(4),
    ],
    ids=["heartbeat", "append", "vote"],
)
def test_a_follower_adopts_a_higher_term(message: Message) -> None:
    """5.1: if one server's current term is smaller than the other's, it takes the larger value."""
    core = make_core(term=2)
    core.step(NodeId(1), message)

    assert (core.term, core.role) == (4, Role.FOLLOWER)


def test_a_leader_adopts_the_higher_term_of_an_answer() -> None:
    """5.1, as above. Here an answer counts for who asked: a late one makes nobody forget."""
    core = make_core()
    become_leader(core)
    core.step(NodeId(1), AppendResponse(Term(4), AppendStatus.OK, LogIndex(0)))

    assert (core.term, core.role) == (4, Role.FOLLOWER)


def test_a_follower_keeps_its_leader_when_a_late_answer_has_a_higher_term() -> None:
    core = make_core(term=2)
    core.step(NodeId(1), heartbeat(2))
    core.step(NodeId(2), AppendResponse(Term(4), AppendStatus.OK, LogIndex(0)))
    core.step(NodeId(2), VoteResponse(Term(4), Term(2), False, False, LogIndex(0)))

    assert (core.term, core.leader) == (2, 1)


@pytest.mark.parametrize(
    "message",
    [heartbeat(4), append([], 0, 4), vote_request(4)],
    ids=["heartbeat", "append", "vote"],
)
def test_a_candidate_that_sees_a_higher_term_becomes_a_follower(message: Message) -> None:
    """5.1: a candidate that discovers that its term is out of date reverts to follower state."""
    core = in_role(Role.CANDIDATE)
    core.step(NodeId(1), message)

    assert (core.term, core.role) == (4, Role.FOLLOWER)


@pytest.mark.parametrize(
    "message",
    [
        heartbeat(4),
        append([], 0, 4),
        HeartbeatResponse(Term(4)),
        AppendResponse(Term(4), AppendStatus.OK, LogIndex(0)),
    ],
    ids=["heartbeat", "append", "heartbeat answer", "append answer"],
)
def test_a_leader_that_sees_a_higher_term_becomes_a_follower(message: Message) -> None:
    """5.1: a leader that discovers that its term is out of date reverts to follower state.

    Not by a vote request: who leads, or hears a leader, ignores those (thesis, 4.2.3).
    """
    core = in_role(Role.LEADER)
    core.step(NodeId(1), vote_request(4, 9, 3))
    assert (core.term, role_of(core)) == (1, Role.LEADER)

    core.step(NodeId(1), message)
    assert (core.term, role_of(core)) == (4, Role.FOLLOWER)


def test_a_request_with_a_stale_term_is_rejected() -> None:
    """5.1: if a server receives a request with a stale term number, it rejects the request."""
    log = chain(1, 1)
    core = make_core(entries=log, term=3)
    core.step(NodeId(1), append(chain(1, 2, first=log[:0]), 0, 2, commit=2))
    core.step(NodeId(1), heartbeat(2, commit=2))
    core.step(NodeId(2), vote_request(2, 9, 2))
    sent = work(core)

    assert (core.term, core.leader, core.vote, core.commit_index) == (3, None, None, 0)
    assert core.log.hash_at(2) == log[1].hash
    assert [message.status for _, message in of_kind(sent, AppendResponse)] == [
        AppendStatus.MISMATCH,
        AppendStatus.MISMATCH,
    ]
    assert {message.term for _, message in sent} == {3}
    assert [message.granted for _, message in of_kind(sent, VoteResponse)] == [False]


# --- 5.2 Leader election -------------------------------------------------------------------------


def test_a_server_starts_as_a_follower() -> None:
    """5.2: when servers start up, they begin as followers."""
    core = make_core(entries=chain(1, 2), term=3, vote=0)

    assert (core.role, core.leader) == (Role.FOLLOWER, None)


def test_a_leader_sends_heartbeats_to_all() -> None:
    """5.2: leaders send periodic heartbeats (that carry no entries) to all followers."""
    core = committed_leader()
    beats: list[list[int]] = []
    for _ in range(3 * BEAT):
        core.tick()
        sent = work(core)
        beats.append([to for to, _ in of_kind(sent, Heartbeat)])
        assert of_kind(sent, AppendRequest) == []

    assert sorted(map(len, beats)) == [0, 0, 0, 2, 2, 2]
    assert [beat for beat in beats if beat] == [[1, 2]] * 3


def test_a_follower_that_hears_nobody_starts_an_election() -> None:
    """5.2: it increments its term, becomes a candidate, votes for itself, and asks the others.

    Before that it asks whether they would vote for it, in which no term changes (thesis, 9.6).
    """
    core = make_core(voters=3, term=1)
    time_out(core)
    asked = of_kind(work(core), VoteRequest)
    assert [(to, message.term, message.pre) for to, message in asked] == [
        (1, 2, True),
        (2, 2, True),
    ]
    assert (core.term, core.vote) == (1, None)

    grant(core, 1, pre=True)
    requests = of_kind(work(core), VoteRequest)
    assert (core.role, core.term, core.vote) == (Role.CANDIDATE, 2, 0)
    assert [(to, message.term, message.pre) for to, message in requests] == [
        (1, 2, False),
        (2, 2, False),
    ]


def test_a_candidate_that_times_out_starts_a_new_election() -> None:
    """5.2: each candidate will time out and start a new election by incrementing its term."""
    core = in_role(Role.CANDIDATE)
    assert core.term == 1
    requests = of_kind(become_candidate(core), VoteRequest)

    assert (core.role, core.term, core.vote) == (Role.CANDIDATE, 2, 0)
    assert [(to, message.term) for to, message in requests] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("voters", "granted", "refused", "role"),
    [
        # a majority wins
        (1, 0, 0, Role.LEADER),
        (3, 2, 0, Role.LEADER),
        (3, 1, 0, Role.LEADER),
        (5, 4, 0, Role.LEADER),
        (5, 3, 1, Role.LEADER),
        (5, 2, 2, Role.LEADER),
        # a majority refuses
        (3, 0, 2, Role.FOLLOWER),
        (5, 0, 4, Role.FOLLOWER),
        (5, 1, 3, Role.FOLLOWER),
        # neither yet
        (3, 0, 0, Role.CANDIDATE),
        (3, 0, 1, Role.CANDIDATE),
        (5, 1, 0, Role.CANDIDATE),
        (5, 1, 2, Role.CANDIDATE),
    ],
)
def test_one_round_of_votes_decides(voters: int, granted: int, refused: int, role: Role) -> None:
    """5.2: a candidate wins with votes from a majority of the servers in the full cluster."""
    core = make_core(voters=voters)
    if voters == 1:
        time_out(core)
        work(core)
    else:
        become_candidate(core)
    for voter in range(1, 1 + granted + refused):
        core.step(
            NodeId(voter),
            VoteResponse(Term(1), Term(1), False, voter <= granted, LogIndex(0)),
        )

    assert (core.role, core.term) == (role, 1)


@pytest.mark.parametrize(
    ("vote", "candidate", "granted"),
    [(None, 1, True), (None, 2, True), (1, 1, True), (2, 2, True), (1, 2, False), (2, 1, False)],
)
def test_a_follower_gives_one_vote_a_term(vote: int | None, candidate: int, granted: bool) -> None:
    """5.2: a server votes for at most one candidate in a term, first come, first served."""
    core = make_core(term=1, vote=vote)
    core.step(NodeId(candidate), vote_request(1))
    (answer,) = of_kind(work(core), VoteResponse)

    assert (answer[0], answer[1].granted) == (candidate, granted)
    assert core.vote == (candidate if granted else vote)


@pytest.mark.parametrize("term", [1, 2])
@pytest.mark.parametrize("role", [Role.PRE_CANDIDATE, Role.CANDIDATE])
def test_a_candidate_that_hears_a_leader_follows_it(role: Role, term: int) -> None:
    """5.2: if the leader's term is at least as large as the candidate's, it is legitimate."""
    core = in_role(role)
    core.step(NodeId(2), append([], 0, term))

    assert (core.role, core.term, core.leader) == (Role.FOLLOWER, term, 2)


def test_a_followers_timeouts_are_randomized() -> None:
    """5.2: election timeouts are chosen randomly from a fixed interval; each value occurs."""
    core = make_core()
    core.roles.elections._rng = Random(5)
    seen: set[int] = set()
    for round_ in range(1, 501):
        core.step(NodeId(1), heartbeat(round_))
        work(core)
        seen.add(time_out(core))

    assert seen == set(range(ELECTION, 2 * ELECTION))


def test_a_candidates_timeouts_are_randomized() -> None:
    """5.2: each candidate restarts its randomized timeout at the start of an election."""
    core = in_role(Role.CANDIDATE)
    core.roles.elections._rng = Random(6)
    time_out(core)  # that one was drawn before
    seen: set[int] = set()
    for _ in range(500):
        work(core)
        grant(core, 1, pre=True)
        work(core)
        assert core.role is Role.CANDIDATE
        seen.add(time_out(core))

    assert seen == set(range(ELECTION, 2 * ELECTION))


def _rounds_with_a_tie(cores: Sequence[RaftCore], rounds: int) -> int:
    """How often the first to time out is not alone."""
    ties = 0
    for round_ in range(rounds):
        for core in cores:
            core.step(NodeId(9), heartbeat(1_000 + round_))
            work(core)
        ends = sorted(core.roles.elections._timeout for core in cores)
        ties += ends[0] == ends[1]
    return ties


def test_followers_seldom_time_out_together() -> None:
    """5.2: randomized timeouts ensure that split votes are rare: one server times out alone."""
    cores = [make_core(node, voters=5) for node in range(5)]
    for node, core in enumerate(cores):
        core.roles.elections._rng = Random(100 + node)
    ties = _rounds_with_a_tie(cores, 1_000)

    assert 0 < ties <= 300


def test_candidates_seldom_time_out_together() -> None:
    """5.2: the same for the next election after a split vote."""
    ties = 0
    cores = [make_core(0, voters=5) for _ in range(5)]
    for number, core in enumerate(cores):
        core.roles.elections._rng = Random(200 + number)
        become_candidate(core)
    for _ in range(1_000):
        ends: list[int] = []
        for core in cores:
            time_out(core)
            work(core)
            grant(core, 1, 2, 3, pre=True)
            work(core)
            assert core.role is Role.CANDIDATE
            ends.append(core.roles.elections._timeout)
        ends.sort()
        ties += ends[0] == ends[1]

    assert 0 < ties <= 300


# --- 5.3 Log replication -------------------------------------------------------------------------


def write_of(core: RaftCore) -> tuple[Write, list[Addressed]]:
    """The write that the core asks for, not done yet, and what it sends beside it."""
    ready = core.ready()
    assert ready.write is not None
    return ready.write, ready.messages


def test_a_leader_appends_and_sends_in_parallel() -> None:
    """5.3: the leader appends to its log, then issues AppendEntries in parallel to each server."""
    core = committed_leader()
    index = core.propose(b"work", core.term)
    write, sent = write_of(core)
    requests = of_kind(sent, AppendRequest)

    assert index == 2
    assert [(entry.index, entry.term, entry.payload) for entry in write.batch.entries] == [
        (2, 1, b"work")
    ]
    assert [to for to, _ in requests] == [1, 2]
    for _, request in requests:
        assert (request.prev_index, request.prev_term) == (1, 1)
        assert request.prev_hash == core.log.hash_at(1)
        assert [entry.payload for entry in request.entries] == [b"work"]
    assert core.log.stable_index == 1, "not durable before the disk says so"


def test_a_leader_commits_what_a_majority_has() -> None:
    """5.3: an entry is committed once replicated on a majority; then the others are told."""
    core = committed_leader()
    core.propose(b"work", core.term)
    work(core)
    assert core.commit_index == 1

    acknowledge(core, 1, 2)
    assert core.commit_index == 2
    entries = core.committed(LogIndex(2))
    assert entries is not None
    assert [entry.payload for entry in entries] == [b"work"]
    told = of_kind(work(core), AppendRequest)
    assert {to: request.commit for to, request in told} == {1: 2, 2: 2}


@pytest.mark.parametrize(
    ("voters", "acknowledging", "committed"),
    [
        (1, [], True),
        (3, [], False),
        (3, [1], True),
        (3, [1, 2], True),
        (5, [], False),
        (5, [1], False),
        (5, [1, 2], True),
        (5, [1, 2, 3], True),
        (5, [1, 2, 3, 4], True),
    ],
)
def test_a_majority_of_acknowledgements_commits(
    voters: int, acknowledging: list[int], committed: bool
) -> None:
    """5.3: the leader knows an entry is committed once a majority has stored it."""
    core = make_core(voters=voters)
    if voters == 1:
        time_out(core)
        work(core)
    else:
        become_leader(core)
    for follower in range(1, voters):
        acknowledge(core, follower, 1)
    work(core)
    core.propose(b"work", core.term)
    work(core)
    for follower in acknowledging:
        acknowledge(core, follower, 2)

    assert (core.commit_index == 2) is committed


@pytest.mark.parametrize("terms", [(), (2,), (1, 2), (1,)])
def test_committing_an_entry_commits_all_before_it(terms: tuple[int, ...]) -> None:
    """5.3: this also commits all preceding entries, including those of previous leaders."""
    core = make_core(entries=chain(*terms), term=2)
    become_leader(core)
    core.propose(b"work", core.term)
    work(core)
    acknowledge(core, 1, len(terms) + 2)

    assert core.commit_index == len(terms) + 2
    assert core.durable_commit_index == len(terms) + 2
    taken = core.committed(LogIndex(len(terms) + 1))
    assert taken is not None
    assert [(entry.term, entry.kind) for entry in taken] == [
        (3, EntryKind.NOOP),
        (3, EntryKind.DATA),
    ]


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_follower_applies_what_the_leader_committed(commit: int) -> None:
    """5.3: once a follower learns that an entry is committed, it applies it, in log order."""
    log = chain(1, 1, 1)
    core = make_core(1)
    core.step(NodeId(0), append(log, 0, 1, commit))
    work(core)
    entries = core.committed(LogIndex(1))

    assert core.commit_index == core.durable_commit_index == commit
    assert entries is not None
    assert [entry.hash for entry in entries] == [entry.hash for entry in log[:commit]]


@pytest.mark.parametrize(
    ("mine", "after", "hint"),
    [
        ((1, 2), 0, None),
        ((1, 2), 1, None),
        ((1, 2), 2, None),
        ((1, 2), 3, (2, 2)),  # it has no entry there
        ((1, 2), 4, (2, 2)),
        ((1, 1), 2, (1, 1)),  # another one
        ((3, 3), 2, (0, 0)),
    ],
)
def test_a_follower_checks_the_entry_before(
    mine: tuple[int, ...], after: int, hint: tuple[int, int] | None
) -> None:
    """5.3: if it finds no entry with the same index and term, it refuses the new entries."""
    leader_log = chain(1, 2, 3, 3)
    core = make_core(1, entries=chain(*mine), term=3)
    core.step(NodeId(0), append(leader_log[:after], after, 3))
    ((_, answer),) = of_kind(work(core), AppendResponse)

    assert answer.index == after
    if hint is None:
        assert answer.status is AppendStatus.OK
    else:
        assert answer.status is AppendStatus.MISMATCH
        assert (answer.hint_index, answer.hint_term) == hint


@pytest.mark.parametrize(
    ("after", "sent", "result", "written"),
    [
        (2, (3,), (1, 2, 3), (3,)),  # behind its end
        (1, (3, 4), (1, 3, 4), (2, 3)),  # in place of what is different
        (0, (1,), (1, 2), ()),  # what it has: nothing goes
        (0, (3,), (3,), (1,)),  # in place of everything
    ],
)
def test_a_follower_replaces_what_conflicts_and_keeps_the_rest(
    after: int, sent: tuple[int, ...], result: tuple[int, ...], written: tuple[int, ...]
) -> None:
    """5.3: conflicting entries in follower logs are overwritten with entries of the leader's."""
    log = chain(1, 2)
    core = make_core(1, entries=log, term=4)
    leader_log = chain(*sent, first=log[:after])
    core.step(NodeId(0), append(leader_log, after, 4))
    write = core.ready().write
    stored = [] if write is None else [entry.index for entry in write.batch.entries]

    found = [core.log.term_at(index) for index in range(1, core.log.last_index + 1)]
    assert found == list(result)
    assert stored == list(written)


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),  # (a) and (b): entries are missing
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),  # (c) and (d): entries too many
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),  # (e) and (f): both
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids=list("abcdef"),
)
def test_a_leader_brings_every_log_of_figure_7_into_line(terms: tuple[int, ...]) -> None:
    """5.3: the leader finds the latest entry where logs agree and sends everything behind it."""
    leader_log = chain(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    lab = Lab(3, [leader_log, chain(*terms), leader_log[:1]], terms=[8, 8, 1])
    lab.tick(0, ELECTION)
    lab.settle()

    assert lab.cores[0].role is Role.LEADER
    assert [entry.hash for entry in lab.disks[1]] == [entry.hash for entry in lab.disks[0]]
    assert lab.terms(1) == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 9]


# --- 5.4 Safety ----------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [(1,), (1, 2), (1, 2, 2)])
def test_a_vote_request_says_where_the_log_ends(terms: tuple[int, ...]) -> None:
    """5.4.1: the RequestVote RPC includes information about the candidate's log, to everybody."""
    core = make_core(entries=chain(*terms), term=5)
    requests = of_kind(become_candidate(core), VoteRequest)

    assert [to for to, _ in requests] == [1, 2]
    for _, request in requests:
        assert (request.term, request.last_index, request.last_term) == (6, len(terms), terms[-1])


@pytest.mark.parametrize(
    ("mine", "last_term", "last_index", "granted"),
    [
        ((1,), 1, 1, True),  # equal
        ((1,), 1, 2, True),  # longer
        ((1, 1), 1, 1, False),  # shorter
        ((1,), 2, 1, True),  # later term, as long
        ((1,), 2, 2, True),
        ((1, 1), 2, 1, True),  # later term, shorter
        ((2,), 1, 1, False),  # earlier term, as long
        ((2,), 1, 2, False),  # earlier term, longer
        ((2, 1), 1, 1, False),
        ((1, 2), 1, 9, False),
    ],
)
def test_a_voter_denies_its_vote_to_an_older_log(
    mine: tuple[int, ...], last_term: int, last_index: int, granted: bool
) -> None:
    """5.4.1: the voter denies its vote if its own log is more up-to-date than the candidate's."""
    terms = tuple(sorted(mine))
    core = make_core(1, entries=chain(*terms), term=2)
    core.step(NodeId(2), vote_request(3, last_index, last_term))
    ((_, answer),) = of_kind(work(core), VoteResponse)

    assert answer.granted is granted
    assert (core.vote == 2) is granted


@pytest.mark.parametrize(
    ("acknowledged", "commit"),
    [(1, 0), (2, 0), (3, 3)],
)
def test_only_entries_of_the_present_term_are_committed_by_counting(
    acknowledged: int, commit: int
) -> None:
    """5.4.2: Raft never commits entries from previous terms by counting replicas (figure 8)."""
    core = make_core(entries=chain(1, 2), term=2)
    become_leader(core)
    assert core.term == 3
    assert core.log.last_index == 3
    acknowledge(core, 1, acknowledged)

    assert core.commit_index == commit


def test_what_is_voted_is_durable_before_it_is_said() -> None:
    """5.2 and figure 2: currentTerm, votedFor and log[] are updated on stable storage first."""
    core = make_core()
    core.step(NodeId(1), vote_request(3))
    write, sent = write_of(core)

    assert sent == []
    assert write.batch.hard_state == HardState(Term(3), NodeId(1))
    core.on_persisted(write.seq)
    ((_, answer),) = of_kind(core.ready().messages, VoteResponse)
    assert answer.granted
