"""Snapshots as the core sees them: offered, sent in parts, checked, installed, compacted behind."""

from __future__ import annotations

import hashlib

import pytest

from consensus.config import RaftConfig
from consensus.core.progress import ProgressState
from consensus.core.raft import RaftCore
from consensus.core.snapshot_transfer import ChunkWrite, Incoming, Outgoing
from consensus.core.state import Start
from consensus.errors import SnapshotError
from consensus.membership import Membership
from consensus.messages import (
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    SnapshotChunk,
)
from consensus.ports import Recovered
from consensus.snapshot import Base, Snapshot
from consensus.types import Entry, HardState, LogIndex, NodeId, Role, Term
from tests.consensus.directives import act, play
from tests.consensus.lab import ScriptedAuthority, ScriptedRng, chain, make_core
from tests.consensus.letters import append
from tests.consensus.settling import stabilize
from tests.consensus.stage import Stage

VOTERS = Membership((NodeId(0), NodeId(1), NodeId(2)))
LOG = chain(1, 1, 1, 1, 2, 2)


def snapshot_of(
    log: list[Entry], index: int, data: bytes = b"state", membership: Membership = VOTERS
) -> Snapshot:
    """A snapshot of the state after the entry at `index` of that log."""
    entry = log[index - 1]
    checksum = hashlib.sha256(data).digest()
    return Snapshot(entry.index, entry.term, entry.hash, membership, len(data), checksum)


def offer(snapshot: Snapshot, term: int = 2, offset: int = 0, data: bytes = b"") -> SnapshotChunk:
    return SnapshotChunk(Term(term), snapshot, offset, data)


def restarted(
    snapshot: Snapshot | None,
    base: Base | None = None,
    entries: list[Entry] | None = None,
    applied: int = 0,
) -> RaftCore:
    """Node 1, started from a log that begins after `base`."""
    positions = [(entry.term, entry.hash) for entry in entries or []]
    return RaftCore(
        RaftConfig(node=NodeId(1), voters=VOTERS.voters),
        Start(
            recovered=Recovered(HardState(Term(2)), positions, base=base or Base()),
            applied_index=LogIndex(applied),
            snapshot=snapshot,
        ),
        ScriptedAuthority(),
        ScriptedRng(1),
    )


def answers(core: RaftCore) -> list[ChunkResponse | AppendResponse]:
    """What the core says once everything is written; it hands no part to its snapshot store."""
    found: list[ChunkResponse | AppendResponse] = []
    while True:
        ready = core.ready()
        assert ready.chunk_writes == []
        found += [m for _, m in ready.messages if isinstance(m, ChunkResponse | AppendResponse)]
        if ready.write is None:
            return found
        core.on_persisted(ready.write.seq)


def take_part(core: RaftCore) -> ChunkWrite:
    """The part that the core hands to its snapshot store."""
    ready = core.ready()
    writes = ready.chunk_writes
    if ready.write is not None:
        core.on_persisted(ready.write.seq)
        writes += core.ready().chunk_writes
    (write,) = writes
    return write


@pytest.mark.parametrize("busy", [False, True])
def test_no_part_goes_to_a_disk_that_does_not_know_its_term(busy: bool) -> None:
    """Not with the write of the term either, and least while an earlier write is under way."""
    log = chain(1, 1, 1, 1, 3)
    core = make_core(1, entries=log[:1], term=2)
    if busy:
        core.step(NodeId(0), append(log[:2], 1, 2))
    writes = [core.ready().write]
    core.step(NodeId(2), offer(snapshot_of(log, 5), 4, 0, b"state"))
    written_term = 2
    while written_term < 4:
        ready = core.ready()
        assert ready.chunk_writes == []
        writes.append(ready.write)
        write = next(write for write in writes if write is not None)
        writes.remove(write)
        core.on_persisted(write.seq)
        written_term = write.batch.hard_state.term if write.batch.hard_state else 2
    ready = core.ready()

    assert [write.term for write in ready.chunk_writes] == [4]


def install(core: RaftCore, snapshot: Snapshot, leader: int = 0, term: int = 2) -> None:
    """All of it arrives and is right."""
    core.step(NodeId(leader), offer(snapshot, term, 0, b"state"))
    core.on_chunk_written(take_part(core), snapshot.size, ok=True)


