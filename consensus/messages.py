"""What members say to each other. Owns the meaning of the messages; `codec` owns their bytes.

Every message is sent by one node to one node; who sent it is known from the channel, so no
message names its sender. `term` is the sender's term, durable at the sender (but in requests for
reads), except in a vote request. How far it is believed is a matter of `terms`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias

import msgspec

from consensus.membership import AnyNode
from consensus.receipts import Receipt, Seal
from consensus.snapshot import AnyIndex, AnyTerm, Hash, Snapshot
from consensus.types import Entry, LogIndex, Term

CHUNK_BYTES_MAX = 4 * 1_048_576
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message whose fields are its wire format."""


class VoteRequest(_Message, frozen=True, tag=1):
    """Asks for a vote (Raft paper, section 5.2) or whether one would be given (PreVote)."""

    term: AnyTerm
    """The term campaigned for: the sender's own, or one more in a pre-vote."""
    pre: bool
    last_index: AnyIndex
    last_term: AnyTerm
    floor_index: AnyIndex
    floor_hash: Hash
    """The sender's entry at `floor_index`: shows that it holds what the voter protects."""


class VoteResponse(_Message, frozen=True, tag=2):
    """Answers a vote request."""

    term: AnyTerm
    campaign: AnyTerm
    """The term of the request."""
    pre: bool
    granted: bool
    floor: AnyIndex
    """What the voter protects. A candidate refused for it may ask once more with that entry."""


class AppendRequest(msgspec.Struct, frozen=True):
    """Entries to follow `prev`, or none: then it tells the commit index and tests the match."""

    term: Term
    prev_index: LogIndex
    prev_term: Term
    prev_hash: bytes
    commit: LogIndex
    """The leader's commit index."""
    entries: tuple[Entry, ...]


class AppendStatus(IntEnum):
    """The outcome of an append."""

    OK = 0
    """Everything up to `index` is durable at the follower and equal to the leader's log."""
    MISMATCH = 1
    """The follower has no such entry at `index`; the hint says where to try next."""
    REFUSED = 2
    """As OK, but the entry after `index` was refused by the follower's authority for now."""


class AppendResponse(_Message, frozen=True, tag=4):
    """Answers an append, and the end of a snapshot."""

    term: AnyTerm
    status: AppendStatus
    index: AnyIndex
    hint_index: AnyIndex = LogIndex(0)
    """In a mismatch: the last index below `index` whose term is not above the leader's there."""
    hint_term: AnyTerm = Term(0)
    counted: bool = True
    """False from a suspect follower: its disk lost something before, so what it stores now must
    not make a quorum until it has caught up."""
    life: _Count = 0
    """Of the follower's process, greater at each start: what an earlier one said is out of date."""
    seal: Seal = b""
    """Of OK and REFUSED: shown back to the follower, see `receipts`."""


class Heartbeat(_Message, frozen=True, tag=5):
    """The leader lives. Sent without regard to any disk."""

    term: AnyTerm
    commit: AnyIndex
    last_index: AnyIndex
    """End of the leader's log: what a suspect follower must reach before it is trusted again."""
    round: _Count = 0
    """Counts rounds of reads (thesis, 6.4); an answer confirms leadership for its round."""
    heir: AnyNode | None = None
    """Who may campaign although this leader is fresh: leadership is handed over to it. Said here,
    to every voter, and not by the candidate, who may lie."""
    life: _Count = 0
    """The newest life of the receiver that the sender has heard of: shows a suspect follower that
    this was made after its loss."""
    held: Receipt | None = None
    """The most that the receiver has acknowledged to this leader."""


class HeartbeatResponse(_Message, frozen=True, tag=6):
    """Answers a heartbeat once the follower's term is durable."""

    term: AnyTerm
    round: _Count = 0
    counted: bool = True
    """False from a suspect follower, as in an `AppendResponse`: it may have forgotten a vote for
    another leader, so it confirms none."""
    life: _Count = 0
    """As in an `AppendResponse`."""
    until: AnyIndex = LogIndex(0)
    """From a suspect follower that knows what it must reach: the index of that entry."""


class TimeoutNow(_Message, frozen=True, tag=7):
    """The leader hands over: campaign at once (thesis, 3.10)."""

    term: AnyTerm


class ReadIndexRequest(_Message, frozen=True, tag=8):
    """A follower asks for an index at which reads are linearizable (thesis, 6.4)."""

    term: AnyTerm
    ticket: _Count
    """Unique over all lives of the asker, so that an old answer is never taken for a new one."""


class ReadIndexResponse(_Message, frozen=True, tag=9):
    """Answers with the leader's commit index, confirmed by a quorum after the request came."""

    term: AnyTerm
    ticket: _Count
    index: AnyIndex


class SnapshotChunk(_Message, frozen=True, tag=10):
    """A part of a snapshot; without data it only offers the snapshot."""

    term: AnyTerm
    snapshot: Snapshot
    offset: _Count
    data: Annotated[bytes, msgspec.Meta(max_length=CHUNK_BYTES_MAX)]


class ChunkResponse(_Message, frozen=True, tag=11):
    """How much of a snapshot is durable at the follower: send from there."""

    term: AnyTerm
    index: AnyIndex
    """Index of the snapshot."""
    checksum: Hash
    offset: _Count
    refused: bool = False
    """This snapshot will not be installed: its membership lacks the follower."""


class TermRequest(_Message, frozen=True, tag=12):
    """Asks which term the receiver holds: somebody claims one that is not explained."""

    term: AnyTerm


class TermResponse(_Message, frozen=True, tag=13):
    """Answers with the receiver's durable term."""

    term: AnyTerm


Message: TypeAlias = (
    VoteRequest
    | VoteResponse
    | AppendRequest
    | AppendResponse
    | Heartbeat
    | HeartbeatResponse
    | TimeoutNow
    | ReadIndexRequest
    | ReadIndexResponse
    | SnapshotChunk
    | ChunkResponse
    | TermRequest
    | TermResponse
)
