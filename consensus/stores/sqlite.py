"""Log, hard state and snapshots in one SQLite file. Owns the order of what becomes durable.

Rows belong to `sqlite_log` and `sqlite_chunks`, the judgement of what was found to `recovery`. A
write is one transaction with `synchronous=FULL`; then the marker is synced, in the same job.

What is damaged is never cut off here: only other members know whether it was committed, and a
transaction of SQLite leaves no torn end. SQLite itself ignores what is damaged at the end of its
write-ahead log, without a word: that is what the marker is for.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from consensus.errors import StoreFullError
from consensus.ports import AppendBatch, Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.stores import sqlite_chunks, sqlite_log
from consensus.stores.frames import DamagedLogError
from consensus.stores.marker import Marker, MarkerFullError
from consensus.stores.recovery import Found, reconcile
from consensus.stores.sqlite_chunks import SnapshotTables
from consensus.stores.sqlite_file import SqliteFile, StoreFailedError, WrongFileError
from consensus.stores.sqlite_snapshots import SqliteSnapshots
from consensus.types import ENTRY_FORMAT, Entry, EntryFormat, HardState, LogIndex

__all__ = [
    "DamagedLogError",
    "SqliteStore",
    "StoreFailedError",
    "WrongFileError",
    "open_sqlite_store",
]

T = TypeVar("T")
SCHEMA = f"""
{sqlite_log.SCHEMA}
{sqlite_chunks.SCHEMA}
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT;
"""
HARD_STATE = "hard state"
BASE = "base"
REPLACED = "replaced"
"""Generation of the marker when entries were last replaced: while the marker has none newer, the
end that it promises was given up at a leader's order."""
SCRUB = "scrub"
"""There when a damaged record was read: the next start looks at all of them."""
_ENTRY_BYTES = 150
"""Stored beside the payload, about."""
_ANYWHERE = 2**62
_EVERYTHING = 2**62


class SqliteStore(SqliteSnapshots):
    """A `LogStore` and a `SnapshotStore`. Made by `open_sqlite_store`."""

    def __init__(
        self,
        file: SqliteFile,
        tables: SnapshotTables,
        marker: Marker,
        entries: EntryFormat,
        *,
        rejoin: bool,
        own_marker: bool,
    ) -> None:
        super().__init__(file, tables)
        self._entries = entries
        self._marker = marker
        self._rejoin = rejoin
        self._own_marker = own_marker
        self._loaded = False
        self._hard_state = HardState()
        self._base = BEGINNING
        self._base_stored = True
        self._last_index = LogIndex(0)
        self._last_hash = BEGINNING.hash
        self._occupied = 0
        """No frame reaches beyond."""
        self._untrimmed = True
        self._suspect = False

    async def load(self) -> Recovered:
        """Read positions and hard state, and judge them by the marker.

        Raises:
            DamagedLogError: when SQLite cannot use the file. Move it away, keep the marker, and
                start again with `rejoin`: the node then catches up without voting.
            MarkerError: when the marker cannot be written.
        """
        return await self._file.run(self._load)

    async def append(self, batch: AppendBatch) -> None:
        """Write `batch` and then the marker; both are durable when this returns.

        Raises:
            DamagedLogError: when the batch would leave a gap.
            StoreFullError: when there is no room: nothing is promised, and it may be tried again.
            sqlite3.Error: when SQLite cannot commit.
            MarkerError: when the marker cannot be written.
            StoreFailedError: after any of these but `StoreFullError`.
        """
        await self._file.run(lambda connection: self._append(connection, batch))

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries first..last, at least one, cut when `bytes_max` is passed; [] if compacted.

        Raises:
            DamagedLogError: when one is missing or fails its checks. A leader that cannot read its
                own log must stop. The next start looks at every record, and is suspect.
        """
        return await self._file.run(
            lambda connection: self._read(connection, first, last, bytes_max)
        )

    async def close(self) -> None:
        """Close the file; a marker that was handed in stays its owner's."""
        await self._file.close()
        if self._own_marker:
            self._marker.close()

    # --- Jobs in the connection's thread -------------------------------------------------------

    def _load(self, connection: sqlite3.Connection) -> Recovered:
        try:
            found = self._find(connection)
        except sqlite3.DatabaseError as error:
            raise DamagedLogError(0, f"the file cannot be read: {error}") from error
        promises = self._marker.promises
        recovered = reconcile(found, promises, self._marker.condition, rejoins=self._rejoin)
        positions = recovered.positions
        self._hard_state = recovered.hard_state
        self._suspect = recovered.suspect
        self._base = recovered.base
        self._base_stored = found.base is not None
        self._last_index = LogIndex(recovered.base.index + len(positions))
        self._last_hash = positions[-1][1] if positions else recovered.base.hash
        self._occupied = _ANYWHERE if found.damaged or found.base is None else self._last_index
        self._mark()
        if self._suspect and not promises.suspect:
            self._mark()  # into both slots, so that no damage to one brings back trust
        try:
            self._file.transact(connection, lambda c: _drop(c, REPLACED))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:  # what no reading needs may be damaged too
            raise DamagedLogError(0, f"the file cannot be written: {error}") from error
        self._loaded = True
        return recovered

    def _find(self, connection: sqlite3.Connection) -> Found:
        facts = dict(connection.execute("SELECT name, record FROM facts").fetchall())
        base = decode_fact(BASE, facts[BASE], Base) if BASE in facts else BEGINNING
        hard_state = decode_fact(HARD_STATE, facts.get(HARD_STATE, b""), HardState)
        replaced = decode_fact(REPLACED, facts.get(REPLACED, b""), int)
        verified_bytes = _EVERYTHING if SCRUB in facts else sqlite_log.VERIFIED_BYTES
        scan = sqlite_log.scan(connection, base or BEGINNING, verified_bytes, self._entries)
        if SCRUB in facts and not scan.damaged:
            self._file.transact(connection, lambda c: _drop(c, SCRUB))
        return Found(
            hard_state=hard_state,
            base=base,
            positions=scan.positions,
            memberships=scan.memberships,
            damaged=scan.damaged,
            newest_term=scan.newest_term,
            replaced=replaced == self._marker.generation and bool(self._marker.generation),
        )

    def _append(self, connection: sqlite3.Connection, batch: AppendBatch) -> None:
        assert self._loaded, "load comes first"
        size = sum(len(entry.payload) + _ENTRY_BYTES for entry in batch.entries)
        untrimmed = self._untrimmed
        try:
            self._file.transact(connection, lambda c: self._write(c, batch), size, repeats=True)
        except StoreFullError:
            self._untrimmed = untrimmed
            raise
        if batch.base is not None:
            self._base, self._base_stored, self._untrimmed = batch.base, True, True
            if batch.reset:
                self._last_index, self._last_hash = batch.base.index, batch.base.hash
                self._occupied = self._last_index
        if batch.entries:
            last = batch.entries[-1]
            self._last_index, self._last_hash = last.index, last.hash
            self._occupied, self._base_stored = last.index, True
        if batch.hard_state is not None:
            self._hard_state = batch.hard_state
        if batch.caught_up:
            self._suspect = False
        self._suspect |= batch.distrusted
        try:
            self._mark()
            if batch.distrusted:
                self._mark()  # into both slots, as at a start that finds a loss
        except MarkerFullError as error:
            # The log holds it and nobody is told yet; the same batch once more changes nothing.
            raise StoreFullError(str(error)) from error
        except BaseException:
            self._file.fail()
            raise
        self._file.checkpoint(connection)

    def _write(self, connection: sqlite3.Connection, batch: AppendBatch) -> None:
        base, entries = batch.base or self._base, batch.entries
        end = base.index if batch.reset else self._last_index
        first = entries[0].index if entries else LogIndex(end + 1)
        if not self._base.index <= base.index <= end and not batch.reset:
            raise DamagedLogError(base.index, f"cannot be the base, the log ends with {end}")
        if not base.index < first <= end + 1:
            raise DamagedLogError(first, f"does not follow {base.index} to {end}")
        if batch.base is not None or (entries and not self._base_stored):
            _put(connection, BASE, base)
        if batch.reset or first <= self._last_index:
            _put(connection, REPLACED, self._marker.generation)
        if batch.reset:
            sqlite_log.discard_all(connection)
        elif entries and first <= self._occupied:
            sqlite_log.discard(connection, first)
        if entries:
            sqlite_log.insert(connection, entries)
        if batch.hard_state is not None:
            _put(connection, HARD_STATE, batch.hard_state)
        if self._untrimmed:
            self._untrimmed = sqlite_log.trim(connection, base.index)
        self._tables.sweep(connection)

    def _mark(self) -> None:
        self._marker.record_log(
            self._hard_state, self._last_index, self._last_hash, suspect=self._suspect
        )

    def _read(
        self, connection: sqlite3.Connection, first: LogIndex, last: LogIndex, bytes_max: int
    ) -> list[Entry]:
        if first <= self._base.index:
            return []
        try:
            return sqlite_log.read(connection, first, last, bytes_max, self._entries)
        except DamagedLogError:
            with suppress(sqlite3.Error, StoreFailedError):
                self._file.transact(connection, lambda c: _put(c, SCRUB, None))
            raise