def lagging(*more: str, limit: str = "chunk-bytes=8") -> Stage:
    """Leader 1 has compacted what 3, which is back, lacks; 3 is being offered the snapshot."""
    return play(
        f"add-nodes 3 {limit}",
        "campaign 1",
        "stabilize",
        "crash 3",
        "propose 1 lorem ipsum dolor",
        "stabilize 1 2",
        "snapshot 1",
        "compact 1 4",
        "restart 3",
        "tick 1 2",
        "stabilize 1 3 type=Heartbeat,HeartbeatAnswer,Append,AppendAnswer",
        *more,
    )


# --- The sender's end ----------------------------------------------------------------------------


def outgoing(size: int = 10) -> Outgoing:
    return Outgoing(NodeId(3), snapshot_of(LOG, 4, bytes(size)))


def test_a_snapshot_is_offered_once_until_it_is_answered() -> None:
    sending = outgoing()
    (first,) = sending.offer(Term(2))

    assert (first.offset, first.data, first.snapshot) == (0, b"", sending.snapshot)
    assert sending.offer(Term(2)) == []
    assert sending.next_read(Term(2), 4) == [], "nobody knows yet how much is held"


@pytest.mark.parametrize(
    ("held", "offset", "size"), [(0, 0, 4), (4, 4, 4), (7, 7, 3), (9, 9, 1), (10, None, 0)]
)
def test_the_part_behind_what_is_held_comes_next(held: int, offset: int | None, size: int) -> None:
    sending = outgoing()
    sending.offer(Term(2))
    sending.held(held)
    reads = sending.next_read(Term(2), 4)

    assert [(read.offset, read.size) for read in reads] == (
        [] if offset is None else [(offset, size)]
    )


def test_one_part_at_a_time() -> None:
    sending = outgoing()
    sending.offer(Term(2))
    sending.held(0)
    (read,) = sending.next_read(Term(2), 4)
    assert sending.next_read(Term(2), 4) == []

    chunk = sending.chunk(Term(2), bytes(read.size))
    assert (chunk.offset, len(chunk.data)) == (0, 4)
    assert sending.next_read(Term(2), 4) == []
    sending.held(4)
    assert [(read.offset, read.size) for read in sending.next_read(Term(2), 4)] == [(4, 4)]


@pytest.mark.parametrize("again", [4, 0])
def test_an_answer_that_says_nothing_new_starts_no_second_stream(again: int) -> None:
    sending = outgoing()
    sending.offer(Term(2))
    sending.held(4)
    (read,) = sending.next_read(Term(2), 4)
    sending.chunk(Term(2), bytes(read.size))
    sending.held(again)

    assert sending.next_read(Term(2), 4) == []


def test_two_answered_heartbeats_without_progress_repeat_the_offer() -> None:
    sending = outgoing()
    sending.offer(Term(2))
    sending.held(4)
    (read,) = sending.next_read(Term(2), 4)
    sending.chunk(Term(2), bytes(read.size))  # and it is lost
    sending.nudge()
    assert sending.offer(Term(2)) == []
    sending.nudge()
    assert len(sending.offer(Term(2))) == 1

    sending.held(4)
    assert [read.offset for read in sending.next_read(Term(2), 4)] == [4]


def test_a_slow_store_of_the_sender_is_no_reason_to_begin_again() -> None:
    sending = outgoing()
    sending.offer(Term(2))
    sending.held(4)
    (read,) = sending.next_read(Term(2), 4)
    for _ in range(5):
        sending.nudge()

    assert sending.offer(Term(2)) == []
    assert sending.reading is read
    assert sending.chunk(Term(2), bytes(read.size)).offset == 4


def test_progress_between_heartbeats_keeps_the_stream() -> None:
    sending = outgoing(100)
    sending.offer(Term(2))
    for held in range(0, 40, 4):
        sending.held(held)
        (read,) = sending.next_read(Term(2), 4)
        sending.chunk(Term(2), bytes(read.size))
        sending.nudge()

    assert sending.offer(Term(2)) == []


