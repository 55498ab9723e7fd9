"""The bytes of a frame: a batch of entries as one record of a log file. Owns its checksums; pure.

    positions   CRC-32 of first index, last index and the rest (4) ‖ previous entry's hash (32)
                ‖ columns, each with one value for every entry:
                terms (8) ‖ hashes (32) ‖ sizes (4) ‖ CRC-32 of records (4) ‖ kinds (1)
    data        records: the entries as consensus encodes them, one after another

Numbers are little-endian. The columns are what makes it cheap: a row, or a call of `struct`, for
each entry would cost more than all other work on it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from consensus.errors import ConsensusError
from consensus.types import Entry, EntryFormat, EntryKind, Term

FRAME_BYTES_MAX = 1_048_576
"""A batch is split here, so that a read of a few entries stays small."""
_PLACE = struct.Struct("<qq")
_COLUMNS_FROM = 4 + 32
_ENTRY_BYTES = 8 + 32 + 4 + 4 + 1


class DamagedLogError(ConsensusError):
    """What is stored is not what was written: the node must stop.

    It may start again; then it is suspect, and other members repair it. Nothing is to be cut by
    hand.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"raft log entry {index}: {reason}" if index else f"raft log: {reason}")
        self.index = index
        """0 when the file as a whole cannot be read."""


class Frame:
    """The positions of one frame."""

    def __init__(self, first: int, last: int, positions: bytes) -> None:
        """Decode.

        Raises:
            ValueError: when they are not what was written for these indexes.
        """
        count = last - first + 1
        if (
            count < 1
            or len(positions) != _COLUMNS_FROM + count * _ENTRY_BYTES
            or _crc(first, last, positions[4:]) != positions[:4]
        ):
            raise ValueError("positions fail their checksum")
        self.first = first
        self.last = last
        self._prev_hash = positions[4:_COLUMNS_FROM]
        hashes = _COLUMNS_FROM + 8 * count
        sizes = hashes + 32 * count
        crcs = sizes + 4 * count
        self._terms: tuple[int, ...] = struct.unpack_from(f"<{count}Q", positions, _COLUMNS_FROM)
        self._hashes = positions[hashes:sizes]
        self._sizes: tuple[int, ...] = struct.unpack_from(f"<{count}I", positions, sizes)
        self._crcs: tuple[int, ...] = struct.unpack_from(f"<{count}I", positions, crcs)
        self._kinds = positions[crcs + 4 * count :]

    @property
    def last_term(self) -> Term:
        """Term of the last entry."""
        return Term(self._terms[-1])

    def hash_at(self, index: int) -> bytes:
        """Hash of the entry at `index`, from the one before the frame to its last."""
        place = index - self.first
        return self._hashes[place * 32 : (place + 1) * 32] if place >= 0 else self._prev_hash

    def positions(self, first: int) -> list[tuple[Term, bytes]]:
        """(term, hash) of the entries from `first` on."""
        start = first - self.first
        hashes = self._hashes
        return [
            (Term(term), hashes[at : at + 32])
            for term, at in zip(
                self._terms[start:], range(32 * start, len(hashes), 32), strict=True
            )
        ]

    def of_kind(self, kind: EntryKind, first: int) -> list[int]:
        """Indexes of the entries of that kind, from `first` on."""
        if kind not in self._kinds:
            return []
        kinds = self._kinds[first - self.first :]
        return [first + place for place, found in enumerate(kinds) if found == kind]

    def follows(self, index: int, term: int, entry_hash: bytes, data_bytes: int) -> bool:
        """Whether it holds what follows that entry, in order, and has as much data as it needs."""
        if not self.first <= index + 1 <= self.last + 1 or self.hash_at(index) != entry_hash:
            return False
        terms = [
            *self._terms[: index + 1 - self.first],
            term,
            *self._terms[index + 1 - self.first :],
        ]
        return terms == sorted(terms) and sum(self._sizes) == data_bytes

    def entries(self, data: bytes, first: int, last: int, entries: EntryFormat) -> Iterator[Entry]:
        """The entries first..last, checked.

        Raises:
            DamagedLogError: at the first one that is not what was written.
        """
        place = first - self.first
        at = sum(self._sizes[:place])
        prev_hash = self.hash_at(first - 1)
        for index in range(first, last + 1):
            record = data[at : at + self._sizes[place]]
            if zlib.crc32(record) != self._crcs[place]:
                raise DamagedLogError(index, "fails its checksum")
            try:
                entry = entries.decode(record)
            except msgspec.MsgspecError as error:
                raise DamagedLogError(index, f"cannot be decoded: {error}") from error
            if (entry.index, entry.term, entry.prev_hash) != (index, self._terms[place], prev_hash):
                raise DamagedLogError(index, "is not chained to the entry before")
            prev_hash = self.hash_at(index)
            if entry.hash != prev_hash:
                raise DamagedLogError(index, "is another entry")
            yield entry
            at += len(record)
            place += 1

    def records(self, data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
        """Index, place in the data, bytes and checksum of each record; checks nothing."""
        at = 0
        for index, size, crc in zip(
            range(self.first, self.last + 1), self._sizes, self._crcs, strict=True
        ):
            yield index, at, data[at : at + size], crc
            at += size

    def cut(self, last: int, data: bytes) -> tuple[bytes, bytes]:
        """Positions and data of the entries up to `last`, with the checksums that they have."""
        count = last - self.first + 1
        body = b"".join(
            (
                self._prev_hash,
                struct.pack(f"<{count}Q", *self._terms[:count]),
                self._hashes[: 32 * count],
                struct.pack(f"<{count}I", *self._sizes[:count]),
                struct.pack(f"<{count}I", *self._crcs[:count]),
                self._kinds[:count],
            )
        )
        return _crc(self.first, last, body) + body, data[: sum(self._sizes[:count])]


def encode_frames(entries: Sequence[Entry]) -> Iterator[tuple[int, int, bytes, bytes]]:
    """First index, last index, positions and data of the frames for consecutive entries."""
    records = [entry.encoded for entry in entries]
    sizes = list(map(len, records))
    left = sum(sizes)
    start = 0
    while left > FRAME_BYTES_MAX:
        stop, size = start + 1, sizes[start]
        while stop < len(sizes) and size + sizes[stop] <= FRAME_BYTES_MAX:
            size += sizes[stop]
            stop += 1
        yield _encode_frame(entries[start:stop], records[start:stop], sizes[start:stop])
        left -= size
        start = stop
    if start == 0:
        yield _encode_frame(entries, records, sizes)
    elif start < len(sizes):
        yield _encode_frame(entries[start:], records[start:], sizes[start:])


def _encode_frame(
    entries: Sequence[Entry], records: Sequence[bytes], sizes: Sequence[int]
) -> tuple[int, int, bytes, bytes]:
    first, last, count = entries[0].index, entries[-1].index, len(entries)
    body = b"".join(
        (
            entries[0].prev_hash,
            struct.pack(f"<{count}Q", *[entry.term for entry in entries]),
            b"".join([entry.hash for entry in entries]),
            struct.pack(f"<{count}I", *sizes),
            struct.pack(f"<{count}I", *map(zlib.crc32, records)),
            bytes([entry.kind for entry in entries]),
        )
    )
    return first, last, _crc(first, last, body) + body, b"".join(records)


def _crc(first: int, last: int, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(_PLACE.pack(first, last))).to_bytes(4, "little")
