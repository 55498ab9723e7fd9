"""Which terms are believed: what liars cannot move, and what nobody may be kept from learning."""

from __future__ import annotations

import pytest

from consensus.config import RaftConfig
from consensus.core.terms import Terms
from consensus.errors import ConfigError
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndexResponse,
    SnapshotChunk,
    TermRequest,
    TermResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.snapshot import Snapshot
from consensus.types import ZERO_HASH, LogIndex, NodeId, Role, Term
from tests.consensus.lab import Lab
from tests.consensus.letters import vote_request

LIAR = NodeId(3)
FAR = (1 << 20) - 5
ZERO = LogIndex(0)


def four() -> Lab:
    """Four voters, of whom one may lie; 0 leads."""
    lab = Lab(4, liars_max=1)
    lab.elect(0)
    lab.settle()
    return lab


def run(lab: Lab, ticks: int) -> None:
    """Let time pass for all that are up."""
    for _ in range(ticks):
        for node in range(len(lab.cores)):
            if node not in lab.down:
                lab.tick(node)
        lab.settle()


def say(lab: Lab, to: int, message: Message, sender: NodeId = LIAR) -> None:
    """`sender` says this to `to`, and everything that follows happens."""
    lab.cores[to].step(sender, message)
    lab.collect(to)
    lab.settle()


def claims(term: int) -> list[Message]:
    """Every message that can carry a term."""
    at = Term(term)
    snapshot = Snapshot(LogIndex(9), Term(1), ZERO_HASH, Membership((NodeId(0),)), 0, ZERO_HASH)
    return [
        vote_request(term, 9, term),
        VoteRequest(Term(term + 1), True, LogIndex(9), at, ZERO, ZERO_HASH),
        VoteResponse(at, at, pre=False, granted=True, floor=ZERO),
        VoteResponse(at, at, pre=True, granted=False, floor=ZERO),
        AppendRequest(at, ZERO, Term(0), ZERO_HASH, ZERO, ()),
        AppendResponse(at, AppendStatus.MISMATCH, ZERO),
        AppendResponse(at, AppendStatus.OK, ZERO, life=2**40),
        Heartbeat(at, ZERO, ZERO),
        HeartbeatResponse(at, life=2**41),
        TimeoutNow(at),
        ReadIndexResponse(at, 1, ZERO),
        SnapshotChunk(at, snapshot, 0, b""),
        ChunkResponse(at, ZERO, ZERO_HASH, 0),
        TermRequest(at),
        TermResponse(at),
    ]


@pytest.mark.parametrize("step", [1, 2, FAR, 1 << 60])
@pytest.mark.parametrize("kind", range(len(claims(1))))
def test_nothing_that_one_liar_says_unseats_a_leader_or_moves_a_term(kind: int, step: int) -> None:
    lab = four()
    for to in (0, 1, 2):
        say(lab, to, claims(1 + step)[kind])
    for node in (0, 1, 2, 0, 1, 2):
        lab.tick(node)
    lab.settle()

    assert [core.term for core in lab.cores[:3]] == [1, 1, 1]
    assert lab.cores[0].role is Role.LEADER
    lab.propose(0)
    lab.settle()
    assert [core.commit_index for core in lab.cores[:3]] == [2, 2, 2]


@pytest.mark.parametrize("step", [1, FAR])
def test_heartbeats_of_one_liar_leave_a_network_that_can_elect(step: int) -> None:
    """One after another, each built on the last: that could take the term to the end of numbers."""
    lab = four()
    lab.down = {int(LIAR)}
    for turn in range(200):
        for to in (0, 1, 2):
            say(lab, to, Heartbeat(Term(1 + (turn + 1) * step), ZERO, ZERO))
    lab.down = {0}
    lab.elect(1)

    assert lab.cores[1].term < 10