async def open_sqlite_store(
    path: Path,
    marker: Marker | None = None,
    *,
    rejoin: bool = False,
    entries: EntryFormat = ENTRY_FORMAT,
) -> SqliteStore:
    """Open the store at `path`, or make it; its folder must exist.

    Args:
        path: The SQLite file. One process opens it at a time.
        marker: Where promises are kept beside the log; it stays the caller's, to close last. None:
            a file of the store's own, at `path` with `.marker` added.
        rejoin: The node is no new one, but its disk is, or was put back from an older copy: it
            comes back suspect, and does not vote until it has caught up.
        entries: As in the member's `RaftConfig`. A log that was written with another tag looks
            damaged.

    Raises:
        WrongFileError: when the file holds something else.
        DamagedLogError: when SQLite cannot read the file; see `SqliteStore.load`.
        OSError: when a file cannot be opened or made.
        sqlite3.OperationalError: the same, said by SQLite; also when another process uses it.
    """
    chosen = marker or Marker.open(path.with_name(f"{path.name}.marker"))
    tables = SnapshotTables()
    try:
        file = await SqliteFile.open(path, SCHEMA, tables.load)
    except BaseException as error:
        if marker is None:
            chosen.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            raise DamagedLogError(0, f"the file cannot be read: {error}") from error
        raise
    return SqliteStore(file, tables, chosen, entries, rejoin=rejoin, own_marker=marker is None)


_encoder = msgspec.msgpack.Encoder()


def _put(connection: sqlite3.Connection, name: str, fact: object) -> None:
    content = _encoder.encode(fact)
    connection.execute(
        "INSERT OR REPLACE INTO facts (name, record) VALUES (?, ?)",
        (name, _crc(name, content) + content),
    )


def _drop(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM facts WHERE name = ?", (name,))


def decode_fact(name: str, record: object, kind: type[T]) -> T | None:
    """The fact of a row; None when its checksum or its form is wrong."""
    if not isinstance(record, bytes) or _crc(name, record[4:]) != record[:4]:
        return None
    try:
        return msgspec.msgpack.decode(record[4:], type=kind)
    except msgspec.MsgspecError:
        return None


def _crc(name: str, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(name.encode())).to_bytes(4, "little")
