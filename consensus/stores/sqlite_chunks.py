"""The tables of snapshots: their names, and chunks of their bytes. Owns rows and checksums.

    snapshots.name    CRC-32 of the rest (4) ‖ the snapshot's name as MessagePack
    chunks.record     CRC-32 of snapshot, start and data (4) ‖ data

A snapshot is void until its last row is written, and when it was given up. What is void goes away
piece by piece in later writes, because to delete much at once takes long.

Functions that take a connection run in its thread, inside a transaction when they write; the
store on top owns those.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from enum import IntEnum

import msgspec

from consensus.snapshot import Snapshot

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    name BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS chunks (
    snapshot INTEGER NOT NULL,
    start INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (snapshot, start)
) STRICT;
"""
_CHECKED_BYTES = 4 * 1_048_576
_SWEPT_CHUNKS = 4
_KEPT = 2
_PLACE = struct.Struct("<qq")


class _State(IntEnum):
    VOID = 0
    ARRIVING = 1
    COMPLETE = 2


class Rows:
    """The rows of one snapshot, and what is known of their beginning."""

    def __init__(self, number: int, size: int = 0) -> None:
        self.number = number
        self.size = size
        self.sha256 = hashlib.sha256()


class SnapshotTables:
    """The complete snapshots, the one that arrives, and what is void."""

    def __init__(self) -> None:
        self._complete: list[tuple[Snapshot, int]] = []
        self._arriving: tuple[Snapshot, Rows] | None = None
        self._void: list[int] = []

    def load(self, connection: sqlite3.Connection) -> None:
        """Look at the tables. What was being made when the process ended is void."""
        for number, state, name in connection.execute(
            "SELECT id, state, name FROM snapshots ORDER BY id"
        ).fetchall():
            snapshot = None if state == _State.VOID else _decode_name(name)
            if snapshot is None:
                self._void.append(number)
            elif state == _State.COMPLETE:
                self._complete.append((snapshot, number))
            else:
                self._arriving = snapshot, Rows(number, _bytes_of(connection, number))
        self._complete.sort(key=lambda pair: pair[0].index)

    def newest(self) -> Snapshot | None:
        """The newest complete one."""
        return self._complete[-1][0] if self._complete else None

    def number(self, snapshot: Snapshot) -> int | None:
        """The rows of a complete one."""
        return next((number for kept, number in self._complete if kept == snapshot), None)

    def read(
        self, connection: sqlite3.Connection, snapshot: Snapshot, offset: int, size: int
    ) -> bytes | None:
        """Bytes of a complete one; None when it is gone, or damaged there."""
        number = self.number(snapshot)
        end = min(offset + size, snapshot.size)
        if number is None or not 0 <= offset <= snapshot.size:
            return None
        if offset == end:
            return b""
        parts: list[bytes] = []
        at = offset
        for start, record in connection.execute(
            "SELECT start, record FROM chunks WHERE snapshot = ?1 AND start < ?3 AND start >="
            " (SELECT max(start) FROM chunks WHERE snapshot = ?1 AND start <= ?2) ORDER BY start",
            (number, offset, end),
        ):
            data = _decode_record(number, start, record)
            if data is None or not start <= at < start + len(data):
                return None
            parts.append(data[at - start : end - start])
            at += len(parts[-1])
        return b"".join(parts) if at >= end else None

    def retire(self, connection: sqlite3.Connection, number: int) -> None:
        """Give up a complete one that is damaged."""
        self._complete = [pair for pair in self._complete if pair[1] != number]
        self._give_up(connection, number)

    def write(
        self, connection: sqlite3.Connection, snapshot: Snapshot, offset: int, data: bytes
    ) -> int:
        """Take a part of an arriving one; how much of it is held then."""
        if self.number(snapshot) is not None:
            return snapshot.size
        if self._arriving is None or self._arriving[0] != snapshot:
            if self._arriving is not None:
                self._give_up(connection, self._arriving[1].number)
            name = _encode_name(snapshot)
            self._arriving = snapshot, Rows(_insert(connection, _State.ARRIVING, name))
        rows = self._arriving[1]
        data = data[: snapshot.size - rows.size]
        if offset == rows.size and data:
            _insert_chunk(connection, rows, data)
        self.sweep(connection)
        return rows.size

    def begin(self, connection: sqlite3.Connection) -> Rows:
        """Begin to make one here."""
        return Rows(_insert(connection, _State.VOID, b""))

    def add(self, rows: Rows, data: bytes, connection: sqlite3.Connection) -> None:
        """Add the next part of one that is made here."""
        rows.sha256.update(data)
        _insert_chunk(connection, rows, data)

    def finish(self, snapshot: Snapshot, rows: Rows, connection: sqlite3.Connection) -> None:
        """All parts are written: it is complete. All but the newest two are given up."""
        connection.execute(
            "UPDATE snapshots SET state = ?, name = ? WHERE id = ?",
            (_State.COMPLETE, _encode_name(snapshot), rows.number),
        )
        self._complete.append((snapshot, rows.number))
        self._complete.sort(key=lambda pair: pair[0].index)
        for _, old in self._complete[:-_KEPT]:
            self._give_up(connection, old)
        del self._complete[:-_KEPT]

    def abandon(self, rows: Rows) -> None:
        """One that was made here will not be finished."""
        self._void.append(rows.number)

    def begin_check(self, snapshot: Snapshot) -> Rows | None:
        """Begin to read one that is held whole, complete or arriving; None when none is."""
        number = self.number(snapshot)
        if number is None and self._arriving is not None and self._arriving[0] == snapshot:
            number = self._arriving[1].number
        return None if number is None else Rows(number)

    def check_some(self, rows: Rows, connection: sqlite3.Connection) -> bool:
        """Read a few parts; whether there may be more. A size too small says: damaged."""
        until = rows.size + _CHECKED_BYTES
        for start, record in connection.execute(
            "SELECT start, record FROM chunks WHERE snapshot = ? AND start >= ? ORDER BY start",
            (rows.number, rows.size),
        ):
            data = _decode_record(rows.number, start, record)
            if data is None or start != rows.size:
                return False
            rows.sha256.update(data)
            rows.size += len(data)
            if rows.size >= until:
                return True
        return False

    def end_check(self, snapshot: Snapshot, rows: Rows, connection: sqlite3.Connection) -> bool:
        """The verdict: one that arrived is complete now, or void; a damaged one is void."""
        good = (rows.size, rows.sha256.digest()) == (snapshot.size, snapshot.checksum)
        if self.number(snapshot) == rows.number:
            if not good:
                self.retire(connection, rows.number)
            return good
        self._arriving = None
        if good:
            self.finish(snapshot, rows, connection)
        else:
            self._give_up(connection, rows.number)
        return good

    @property
    def dirty(self) -> bool:
        """Whether something void is still stored."""
        return bool(self._void)

    def sweep(self, connection: sqlite3.Connection) -> None:
        """Delete a little of what is void."""
        if not self._void:
            return
        number = self._void[0]
        removed = connection.execute(
            "DELETE FROM chunks WHERE snapshot = ?1 AND start IN"
            " (SELECT start FROM chunks WHERE snapshot = ?1 ORDER BY start LIMIT ?2)",
            (number, _SWEPT_CHUNKS),
        ).rowcount
        if removed < _SWEPT_CHUNKS:
            connection.execute("DELETE FROM snapshots WHERE id = ?", (number,))
            del self._void[0]

    def _give_up(self, connection: sqlite3.Connection, number: int) -> None:
        connection.execute(
            "UPDATE snapshots SET state = ?, name = x'' WHERE id = ?", (_State.VOID, number)
        )
        self._void.append(number)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def _encode_name(snapshot: Snapshot) -> bytes:
    name = _encoder.encode(snapshot)
    return zlib.crc32(name).to_bytes(4, "little") + name


