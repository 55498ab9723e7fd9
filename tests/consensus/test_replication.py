"""Replication and commitment: Raft paper 5.3 and 5.4.2, and what goes wrong on the way."""

from __future__ import annotations

import pytest

from consensus.codec import decode, encode
from consensus.core.raft import RaftCore
from consensus.errors import (
    NotLeaderError,
    PayloadTooLargeError,
    TermChangedError,
    WindowFullError,
)
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    TermRequest,
    VoteRequest,
)
from consensus.ports import Admission
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Role, Term
from tests.consensus.lab import Lab, Mail, ScriptedAuthority, chain, make_core


def append(entries: list[Entry], after: int, term: int, commit: int = 0) -> AppendRequest:
    """The entries of a log behind index `after`, as a leader of `term` sends them."""
    prev = entries[after - 1] if after else None
    return AppendRequest(
        Term(term),
        LogIndex(after),
        prev.term if prev else Term(0),
        prev.hash if prev else bytes(32),
        LogIndex(commit),
        tuple(entries[after:]),
    )


def respond(core: RaftCore) -> list[AppendResponse]:
    """Persist everything; the append responses in order."""
    responses: list[AppendResponse] = []
    while True:
        ready = core.ready()
        responses += [m for _, m in ready.messages if isinstance(m, AppendResponse)]
        if ready.write is None:
            return responses
        core.on_persisted(ready.write.seq)


# --- Leader ----------------------------------------------------------------------------------


def test_a_new_leader_opens_its_term_with_an_attested_noop() -> None:
    lab = Lab(3)
    lab.elect(1)
    (noop,) = lab.disks[0]

    assert (noop.kind, noop.leader, noop.term, noop.payload) == (EntryKind.NOOP, 1, 1, b"")
    assert noop.attestation == b"signed"
    assert [core.commit_index for core in lab.cores] == [1, 1, 1]


def test_appends_leave_before_the_leaders_own_disk_is_done() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.slow_disks = {0}
    index = lab.propose(0)

    assert [to for _, to, m in lab.mail if isinstance(m, AppendRequest) and m.entries] == [1, 2]
    lab.settle()
    assert lab.cores[0].commit_index == index, "two followers are a majority without the leader"
    assert lab.cores[0].durable_commit_index < index, "but it applies only what it has on disk"


def test_a_leader_counts_itself_only_once_it_is_durable() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.down = {2}
    lab.slow_disks = {0}
    index = lab.propose(0)
    lab.settle()
    assert lab.cores[0].commit_index < index

    lab.write(0)
    assert lab.cores[0].commit_index == index


def test_a_commit_is_told_at_once() -> None:
    lab = Lab(3)
    lab.elect(0)
    index = lab.propose(0)
    lab.settle()

    assert [core.commit_index for core in lab.cores] == [index] * 3


@pytest.mark.parametrize(
    ("voters", "up", "committed"),
    [
        (1, 1, True),
        (3, 1, False),
        (3, 2, True),
        (4, 2, False),
        (4, 3, True),
        (5, 2, False),
        (5, 3, True),
        (7, 3, False),
        (7, 4, True),
    ],
)
def test_a_majority_commits(voters: int, up: int, committed: bool) -> None:
    lab = Lab(voters)
    lab.elect(0)
    lab.down = set(range(up, voters))
    index = lab.propose(0)
    lab.settle()

    assert (lab.cores[0].commit_index == index) is committed


def test_duplicated_acknowledgements_count_once() -> None:
    lab = Lab(5)
    lab.elect(0)
    lab.down = {2, 3, 4}
    index = lab.propose(0)
    for _ in range(5):
        lab.cores[0].step(NodeId(1), AppendResponse(lab.cores[0].term, AppendStatus.OK, index))

    assert lab.cores[0].commit_index < index


def test_acknowledgements_beyond_the_log_are_ignored() -> None:
    lab = Lab(3)
    lab.elect(0)
    for sender in (1, 2):
        lab.cores[0].step(
            NodeId(sender), AppendResponse(lab.cores[0].term, AppendStatus.OK, LogIndex(99))
        )

    assert lab.cores[0].commit_index == 1