@pytest.mark.parametrize("index", [3, 5])
def test_an_answer_about_another_snapshot_is_not_one(index: int) -> None:
    sending = outgoing()
    snapshot = sending.snapshot
    response = ChunkResponse(Term(2), LogIndex(4), snapshot.checksum, 8)
    assert sending.answers(response)

    assert not sending.answers(ChunkResponse(Term(2), LogIndex(index), snapshot.checksum, 8))
    assert not sending.answers(ChunkResponse(Term(2), LogIndex(4), bytes(32), 8))


# --- The receiver's end --------------------------------------------------------------------------


def part(offset: int) -> ChunkWrite:
    return ChunkWrite(NodeId(0), Term(2), snapshot_of(LOG, 4, bytes(100)), offset, b"part")


def test_one_part_is_at_the_store_and_the_newest_one_waits() -> None:
    arriving = Incoming()
    arriving.take(part(0))
    (first,) = arriving.next_write()
    arriving.take(part(4))
    arriving.take(part(8))
    assert arriving.next_write() == []

    arriving.written(first)
    assert [write.offset for write in arriving.next_write()] == [8]


def test_what_waits_is_void_when_the_leader_changes() -> None:
    arriving = Incoming()
    arriving.take(part(0))
    (first,) = arriving.next_write()
    arriving.take(part(4))
    arriving.abandon()
    arriving.written(first)

    assert arriving.next_write() == []


def test_the_answer_to_an_offer_is_how_much_the_store_holds() -> None:
    core = make_core(1, entries=LOG[:2], term=2)
    snapshot = snapshot_of(LOG, 4)
    core.step(NodeId(0), offer(snapshot))
    write = take_part(core)
    assert (write.offset, write.data) == (0, b"")
    core.on_chunk_written(write, 3, ok=True)

    (answer,) = answers(core)
    assert answer == ChunkResponse(Term(2), LogIndex(4), snapshot.checksum, 3)


def test_a_whole_snapshot_replaces_the_log() -> None:
    core = make_core(1, entries=LOG[:2], term=2)
    snapshot = snapshot_of(LOG, 4)
    install(core, snapshot)

    assert core.log.base == Base(LogIndex(4), Term(1), LOG[3].hash, VOTERS)
    assert (core.log.last_index, core.commit_index) == (4, 4)
    assert core.restore is snapshot
    assert core.durable_commit_index == 0, "the disk does not know of it yet"
    ready = core.ready()
    assert ready.messages == []
    assert ready.write is not None
    assert (ready.write.batch.base, ready.write.batch.reset) == (snapshot.base, True)

    core.on_persisted(ready.write.seq)
    assert core.durable_commit_index == 4
    (answer,) = answers(core)
    assert (answer.term, getattr(answer, "status", None), answer.index) == (2, AppendStatus.OK, 4)
    core.restored(snapshot)
    assert core.restore is None


def test_a_snapshot_that_fails_its_check_changes_nothing() -> None:
    core = make_core(1, entries=LOG[:2], term=2)
    snapshot = snapshot_of(LOG, 4)
    core.step(NodeId(0), offer(snapshot, 2, 0, b"wrong"))
    core.on_chunk_written(take_part(core), snapshot.size, ok=False)

    assert (core.log.base.index, core.log.last_index, core.restore) == (0, 2, None)
    assert answers(core) == [ChunkResponse(Term(2), LogIndex(4), snapshot.checksum, 0)]


def test_entries_that_wait_for_the_disk_are_void_after_an_install() -> None:
    """Their acknowledgement must not leave: the log that they stood in is gone."""
    core = make_core(1, entries=LOG[:1], term=2)
    other = chain(2, 2, 2, leader=2, first=LOG[:1])
    core.step(NodeId(0), Heartbeat(Term(2), LogIndex(0), LogIndex(6)))
    core.step(NodeId(0), append(other, 1, 2))
    held = core.ready().write
    assert held is not None
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2, 0, b"state"))
    (write,) = core.ready().chunk_writes
    core.on_chunk_written(write, 5, ok=True)
    core.on_persisted(held.seq)
    assert core.durable_commit_index == 0

    assert [(answer.index, type(answer)) for answer in answers(core)] == [(4, AppendResponse)]
    assert core.log.last_index == 4


