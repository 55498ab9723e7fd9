"""Messages to bytes and back. Owns the wire format; decides nothing about a message's truth.

    message     MessagePack array [tag, field, …]
    append      [3, term, prev index, prev term, prev hash, commit, [entry, …]]
    entry       [term, index, kind, leader, prev hash, payload, attestation]

An entry is encoded once (`Entry.encoded`) and the bytes are reused for every follower and by the
log store. Decoding checks everything that can be checked without a log: types, ranges, sizes, and
that the entries are one hash chain that starts at `prev`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from consensus.config import ATTESTATION_BYTES_MAX, RaftConfig
from consensus.errors import ProtocolError
from consensus.membership import check_membership, decode_membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
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
from consensus.snapshot import AnyIndex, AnyTerm, Hash
from consensus.types import EntryKind, NodeId

_ENTRIES_MAX = 65_536
"""Bounds the list before its members are looked at; `message_entries_max` is the real limit."""


class _WireAppend(msgspec.Struct, frozen=True, array_like=True, tag=3, forbid_unknown_fields=True):
    term: AnyTerm
    prev_index: AnyIndex
    prev_term: AnyTerm
    prev_hash: Hash
    commit: AnyIndex
    entries: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=_ENTRIES_MAX)]


_encoder = msgspec.msgpack.Encoder()
_WireMessage: TypeAlias = (
    VoteRequest
    | VoteResponse
    | _WireAppend
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
_decoder: msgspec.msgpack.Decoder[_WireMessage] = msgspec.msgpack.Decoder(_WireMessage)


def encode(message: Message) -> bytes:
    """The bytes of `message`."""
    if isinstance(message, AppendRequest):
        return _encoder.encode(
            _WireAppend(
                message.term,
                message.prev_index,
                message.prev_term,
                message.prev_hash,
                message.commit,
                tuple([msgspec.Raw(entry.encoded) for entry in message.entries]),
            )
        )
    return _encoder.encode(message)


def decode(data: bytes, sender: NodeId, config: RaftConfig) -> Message:
    """The message in `data`, sent by `sender`.

    Raises:
        ProtocolError: with a reason; never another error, whatever the bytes.
    """
    if len(data) > config.wire_bytes_max:
        raise ProtocolError(f"a message of {len(data)} bytes")
    try:
        message = _decoder.decode(data)
        if isinstance(message, SnapshotChunk):
            _check_chunk(message)
        if not isinstance(message, _WireAppend):
            return message
        if len(message.entries) > config.message_entries_max:
            raise ProtocolError(f"an append of {len(message.entries)} entries")
        decode_entry = config.entries.decode
        entries = tuple([decode_entry(bytes(raw)) for raw in message.entries])
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeError) as error:
        raise ProtocolError(f"not a message: {error}") from error
    append = AppendRequest(
        term=message.term,
        prev_index=message.prev_index,
        prev_term=message.prev_term,
        prev_hash=message.prev_hash,
        commit=message.commit,
        entries=entries,
    )
    _check_entries(append, sender, config)
    return append


def _check_chunk(chunk: SnapshotChunk) -> None:
    snapshot = chunk.snapshot
    try:
        check_membership(snapshot.membership)
    except ValueError as error:
        raise ProtocolError(f"a snapshot with no membership: {error}") from error
    if not 0 < snapshot.term <= chunk.term or snapshot.index == 0:
        raise ProtocolError("a snapshot of no entry")
    if chunk.offset + len(chunk.data) > snapshot.size:
        raise ProtocolError("a chunk beyond the end of its snapshot")


def _check_entries(append: AppendRequest, sender: NodeId, config: RaftConfig) -> None:
    index, term, prev_hash = append.prev_index, append.prev_term, append.prev_hash
    if term > append.term or (index == 0) != (term == 0):
        raise ProtocolError("previous term out of range")
    for entry in append.entries:
        index += 1  # type: ignore[assignment]
        if entry.index != index or not max(term, 1) <= entry.term <= append.term:
            raise ProtocolError(f"entry {index} is out of order")
        if entry.prev_hash != prev_hash:
            raise ProtocolError(f"entry {index} is not chained to the entry before")
        if entry.term == append.term and entry.leader != sender:
            raise ProtocolError(f"entry {index} is of this term but not of its sender")
        if (
            len(entry.payload) > config.payload_bytes_max
            or len(entry.attestation) > ATTESTATION_BYTES_MAX
            or (entry.kind is EntryKind.NOOP and entry.payload)
        ):
            raise ProtocolError(f"entry {index} is too large")
        if entry.kind is EntryKind.MEMBERSHIP:
            try:
                decode_membership(entry.payload)
            except ValueError as error:
                raise ProtocolError(f"entry {index} holds no membership: {error}") from error
        term, prev_hash = entry.term, entry.hash
