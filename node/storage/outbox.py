"""The outbox: what this node has promised to send until it is final or expired.

Owns the signed bytes of accepted transactions, the Idempotency-Keys that answered them and the
next number of each allotted segment: all three of one request are durable together, before the
client hears `pending`. Requests that arrive while a commit syncs share the next one.
Knows nothing of pools, peers or rules.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from node.storage.database import Database, open_writer

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    txid BLOB NOT NULL UNIQUE,
    wire BLOB NOT NULL,
    valid_until INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    request BLOB NOT NULL,
    answer BLOB NOT NULL,
    height INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS serials (
    segment TEXT NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
"""`crc` is of the row's other columns (`row_crc`): nothing else could tell that a bit of them fell.
A promised transaction needs none, its txid and signature tell."""

IDEMPOTENCY_ROWS_MAX = 200_000
"""Oldest answers are forgotten beyond this; their transactions stay unique by order id."""


class OutboxItem(msgspec.Struct, frozen=True, gc=False):
    """One promised transaction."""

    txid: bytes
    wire: bytes
    valid_until: int


class RememberedAnswer(msgspec.Struct, frozen=True):
    """What an Idempotency-Key answered: SHA-256 of the request body, and the encoded answer."""

    request: bytes
    answer: bytes


class Promise(msgspec.Struct, frozen=True):
    """Everything of one request that must be durable before it is acknowledged."""

    items: Sequence[OutboxItem]
    serials: Sequence[tuple[str, int]] = ()
    idempotency_key: str | None = None
    remembered: RememberedAnswer | None = None
    height: int = 0


class Outbox:
    """The durable outbox. `run` writes; `keep` waits for the commit that covers its promise."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Promise, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    @classmethod
    async def open(cls, path: Path) -> Outbox:
        """Open or create the outbox at `path`."""
        database = await open_writer(path, "outbox", SCHEMA, synchronous="FULL")
        # Some builds overwrite what is deleted: a second full write. The ledger has it anyway.
        await database.run(lambda connection: connection.execute("PRAGMA secure_delete=OFF"))
        return cls(database)

    async def close(self) -> None:
        """Close the file; promises already answered are on disk."""
        await self._database.close()

    async def load(self) -> list[OutboxItem]:
        """All promised transactions, oldest first."""

        def job(connection: sqlite3.Connection) -> list[OutboxItem]:
            rows = connection.execute("SELECT txid, wire, valid_until FROM outbox ORDER BY rowid")
            return [OutboxItem(*row) for row in rows]

        return await self._database.run(job)

    async def serials(self) -> dict[str, int]:
        """The next serial of each segment that has been drawn from."""

        def job(connection: sqlite3.Connection) -> dict[str, int]:
            return dict(connection.execute("SELECT segment, next FROM serials").fetchall())

        return await self._database.run(job)

    async def remembered(self, key: str) -> RememberedAnswer | None:
        """What `key` answered before, if it did."""

        def job(connection: sqlite3.Connection) -> RememberedAnswer | None:
            row = connection.execute(
                "SELECT request, answer FROM idempotency WHERE key = ?", (key,)
            ).fetchone()
            return None if row is None else RememberedAnswer(*row)

        return await self._database.run(job)

    async def keep(self, promise: Promise) -> None:
        """Make `promise` durable; returns after the fsync that covers it.

        Raises:
            sqlite3.Error: nothing was stored.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((promise, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Commit what waits, one transaction for all of it; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._database.run(partial(_write, [promise for promise, _ in batch]))
            except sqlite3.Error as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    async def drop(self, txids: Sequence[bytes]) -> None:
        """Forget transactions that are final or expired."""
        rows = [(txid,) for txid in txids]

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM outbox WHERE txid = ?", rows)
            connection.execute("COMMIT")

        await self._database.persist(job)


def row_crc(*columns: str | bytes | int) -> int:
    """CRC-32 of a row's columns."""
    return zlib.crc32(msgspec.msgpack.encode(columns))


def _write(promises: Sequence[Promise], connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT OR IGNORE INTO outbox (txid, wire, valid_until) VALUES (?, ?, ?)",
            [(i.txid, i.wire, i.valid_until) for p in promises for i in p.items],
        )
        connection.executemany(
            "INSERT INTO serials (segment, next, crc) VALUES (?, ?, ?) "
            "ON CONFLICT (segment) DO UPDATE SET next = excluded.next, crc = excluded.crc "
            "WHERE excluded.next > next",
            [(*serial, row_crc(*serial)) for p in promises for serial in p.serials],
        )
        answers = [
            (p.idempotency_key, p.remembered.request, p.remembered.answer, p.height)
            for p in promises
            if p.idempotency_key is not None and p.remembered is not None
        ]
        remembered = [(*row, row_crc(*row)) for row in answers]
        if remembered:
            connection.executemany(
                "INSERT OR IGNORE INTO idempotency (key, request, answer, height, crc) "
                "VALUES (?, ?, ?, ?, ?)",
                remembered,
            )
            (count,) = connection.execute("SELECT count(*) FROM idempotency").fetchone()
            if count > IDEMPOTENCY_ROWS_MAX:
                connection.execute(
                    "DELETE FROM idempotency WHERE key IN "
                    "(SELECT key FROM idempotency ORDER BY height LIMIT ?)",
                    (count - IDEMPOTENCY_ROWS_MAX,),
                )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
