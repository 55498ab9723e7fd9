"""What voters say to each other. Owns the meaning of the messages; `codec` owns their bytes.

Every message is sent by one voter to one voter; who sent it is known from the channel, so no
message names its sender. `term` is the sender's term, except in a vote request.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias

import msgspec

from consensus.types import Entry, LogIndex, Term

_NUMBER_MAX = 2**62
AnyTerm: TypeAlias = Annotated[Term, msgspec.Meta(ge=0, le=_NUMBER_MAX)]
AnyIndex: TypeAlias = Annotated[LogIndex, msgspec.Meta(ge=0, le=_NUMBER_MAX)]
Hash: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class VoteRequest(msgspec.Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    """Asks for a vote (Raft paper, section 5.2) or whether one would be given (PreVote)."""

    term: AnyTerm
    """The term campaigned for: the sender's own, or one more in a pre-vote."""
    pre: bool
    last_index: AnyIndex
    last_term: AnyTerm
    floor_index: AnyIndex
    floor_hash: Hash
    """The sender's entry at `floor_index`: shows that it holds what the voter protects."""


class VoteResponse(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True):
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


class AppendResponse(
    msgspec.Struct, frozen=True, array_like=True, tag=4, forbid_unknown_fields=True
):
    """Answers an append."""

    term: AnyTerm
    status: AppendStatus
    index: AnyIndex
    hint_index: AnyIndex = LogIndex(0)
    """In a mismatch: the last index below `index` whose term is not above the leader's there."""
    hint_term: AnyTerm = Term(0)
    counted: bool = True
    """False from a suspect follower: its disk lost something before, so what it stores now must
    not make a quorum until it has caught up."""


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=5, forbid_unknown_fields=True):
    """The leader lives. Sent and answered without regard to any disk."""

    term: AnyTerm
    commit: AnyIndex
    last_index: AnyIndex
    """End of the leader's log: what a suspect follower must reach before it is trusted again."""


class HeartbeatResponse(
    msgspec.Struct, frozen=True, array_like=True, tag=6, forbid_unknown_fields=True
):
    """Answers a heartbeat."""

    term: AnyTerm


Message: TypeAlias = (
    VoteRequest | VoteResponse | AppendRequest | AppendResponse | Heartbeat | HeartbeatResponse
)
