"""The vocabulary of the package: identifiers, entries, hard state. No behaviour but hashing."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, ClassVar, NewType, Protocol

import msgspec
from typing_extensions import override

NodeId = NewType("NodeId", int)
"""A member's number, below 2^32. Never reused for another node, nor for the same one with an empty
disk: who lost its disk says so (`Recovered.suspect`) or comes back as somebody else."""
Term = NewType("Term", int)
"""Raft term, from 1; 0 means none yet."""
LogIndex = NewType("LogIndex", int)
"""Position in the log, from 1; 0 is the empty log."""

ZERO_HASH = bytes(32)
ENTRY_TAG = b"raft-entry/v1\n"
"""Of an embedder that has none of its own."""
_TAG_BYTES_MAX = 64


class EntryKind(IntEnum):
    """What an entry carries."""

    NOOP = 0
    """Opened by a new leader (Raft paper, section 8); its payload is empty."""
    DATA = 1
    """One opaque payload of the embedder."""
    MEMBERSHIP = 2
    """A `membership.Membership`, in force from here on."""


_sha256 = hashlib.sha256
_encode = msgspec.msgpack.Encoder().encode
_set = msgspec.structs.force_setattr
_SEVEN_FIELDS = b"\x97"
"""Else a peer could supply the fields that follow from the others."""


def _layout(tag: bytes) -> struct.Struct:
    return struct.Struct(f">{len(tag)}sQQBI32s32s")


class Entry(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, eq=False
):
    """One log entry. Entries are chained: `prev_hash` is the hash of the entry before.

    The last three fields follow from the others and are not on the wire. An entry has no
    `__dict__` and is not looked at by the garbage collector, because a leader holds tens of
    thousands of them.
    """

    term: Annotated[Term, msgspec.Meta(ge=0, le=2**62)]
    index: Annotated[LogIndex, msgspec.Meta(ge=0, le=2**62)]
    kind: EntryKind
    leader: Annotated[NodeId, msgspec.Meta(ge=0, lt=2**32)]
    """The leader that created the entry; its attestation is verified under this node's key."""
    prev_hash: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    payload: bytes
    attestation: bytes
    """The embedder's signature over `header`; opaque here (see `ports.Authority`)."""
    payload_hash: bytes = b""
    """SHA-256 of the payload."""
    hash: bytes = b""
    """SHA-256 of the header; the next entry's `prev_hash`. Logs match on it."""
    encoding: bytes = b""
    """See `encoded`."""
    tag: ClassVar[bytes] = ENTRY_TAG
    """What is hashed first: see `EntryFormat`."""
    layout: ClassVar[struct.Struct] = _layout(ENTRY_TAG)
    """Of the header."""

    def __post_init__(self) -> None:
        if not self.hash:
            payload_hash = _sha256(self.payload).digest()
            header = self.layout.pack(
                self.tag,
                self.term,
                self.index,
                self.kind,
                self.leader,
                self.prev_hash,
                payload_hash,
            )
            _set(self, "payload_hash", payload_hash)
            _set(self, "hash", _sha256(header).digest())

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.encoded == other.encoded

    __hash__ = None  # type: ignore[assignment]

    @property
    def header(self) -> bytes:
        """The bytes that name this entry and its place: tag, term, index, kind, leader, hashes."""
        return self.layout.pack(
            self.tag,
            self.term,
            self.index,
            self.kind,
            self.leader,
            self.prev_hash,
            self.payload_hash,
        )

    @property
    def encoded(self) -> bytes:
        """The entry as MessagePack, made once: the wire and log stores carry these bytes."""
        if not self.encoding:
            wire = (
                self.term,
                self.index,
                self.kind,
                self.leader,
                self.prev_hash,
                self.payload,
                self.attestation,
            )
            _set(self, "encoding", _encode(wire))
        return self.encoding


class EntryFormat:
    """Entries of one embedder: what is hashed and attested begins with its tag.

    So an entry, or what somebody signed of it, is never taken for one of another program, or of
    another version of its payloads. All members, and each store of theirs, have the same.
    """

    def __init__(self, tag: bytes = ENTRY_TAG) -> None:
        """Bind entries to `tag`.

        Raises:
            ValueError: when it is empty or longer than 64 bytes.
        """
        if not 0 < len(tag) <= _TAG_BYTES_MAX:
            raise ValueError("a tag has 1 to 64 bytes")
        self.tag = tag
        self._layout = _layout(tag)
        self.entry_type = Entry
        """What its entries are made of."""
        if tag != ENTRY_TAG:
            own: dict[str, object] = {"tag": tag, "layout": self._layout}
            made = msgspec.defstruct("Entry", [], bases=(Entry,), namespace=own)
            assert issubclass(made, Entry)
            self.entry_type = made
        self._decoder = msgspec.msgpack.Decoder(self.entry_type)

    def header(
        self, term: int, index: int, kind: int, leader: int, prev_hash: bytes, payload_hash: bytes
    ) -> bytes:
        """The header of an entry with these fields: tag, 8 + 8 + 1 + 4 + 32 + 32 bytes."""
        return self._layout.pack(self.tag, term, index, kind, leader, prev_hash, payload_hash)

    def make(
        self,
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
        header = self._layout.pack(self.tag, term, index, kind, leader, prev_hash, payload_hash)
        attestation = attest(header)
        return self.entry_type(
            term,
            index,
            kind,
            leader,
            prev_hash,
            payload,
            attestation,
            payload_hash,
            _sha256(header).digest(),
            _encode((term, index, kind, leader, prev_hash, payload, attestation)),
        )

    def decode(self, data: bytes) -> Entry:
        """The entry in `data`, which it keeps as its encoding.

        Raises:
            msgspec.MsgspecError: when the bytes are no entry.
        """
        if data[:1] != _SEVEN_FIELDS:
            raise msgspec.ValidationError("an entry is an array of seven")
        entry = self._decoder.decode(data)
        _set(entry, "encoding", data)
        return entry


ENTRY_FORMAT = EntryFormat()
"""Of an embedder that has no tag of its own."""


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
