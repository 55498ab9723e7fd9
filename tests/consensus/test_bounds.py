"""What one peer can cause by asking again and again: work and memory have a bound and a pace."""

from __future__ import annotations

from consensus.codec import encode
from consensus.core.raft import RaftCore
from consensus.core.snapshot_transfer import Outgoing
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotChunk,
    VoteRequest,
    VoteResponse,
)
from consensus.snapshot import Snapshot
from consensus.types import ZERO_HASH, LogIndex, NodeId, Role, Term
from tests.consensus.lab import Lab, chain, make_core
from tests.consensus.letters import heartbeat

LIAR = NodeId(2)
WINDOW = 40_000


def leading(entries: int = 200) -> Lab:
    """0 leads three, 2 lies; the log is longer than a window."""
    lab = Lab(3, window_bytes=WINDOW, message_bytes_max=4_000)
    lab.elect(0)
    for n in range(entries):
        lab.propose(0, b"%200d" % n)
    lab.settle()
    return lab


def sent_to_liar(core: RaftCore) -> int:
    """Bytes that go to the liar now."""
    ready = core.ready()
    if ready.write is not None:
        core.on_persisted(ready.write.seq)
    return sum(
        len(encode(message))
        for to, message in ready.messages
        if to == LIAR and isinstance(message, AppendRequest)
    )


def holds_nothing(core: RaftCore) -> None:
    """The liar has restarted and says that its disk is empty: it needs a snapshot."""
    core.step(LIAR, HeartbeatResponse(core.term, life=1))
    at = LogIndex(core.followers()[LIAR].next - 1)
    core.step(LIAR, AppendResponse(core.term, AppendStatus.MISMATCH, at, life=1))


def test_new_lives_make_no_more_than_one_entry_in_an_election_timeout() -> None:
    """Each of them asks for an entry that is made after its loss."""
    core = leading().cores[0]
    before = core.log.last_index
    for life in range(1, 20_000):
        wanted = LogIndex(core.log.last_index + 1)
        core.step(LIAR, HeartbeatResponse(core.term, counted=False, life=life, until=wanted))
    assert core.log.last_index <= before + 1

    for _ in range(30):
        core.tick()
        wanted = LogIndex(core.log.last_index + 1)
        core.step(LIAR, HeartbeatResponse(core.term, counted=False, life=9**9, until=wanted))
        core.step(NodeId(1), HeartbeatResponse(core.term))
    assert core.log.last_index <= before + 4


def test_new_lives_get_no_window_again_and_again() -> None:
    core = leading().cores[0]
    sent = 0
    for life in range(1, 1_000):
        core.step(LIAR, HeartbeatResponse(core.term, life=life))
        sent += sent_to_liar(core)
        core.step(LIAR, AppendResponse(core.term, AppendStatus.OK, LogIndex(1), life=life))
        sent += sent_to_liar(core)

    assert sent < 4 * WINDOW


def test_mismatches_get_no_window_again_and_again() -> None:
    """Of its own log a follower may say what it likes; not all of it has to be sent each time."""
    core = leading().cores[0]
    core.step(LIAR, HeartbeatResponse(core.term, life=1))  # what was matched is forgotten
    sent = 0
    for _ in range(1_000):
        at = core.followers()[LIAR].next - 1
        core.step(LIAR, AppendResponse(core.term, AppendStatus.MISMATCH, LogIndex(at), life=1))
        sent += sent_to_liar(core)
        core.step(LIAR, AppendResponse(core.term, AppendStatus.OK, LogIndex(1), life=1))
        sent += sent_to_liar(core)

    assert sent < 4 * WINDOW


def test_answers_to_one_heartbeat_ask_for_one_append() -> None:
    lab = leading()
    core = lab.cores[0]
    lab.propose(0)
    core.step(LIAR, AppendResponse(core.term, AppendStatus.REFUSED, LogIndex(10)))
    sent = 0
    for _ in range(1_000):
        core.step(LIAR, HeartbeatResponse(core.term))
        sent += sent_to_liar(core)

    assert sent <= 5_000


def test_an_honest_follower_that_lost_a_window_has_it_again_at_the_next_heartbeat() -> None:
    lab = leading()
    lab.down = {2}
    for _ in range(50):
        lab.propose(0)
    lab.settle()
    lab.down = set()
    lab.tick(0, 2)
    lab.settle()

    assert lab.cores[2].log.last_index == lab.cores[0].log.last_index


