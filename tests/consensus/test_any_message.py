"""Any message, with any values, from one member that lies and from strangers: nothing breaks.

The core is one honest voter of four. Entries are what an authority lets through: chained, and no
membership. Values are the core's own, a step beside them, or at the ends of what travels.
"""

from __future__ import annotations

import contextlib
import random  # noqa: TID251 - seeded

import pytest

from consensus.codec import decode, encode
from consensus.core.raft import RaftCore
from consensus.core.snapshot_transfer import ChunkWrite
from consensus.errors import ConsensusError, ProtocolError
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotChunk,
    TermRequest,
    TermResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.receipts import Receipt
from consensus.snapshot import Snapshot
from consensus.types import ZERO_HASH, Entry, EntryKind, LogIndex, NodeId, Term
from tests.consensus.lab import chain, make_core

LIAR = NodeId(1)
SENDERS = (LIAR, LIAR, LIAR, NodeId(7), NodeId(2**32 - 1))
LAST = 2**62
STEPS = 400
VOTERS = Membership(tuple(NodeId(n) for n in range(4)))


class Liar:
    """Draws messages that look at what the core holds."""

    def __init__(self, core: RaftCore, rng: random.Random) -> None:
        self.core = core
        self.rng = rng

    def index(self) -> LogIndex:
        log = self.core.log
        near = (log.last_index, log.last_index + 1, log.last_index - 1, self.core.commit_index)
        far = (0, 1, LAST, LAST - 1, 2**53, log.last_index + 1_000)
        return LogIndex(max(0, self.rng.choice(near if self.rng.random() < 0.7 else far)))

    def term(self) -> Term:
        term = self.core.term
        others = (term + 1, term + 2, term - 1, term + 2**20, LAST, LAST - 1, 0)
        return Term(term if self.rng.random() < 0.6 else max(0, self.rng.choice(others)))

    def hash(self) -> bytes:
        log = self.core.log
        there = log.hash_at(self.rng.randint(log.base.index, log.last_index))
        return self.rng.choice((there, there, ZERO_HASH, b"\x07" * 32))

    def count(self) -> int:
        return self.rng.choice((0, 1, 2, LAST))

    def flag(self) -> bool:
        return self.rng.random() < 0.7

    def append(self, sender: NodeId) -> AppendRequest:
        log, prev, term = self.core.log, self.index(), self.term()
        there = log.base.index <= prev <= log.last_index
        prev_hash = log.hash_at(prev) if there else self.hash()
        prev_term = log.term_at(prev) if there else Term(min(term, self.core.term))
        entries: list[Entry] = []
        last = (max(prev_term, 1), prev_hash)
        for place in range(self.rng.choice((0, 1, 2, 5))):
            of_term = Term(max(last[0], min(term, self.rng.choice((last[0], term)))))
            leader = sender if of_term == term else NodeId(self.rng.randrange(4))
            kind = self.rng.choice((EntryKind.DATA, EntryKind.DATA, EntryKind.NOOP))
            payload = b"" if kind is EntryKind.NOOP else self.rng.randbytes(3)
            index = LogIndex(prev + 1 + place)
            entries.append(Entry(of_term, index, kind, leader, last[1], payload, b"signed"))
            last = (of_term, entries[-1].hash)
        return AppendRequest(term, prev, prev_term, prev_hash, self.index(), tuple(entries))

    def snapshot(self) -> Snapshot:
        index, term = LogIndex(max(1, self.index())), Term(max(1, self.core.term))
        size = self.rng.choice((0, 1, 100, 2**40))
        return Snapshot(index, term, self.hash(), VOTERS, size, self.hash())

    def message(self, sender: NodeId) -> Message:
        rng, term, index, count, flag = self.rng, self.term, self.index, self.count, self.flag
        own, status = self.core.term, rng.choice(list(AppendStatus))
        receipt = rng.choice((None, Receipt(count(), index(), self.hash(), b"s" * 16)))
        heir = rng.choice((None, NodeId(0), LIAR, NodeId(2**32 - 1)))
        campaign = Term(rng.choice((own, own + 1)))
        made: tuple[Message, ...] = (
            self.append(sender),
            self.append(sender),
            VoteRequest(term(), flag(), index(), term(), index(), self.hash()),
            VoteResponse(term(), campaign, flag(), flag(), index()),
            AppendResponse(term(), status, index(), index(), term(), flag(), count(), b"s" * 16),
            Heartbeat(term(), index(), index(), count(), heir, count(), receipt),
            HeartbeatResponse(term(), count(), flag(), count(), index()),
            TimeoutNow(term()),
            ReadIndexRequest(term(), count()),
            ReadIndexResponse(term(), count(), index()),
            SnapshotChunk(term(), self.snapshot(), rng.choice((0, 1, 50)), b"a" * count_few(rng)),
            ChunkResponse(term(), index(), self.hash(), index(), not flag()),
            TermRequest(term()),
            TermResponse(term()),
        )
        return rng.choice(made)


def count_few(rng: random.Random) -> int:
    return rng.choice((0, 1, 50))


def turn(core: RaftCore, rng: random.Random, writes: list[int], parts: list[ChunkWrite]) -> None:
    """What a driver does between messages, its disk and its snapshot store being slow."""
    ready = core.ready()
    for _, message in ready.messages:
        decode(encode(message), NodeId(0), core.state.config)
    writes += [] if ready.write is None else [ready.write.seq]
    parts += ready.chunk_writes
    if writes and rng.random() < 0.8:
        core.on_persisted(writes.pop(0))
    if parts and rng.random() < 0.8:
        part = parts.pop(0)
        core.on_chunk_written(part, part.snapshot.size, ok=False)  # no liar has a true one
    for request in ready.log_reads:
        core.on_read(request, [])
    for wanted in ready.chunk_reads:
        core.on_chunk_read(wanted, None)


def work(core: RaftCore, rng: random.Random) -> None:
    """What an embedder asks for."""
    wanted = rng.randrange(5)
    with contextlib.suppress(ConsensusError):
        if wanted == 0:
            core.propose(b"work", core.term)
        elif wanted == 1:
            core.read_index(rng.randrange(9), 0.0)
        elif wanted == 2:
            core.transfer()
        elif wanted == 3:
            core.protect(core.commit_index)
        else:
            core.compact(core.commit_index)


@pytest.mark.parametrize("seed", range(150))
def test_a_member_that_says_anything_breaks_nobody(seed: int) -> None:
    rng = random.Random(seed)
    log = chain(*sorted(rng.choices((1, 2, 3), k=rng.choice((0, 1, 5, 30)))))
    core = make_core(0, 4, log, suspect=rng.random() < 0.2, limits={"liars_max": 1})
    liar, first_term = Liar(core, rng), core.term
    writes: list[int] = []
    parts: list[ChunkWrite] = []
    for _ in range(STEPS):
        choice = rng.random()
        if choice < 0.6:
            sender = rng.choice(SENDERS)
            try:
                message = decode(encode(liar.message(sender)), sender, core.state.config)
            except ProtocolError:
                continue
            core.step(sender, message)
        elif choice < 0.75:
            core.tick()
        elif choice < 0.8:
            work(core, rng)
        else:
            turn(core, rng, writes, parts)
        assert core.commit_index <= core.log.last_index
        assert core.roles.follower.matched <= core.log.last_index or core.leader is None
    assert core.term <= first_term + STEPS, "a step each at most"
