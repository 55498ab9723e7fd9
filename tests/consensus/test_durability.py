"""What waits for the disk: one stream of writes, and each promise behind its own write."""

from __future__ import annotations

from consensus.core.durability import Durability
from consensus.core.log import RaftLog
from consensus.core.raft import RaftCore
from consensus.messages import (
    AppendResponse,
    AppendStatus,
    HeartbeatResponse,
    TermResponse,
    VoteResponse,
)
from consensus.snapshot import Base
from consensus.types import HardState, LogIndex, NodeId, Term
from tests.consensus.lab import chain, make_core
from tests.consensus.letters import append, heartbeat, vote_request

STATE = HardState(Term(3), NodeId(2))


def durability(*terms: int) -> tuple[RaftLog, Durability]:
    """A log whose entries are not written yet, and its writes."""
    log = RaftLog([], 1 << 20)
    for entry in chain(*terms):
        log.append(entry)
    return log, Durability(log)


def acknowledgement(index: int, term: int = 3) -> AppendResponse:
    return AppendResponse(Term(term), AppendStatus.OK, LogIndex(index))


def promise() -> HeartbeatResponse:
    return HeartbeatResponse(Term(3))


def acknowledged(core: RaftCore) -> list[int]:
    """The indexes of the acknowledgements that leave."""
    return [m.index for _, m in core.ready().messages if isinstance(m, AppendResponse)]


def test_nothing_to_write_is_no_write() -> None:
    _, writes = durability()

    assert writes.next_write(STATE) is None
    assert not writes.busy
    assert writes.hard_state_durable


def test_one_write_at_a_time_and_the_rest_together() -> None:
    log, writes = durability(1)
    first = writes.next_write(STATE)
    assert first is not None
    log.append(chain(1, 2)[1])
    writes.touch_hard_state()
    assert writes.next_write(STATE) is None
    writes.done(first.seq)
    second = writes.next_write(STATE)

    assert second is not None
    assert (first.batch.hard_state, [e.index for e in first.batch.entries]) == (None, [1])
    assert (second.batch.hard_state, [e.index for e in second.batch.entries]) == (STATE, [2])
    assert second.seq == first.seq + 1


def test_a_vote_waits_for_the_hard_state_and_not_for_entries() -> None:
    log, writes = durability(1)
    busy = writes.next_write(STATE)
    assert busy is not None
    writes.hold_for_hard_state(NodeId(2), promise())
    assert writes.release() == [(2, promise())], "its term was durable before"

    writes.touch_hard_state()
    writes.hold_for_hard_state(NodeId(2), promise())
    assert writes.release() == []
    writes.done(busy.seq)
    assert writes.release() == []
    write = writes.next_write(STATE)
    assert write is not None
    assert writes.release() == []
    writes.done(write.seq)
    assert writes.release() == [(2, promise())]
    assert log.stable_index == 1


def test_an_acknowledgement_waits_for_all_that_was_there() -> None:
    log, writes = durability(1)
    writes.hold_for_all(NodeId(2), acknowledgement(1))
    first = writes.next_write(STATE)
    assert first is not None
    log.append(chain(1, 1)[1])
    writes.hold_for_all(NodeId(2), acknowledgement(2))
    writes.done(first.seq)
    assert writes.release() == [(2, acknowledgement(1))]

    second = writes.next_write(STATE)
    assert second is not None
    writes.done(second.seq)
    assert writes.release() == [(2, acknowledgement(2))]


def test_messages_leave_in_the_order_in_which_they_were_held() -> None:
    _, writes = durability(1)
    writes.touch_hard_state()
    held: list[AppendResponse | HeartbeatResponse] = [
        acknowledgement(1),
        promise(),
        AppendResponse(Term(3), AppendStatus.MISMATCH, LogIndex(1)),
    ]
    for message in held:
        if isinstance(message, AppendResponse):
            writes.hold_for_all(NodeId(2), message)
        else:
            writes.hold_for_hard_state(NodeId(2), message)
    write = writes.next_write(STATE)
    assert write is not None
    writes.done(write.seq)

    assert [message for _, message in writes.release()] == held