def test_a_refused_snapshot_is_made_anew_once_and_then_at_a_pace() -> None:
    lab = leading()
    core = lab.cores[0]
    members = Membership((NodeId(0), NodeId(1), NodeId(2)))

    def make_snapshot() -> None:
        at = core.position(core.commit_index)
        core.snapshot_made(Snapshot(at.index, at.term, at.hash, members, 3, ZERO_HASH))

    lab.down = {2}
    make_snapshot()
    core.compact(core.commit_index)
    holds_nothing(core)
    made = 0
    for _ in range(300):
        lab.tick(0)
        if core.ready().snapshot_wanted:
            make_snapshot()
            made += 1
        snapshot = core.followers()[LIAR].snapshot
        if snapshot is not None:
            name = snapshot.snapshot
            answer = ChunkResponse(core.term, name.index, name.checksum, 0, refused=True)
            core.step(LIAR, answer)
        core.step(LIAR, HeartbeatResponse(core.term, life=1))
        lab.propose(0)
        lab.settle()

    assert 1 <= made <= 3


def test_an_idle_leader_makes_an_entry_when_its_snapshot_serves_nobody() -> None:
    """Its store has lost the snapshot, and nothing newer can be captured: a follower would wait."""
    lab = leading()
    core = lab.cores[0]
    at = core.position(core.commit_index)
    snapshot = Snapshot(
        at.index, at.term, at.hash, Membership((NodeId(0), NodeId(1), LIAR)), 3, ZERO_HASH
    )
    core.snapshot_made(snapshot)
    core.compact(core.commit_index)
    holds_nothing(core)
    core.ready()
    held = ChunkResponse(core.term, snapshot.index, snapshot.checksum, 0)
    core.step(LIAR, held)
    (read,) = core.ready().chunk_reads
    core.on_chunk_read(read, None)
    before = core.log.last_index
    for _ in range(20):
        lab.tick(0)
        core.step(LIAR, HeartbeatResponse(core.term, life=1))
        lab.settle()

    assert before < core.log.last_index <= before + 3
    assert core.ready().snapshot_wanted, "now there is a later state to capture"


def test_a_chunk_is_not_sent_for_each_byte() -> None:
    log = chain(1)
    snapshot = Snapshot(
        LogIndex(1), Term(1), log[0].hash, Membership((NodeId(0), LIAR)), 1 << 20, ZERO_HASH
    )
    outgoing = Outgoing(LIAR, snapshot)
    outgoing.offer(Term(1))
    outgoing.held(0)
    chunks: list[SnapshotChunk] = []
    for offset in range(1, 1_000):
        reads = outgoing.next_read(Term(1), 65_536)
        chunks += [outgoing.chunk(Term(1), bytes(read.size)) for read in reads]
        outgoing.held(offset)
    assert len(chunks) == 1

    outgoing.held(65_536)
    assert outgoing.next_read(Term(1), 65_536)[0].offset == 65_536


def test_reads_of_one_member_or_of_strangers_leave_room_for_the_others() -> None:
    lab = leading(1)
    core = lab.cores[0]
    for ticket in range(10_000):
        core.step(LIAR, ReadIndexRequest(core.term, ticket))
        core.step(NodeId(99), ReadIndexRequest(core.term, ticket))
    core.step(NodeId(1), ReadIndexRequest(core.term, 1))
    core.read_index(7, 0.0)
    lab.collect(0)
    lab.deliver()
    lab.deliver()
    answered = {to for _, to, message in lab.mail if isinstance(message, ReadIndexResponse)}

    assert answered == {1, 2}, "and no stranger is answered"


def test_votes_that_are_asked_for_again_do_not_put_off_the_own_campaign() -> None:
    """A candidate that got the vote and asks for it again and again would never have to lead."""
    core = make_core(1)
    request = VoteRequest(Term(1), False, LogIndex(0), Term(0), LogIndex(0), ZERO_HASH)
    for _ in range(40):
        core.tick()
        core.step(NodeId(2), request)
        core.ready()

    assert core.role is Role.PRE_CANDIDATE


def test_who_may_not_campaign_does_not_take_a_dead_leader_for_fresh() -> None:
    """At each of its own timeouts it did, and refused its vote to who campaigned meanwhile."""
    core = make_core(1, entries=chain(1), protected=5)  # it lacks what it protects
    core.step(NodeId(0), heartbeat(1))
    soon_after_its_timeout = 15
    for _ in range(soon_after_its_timeout):
        core.tick()
        core.ready()
    core.step(NodeId(2), VoteRequest(Term(2), True, LogIndex(9), Term(1), LogIndex(5), ZERO_HASH))
    (answer,) = [m for _, m in core.ready().messages if isinstance(m, VoteResponse)]

    assert answer.granted
