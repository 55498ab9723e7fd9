"""The two-slot marker file. Owns what this node promised, apart from the log's own file.

SQLite ignores the damaged end of a WAL without a word, and a restored backup looks healthy. So
term, vote and the end of the log are also written here, and synced before any acknowledgement or
vote leaves the node. What the embedder promised may be kept in the same file, as `extra`: this
module cannot read it.

    file        slot 0 (4,096 bytes) ‖ slot 1 (4,096 bytes)
    slot        "RFMARK01" ‖ CRC-32 of the rest (4) ‖ generation (8) ‖ length (4) ‖ MessagePack

A write goes to the slot of the older generation, so a crash in the middle of it leaves the other
one whole. The log store and the embedder write from threads of their own; a lock orders them.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
import zlib
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Self

import msgspec

from consensus.errors import ConsensusError
from consensus.snapshot import AnyIndex, AnyTerm, Hash
from consensus.types import ZERO_HASH, HardState, LogIndex, NodeId, Term

SLOT_BYTES = 4_096
EXTRA_BYTES_MAX = 3_584
_MAGIC = b"RFMARK01"
_HEAD = struct.Struct(">8sIQI")
_CONTENT_BYTES_MAX = SLOT_BYTES - _HEAD.size
_FULL = (errno.ENOSPC, errno.EDQUOT)
CRC_AT = 8
"""Place of the checksum in a slot; what it covers follows."""
_CRC_FROM = CRC_AT + 4


class Condition(IntEnum):
    """In what state the file was found."""

    OK = 0
    MISSING = 1
    """No file, or an empty one."""
    TORN = 2
    """One slot cannot be read; the contents are the other's, possibly one write old."""
    DAMAGED = 3
    """No slot can be read."""


class Promises(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The contents of the marker."""

    term: AnyTerm = Term(0)
    vote: NodeId | None = None
    last_index: AnyIndex = LogIndex(0)
    """End of the log; its base when it is empty."""
    last_hash: Hash = ZERO_HASH
    suspect: bool = False
    """The log was found to have lost something, and the node has not caught up since."""
    extra: Annotated[bytes, msgspec.Meta(max_length=EXTRA_BYTES_MAX)] = b""
    """The embedder's."""

    @property
    def hard_state(self) -> HardState:
        """Term and vote."""
        return HardState(self.term, self.vote)


class MarkerError(ConsensusError):
    """The marker cannot be written; nothing may be promised any more."""


class MarkerFullError(MarkerError):
    """There was no room for a write: nothing of it is noted, and a later one may succeed."""


class Marker:
    """The open file. Thread-safe. Made by `Marker.open`."""

    def __init__(
        self, descriptor: int, condition: Condition, generation: int, promises: Promises
    ) -> None:
        self.condition = condition
        self._descriptor = descriptor
        self._generation = generation
        self._promises = promises
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at `path`, or make it; its folder must exist.

        Raises:
            OSError: when the file cannot be opened or made.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a FIFO, /dev/null
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        data = os.pread(descriptor, 2 * SLOT_BYTES, 0)
        _sync_folder(path.parent)
        return cls(descriptor, *decode_marker(data))

    @property
    def generation(self) -> int:
        """Counts the writes."""
        return self._generation

    @property
    def promises(self) -> Promises:
        """What was last written."""
        return self._promises

    def record_log(
        self, hard_state: HardState, last_index: LogIndex, last_hash: bytes, *, suspect: bool
    ) -> None:
        """Note the hard state and the end of the log; durable when this returns.

        Raises:
            MarkerFullError: when there is no room; it may be tried again.
            MarkerError: when that is not certain; every later write is then refused.
        """
        with self._lock:
            term, vote, extra = hard_state.term, hard_state.vote, self._promises.extra
            self._write(
                Promises(
                    term=term,
                    vote=vote,
                    last_index=last_index,
                    last_hash=last_hash,
                    suspect=suspect,
                    extra=extra,
                )
            )

    def record_extra(self, extra: bytes) -> None:
        """Note the embedder's own promises; durable when this returns.

        Raises:
            MarkerFullError: when there is no room; it may be tried again.
            MarkerError: when that is not certain; every later write is then refused.
            ValueError: when `extra` is longer than `EXTRA_BYTES_MAX`; nothing is written.
        """
        if len(extra) > EXTRA_BYTES_MAX:
            raise ValueError(f"{len(extra)} bytes do not fit into the marker")
        with self._lock:
            self._write(msgspec.structs.replace(self._promises, extra=extra))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _write(self, promises: Promises) -> None:
        if self._descriptor < 0:
            raise MarkerError("the marker is closed or has failed")
        content = _encoder.encode(promises)
        assert len(content) <= _CONTENT_BYTES_MAX, "every field is bounded"
        generation = self._generation + 1
        slot = _encode_slot(generation, content)
        try:
            # Generation 1 goes to slot 0, so that an empty slot 1 is a first write, not damage.
            written = os.pwrite(self._descriptor, slot, (generation - 1) % 2 * SLOT_BYTES)
        except OSError as error:
            if error.errno in _FULL:  # said before any sync: what the disk holds is certain
                raise MarkerFullError(f"no room for the marker: {error}") from error
            self._abandon()
            raise MarkerError(f"the marker cannot be written: {error}") from error
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._abandon()
            raise MarkerError(f"the marker cannot be written: {error}") from error
        if written != SLOT_BYTES:
            self._abandon()
            raise MarkerError("the marker was written in part")
        self._generation = generation
        self._promises = promises

    def _abandon(self) -> None:
        # After a failed sync a later success proves nothing, so there is no later write.
        os.close(self._descriptor)
        self._descriptor = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Promises)


def decode_marker(data: bytes) -> tuple[Condition, int, Promises]:
    """Condition, generation and contents of a marker's bytes."""
    slots = [_decode_slot(data[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
    found = [slot for slot in slots if slot is not None]
    if not data:
        return Condition.MISSING, 0, Promises()
    if not found:
        return Condition.DAMAGED, 0, Promises()
    generation, promises = max(found, key=lambda slot: slot[0])
    first_write = generation == 1 and not any(data[SLOT_BYTES:])
    whole = len(found) == 2 or first_write
    return Condition.OK if whole else Condition.TORN, generation, promises


def _encode_slot(generation: int, content: bytes) -> bytes:
    body = struct.pack(">QI", generation, len(content)) + content
    body = body.ljust(SLOT_BYTES - _CRC_FROM, b"\0")
    return _MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def _decode_slot(slot: bytes) -> tuple[int, Promises] | None:
    if len(slot) != SLOT_BYTES or not slot.startswith(_MAGIC):
        return None
    _, crc, generation, length = _HEAD.unpack_from(slot)
    if zlib.crc32(slot[_CRC_FROM:]) != crc or length > _CONTENT_BYTES_MAX:
        return None
    try:
        return generation, _decoder.decode(slot[_HEAD.size : _HEAD.size + length])
    except msgspec.MsgspecError:
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
