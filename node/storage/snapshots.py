"""The snapshots of a node: names of final heads, in a file of their own. Owns that file.

A snapshot holds no state: the ledger is the state, and who lacks blocks asks peers for them. So one
is a few kilobytes, and is stored and checked as a whole. Every commit is durable.

Nothing is taken from a leader but what can be proven: the head is certified, and with it its place
in the Raft log; the members are those of the genesis. A place that is the leader's word alone would
let one that lies put every log that takes it where no other log can follow, for good.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import structlog

from consensus.errors import SnapshotError
from consensus.membership import Membership
from consensus.snapshot import Base, Snapshot
from consensus.types import NodeId
from node.chain.head import NAME_BYTES_MAX, FalseHeadError, parse_head
from node.chain.voters import VoterSet
from node.storage.damage import telling
from node.storage.database import Database, open_writer
from node.system.clock import SystemClock
from node.system.logs import Seldom

SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (idx INTEGER PRIMARY KEY, name BLOB NOT NULL, body BLOB NOT NULL)
STRICT;
CREATE TABLE IF NOT EXISTS arriving (
    one INTEGER PRIMARY KEY CHECK (one = 1), name BLOB NOT NULL, body BLOB NOT NULL
) STRICT;
"""
_KEPT = 2

_log = structlog.get_logger("node.heads")


class SnapshotStore:
    """A `consensus.ports.SnapshotStore`. Made by `SnapshotStore.open`."""

    def __init__(self, database: Database, voters: VoterSet) -> None:
        self._database = database
        self._seldom = Seldom(SystemClock())
        self._voters = voters
        self._members = Membership(tuple(NodeId(v.number) for v in voters.voters))

    @classmethod
    async def open(cls, path: Path, voters: VoterSet) -> SnapshotStore:
        """Open the file at `path`, or make it."""
        return cls(await open_writer(path, "heads", SCHEMA), voters)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""

        def job(connection: sqlite3.Connection) -> Snapshot | None:
            row = connection.execute("SELECT name FROM heads ORDER BY idx DESC LIMIT 1").fetchone()
            return None if row is None else _decoder.decode(row[0])

        return await self._database.run(
            lambda c: telling(self._database.path, lambda: job(c), msgspec.MsgspecError)
        )

    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """Up to `size` bytes from `offset`; None when it is gone."""
        body = await self._database.run(lambda connection: _body(connection, snapshot))
        return None if body is None else body[offset : offset + size]

    async def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """Keep a part of an arriving snapshot; how many bytes of it are held.

        One that cannot be accepted counts as held at once: `complete` is its judge.
        """
        if self._refusal(snapshot) is not None:
            return snapshot.size
        name = _encoder.encode(snapshot)

        def job(connection: sqlite3.Connection) -> int:
            if _body(connection, snapshot) is not None:
                return snapshot.size
            row = connection.execute("SELECT body FROM arriving WHERE name = ?", (name,)).fetchone()
            body: bytes = b"" if row is None else row[0]
            if offset == len(body) and data:
                body += data[: snapshot.size - len(body)]
                connection.execute("INSERT OR REPLACE INTO arriving VALUES (1, ?, ?)", (name, body))
            return len(body)

        return await self._database.persist(job)

    async def complete(self, snapshot: Snapshot) -> bool:
        """Judge what is held and make it the newest; False, and gone, unless all of it is true."""
        name = _encoder.encode(snapshot)

        def job(connection: sqlite3.Connection) -> str | None:
            if _body(connection, snapshot) is not None:
                return None
            row = connection.execute("SELECT body FROM arriving WHERE name = ?", (name,)).fetchone()
            body: bytes = b"" if row is None else row[0]
            refusal = self._refusal(snapshot) or self._falsehood(snapshot, body)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM arriving")
            if refusal is None:
                _keep(connection, snapshot, body)
            connection.execute("COMMIT")
            return refusal

        refusal = await self._database.persist(job)
        if refusal is not None and self._seldom.due():
            _log.warning("snapshot refused", index=snapshot.index, reason=refusal)
        return refusal is None

    async def create(
        self, base: Base, membership: Membership, data: AsyncIterator[bytes]
    ) -> Snapshot:
        """Store the name of a head of this node.

        Raises:
            SnapshotError: when `data` does, or does not name a final head.
        """
        body = b"".join([part async for part in data])
        checksum = hashlib.sha256(body).digest()
        snapshot = Snapshot(
            index=base.index,
            term=base.term,
            hash=base.hash,
            membership=membership,
            size=len(body),
            checksum=checksum,
        )
        refusal = self._refusal(snapshot) or self._falsehood(snapshot, body)
        if refusal is not None:
            raise SnapshotError(refusal)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            _keep(connection, snapshot, body)
            connection.execute("COMMIT")

        await self._database.persist(job)
        return snapshot

    def _refusal(self, snapshot: Snapshot) -> str | None:
        """Why a snapshot of this name is refused, whatever its bytes."""
        if snapshot.membership != self._members:
            return "other members than those of the genesis"
        if not 0 < snapshot.size <= NAME_BYTES_MAX:
            return f"{snapshot.size} bytes do not name a head"
        return None

    def _falsehood(self, snapshot: Snapshot, body: bytes) -> str | None:
        """What is wrong with the bytes of a snapshot."""
        if (len(body), hashlib.sha256(body).digest()) != (snapshot.size, snapshot.checksum):
            return "bytes do not match the checksum"
        try:
            head = parse_head(body, self._voters)
        except FalseHeadError as error:
            return str(error)
        if head.place != (snapshot.index, snapshot.term, snapshot.hash):
            return f"a head of Raft index {head.place[0]} in a snapshot at {snapshot.index}"
        return None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def _body(connection: sqlite3.Connection, snapshot: Snapshot) -> bytes | None:
    row: tuple[bytes] | None = connection.execute(
        "SELECT body FROM heads WHERE name = ?", (_encoder.encode(snapshot),)
    ).fetchone()
    return None if row is None else row[0]


def _keep(connection: sqlite3.Connection, snapshot: Snapshot, body: bytes) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO heads (idx, name, body) VALUES (?, ?, ?)",
        (snapshot.index, _encoder.encode(snapshot), body),
    )
    connection.execute(
        "DELETE FROM heads WHERE idx NOT IN (SELECT idx FROM heads ORDER BY idx DESC LIMIT ?)",
        (_KEPT,),
    )
