"""Snapshots on their way, both ends. Owns what was sent, what is held, and what comes next; pure.

    leader      offers the snapshot (a chunk without data)
    follower    asks its store, answers how much it holds: bytes of an earlier attempt count
    leader      sends the chunk from there, and so on, one at a time
    follower    has all: its store checks them; then the log is reset to the snapshot and the
                answer is that of an append: everything up to its index is durable here

    `Outgoing`:  unknown ──offer──▶ offered ──held──▶ due ──next_read──▶ reading ──chunk──▶ sent
                    ▲                  │               ▲                                     │
                    │                  │               └──────────────── held ───────────────┤
                    └── `nudge`: two heartbeats answered, and nothing else was heard ────────┘

A lost message shows when a heartbeat is answered twice without progress: the offer is repeated.
"""

from __future__ import annotations

import msgspec

from consensus.messages import ChunkResponse, SnapshotChunk
from consensus.snapshot import Snapshot
from consensus.types import NodeId, Term


class ChunkRead(msgspec.Struct, frozen=True):
    """A part of a snapshot that a follower needs. Answer with `RaftCore.on_chunk_read`."""

    follower: NodeId
    term: Term
    snapshot: Snapshot
    offset: int
    size: int


class ChunkWrite(msgspec.Struct, frozen=True):
    """A part of an arriving snapshot (or none: then only a question) for the snapshot store.

    Answer with `RaftCore.on_chunk_written`.
    """

    leader: NodeId
    term: Term
    snapshot: Snapshot
    offset: int
    data: bytes


class Outgoing:
    """A snapshot that a leader sends to one follower."""

    def __init__(self, follower: NodeId, snapshot: Snapshot) -> None:
        self._follower = follower
        self.snapshot = snapshot
        self.reading: ChunkRead | None = None
        self._offset: int | None = None
        """Held by the follower; None while not known."""
        self._sent = 0
        """End of the chunk on its way."""
        self._waiting = False
        """Something is on its way to or from the follower."""
        self._quiet = False
        """A heartbeat was answered, and nothing came since."""

    def answers(self, response: ChunkResponse) -> bool:
        """Whether `response` speaks of this snapshot."""
        return (response.index, response.checksum) == (self.snapshot.index, self.snapshot.checksum)

    def held(self, offset: int) -> None:
        """The follower holds the first `offset` bytes.

        What says nothing new is a duplicate, and what says less than the chunk that was sent wants
        more bytes than it takes: to answer either would start a second stream. If a chunk was lost
        or refused, `nudge` begins again.
        """
        if self._offset is not None and (offset <= self._offset or offset < self._sent):
            return
        self._offset = min(offset, self.snapshot.size)
        self._waiting = self._quiet = False
        self.reading = None

    def nudge(self) -> None:
        """The follower lives; if nothing else was heard since the last time, offer again.

        While this node's own store is asked for a part, nobody else is late.
        """
        if self.reading is not None:
            return
        if self._quiet:
            self._offset = None
            self._sent = 0
            self._waiting = False
        self._quiet = not self._quiet

    def offer(self, term: Term) -> list[SnapshotChunk]:
        """The offer, if it is due."""
        if self._waiting or self._offset is not None:
            return []
        self._waiting = True
        return [SnapshotChunk(term, self.snapshot, 0, b"")]

    def next_read(self, term: Term, chunk_bytes: int) -> list[ChunkRead]:
        """The part to read next, if its turn has come."""
        if self._waiting or self.reading is not None or self._offset is None:
            return []
        size = min(chunk_bytes, self.snapshot.size - self._offset)
        if size <= 0:
            return []  # it has everything and is installing
        self.reading = ChunkRead(
            follower=self._follower,
            term=term,
            snapshot=self.snapshot,
            offset=self._offset,
            size=size,
        )
        return [self.reading]

    def chunk(self, term: Term, data: bytes) -> SnapshotChunk:
        """The message with the part that was read."""
        assert self.reading is not None
        offset = self.reading.offset
        self.reading = None
        self._waiting = True
        self._sent = offset + len(data)
        return SnapshotChunk(term, self.snapshot, offset, data)


class Incoming:
    """The snapshot that a follower receives; one at a time, one part of it at the store."""

    def __init__(self) -> None:
        self._at_store: ChunkWrite | None = None
        self._next: ChunkWrite | None = None

    def take(self, write: ChunkWrite) -> None:
        """A part arrived; while another is at the store, only the newest one waits."""
        self._next = write

    @property
    def waits(self) -> bool:
        """Whether a part has not been at the store yet."""
        return self._next is not None

    def next_write(self) -> list[ChunkWrite]:
        """What goes to the store now."""
        if self._at_store is not None or self._next is None:
            return []
        self._at_store, self._next = self._next, None
        return [self._at_store]

    def written(self, write: ChunkWrite) -> None:
        """The store is done with it."""
        assert self._at_store is write, "one part at a time"
        self._at_store = None

    def abandon(self) -> None:
        """Another leader: what waits is void; what is at the store will be answered."""
        self._next = None
