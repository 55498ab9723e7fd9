"""The `SnapshotStore` on SQLite. Owns how long one job may take; `sqlite_chunks` owns the rows.

The log store shares the connection, so everything long is done in many small jobs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from consensus.membership import Membership
from consensus.snapshot import Base, Snapshot
from consensus.stores.sqlite_chunks import SnapshotTables
from consensus.stores.sqlite_file import SqliteFile

PART_BYTES = 262_144
"""A snapshot made here is written in parts of this size, so that no log write waits long."""


class SqliteSnapshots:
    """A `SnapshotStore` on an open file. The tables are loaded by who opens it."""

    def __init__(self, file: SqliteFile, tables: SnapshotTables) -> None:
        self._file = file
        self._tables = tables

    async def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""
        return self._tables.newest()

    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """Up to `size` bytes from `offset`; None when the snapshot is gone.

        One that is damaged there is given up: the one before it is the newest then.
        """
        tables = self._tables
        data = await self._file.run(lambda c: tables.read(c, snapshot, offset, size))
        number = tables.number(snapshot)
        if data is None and number is not None and 0 <= offset <= snapshot.size:
            await self._file.write(lambda c: tables.retire(c, number))
        return data

    async def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """Make a part of an arriving snapshot durable; how many bytes of it are held now."""
        return await self._file.write(
            lambda c: self._tables.write(c, snapshot, offset, data), len(data)
        )

    async def complete(self, snapshot: Snapshot) -> bool:
        """Check the bytes that are held and make the snapshot the newest, durably."""
        tables = self._tables
        rows = tables.begin_check(snapshot)
        if rows is None:
            return False
        while await self._file.run(partial(tables.check_some, rows)):
            pass
        return await self._file.write(partial(tables.end_check, snapshot, rows))

    async def create(
        self, base: Base, membership: Membership, data: AsyncIterator[bytes]
    ) -> Snapshot:
        """Store a snapshot of the state after `base`; durable, and complete, when this returns.

        May run beside every other call: its transactions are small.
        """
        tables, file = self._tables, self._file
        rows = await file.write(tables.begin)
        try:
            async for part in data:
                for at in range(0, len(part), PART_BYTES):
                    piece = part[at : at + PART_BYTES]
                    await file.write(partial(tables.add, rows, piece), len(piece))
            checksum = rows.sha256.digest()
            snapshot = Snapshot(
                index=base.index,
                term=base.term,
                hash=base.hash,
                membership=membership,
                size=rows.size,
                checksum=checksum,
            )
            await file.write(partial(tables.finish, snapshot, rows))
        except BaseException:
            tables.abandon(rows)
            raise
        while tables.dirty:
            await file.write(tables.sweep)
        return snapshot