@pytest.mark.parametrize("committed", [4, 5])
def test_an_older_snapshot_is_answered_and_not_taken(committed: int) -> None:
    core = make_core(1, entries=LOG[:5], term=2, applied=committed)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2, 0, b"state"))

    (answer,) = answers(core)
    assert isinstance(answer, AppendResponse)
    assert (answer.status, answer.index) == (AppendStatus.OK, committed)


def test_a_log_that_holds_the_snapshots_entry_needs_no_snapshot() -> None:
    core = make_core(1, entries=LOG[:5], term=2)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2, 0, b"state"))

    assert (core.commit_index, core.log.last_index) == (4, 5)
    (answer,) = answers(core)
    assert (answer.index, type(answer)) == (4, AppendResponse)


def test_entries_that_arrive_before_the_snapshot_is_whole_are_kept() -> None:
    core = make_core(1, entries=LOG[:1], term=2)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2, 0, b"state"))
    write = take_part(core)
    core.step(NodeId(0), append(LOG, 1, 2))
    assert [answer.index for answer in answers(core)] == [6]
    core.on_chunk_written(write, 5, ok=True)

    assert (core.log.base.index, core.log.last_index, core.restore) == (0, 6, None)
    assert core.commit_index == 4


def test_a_snapshot_for_somebody_else_is_refused() -> None:
    core = make_core(1, entries=LOG[:2], term=2)
    strangers = Membership((NodeId(0), NodeId(2)))
    snapshot = snapshot_of(LOG, 4, membership=strangers)
    core.step(NodeId(0), offer(snapshot))

    assert answers(core) == [
        ChunkResponse(Term(2), LogIndex(4), snapshot.checksum, 0, refused=True)
    ]


@pytest.mark.parametrize(
    ("entries", "protected", "taken"),
    [
        (LOG[:3], 2, True),  # what is protected may well be in it
        (LOG[:3], 9, True),  # known final, and not held here: nothing is lost
        (chain(1, 1, 1, 1, 1, leader=2), 5, False),  # it would replace what is protected
        (chain(1, 1, 1, 1, leader=2), 4, False),
        (chain(1, 1, 1, 1, 1, leader=2), 3, True),
        (chain(1, 1, 1, 1, 1, leader=2), 0, True),
    ],
)
def test_a_snapshot_never_replaces_what_is_protected(
    entries: list[Entry], protected: int, taken: bool
) -> None:
    core = make_core(1, entries=entries, term=2, protected=protected)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4)))

    assert bool(core.ready().chunk_writes) is taken


@pytest.mark.parametrize("leader", [None, 2])
def test_a_part_of_an_earlier_leader_is_not_answered(leader: int | None) -> None:
    core = make_core(1, entries=LOG[:2], term=2)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2, 0, b"state"))
    write = take_part(core)
    if leader is None:
        for _ in range(20):
            core.tick()
    else:
        core.step(NodeId(leader), Heartbeat(Term(3), LogIndex(0), LogIndex(0)))
    core.on_chunk_written(write, 5, ok=True)

    assert core.log.base.index == 0
    assert answers(core) == []


def test_a_stale_leaders_snapshot_is_not_taken() -> None:
    core = make_core(1, entries=LOG[:2], term=3)
    core.step(NodeId(0), offer(snapshot_of(LOG, 4), 2))

    (answer,) = answers(core)
    assert (answer.term, type(answer)) == (3, AppendResponse)


# --- Starting ------------------------------------------------------------------------------------


def test_a_state_behind_the_log_is_restored_at_the_start() -> None:
    snapshot = snapshot_of(LOG, 4)
    core = restarted(snapshot, snapshot.base, LOG[4:], applied=2)

    assert core.restore is snapshot
    assert (core.commit_index, core.log.last_index, core.durable_commit_index) == (4, 6, 4)


def test_a_newer_snapshot_within_the_log_is_restored_at_the_start() -> None:
    core = restarted(snapshot_of(LOG, 5), snapshot_of(LOG, 3).base, LOG[3:], applied=0)

    assert core.restore is not None
    assert (core.restore.index, core.commit_index) == (5, 5)
    assert (core.log.base.index, core.log.last_index) == (3, 6)