@pytest.mark.parametrize("voters", [3, 4])
def test_strangers_never_unseat_a_leader(voters: int) -> None:
    """Who was asked for nothing has nothing to answer, whoever may lie."""
    lab = Lab(voters, liars_max=(voters - 1) // 3)
    lab.elect(0)
    for message in claims(9):
        if isinstance(message, (AppendResponse, HeartbeatResponse, VoteResponse, ChunkResponse)):
            say(lab, 0, message, NodeId(77))

    assert (lab.cores[0].term, lab.cores[0].role) == (1, Role.LEADER)


def test_answers_of_more_voters_than_may_lie_unseat_a_leader() -> None:
    """Else a network whose leader was forgotten by the others would stand still."""
    lab = four()
    say(lab, 0, HeartbeatResponse(Term(5), life=7), NodeId(2))
    assert lab.cores[0].role is Role.LEADER

    lab.cores[0].step(NodeId(1), HeartbeatResponse(Term(4), life=7))
    assert (lab.cores[0].term, lab.cores[0].role) == (4, Role.FOLLOWER)


def test_who_is_behind_learns_any_term_that_enough_voters_hold() -> None:
    far = 1 << 50
    lab = Lab(4, terms=[far, far, far - 9, 0], liars_max=1)
    lab.down = {3}
    run(lab, 40)
    lab.down = set()
    run(lab, 10)

    assert lab.cores[3].term == lab.cores[0].term > far
    assert lab.cores[3].leader == lab.cores[0].leader is not None


@pytest.mark.parametrize(
    "terms", [(7, 7, 7, 7), (7, 7, 6, 0), (9, 8, 8, 8), (9, 8, 7, 6), (5, 5, 0, 0), (9, 8, 0, 0)]
)
@pytest.mark.parametrize("silent", [None, 0, 3])
def test_an_honest_majority_elects_whatever_its_terms(
    terms: tuple[int, ...], silent: int | None
) -> None:
    """After everybody was restarted nobody has heard what the others hold."""
    lab = Lab(4, terms=terms, liars_max=1)
    lab.down = set() if silent is None else {silent}
    run(lab, 400)
    leaders = [core for core in lab.cores if core.role is Role.LEADER and core.leads_safely]

    assert len(leaders) == 1
    assert leaders[0].term < 40


def test_a_liar_takes_a_voter_without_a_leader_one_step_and_no_further() -> None:
    """Its own steps do not explain the next one: two of the same origin would convince the rest."""
    lab = four()
    lab.down = {0, 1, 2}
    victim = lab.cores[1]
    highest = 0
    for turn in range(2_000):
        victim.tick()
        victim.step(LIAR, vote_request(victim.term + 1, 99, 99))
        victim.step(LIAR, TermResponse(Term(victim.term + turn)))
        lab.collect(1)
        lab.mail.clear()
        highest = max(highest, victim.term)

    assert highest == 2


def test_a_liar_lifts_the_leaderless_at_a_pace() -> None:
    lab = four()
    lab.down = {0}
    for node in (1, 2):
        for _ in range(9):
            lab.cores[node].tick()
    for _ in range(1_000):
        for node in (1, 2):
            say(lab, node, vote_request(lab.cores[node].term + 1, 99, 99))

    assert max(core.term for core in lab.cores[1:3]) <= 3


def test_votes_asked_for_again_and_again_keep_nobody_from_campaigning() -> None:
    """A liar that collects votes and never leads must not hold up the others for ever."""
    lab = four()
    lab.down = {0, 3}
    led = False
    for _ in range(400):
        for node in (1, 2):
            lab.tick(node)
            for term in (lab.cores[node].term, lab.cores[node].term + 1):
                lab.cores[node].step(LIAR, vote_request(term, 99, 99))
        lab.settle()
        # The liar grants, too: three votes are a quorum of four.
        for node in (1, 2):
            core = lab.cores[node]
            if core.role in {Role.PRE_CANDIDATE, Role.CANDIDATE}:
                pre = core.role is Role.PRE_CANDIDATE
                term = Term(core.term + pre)
                core.step(LIAR, VoteResponse(core.term, term, pre, granted=True, floor=ZERO))
                lab.collect(node)
        lab.settle()
        led = led or any(core.role is Role.LEADER for core in lab.cores[1:3])

    assert led


def test_a_voter_stuck_in_a_higher_term_comes_back() -> None:
    """It won a pre-vote, and nobody heard its campaign: its answers alone unseat nobody."""
    lab = four()
    stuck = lab.cores[2]
    stuck.roles.elections._start(pre=False)  # what a lost campaign leaves behind
    lab.collect(2)
    lab.mail.clear()
    run(lab, 600)

    assert {core.term for core in lab.cores} == {lab.cores[0].term}
    assert sum(core.role is Role.LEADER for core in lab.cores) == 1
    assert stuck.leader is not None


def test_an_election_with_a_liar_silent_takes_as_long_as_without_any() -> None:
    ticks: list[int] = []
    for liars in (0, 1):
        lab = Lab(4, liars_max=liars)
        lab.elect(0)
        lab.down = {0}
        count = 0
        while not any(core.role is Role.LEADER for core in lab.cores[1:]):
            count += 1
            for node in (1, 2, 3):
                lab.tick(node)
            lab.settle()
        ticks.append(count)

    assert ticks[0] == ticks[1]


# --- The gate alone --------------------------------------------------------------------------


def gate(voters: int, liars: int) -> Terms:
    return Terms(
        RaftConfig(node=NodeId(0), voters=tuple(map(NodeId, range(voters))), liars_max=liars)
    )


def members(*voters: int, outgoing: tuple[int, ...] = ()) -> Membership:
    return Membership(tuple(map(NodeId, voters)), tuple(map(NodeId, outgoing)))


@pytest.mark.parametrize(
    ("membership", "liars"),
    [
        (Membership(()), 0),
        (members(1), 0),
        (members(1, 2, 3), 0),
        (members(1, 2, 3, 4), 1),
        (members(*range(7)), 2),
        (members(*range(13)), 2),
        (members(*range(7), outgoing=(1, 2, 3, 4)), 1),
        (members(*range(7), outgoing=(1, 2, 3)), 0),
    ],
)
def test_fewer_members_count_as_fewer_liars(membership: Membership, liars: int) -> None:
    assert gate(7, 2).liars(membership) == liars


def test_supported_is_what_one_more_than_the_liars_hold() -> None:
    terms, seven = gate(7, 2), members(*range(7))
    for voter, term in ((1, 9), (2, 9), (3, 5), (4, 5), (0, 99), (55, 99)):
        terms.hear(NodeId(voter), Term(term), seven)

    assert terms.supported(seven) == 5, "neither this node nor a stranger counts"
    terms.hear(NodeId(3), Term(8), seven)
    terms.hear(NodeId(1), Term(1), seven)
    assert terms.supported(seven) == 8, "and nobody's term falls"


@pytest.mark.parametrize(("voters", "liars"), [(3, 1), (4, 2), (4, -1), (6, 2)])
def test_too_many_liars_are_no_configuration(voters: int, liars: int) -> None:
    with pytest.raises(ConfigError, match="lie"):
        gate(voters, liars)