def _decode_name(name: object) -> Snapshot | None:
    if not isinstance(name, bytes) or zlib.crc32(name[4:]).to_bytes(4, "little") != name[:4]:
        return None
    try:
        return _decoder.decode(name[4:])
    except msgspec.MsgspecError:
        return None


def _insert(connection: sqlite3.Connection, state: _State, name: bytes) -> int:
    number = connection.execute(
        "INSERT INTO snapshots (state, name) VALUES (?, ?)", (state, name)
    ).lastrowid
    assert number is not None
    return number


def _insert_chunk(connection: sqlite3.Connection, rows: Rows, data: bytes) -> None:
    connection.execute(
        "INSERT INTO chunks (snapshot, start, record) VALUES (?, ?, ?)",
        (rows.number, rows.size, _crc(rows.number, rows.size, data) + data),
    )
    rows.size += len(data)


def _bytes_of(connection: sqlite3.Connection, number: int) -> int:
    (size,) = connection.execute(
        "SELECT coalesce(max(start + length(record) - 4), 0) FROM chunks WHERE snapshot = ?",
        (number,),
    ).fetchone()
    return int(size)


def _crc(number: int, start: int, data: bytes) -> bytes:
    return zlib.crc32(data, zlib.crc32(_PLACE.pack(number, start))).to_bytes(4, "little")


def _decode_record(number: int, start: int, record: object) -> bytes | None:
    if not isinstance(record, bytes):
        return None
    data = record[4:]
    return data if _crc(number, start, data) == record[:4] else None
