"""The Raft log on SQLite. Owns its file, its checksums and its agreement with the marker.

A record is CRC-32 (over index, term, hash and entry) ‖ the entry as consensus encodes it. One
batch is one transaction with `synchronous=FULL`; then the marker is synced, in the same job.

What is damaged is never cut off here: only other voters know whether it was committed, and an
intact SQLite transaction leaves no torn end.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from consensus.codec import decode_entry
from consensus.ports import AppendBatch, Recovered
from consensus.types import ZERO_HASH, Entry, HardState, LogIndex, NodeId, Term
from node.storage.database import Database, open_writer
from node.storage.marker import Condition, Marker

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    idx INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    hash BLOB NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS hard_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    term INTEGER NOT NULL,
    vote INTEGER
) STRICT;
"""
VERIFIED_AT_LOAD = 4_096
"""The newest records are read and checked at start; older ones when they are used."""
_PLACE = struct.Struct(">QQ32s")


class DamagedLogError(Exception):
    """A stored entry or its place is not what was written. The node must not go on.

    Repair is a new log from the other voters, never a cut here.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"raft log entry {index}: {reason}")
        self.index = index


class RaftLogStore:
    """A `consensus.ports.LogStore`. Made by `open_raft_log`."""

    def __init__(self, database: Database, marker: Marker) -> None:
        self._database = database
        self._marker = marker
        self._hard_state = HardState()
        self._last_index = 0
        self._last_hash = ZERO_HASH
        self._suspect = False

    async def load(self) -> Recovered:
        """Read positions and hard state, and compare them with the marker.

        Raises:
            DamagedLogError: when entries are missing in the middle or fail their checks.
        """
        return await self._database.run(self._load)

    async def append(self, batch: AppendBatch) -> None:
        """Write `batch` and then the marker; both are durable when this returns.

        Raises:
            DamagedLogError: when the batch leaves a gap.
            sqlite3.Error: when SQLite cannot commit.
            MarkerError: when the marker cannot be written.
        """
        await self._database.run(lambda connection: self._append(connection, batch))

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries first..last, at least one, cut when `bytes_max` is passed.

        Raises:
            DamagedLogError: when one is missing or fails its checks.
        """
        return await self._database.run(
            lambda connection: _read(connection, first, last, bytes_max)
        )

    async def close(self) -> None:
        """Close the file. The marker belongs to who opened it."""
        await self._database.close()

    # --- Jobs in the connection's thread -------------------------------------------------------

    def _load(self, connection: sqlite3.Connection) -> Recovered:
        positions = _load_positions(connection)
        last_index = len(positions)
        _verify_newest(connection, positions)
        row = connection.execute("SELECT term, vote FROM hard_state").fetchone()
        stored = _hard_state(*row) if row else HardState()
        fresh = row is None and not positions
        promises = self._marker.promises
        marked = _hard_state(promises.term, promises.vote)
        self._suspect = (
            promises.suspect
            or (self._marker.condition in {Condition.MISSING, Condition.DAMAGED} and not fresh)
            or self._marker.condition is Condition.DAMAGED
            or promises.last_index > last_index
            or (
                promises.last_index > 0
                and positions[promises.last_index - 1][1] != promises.last_hash
            )
            or (stored.term == marked.term and len({stored.vote, marked.vote} - {None}) > 1)
        )
        self._hard_state = _later(stored, marked)
        self._last_index = last_index
        self._last_hash = positions[-1][1] if positions else ZERO_HASH
        if self._marker.condition is not Condition.OK or self._suspect != promises.suspect:
            self._mark()
        return Recovered(self._hard_state, positions, self._suspect)

    def _append(self, connection: sqlite3.Connection, batch: AppendBatch) -> None:
        entries = batch.entries
        connection.execute("BEGIN IMMEDIATE")
        try:
            if entries:
                self._write_entries(connection, entries)
            if batch.hard_state is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO hard_state (one, term, vote) VALUES (1, ?, ?)",
                    (batch.hard_state.term, batch.hard_state.vote),
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if entries:
            self._last_index, self._last_hash = entries[-1].index, entries[-1].hash
        if batch.hard_state is not None:
            self._hard_state = batch.hard_state
        if batch.caught_up:
            self._suspect = False
        self._mark()

    def _write_entries(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        first = entries[0].index
        if first > self._last_index + 1:
            raise DamagedLogError(first, f"would follow entry {self._last_index}")
        if first <= self._last_index:
            connection.execute("DELETE FROM entries WHERE idx >= ?", (first,))
        connection.executemany(
            "INSERT INTO entries (idx, term, hash, record) VALUES (?, ?, ?, ?)",
            [(entry.index, entry.term, entry.hash, _record(entry)) for entry in entries],
        )

    def _mark(self) -> None:
        state = self._hard_state
        self._marker.record_log(
            state.term, state.vote, self._last_index, self._last_hash, suspect=self._suspect
        )


async def open_raft_log(path: Path, marker: Marker) -> RaftLogStore:
    """Open the log at `path`, or make it. `marker` stays the caller's, to close last."""
    return RaftLogStore(await open_writer(path, SCHEMA), marker)


def _hard_state(term: int, vote: int | None) -> HardState:
    return HardState(Term(term), None if vote is None else NodeId(vote))


def _later(one: HardState, other: HardState) -> HardState:
    """The state of the higher term; in one term, the one that has voted."""
    if one.term != other.term:
        return max(one, other, key=lambda state: state.term)
    return one if one.vote is not None else other


def _crc(index: int, term: int, entry_hash: bytes, encoded: bytes) -> bytes:
    return zlib.crc32(encoded, zlib.crc32(_PLACE.pack(index, term, entry_hash))).to_bytes(4, "big")


def _record(entry: Entry) -> bytes:
    return _crc(entry.index, entry.term, entry.hash, entry.encoded) + entry.encoded


def _load_positions(connection: sqlite3.Connection) -> list[tuple[Term, bytes]]:
    positions: list[tuple[Term, bytes]] = []
    last_term = 1
    for index, term, entry_hash in connection.execute(
        "SELECT idx, term, hash FROM entries ORDER BY idx"
    ):
        if index != len(positions) + 1:
            raise DamagedLogError(len(positions) + 1, "is missing")
        if term < last_term or len(entry_hash) != 32:
            raise DamagedLogError(index, "is out of order")
        positions.append((term, entry_hash))
        last_term = term
    return positions


def _verify_newest(connection: sqlite3.Connection, positions: list[tuple[Term, bytes]]) -> None:
    last = len(positions)
    index = max(1, last - VERIFIED_AT_LOAD + 1)
    budget = 64 * 1_048_576
    prev_hash = positions[index - 2][1] if index > 1 else ZERO_HASH
    while index <= last and budget > 0:
        for entry in _read(connection, index, last, 4 * 1_048_576):
            if entry.prev_hash != prev_hash:
                raise DamagedLogError(index, "is not chained to the entry before")
            prev_hash = entry.hash
            budget -= len(entry.payload)
            index += 1


def _read(connection: sqlite3.Connection, first: int, last: int, bytes_max: int) -> list[Entry]:
    entries: list[Entry] = []
    size = 0
    for index, term, entry_hash, record in connection.execute(
        "SELECT idx, term, hash, record FROM entries WHERE idx BETWEEN ? AND ? ORDER BY idx",
        (first, last),
    ):
        if index != first + len(entries):
            break
        entry = _checked(index, term, entry_hash, record)
        size += len(record)
        if entries and size > bytes_max:
            return entries
        entries.append(entry)
    if not entries:
        raise DamagedLogError(first, "is missing")
    if size <= bytes_max and len(entries) < last - first + 1:
        raise DamagedLogError(first + len(entries), "is missing")
    return entries


def _checked(index: int, term: int, entry_hash: bytes, record: bytes) -> Entry:
    encoded = record[4:]
    if _crc(index, term, entry_hash, encoded) != record[:4]:
        raise DamagedLogError(index, "fails its checksum")
    try:
        entry = decode_entry(encoded)
    except msgspec.MsgspecError as error:
        raise DamagedLogError(index, f"cannot be decoded: {error}") from error
    if (entry.index, entry.term, entry.hash) != (index, term, entry_hash):
        raise DamagedLogError(index, "is another entry")
    return entry