def test_one_acknowledgement_of_the_later_index_says_both() -> None:
    _, writes = durability(1, 1)
    for index, to in ((1, 2), (2, 2), (2, 3)):
        writes.hold_for_all(NodeId(to), acknowledgement(index))
    write = writes.next_write(STATE)
    assert write is not None
    writes.done(write.seq)

    assert writes.release() == [(2, acknowledgement(2)), (3, acknowledgement(2))]


def test_of_acknowledgements_in_two_terms_the_later_one_is_sent() -> None:
    _, writes = durability(1, 1)
    writes.hold_for_all(NodeId(2), acknowledgement(1, term=3))
    writes.hold_for_all(NodeId(2), acknowledgement(2, term=4))
    write = writes.next_write(STATE)
    assert write is not None
    writes.done(write.seq)

    assert writes.release() == [(NodeId(2), acknowledgement(2, term=4))]


def test_what_waits_for_a_hung_write_does_not_grow() -> None:
    """A peer that goes on asking while the disk hangs must cost neither memory nor time."""
    _, writes = durability(1)
    write = writes.next_write(STATE)
    assert write is not None
    for turn in range(10_000):
        for peer in (2, 3):
            to = NodeId(peer)
            writes.touch_hard_state()
            writes.hold_for_hard_state(to, HeartbeatResponse(Term(3), turn))
            answer = VoteResponse(Term(3), Term(turn), True, False, LogIndex(0))
            writes.hold_for_hard_state(to, answer)
            writes.hold_for_hard_state(to, TermResponse(Term(3)))
            writes.hold_for_all(to, AppendResponse(Term(3), AppendStatus.MISMATCH, LogIndex(turn)))
        assert not writes.release()
    writes.done(write.seq)
    second = writes.next_write(STATE)
    assert second is not None
    writes.done(second.seq)
    released = writes.release()

    assert len(released) == 8
    assert (NodeId(2), HeartbeatResponse(Term(3), 9_999)) in released


def test_a_vote_is_not_overtaken_by_the_answer_to_an_older_request() -> None:
    _, writes = durability()
    writes.touch_hard_state()
    granted = VoteResponse(Term(3), Term(3), False, True, LogIndex(0))
    writes.hold_for_hard_state(NodeId(2), granted)
    writes.hold_for_hard_state(NodeId(2), VoteResponse(Term(3), Term(2), False, False, LogIndex(0)))
    writes.hold_for_hard_state(NodeId(2), VoteResponse(Term(3), Term(3), False, False, LogIndex(0)))
    write = writes.next_write(STATE)
    assert write is not None
    writes.done(write.seq)

    assert writes.release() == [(NodeId(2), granted)]


def test_what_was_replaced_is_not_acknowledged() -> None:
    _, writes = durability(1, 1, 1)
    refusal = AppendResponse(Term(3), AppendStatus.MISMATCH, LogIndex(9))
    writes.hold_for_all(NodeId(2), acknowledgement(1))
    writes.hold_for_hard_state(NodeId(2), refusal)
    writes.hold_for_all(NodeId(3), acknowledgement(3))
    writes.drop_acknowledgements(LogIndex(2))
    write = writes.next_write(STATE)
    assert write is not None
    writes.done(write.seq)

    assert sorted(writes.release(), key=lambda held: held[1].status) == [  # type: ignore[union-attr]
        (2, acknowledgement(1)),
        (2, refusal),
    ]


def test_a_reset_is_durable_when_its_own_write_is() -> None:
    """Not with a write that was under way when it came."""
    log, writes = durability(1)
    busy = writes.next_write(STATE)
    assert busy is not None
    base = Base(LogIndex(9), Term(2), bytes(32))
    log.reset(base)
    writes.rebase(base, reset=True)
    assert not writes.reset_durable
    writes.done(busy.seq)
    assert not writes.reset_durable

    write = writes.next_write(STATE)
    assert write is not None
    assert (write.batch.base, write.batch.reset) == (base, True)
    assert not writes.reset_durable
    writes.done(write.seq)
    assert writes.reset_durable