def test_a_snapshot_beyond_the_log_resets_it_at_the_start() -> None:
    """The crash came between the snapshot and the reset of the log."""
    snapshot = snapshot_of(LOG, 6)
    core = restarted(snapshot, snapshot_of(LOG, 3).base, LOG[3:4], applied=0)

    assert core.restore is snapshot
    assert (core.log.base.index, core.log.last_index, core.commit_index) == (6, 6, 6)
    write = core.ready().write
    assert write is not None
    assert (write.batch.base, write.batch.reset) == (snapshot.base, True)


def test_a_log_that_begins_after_the_state_needs_a_snapshot() -> None:
    for snapshot in (None, snapshot_of(LOG, 3)):
        with pytest.raises(SnapshotError, match="begins after 4"):
            restarted(snapshot, snapshot_of(LOG, 4).base, LOG[4:], applied=2)


def test_a_state_that_the_log_continues_needs_none() -> None:
    core = restarted(snapshot_of(LOG, 5), snapshot_of(LOG, 3).base, LOG[3:], applied=4)

    assert (core.restore, core.commit_index) == (None, 4)


# --- Compaction ----------------------------------------------------------------------------------


def test_only_what_is_in_a_snapshot_is_compacted() -> None:
    stage = play("add-nodes 1", "campaign 1", "stabilize", "propose 1 a b c", "stabilize")
    core = stage.running(1)
    assert core.compact(LogIndex(3)) == 0, "there is no snapshot"

    act(stage, "snapshot 1", "propose 1 d", "stabilize")
    assert core.compact(LogIndex(9)) == 4
    assert core.compact(LogIndex(2)) == 4, "it never goes back"
    assert (core.log.base.index, core.protected_index) == (4, 4)


def test_what_is_not_on_the_disk_is_not_compacted() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize", "propose 1 a", "process 1")
    act(stage, "stabilize 2 3", "deliver 1", "process 1", "deliver 2", "process 2")
    core = stage.running(1)
    assert core.commit_index == 2
    stabilize(stage, (2, 3))
    data_of_two = act(stage, "snapshot 2").members[2].disk.shelf.newest
    assert data_of_two is not None
    core.snapshot_made(data_of_two)

    assert core.compact(LogIndex(2)) == 1
    act(stage, "write 1")
    assert core.compact(LogIndex(2)) == 2


def test_the_disk_is_told_what_was_compacted() -> None:
    stage = play("add-nodes 1", "campaign 1", "stabilize", "propose 1 a b", "stabilize")
    act(stage, "snapshot 1", "compact 1 3", "stabilize")
    disk = stage.members[1].disk

    assert (disk.base.index, disk.entries) == (3, [])
    act(stage, "propose 1 c", "stabilize", "crash 1", "restart 1")
    assert stage.running(1).log.last_index == 4


def test_a_follower_compacts_by_itself() -> None:
    stage = play("add-nodes 3", "campaign 1", "stabilize", "propose 1 a b", "stabilize")
    act(stage, "snapshot 2", "compact 2 2", "stabilize", "propose 1 c", "stabilize")
    core = stage.running(2)

    assert (core.log.base.index, core.log.last_index, core.commit_index) == (2, 4, 4)
    assert stage.members[2].disk.base.index == 2


def test_what_follows_a_snapshot_on_its_way_stays() -> None:
    stage = lagging("propose 1 sit", "stabilize 1 2", "snapshot 1")
    core = stage.running(1)
    assert core.followers()[NodeId(3)].state is ProgressState.SNAPSHOT
    assert core.compact(LogIndex(5)) == 4

    act(stage, "crash 3")  # it does not hold up the others for ever
    for _ in range(3):
        act(stage, "tick 1 10", "tick 2 1", "stabilize 1 2")
    assert core.role is Role.LEADER
    assert core.compact(LogIndex(5)) == 5


def test_a_suspect_log_is_not_compacted() -> None:
    core = restarted(snapshot_of(LOG, 4), None, LOG, applied=4)
    core.state.suspect = True

    assert core.compact(LogIndex(4)) == 0