def test_entries_of_old_terms_are_not_committed_by_counting() -> None:
    """Raft paper, figure 8."""
    old = chain(1, 2)
    lab = Lab(5, [old, old[:1], old[:1], old[:1], chain(3, first=old[:1])], terms=[3, 3, 3, 3, 3])
    lab.down = {4}

    def old_entries_only(mail: Mail) -> bool:
        return not (
            isinstance(mail[2], AppendRequest) and any(e.term == 4 for e in mail[2].entries)
        )

    lab.elect_without_noop(0)
    assert lab.terms(0) == [1, 2, 4]
    for follower in (1, 2):
        core = lab.cores[follower]
        core.step(NodeId(0), append(old, 1, 4))
        lab.collect(follower)
    lab.deliver(lambda mail: isinstance(mail[2], AppendResponse) and old_entries_only(mail))

    assert lab.terms(1) == lab.terms(2) == [1, 2]
    assert lab.cores[0].commit_index == 0, "entry 2 is on a majority, but of an old term"

    lab.down = {0}
    lab.elect(4)
    assert lab.terms(1)[:2] == [1, 3], "so a later leader may still replace it"


def test_an_entry_of_the_term_commits_all_before_it() -> None:
    old = chain(1, 1, 2)
    lab = Lab(3, [old, old[:1], []])
    lab.elect(0)

    assert [core.commit_index for core in lab.cores] == [4, 4, 4]
    assert lab.terms(2) == [1, 1, 2, 3]


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
)
def test_a_leader_repairs_every_log_of_figure_7(terms: tuple[int, ...]) -> None:
    leader_log = chain(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    shared = 0
    while shared < min(len(terms), 10) and terms[shared] == leader_log[shared].term:
        shared += 1
    follower_log = chain(*terms[shared:], leader=1, first=leader_log[:shared])
    lab = Lab(3, [leader_log, follower_log, leader_log], terms=[7, 7, 7])
    lab.down = {1}
    lab.elect(0)
    lab.down = set()
    for _ in range(3):
        lab.tick(0, 2)
        lab.settle()

    assert lab.cores[1].log.last_hash == lab.cores[0].log.last_hash
    assert [entry.hash for entry in lab.disks[1]] == [entry.hash for entry in lab.disks[0]]


def test_a_long_divergence_is_repaired_in_few_round_trips() -> None:
    shared = chain(*[1] * 5)
    lab = Lab(
        3, [chain(*[3] * 200, first=shared), chain(*[2] * 300, leader=1, first=shared)], [3, 3, 3]
    )
    lab.down = {2}
    for _ in range(20):
        lab.tick(0)
    rounds = 0
    while lab.cores[1].log.last_hash != lab.cores[0].log.last_hash:
        rounds += 1
        lab.deliver()
        assert rounds < 20

    assert lab.cores[0].role is Role.LEADER


# --- Proposals -------------------------------------------------------------------------------


def test_proposals_are_refused_with_a_reason() -> None:
    lab = Lab(3, payload_bytes_max=100, uncommitted_entries_max=3)
    with pytest.raises(NotLeaderError) as no_leader:
        lab.cores[1].propose(b"", Term(0))
    assert no_leader.value.leader is None

    lab.elect(0)
    with pytest.raises(NotLeaderError) as hint:
        lab.cores[1].propose(b"", Term(1))
    assert hint.value.leader == 0
    with pytest.raises(TermChangedError) as changed:
        lab.cores[0].propose(b"", Term(99))
    assert changed.value.term == lab.cores[0].term
    with pytest.raises(PayloadTooLargeError):
        lab.cores[0].propose(bytes(101), lab.cores[0].term)
    for _ in range(3):
        lab.propose(0)
    with pytest.raises(WindowFullError):
        lab.propose(0)
    assert lab.cores[0].log.last_index == 4

    lab.settle()
    assert lab.propose(0) == 5


# --- Follower --------------------------------------------------------------------------------


def test_a_follower_refuses_a_gap_with_a_hint() -> None:
    log = chain(1, 1, 2, 2, 2)
    core = make_core(1, entries=log[:3])
    core.step(NodeId(0), append(log, 5, 2))
    (response,) = respond(core)

    assert (response.status, response.index) == (AppendStatus.MISMATCH, 5)
    assert (response.hint_index, response.hint_term) == (3, 2)


def test_logs_match_on_the_hash_not_only_on_index_and_term() -> None:
    ours = chain(1, 1, leader=0)
    theirs = chain(1, 1, 1, leader=2)
    core = make_core(1, entries=ours)
    core.step(NodeId(2), append(theirs, 2, 5))
    (response,) = respond(core)

    assert (response.status, response.hint_index) == (AppendStatus.MISMATCH, 1)


def test_an_acknowledgement_waits_for_the_disk() -> None:
    log = chain(1, 1)
    core = make_core(1)
    core.step(NodeId(0), append(log, 0, 1))
    ready = core.ready()

    assert ready.messages == []
    assert ready.write is not None
    assert [entry.index for entry in ready.write.batch.entries] == [1, 2]
    core.on_persisted(ready.write.seq)
    assert [(m.status, m.index) for m in respond(core)] == [(AppendStatus.OK, 2)]


def test_what_arrives_during_a_write_goes_into_the_next_one_together() -> None:
    log = chain(1, 1, 1)
    core = make_core(1)
    core.step(NodeId(0), append(log[:1], 0, 1))
    first = core.ready().write
    core.step(NodeId(0), append(log[:2], 1, 1))
    core.step(NodeId(0), append(log, 2, 1))
    assert core.ready().write is None
    assert first is not None
    core.on_persisted(first.seq)
    second = core.ready().write

    assert second is not None
    assert [entry.index for entry in second.batch.entries] == [2, 3]
    core.on_persisted(second.seq)
    assert [m.index for m in respond(core)] == [3], "one acknowledgement says both"


def test_a_heartbeat_is_answered_while_the_disk_is_busy() -> None:
    core = make_core(1, term=1)
    core.step(NodeId(0), append(chain(1), 0, 1))
    assert core.ready().write is not None
    core.step(NodeId(0), Heartbeat(Term(1), LogIndex(0), LogIndex(1)))

    assert len(core.ready().messages) == 1


def test_a_conflicting_suffix_is_replaced_and_a_matching_one_kept() -> None:
    shared = chain(1, 1)
    new = chain(3, 3, first=shared)
    core = make_core(1, entries=chain(2, 2, 2, first=shared))
    core.step(NodeId(0), append(new, 1, 3))
    respond(core)
    assert [core.log.term_at(i) for i in range(1, core.log.last_index + 1)] == [1, 1, 3, 3]

    core.step(NodeId(0), append(new[:2], 0, 3))
    assert core.log.last_index == 4, "a late duplicate removes nothing"


def test_a_late_duplicate_does_not_move_the_match_back() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.propose(0)
    early = [mail for mail in lab.mail if isinstance(mail[2], AppendRequest)]
    lab.settle()
    last = lab.propose(0)
    lab.settle()
    lab.mail = early
    lab.settle()

    assert [core.log.last_index for core in lab.cores] == [last] * 3
    assert lab.cores[0].followers()[NodeId(1)].match == last


def test_a_follower_commits_only_what_it_has_matched() -> None:
    """Its own tail may differ from the leader's where the message did not reach."""
    shared = chain(1, 1)
    core = make_core(1, entries=chain(2, first=shared))
    core.step(NodeId(0), append(shared, 1, 3, commit=3))

    assert core.commit_index == 2
    core.step(NodeId(0), Heartbeat(Term(3), LogIndex(3), LogIndex(3)))
    assert core.commit_index == 2


def test_a_leader_that_replaces_what_it_sent_commits_nothing_beyond_the_end() -> None:
    """Else whatever comes into that place later is taken for committed, by whomever it is sent."""
    first = chain(1, 1, 1, 1, 1, leader=1)
    core = make_core(0, 4, limits={"liars_max": 1})
    core.step(NodeId(2), TermRequest(Term(1)))
    core.step(NodeId(3), TermRequest(Term(1)))
    core.step(NodeId(1), append(first, 0, 1))
    other = Entry(
        Term(1), LogIndex(2), EntryKind.DATA, NodeId(1), first[0].hash, b"other", b"signed"
    )
    core.step(NodeId(1), append([first[0], other], 1, 1))
    respond(core)
    assert core.log.last_index == 2

    core.step(NodeId(1), Heartbeat(Term(1), LogIndex(5), LogIndex(5)))
    assert core.commit_index == 2, "as far as it matches, and no further"

    for _ in range(30):
        core.tick()
    asked = [m for _, m in core.ready().messages if isinstance(m, VoteRequest)]
    assert asked
    assert all(decode(encode(request), NodeId(0), core.state.config) for request in asked)


def test_the_match_with_an_earlier_leader_does_not_count_for_the_next() -> None:
    log = chain(1, 1, 1)
    core = make_core(1)
    core.step(NodeId(0), append(log, 0, 1, commit=1))
    core.step(NodeId(2), Heartbeat(Term(2), LogIndex(3), LogIndex(3)))

    assert core.commit_index == 1


def test_what_is_committed_is_never_replaced() -> None:
    log = chain(1, 1, 1)
    authority = ScriptedAuthority()
    core = make_core(1, entries=log, applied=2, authority=authority)
    offered = chain(3, 3, first=log[:1])
    core.step(NodeId(0), append(offered, 1, 3))

    assert authority.conflicting_with == [(log[1].hash, None, offered[1])]
    assert [log[n].hash for n in range(3)] == [core.log.hash_at(LogIndex(n)) for n in (1, 2, 3)]
    assert not any(isinstance(m, AppendResponse) for _, m in core.ready().messages)


def test_what_the_embedder_protects_is_never_replaced() -> None:
    log = chain(1, 1, 1)
    core = make_core(1, entries=log)
    core.protect(LogIndex(3))
    core.step(NodeId(0), append(chain(3, first=log[:2]), 2, 3))

    assert core.conflicts == 1
    assert core.log.hash_at(LogIndex(3)) == log[2].hash


def test_a_refused_conflict_hands_over_both_entries_and_changes_nothing_else() -> None:
    """One signed lie must not leave a mark that only a restart takes away."""
    authority = ScriptedAuthority()
    core = make_core(1, authority=authority)
    log = chain(1, 1, 1)
    core.step(NodeId(0), append(log, 0, 1, commit=2))
    respond(core)
    lie = Entry(Term(1), LogIndex(2), EntryKind.DATA, NodeId(0), log[0].hash, b"lie", b"signed")
    core.step(NodeId(0), append([log[0], lie], 1, 1))

    assert authority.conflicting_with == [(log[1].hash, log[1], lie)]
    assert not core.ready().messages, "what cannot be taken is not answered"
    core.step(NodeId(0), append(chain(1, first=log), 3, 1, commit=4))
    respond(core)
    assert core.commit_index == 4, "the same leader's honest entries are taken as before"


def test_entries_truncated_during_their_write_do_not_become_durable_by_it() -> None:
    """A, then B in its place while A is being written: only B's write makes index 1 durable."""
    one, other = chain(1), chain(2, leader=2)
    core = make_core(1)
    core.step(NodeId(0), append(one, 0, 1))
    first = core.ready().write
    core.step(NodeId(2), append(other, 0, 2))
    assert first is not None
    core.on_persisted(first.seq)
    assert core.log.stable_index == 0

    ready = core.ready()
    assert ready.messages == [], "nor does A's acknowledgement leave"
    assert ready.write is not None
    core.on_persisted(ready.write.seq)
    assert (core.log.stable_index, core.log.hash_at(1)) == (1, other[0].hash)
    assert [(m.term, m.index) for m in respond(core)] == [(2, 1)]


# --- Authority -------------------------------------------------------------------------------


def test_a_forged_entry_is_dropped_without_an_answer() -> None:
    lab = Lab(3)
    lab.authorities[1].verdict = Admission.FORGED
    core = lab.cores[1]
    core.step(NodeId(0), append(chain(1), 0, 1))

    assert respond(core) == []
    assert core.log.last_index == 0


def test_entries_that_are_held_already_are_not_judged_again() -> None:
    lab = Lab(3)
    log = chain(1, 1)
    for _ in range(2):
        lab.cores[1].step(NodeId(0), append(log, 0, 1))

    assert [entry.index for entry in lab.authorities[1].admitted] == [1, 2]


def test_one_refusal_of_three_leaves_a_majority() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.authorities[1].verdict = Admission.REFUSE
    index = lab.propose(0)
    lab.settle()
    assert lab.cores[0].role is Role.LEADER
    assert lab.cores[0].commit_index == index
    assert lab.cores[1].log.last_index == index - 1

    lab.authorities[1].verdict = Admission.ACCEPT
    lab.tick(0, 2)
    lab.settle()
    assert lab.cores[1].commit_index == index, "it is asked again with the next heartbeat"


@pytest.mark.parametrize("voters", [3, 4, 5])
def test_a_leader_refused_by_too_many_steps_down(voters: int) -> None:
    lab = Lab(voters)
    lab.elect(0)
    for follower in range(1, (voters + 1) // 2 + 1):
        lab.authorities[follower].verdict = Admission.REFUSE
    lab.propose(0)
    lab.settle()

    assert lab.cores[0].role is Role.FOLLOWER


# --- Loss and windows --------------------------------------------------------------------------


def test_a_window_full_of_lost_messages_recovers_within_a_heartbeat() -> None:
    lab = Lab(3, window_messages=4, message_entries_max=1)
    lab.elect(0)
    last = [lab.propose(0) for _ in range(20)][-1]
    lost = [mail for mail in lab.mail if mail[1] == 1 and isinstance(mail[2], AppendRequest)]
    assert len(lost) == 4, "the window bounds what is on its way"
    lab.deliver(lambda mail: mail[1] != 1)
    lab.deliver(lambda mail: mail[1] != 1)
    lab.mail.clear()
    lab.tick(0, 2)
    lab.settle()

    assert [core.log.last_index for core in lab.cores] == [last] * 3


def test_a_lost_last_append_is_noticed_without_new_work() -> None:
    lab = Lab(3)
    lab.elect(0)
    index = lab.propose(0)
    lab.deliver(lambda mail: mail[1] != 1)
    lab.settle()
    lab.tick(0, 2)
    lab.settle()

    assert lab.cores[1].commit_index == index


def test_a_lost_acknowledgement_is_made_up_for() -> None:
    lab = Lab(3)
    lab.elect(0)
    lab.down = {2}
    index = lab.propose(0)
    lab.deliver()
    lab.mail.clear()
    lab.tick(0, 2)
    lab.settle()

    assert lab.cores[0].commit_index == index


def test_the_window_bounds_bytes() -> None:
    lab = Lab(3, window_bytes=10_000, message_bytes_max=2_000, payload_bytes_max=1_500)
    lab.elect(0)
    for _ in range(40):
        lab.propose(0, bytes(1_000))
    sent = [m for _, to, m in lab.mail if to == 1 and isinstance(m, AppendRequest)]

    assert 8 <= sum(len(m.entries) for m in sent) <= 12


def test_a_dead_follower_is_probed_once_a_heartbeat_not_flooded() -> None:
    lab = Lab(3)
    lab.down = {2}
    lab.elect(0)
    for _ in range(50):
        lab.propose(0)
        lab.deliver()
    to_dead = [m for _, to, m in lab.mail if to == 2 and isinstance(m, AppendRequest)]

    assert len(to_dead) <= 1


def test_a_follower_behind_the_memory_tail_is_served_from_the_log_store() -> None:
    lab = Lab(3, tail_bytes_max=4_000, message_entries_max=7)
    lab.down = {2}
    lab.elect(0)
    for _ in range(200):
        lab.propose(0, bytes(100))
        lab.settle()
    last = lab.cores[0].log.last_index
    assert lab.cores[0].log.tail_first > 150
    lab.down = set()
    for _ in range(4):
        lab.tick(0, 2)
        lab.settle()

    assert lab.cores[2].commit_index == last
    assert [e.hash for e in lab.disks[2]] == [e.hash for e in lab.disks[0]]


def test_a_follower_bounds_what_waits_for_its_disk() -> None:
    log = chain(*[1] * 50)
    core = make_core(1, limits={"unstable_bytes_max": 5_000, "payload_bytes_max": 4_000})
    for end in range(1, 51):
        core.step(NodeId(0), append(log[:end], end - 1, 1))

    assert core.log.unstable_bytes < 6_000
    respond(core)
    core.step(NodeId(0), append(log, int(core.log.last_index), 1))
    assert core.log.last_index == 50
