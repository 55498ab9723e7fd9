"""Looking at the file of a stopped node: every record, also those that a start would not read.

Changes nothing, not even what a start mends. Owns what counts as damage there; what a node may
believe of its disk is `recovery`'s.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterator

import msgspec

from consensus.ports import Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.stores import sqlite_log
from consensus.stores.crc import fallen_bit
from consensus.stores.frames import DamagedLogError, Frame
from consensus.stores.marker import Condition, Promises
from consensus.stores.recovery import Found, reconcile
from consensus.stores.sqlite import BASE, HARD_STATE, REPLACED, SCRUB, decode_fact
from consensus.types import Entry, EntryFormat, HardState, LogIndex

_FACTS: dict[str, type] = {HARD_STATE: HardState, BASE: Base, REPLACED: int}
_READ_BYTES = 4 * 1_048_576
_PLACE = struct.Struct("<qq")
_CRC_BYTES = 4

Fallen = tuple[int, int] | None
"""Byte of the column's value, and bit of it, that alone is wrong, if that can be told."""


class DamagedRecordError(ValueError):
    """A record is not what was written."""

    def __init__(
        self, table: str, row: str, reason: str, column: str = "", fallen: Fallen = None
    ) -> None:
        super().__init__(reason)
        self.table = table
        self.row = row
        self.column = column
        self.fallen = fallen


class Inspection(msgspec.Struct, frozen=True):
    """What the file says, as far as it can be said without other members."""

    recovered: Recovered
    suspect: bool
    """The file and the marker contradict each other: a start would not trust them."""


def inspect_log(
    connection: sqlite3.Connection, promises: Promises, condition: Condition, entries: EntryFormat
) -> Inspection:
    """Check every record by its checksum, and the log against its marker.

    Raises:
        DamagedRecordError: at the first one that is not what was written.
        sqlite3.DatabaseError: SQLite cannot read the file.
    """
    facts = _inspect_facts(connection)
    _inspect_frames(connection, entries)
    for table in ("snapshots", "chunks"):
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - one of two names
        if rows:
            raise DamagedRecordError(table, "", "a node keeps no snapshots here")
    base = facts.get(BASE, BEGINNING)
    assert isinstance(base, Base)
    scan = sqlite_log.scan(connection, base, 0, entries)
    hard_state = facts.get(HARD_STATE)
    assert hard_state is None or isinstance(hard_state, HardState)
    found = Found(
        hard_state=hard_state,
        base=base,
        positions=scan.positions,
        memberships=scan.memberships,
        damaged=scan.damaged,
        newest_term=scan.newest_term,
        replaced=REPLACED in facts,
    )
    trusted = msgspec.structs.replace(promises, suspect=False)
    recovered = reconcile(found, promises, condition)
    return Inspection(recovered, reconcile(found, trusted, condition).suspect)


def stored_entries(
    connection: sqlite3.Connection, recovered: Recovered, entries: EntryFormat
) -> Iterator[Entry]:
    """The entries after the base, checked and chained.

    Raises:
        DamagedRecordError: at the first that is not what was written.
    """
    index = LogIndex(recovered.base.index + 1)
    last = LogIndex(recovered.base.index + len(recovered.positions))
    while index <= last:
        try:
            found = sqlite_log.read(connection, index, last, _READ_BYTES, entries)
        except DamagedLogError as error:
            raise DamagedRecordError("frames", f"entry {error.index}", str(error)) from error
        yield from found
        index = LogIndex(found[-1].index + 1)


def newest_entries(
    connection: sqlite3.Connection, count: int, bytes_max: int, entries: EntryFormat
) -> list[Entry]:
    """At most so many of the newest entries, oldest first, cut when `bytes_max` is passed.

    Raises:
        DamagedLogError: one of them is not what was written.
        sqlite3.DatabaseError: SQLite cannot read the file.
    """
    (last,) = connection.execute("SELECT max(last) FROM frames").fetchone()
    (first,) = connection.execute("SELECT min(first) FROM frames").fetchone()
    if last is None:
        return []
    return sqlite_log.read(connection, max(first, last - count + 1), last, bytes_max, entries)


def _inspect_facts(connection: sqlite3.Connection) -> dict[str, object]:
    facts: dict[str, object] = {}
    for name, record in connection.execute("SELECT name, record FROM facts ORDER BY name"):
        if name == SCRUB:
            raise DamagedRecordError("facts", f"name={name}", "a damaged record was read before")
        kind = _FACTS.get(name)
        if kind is None:
            raise DamagedRecordError("facts", f"name={name}", "is no fact", "name")
        fact = decode_fact(name, record, kind)
        if fact is None:
            crc, content = record[:_CRC_BYTES], record[_CRC_BYTES:]
            fallen = _fallen(content, int.from_bytes(crc, "little"), zlib.crc32(name.encode()))
            raise DamagedRecordError(
                "facts", f"name={name}", "fails its checksum", "record", fallen
            )
        facts[name] = fact
    return facts


def _inspect_frames(connection: sqlite3.Connection, entries: EntryFormat) -> None:
    for first, last, positions, data in connection.execute(
        "SELECT first, last, positions, data FROM frames ORDER BY first"
    ):
        row = f"first={first}"
        try:
            frame = Frame(first, last, positions)
        except ValueError as error:
            crc, body = positions[:_CRC_BYTES], positions[_CRC_BYTES:]
            start = zlib.crc32(_PLACE.pack(first, last))
            fallen = _fallen(body, int.from_bytes(crc, "little"), start)
            raise DamagedRecordError("frames", row, str(error), "positions", fallen) from error
        for index, at, record, crc in frame.records(data):
            if zlib.crc32(record) != crc:
                place = fallen_bit(record, crc)
                fallen = None if place is None else (at + place[0], place[1])
                reason = f"raft log entry {index} fails its checksum"
                raise DamagedRecordError("frames", row, reason, "data", fallen)
        try:
            for _ in frame.entries(data, first, last, entries):
                pass
        except DamagedLogError as error:
            raise DamagedRecordError("frames", row, str(error)) from error


def _fallen(content: bytes, crc: int, start: int) -> Fallen:
    """The bit that fell of a value that begins with its checksum."""
    place = fallen_bit(content, crc, start)
    return None if place is None else (_CRC_BYTES + place[0], place[1])
