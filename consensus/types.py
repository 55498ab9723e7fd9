"""The vocabulary of the package: identifiers, entries, hard state. No behaviour but hashing."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import NewType, Protocol

import msgspec

NodeId = NewType("NodeId", int)
"""A member's number, below 2^32. Never reused for another node, nor for the same one with an empty
disk: who lost its disk says so (`Recovered.suspect`) or comes back as somebody else."""
Term = NewType("Term", int)
"""Raft term, from 1; 0 means none yet."""
LogIndex = NewType("LogIndex", int)
"""Position in the log, from 1; 0 is the empty log."""

ZERO_HASH = bytes(32)
_HEADER_TAG = b"piaolian/raft-entry/v1\n"


class EntryKind(IntEnum):
    """What an entry carries."""

    NOOP = 0
    """Opened by a new leader (Raft paper, section 8); its payload is empty."""
    DATA = 1
    """One opaque payload of the embedder."""
    MEMBERSHIP = 2
    """A `membership.Membership`, in force from here on."""


class Entry(msgspec.Struct, frozen=True, array_like=True, dict=True, forbid_unknown_fields=True):
    """One log entry. Entries are chained: `prev_hash` is the hash of the entry before."""

    term: Term
    index: LogIndex
    kind: EntryKind
    leader: NodeId
    """The leader that created the entry; its attestation is verified under this node's key."""
    prev_hash: bytes
    payload: bytes
    attestation: bytes
    """The embedder's signature over `header`; opaque here (see `ports.Authority`)."""

    @cached_property
    def payload_hash(self) -> bytes:
        """SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()

    @cached_property
    def header(self) -> bytes:
        """The bytes that name this entry and its place: tag, term, index, kind, leader, hashes."""
        return header_bytes(
            self.term, self.index, self.kind, self.leader, self.prev_hash, self.payload_hash
        )

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the header; the next entry's `prev_hash`. Logs match on it."""
        return hashlib.sha256(self.header).digest()

    @cached_property
    def encoded(self) -> bytes:
        """The entry as MessagePack, made once: the wire and log stores carry these bytes."""
        return _encoder.encode(self)

    def complete(self) -> None:
        """Fill the hashes in one go: a fifth of what the properties cost one by one."""
        payload_hash = _sha256(self.payload).digest()
        header = _HEADER.pack(
            _HEADER_TAG,
            self.term,
            self.index,
            self.kind,
            self.leader,
            self.prev_hash,
            payload_hash,
        )
        known = self.__dict__
        known["payload_hash"] = payload_hash
        known["header"] = header
        known["hash"] = _sha256(header).digest()


_sha256 = hashlib.sha256
_encoder = msgspec.msgpack.Encoder()
_HEADER = struct.Struct(">23sQQBI32s32s")


def header_bytes(
    term: int, index: int, kind: int, leader: int, prev_hash: bytes, payload_hash: bytes
) -> bytes:
    """The header of an entry with these fields: 23 + 8 + 8 + 1 + 4 + 32 + 32 bytes."""
    return _HEADER.pack(_HEADER_TAG, term, index, kind, leader, prev_hash, payload_hash)


def make_entry(
    term: Term,
    index: LogIndex,
    kind: EntryKind,
    leader: NodeId,
    prev_hash: bytes,
    payload: bytes,
    attest: Callable[[bytes], bytes],
) -> Entry:
    """A new entry with attestation, hashes and encoding, made in one go."""
    payload_hash = _sha256(payload).digest()
    header = _HEADER.pack(_HEADER_TAG, term, index, kind, leader, prev_hash, payload_hash)
    entry = Entry(term, index, kind, leader, prev_hash, payload, attest(header))
    known = entry.__dict__
    known["payload_hash"] = payload_hash
    known["header"] = header
    known["hash"] = _sha256(header).digest()
    known["encoded"] = _encoder.encode(entry)
    return entry


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """What must be durable before a message that depends on it leaves (Raft paper, figure 2)."""

    term: Term = Term(0)
    vote: NodeId | None = None


class Role(IntEnum):
    """The role of a node in its current term."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


class Rng(Protocol):
    """The only source of randomness: election timeouts are drawn from it."""

    def randrange(self, start: int, stop: int) -> int:
        """A number in [start, stop)."""
        ...
