"""The log's table: one row for one frame. Owns its statements, and where damage begins.

Knows nothing of the marker, of hard state, and of who may be believed. Functions run in the
connection's thread, inside a transaction when they write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import msgspec

from consensus.membership import Membership, decode_membership
from consensus.snapshot import Base
from consensus.stores.frames import DamagedLogError, Frame, encode_frames
from consensus.types import Entry, EntryFormat, EntryKind, LogIndex, Term

SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    positions BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
"""
VERIFIED_BYTES = 64 * 1_048_576
"""The newest records are checked at start; older ones when they are read."""
_TRIMMED_FRAMES = 8


class Scan(msgspec.Struct):
    """What the table holds after a base."""

    positions: list[tuple[Term, bytes]]
    """Up to the first entry that is missing or damaged."""
    memberships: list[tuple[LogIndex, Membership]]
    damaged: bool = False
    newest_term: Term = Term(0)
    """Of all readable positions, also after the damage."""


def insert(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Add consecutive entries, whose places are free."""
    connection.executemany(
        "INSERT INTO frames (first, last, positions, data) VALUES (?, ?, ?, ?)",
        encode_frames(entries),
    )


def discard(connection: sqlite3.Connection, first: int) -> None:
    """Remove everything from `first` on: also what is damaged, because its place is wanted."""
    connection.execute("DELETE FROM frames WHERE first >= ?", (first,))
    while True:
        row = connection.execute(
            "SELECT first, last, positions, data FROM frames ORDER BY first DESC LIMIT 1"
        ).fetchone()
        if row is None or row[1] < first:
            return
        frame = _decode(*row[:3])
        if frame is None:
            connection.execute("DELETE FROM frames WHERE first = ?", row[:1])
            continue
        connection.execute(
            "UPDATE frames SET last = ?, positions = ?, data = ? WHERE first = ?",
            (first - 1, *frame.cut(first - 1, row[3]), frame.first),
        )
        return


def discard_all(connection: sqlite3.Connection) -> None:
    """Remove everything."""
    connection.execute("DELETE FROM frames")


def trim(connection: sqlite3.Connection, base_index: int) -> bool:
    """Remove a few of the frames that end before the base; whether there may be more."""
    removed = connection.execute(
        "DELETE FROM frames WHERE first IN"
        " (SELECT first FROM frames WHERE first < ? ORDER BY first LIMIT ?)",
        (_first_frame(connection, base_index), _TRIMMED_FRAMES),
    ).rowcount
    return removed == _TRIMMED_FRAMES


def read(
    connection: sqlite3.Connection, first: int, last: int, bytes_max: int, entries: EntryFormat
) -> list[Entry]:
    """Entries first..last, at least one, cut when `bytes_max` is passed.

    Raises:
        DamagedLogError: when one of them is missing or not what was written.
    """
    found: list[Entry] = []
    size = 0
    index = first
    with closing(
        connection.execute(
            "SELECT first, last, positions, data FROM frames WHERE first BETWEEN ? AND ?"
            " ORDER BY first",
            (_first_frame(connection, first - 1), last),
        )
    ) as rows:
        for frame_first, frame_last, positions, data in rows:
            frame = _decode(frame_first, frame_last, positions)
            if frame is None:
                raise DamagedLogError(index, "is in a frame that fails its checksum")
            if not frame.first <= index <= frame.last or not isinstance(data, bytes):
                break
            for entry in frame.entries(data, index, min(last, frame.last), entries):
                size += len(entry.encoded)
                if found and size > bytes_max:
                    return found
                found.append(entry)
            index = frame.last + 1
            if index > last:
                return found
    raise DamagedLogError(index, "is missing")


def scan(
    connection: sqlite3.Connection, base: Base, verified_bytes: int, entries: EntryFormat
) -> Scan:
    """Read all positions after `base`, and check the newest records, this many bytes of them."""
    found = Scan([], [])
    frames: list[tuple[int, int, int]] = []
    memberships: list[int] = []
    index, term, entry_hash = int(base.index), base.term, base.hash
    for first, last, positions, data_bytes in connection.execute(
        "SELECT first, last, positions, length(data) FROM frames WHERE first >= ? ORDER BY first",
        (_first_frame(connection, base.index),),
    ):
        frame = _decode(first, last, positions)
        if frame is None:
            found.damaged = True
            continue
        found.newest_term = max(found.newest_term, frame.last_term)
        if found.damaged or not frame.follows(index, term, entry_hash, data_bytes):
            found.damaged = True
            continue
        if last > index:
            found.positions += frame.positions(index + 1)
            memberships += frame.of_kind(EntryKind.MEMBERSHIP, index + 1)
            frames.append((index + 1, last, data_bytes))
        index, term, entry_hash = last, frame.last_term, frame.hash_at(last)
    damaged_at = _verify(connection, frames, verified_bytes, entries)
    for at in memberships:
        if damaged_at is not None and at >= damaged_at:
            break
        try:
            found.memberships.append((LogIndex(at), _membership(connection, at, entries)))
        except DamagedLogError:
            damaged_at = at
    if damaged_at is not None:
        found.damaged = True
        del found.positions[damaged_at - base.index - 1 :]
    return found


def _verify(
    connection: sqlite3.Connection,
    frames: Sequence[tuple[int, int, int]],
    bytes_max: int,
    entries: EntryFormat,
) -> int | None:
    """Check the newest of these frames; the first index that is damaged."""
    start = len(frames)
    while start > 0 and bytes_max > 0:
        start -= 1
        bytes_max -= frames[start][2]
    try:
        for first, last, data_bytes in frames[start:]:
            read(connection, first, last, data_bytes, entries)
    except DamagedLogError as error:
        return error.index
    return None


def _membership(connection: sqlite3.Connection, index: int, entries: EntryFormat) -> Membership:
    (entry,) = read(connection, index, index, 1, entries)
    try:
        return decode_membership(entry.payload)
    except ValueError as error:
        raise DamagedLogError(index, f"holds no membership: {error}") from error


def _first_frame(connection: sqlite3.Connection, index: int) -> int:
    """First index of the frame that holds the entry after `index`, or would."""
    (first,) = connection.execute(
        "SELECT max(first) FROM frames WHERE first <= ?", (index + 1,)
    ).fetchone()
    return index + 1 if first is None else int(first)


def _decode(first: int, last: int, positions: object) -> Frame | None:
    try:
        return Frame(first, last, positions) if isinstance(positions, bytes) else None
    except (TypeError, ValueError):  # damage may also change the type of a column
        return None