def test_an_append_from_before_the_log_is_acknowledged_up_to_what_is_committed() -> None:
    """It matches by definition, and must not be taken for a conflict (openraft #511)."""
    core = restarted(None, snapshot_of(LOG, 4).base, LOG[4:], applied=5)
    core.step(NodeId(0), append(LOG, 2, 2))
    (answer,) = answers(core)

    assert isinstance(answer, AppendResponse)
    assert (answer.status, answer.index) == (AppendStatus.OK, 5)


# --- The leader's choice -------------------------------------------------------------------------


def test_a_follower_whose_entries_are_gone_is_offered_the_newest_snapshot() -> None:
    stage = lagging()
    offers = [mail for mail in stage.mail if stage.kind(mail) == "Offer"]

    assert [(mail[0], mail[1]) for mail in offers] == [(1, 3)]
    assert stage.running(1).followers()[NodeId(3)].state is ProgressState.SNAPSHOT


def test_a_follower_in_a_snapshot_gets_no_appends() -> None:
    stage = lagging("propose 1 sit", "process 1")

    assert [stage.kind(mail) for mail in stage.mail if mail[1] == 3] == ["Offer"]


def test_replication_goes_on_behind_the_snapshot() -> None:
    stage = lagging("propose 1 sit", "stabilize")

    assert stage.members[3].words == ["lorem", "ipsum", "dolor", "sit"]
    assert stage.running(1).followers()[NodeId(3)].state is ProgressState.REPLICATE


def test_a_snapshot_that_is_gone_is_not_offered_again() -> None:
    stage = lagging("lose-snapshot 1")
    leader = stage.running(1)
    offers = 0
    for _ in range(20):
        act(stage, "deliver 3", "process 3", "deliver 1", "process 1", "read 1 if-any")
        offers += sum(stage.kind(mail) == "Offer" for mail in stage.mail)
        if stage.members[3].chunk_writes:
            act(stage, "write 3")

    assert offers <= 1
    assert leader.ready().snapshot_wanted


def test_a_refused_snapshot_is_not_offered_again() -> None:
    stage = lagging("deliver 3 drop")
    leader = stage.running(1)
    newest = stage.members[1].disk.shelf.newest
    assert newest is not None
    leader.step(
        NodeId(3), ChunkResponse(leader.term, newest.index, newest.checksum, 0, refused=True)
    )
    for _ in range(3):
        act(stage, "tick 1 2", "stabilize 1 3 type=Heartbeat,HeartbeatAnswer")

    assert [stage.kind(mail) for mail in stage.mail if stage.kind(mail) == "Offer"] == []
    assert leader.ready().snapshot_wanted


def test_an_acknowledgement_beyond_the_base_ends_the_snapshot() -> None:
    """Also one of less than the snapshot: what follows can come from the log."""
    stage = lagging("propose 1 sit amet", "stabilize 1 2", "snapshot 1")
    leader = stage.running(1)
    leader.step(NodeId(3), AppendResponse(leader.term, AppendStatus.OK, LogIndex(4), life=10**6))

    assert leader.followers()[NodeId(3)].state is ProgressState.REPLICATE
    assert leader.followers()[NodeId(3)].next == 5


def test_a_chunk_response_of_no_follower_is_ignored() -> None:
    stage = lagging()
    leader = stage.running(1)
    newest = stage.members[1].disk.shelf.newest
    assert newest is not None
    before = leader.followers()[NodeId(2)].state
    for sender in (2, 9):
        leader.step(NodeId(sender), ChunkResponse(leader.term, newest.index, newest.checksum, 4))

    assert leader.followers()[NodeId(2)].state is before is ProgressState.REPLICATE


def test_the_receiver_becomes_leader_with_the_snapshot_it_got() -> None:
    stage = lagging("stabilize", "propose 1 sit", "stabilize", "crash 2")
    act(stage, "transfer 1 3", "stabilize", "wipe 2", "restart 2")
    for _ in range(3):
        act(stage, "tick 3 2", "stabilize")

    assert stage.running(3).role is Role.LEADER
    assert stage.members[2].words == ["lorem", "ipsum", "dolor", "sit"]
    assert stage.running(2).log.base.index == 4