def test_a_compaction_after_a_reset_does_not_take_the_reset_away() -> None:
    log, writes = durability(1)
    writes.rebase(Base(LogIndex(9), Term(2), bytes(32)), reset=True)
    later = Base(LogIndex(10), Term(2), bytes(32))
    log.reset(later)
    writes.rebase(later, reset=False)
    write = writes.next_write(STATE)

    assert write is not None
    assert (write.batch.base, write.batch.reset) == (later, True)


# --- The ABA case --------------------------------------------------------------------------------


def test_an_entry_that_came_back_during_its_first_write_waits_for_another() -> None:
    """A, then B in its place, then A again, all while A is being written.

    The disk may already have been told to put B over A, so the end of the first write says nothing
    of the A that is in the log now (etcd-io/raft `async_storage_writes_append_aba_race`).
    """
    one, other = chain(1), chain(2, leader=2)
    core = make_core(1)
    core.step(NodeId(0), append(one, 0, 1))
    first = core.ready().write
    assert first is not None
    core.step(NodeId(2), append(other, 0, 2))
    core.step(NodeId(0), append(one, 0, 3))
    assert core.log.hash_at(1) == one[0].hash
    core.on_persisted(first.seq)
    assert core.log.stable_index == 0
    assert core.durable_commit_index == 0

    ready = core.ready()
    assert [m for _, m in ready.messages if isinstance(m, AppendResponse)] == []
    assert ready.write is not None
    assert [entry.hash for entry in ready.write.batch.entries] == [one[0].hash]
    assert ready.write.batch.hard_state == HardState(Term(3))
    core.on_persisted(ready.write.seq)
    assert core.log.stable_index == 1
    assert acknowledged(core) == [1]


def test_a_longer_log_that_came_back_is_written_from_where_it_was_cut() -> None:
    shared = chain(1, 1)
    one, other = chain(1, 1, first=shared), chain(2, leader=2, first=shared)
    core = make_core(1, entries=shared)
    core.step(NodeId(0), append(one, 2, 1))
    first = core.ready().write
    assert first is not None
    core.step(NodeId(2), append(other, 2, 2))
    core.step(NodeId(0), append(one, 2, 3))
    core.on_persisted(first.seq)
    assert core.log.stable_index == 2

    write = core.ready().write
    assert write is not None
    assert [entry.index for entry in write.batch.entries] == [3, 4]


def test_the_middle_version_is_never_read() -> None:
    """What may be applied is what is in the log and durable: never the B between the two A."""
    one, other = chain(1), chain(2, leader=2)
    core = make_core(1)
    core.step(NodeId(2), append(other, 0, 2))
    first = core.ready().write
    assert first is not None
    core.step(NodeId(0), append(one, 0, 3, commit=1))
    core.on_persisted(first.seq)
    assert (core.commit_index, core.durable_commit_index) == (1, 0)

    second = core.ready().write
    assert second is not None
    core.on_persisted(second.seq)
    entries = core.committed(LogIndex(1))
    assert core.durable_commit_index == 1
    assert entries is not None
    assert [entry.hash for entry in entries] == [one[0].hash]


# --- Promises of a member ------------------------------------------------------------------------


def test_a_vote_of_an_earlier_term_may_leave_when_the_later_term_is_durable() -> None:
    """The disk never knew of the vote, but it knows of a term in which it cannot be cast again."""
    core = make_core(1)
    core.step(NodeId(0), vote_request(2))
    core.step(NodeId(2), heartbeat(5))
    ready = core.ready()
    assert ready.messages == []
    assert ready.write is not None
    assert ready.write.batch.hard_state == HardState(Term(5))
    core.on_persisted(ready.write.seq)
    votes = [m for _, m in core.ready().messages if isinstance(m, VoteResponse)]

    assert [(vote.campaign, vote.granted) for vote in votes] == [(2, True)]
    core.step(NodeId(2), vote_request(2))
    assert core.vote is None


def test_a_heartbeat_of_a_new_term_is_answered_when_the_term_is_durable() -> None:
    core = make_core(1)
    core.step(NodeId(0), heartbeat(2))
    ready = core.ready()
    assert ready.messages == []
    assert ready.write is not None
    core.on_persisted(ready.write.seq)

    assert [m.term for _, m in core.ready().messages if isinstance(m, HeartbeatResponse)] == [2]
