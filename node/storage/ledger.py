"""The ledger's one writer: applying an entry is one SQLite transaction of one job.

Owns the writing connection and the head (height, frontier, state digest, Raft index). Prefetches
rows, runs the rules, appends leaves and seal, writes everything at once. `synchronous=NORMAL`:
what a power cut may take is replayed from the Raft log, whose commits are FULL.
Knows no peer, no clock and no voter's key. Reading is `node.storage.ledger_reader`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from node.chain.block import Block, MalformedBlockError, decode_block
from node.chain.leaf import SealLeaf, TransactionLeaf, encode_leaf
from node.chain.merkle import Frontier, decode_frontier, frontier_of, leaf_hashes
from node.chain.tiles import Tile, TileBuilder, TileSubtrees
from node.ledger.codes import Code
from node.ledger.digest import StateDigest
from node.ledger.execution import (
    BlockContext,
    BlockOutcome,
    CheckedTransaction,
    PrefetchedState,
    Result,
    RowChange,
    execute_block,
    footprint,
)
from node.ledger.genesis import Genesis
from node.ledger.genesis_state import genesis_rows
from node.ledger.signing import verify
from node.ledger.transaction import MalformedTransactionError, Transaction, decode_transaction
from node.ledger.types import Table
from node.storage.database import Database, open_writer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, UNIQUE (tbl, key)
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, first_index INTEGER NOT NULL, raft_index INTEGER NOT NULL,
    leaves BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS blocks_by_first_index ON blocks (first_index);
CREATE TABLE IF NOT EXISTS certificates (height INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tiles (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (hash BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS evidence (
    id BLOB NOT NULL PRIMARY KEY, found_ms INTEGER NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1), network BLOB NOT NULL, record BLOB NOT NULL
) STRICT;
"""

_ROWS_PER_STATEMENT = 64
"""Rows read or written by one statement: each step of SQLite gives the interpreter lock away, and
under load to get it back costs more than the row."""
_GET_ROW = "SELECT value FROM state WHERE tbl = ? AND key = ?"
_PLACEHOLDERS = ", ".join("?" * _ROWS_PER_STATEMENT)
_GET_ROWS = f"SELECT key, value FROM state WHERE tbl = ? AND key IN ({_PLACEHOLDERS})"  # noqa: S608
_SCAN_ROWS = (
    "SELECT key, value FROM state WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
)


class LedgerError(RuntimeError):
    """The stored ledger does not fit the network, the log or itself. The node must stop."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where the ledger stands after its newest block."""

    height: int
    time_ms: int
    raft_index: int
    """Index of the newest entry whose effects are stored."""
    frontier: bytes
    accumulator: bytes
    rows: int

    @property
    def tree_size(self) -> int:
        """Leaves in the tree."""
        return int.from_bytes(self.frontier[:8], "big")

    def root(self) -> bytes:
        """Root of the tree."""
        return decode_frontier(self.frontier).root()

    def state_digest(self) -> bytes:
        """Digest of the state, as the newest seal states it."""
        return StateDigest(self.accumulator, self.rows).value()


class AppliedTransaction(msgspec.Struct, frozen=True, gc=False):
    """One leaf of a block."""

    txid: bytes
    wire: bytes
    code: Code
    operation: int | None
    index: int


class AppliedBlock(msgspec.Struct, frozen=True):
    """What applying one entry made."""

    height: int
    raft_index: int
    time_ms: int
    size: int
    root: bytes
    frontier: Frontier
    state_digest: bytes
    transactions: Sequence[AppliedTransaction]
    skipped: Sequence[tuple[bytes, Code]]
    """Txids that left no leaf, and why (duplicates, expired …)."""
    payload_bytes: int


class CommittedEntry(msgspec.Struct, frozen=True):
    """A committed Raft entry with a payload, as the ledger needs it."""

    index: int
    term: int
    leader: int
    payload: bytes


class Ledger:
    """The writing side of the ledger. Jobs run one after another in the connection's thread."""

    def __init__(
        self,
        database: Database,
        genesis: Genesis,
        voters_hash: bytes,
        verified: Callable[[bytes], Transaction | None],
    ) -> None:
        self._database = database
        self._genesis = genesis
        self._network_id = genesis.network_id
        self._voters_hash = voters_hash
        self._verified = verified
        self._tiles = TileBuilder()
        self.head = Head(0, 0, 0, Frontier().encode(), b"", 0)

    @classmethod
    async def open(
        cls,
        path: Path,
        genesis: Genesis,
        voters_hash: bytes,
        verified: Callable[[bytes], Transaction | None],
    ) -> Ledger:
        """Open or create the ledger.

        Args:
            path: The database file.
            genesis: Its rows are the state at height 0.
            voters_hash: Goes into every seal.
            verified: The transaction of exactly these wire bytes, if its signature has been
                verified by this process; called in the ledger's thread.

        Raises:
            LedgerError: the file belongs to another network.
        """
        database = await open_writer(path, _SCHEMA, synchronous="NORMAL")
        ledger = cls(database, genesis, voters_hash, verified)
        try:
            await database.run(ledger._load)
        except BaseException:
            await database.close()
            raise
        return ledger

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def apply(
        self, entries: Sequence[CommittedEntry], after: Callable[[AppliedBlock], None]
    ) -> list[AppliedBlock]:
        """Apply entries in order; each block is one SQLite transaction.

        `after` is called in the ledger's thread for each block once it is stored. Any error is
        final: the head in memory may be ahead of the file, so the node must stop.
        """

        def job(connection: sqlite3.Connection) -> list[AppliedBlock]:
            blocks = []
            for entry in entries:
                block = self._apply(connection, entry)
                if block is not None:
                    after(block)
                    blocks.append(block)
            return blocks

        return await self._database.run(job)

    async def check_signed(self, check: Callable[[int, Callable[[int], Frontier]], None]) -> None:
        """Let `check(height, frontier at a size)` compare the stored tree with a signature."""

        def job(connection: sqlite3.Connection) -> None:
            lookup = TileSubtrees(lambda level, number: _tile(connection, level, number))
            check(self.head.height, lambda size: frontier_of(size, lookup))

        await self._database.run(job)

    async def store_certificates(self, certificates: Sequence[tuple[int, bytes]]) -> None:
        """Keep cosigned checkpoints by height; the first kept for a height stays."""

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO certificates (height, note) VALUES (?, ?)", certificates
            )

        await self._database.run(job)

    async def store_evidence(self, evidence_id: bytes, found_ms: int, body: bytes) -> bool:
        """Keep evidence. False if it is known already."""

        def job(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO evidence (id, found_ms, body) VALUES (?, ?, ?)",
                (evidence_id, found_ms, body),
            )
            return cursor.rowcount > 0

        return await self._database.run(job)

    def _load(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT network, record FROM head").fetchone()
        if row is None:
            self._found(connection)
            return
        network, record = row
        if network != self._network_id:
            raise LedgerError("the stored ledger belongs to another network")
        self.head = msgspec.msgpack.decode(record, type=Head)

        self._tiles = TileBuilder.resume(
            self.head.tree_size, lambda level, number: _tile(connection, level, number)
        )
        if self._tiles.frontier.encode() != self.head.frontier:
            raise LedgerError("the stored tiles do not make the stored frontier")

    def _found(self, connection: sqlite3.Connection) -> None:
        rows = genesis_rows(self._genesis)
        digest = StateDigest().apply([RowChange(t, k, None, v) for t, k, v in rows])
        self.head = Head(0, 0, 0, Frontier().encode(), digest.accumulator, digest.rows)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO state (tbl, key, value) VALUES (?, ?, ?)", rows)
        connection.execute(
            "INSERT INTO head (one, network, record) VALUES (1, ?, ?)",
            (self._network_id, msgspec.msgpack.encode(self.head)),
        )
        connection.execute("COMMIT")

    def _apply(self, connection: sqlite3.Connection, entry: CommittedEntry) -> AppliedBlock | None:
        if entry.index <= self.head.raft_index:
            return None
        try:
            block = decode_block(entry.payload)
        except MalformedBlockError:
            return None  # only a faulty leader makes one; it has no height on any node
        if block.expected_term != entry.term:
            return None
        context = BlockContext(
            network_id=self._network_id,
            height=self.head.height + 1,
            time_ms=max(block.time_ms, self.head.time_ms),
            terms=self._genesis.terms,
            home_currency=self._genesis.home_currency,
        )
        checked = self._check(block)
        connection.execute("BEGIN IMMEDIATE")
        outcome = execute_block(_prefetch(connection, checked, context), context, checked)
        applied = self._write(connection, entry, context, checked, outcome)
        connection.execute("COMMIT")
        return applied

    def _check(self, block: Block) -> list[CheckedTransaction]:
        checked: list[CheckedTransaction] = []
        for wire in block.transactions:
            transaction = self._verified(wire)
            if transaction is not None:
                checked.append(CheckedTransaction(transaction, True))
                continue
            try:
                transaction = decode_transaction(wire)
            except MalformedTransactionError:
                continue
            valid = verify(transaction.body.key, transaction.signed_bytes, transaction.signature)
            checked.append(CheckedTransaction(transaction, valid))
        return checked

    def _write(
        self,
        connection: sqlite3.Connection,
        entry: CommittedEntry,
        context: BlockContext,
        checked: Sequence[CheckedTransaction],
        outcome: BlockOutcome,
    ) -> AppliedBlock:
        first_index = self.head.tree_size
        made = _leaves_of(first_index, context.height, checked, outcome.results)
        leaves = made.leaves
        digest = StateDigest(self.head.accumulator, self.head.rows).apply(outcome.changes)
        seal = SealLeaf(
            height=context.height,
            time_ms=context.time_ms,
            term=entry.term,
            proposer=entry.leader,
            first_index=first_index,
            count=len(leaves),
            state_digest=digest.value(),
            voters_hash=self._voters_hash,
            rules_version=self._genesis.rules_version,
        )
        leaves.append(encode_leaf(seal))
        tiles = self._tiles.append(leaf_hashes(leaves))
        frontier = self._tiles.frontier
        self.head = Head(
            height=context.height,
            time_ms=context.time_ms,
            raft_index=entry.index,
            frontier=frontier.encode(),
            accumulator=digest.accumulator,
            rows=digest.rows,
        )
        _write_rows(connection, outcome.changes)
        _write_block(connection, self.head, first_index, leaves, tiles, made.blobs)
        return AppliedBlock(
            height=context.height,
            raft_index=entry.index,
            time_ms=context.time_ms,
            size=frontier.size,
            root=frontier.root(),
            frontier=frontier,
            state_digest=seal.state_digest,
            transactions=made.transactions,
            skipped=made.skipped,
            payload_bytes=len(entry.payload),
        )


class _Leaves(msgspec.Struct):
    """What the results of a block leave."""

    leaves: list[bytes] = []
    transactions: list[AppliedTransaction] = []
    skipped: list[tuple[bytes, Code]] = []
    blobs: list[tuple[bytes, bytes]] = []


def _leaves_of(
    first_index: int,
    height: int,
    checked: Sequence[CheckedTransaction],
    results: Sequence[Result],
) -> _Leaves:
    made = _Leaves()
    for item, result in zip(checked, results, strict=True):
        transaction = item.transaction
        if not result.leaf:
            made.skipped.append((transaction.txid, result.code))
            continue
        made.transactions.append(
            AppliedTransaction(
                transaction.txid,
                transaction.wire,
                result.code,
                result.operation,
                first_index + len(made.leaves),
            )
        )
        leaf = TransactionLeaf(result.code, height, transaction.body_bytes, transaction.signature)
        made.leaves.append(encode_leaf(leaf))
        if result.code is Code.OK:
            made.blobs.extend(result.blobs)
    return made


def _prefetch(
    connection: sqlite3.Connection,
    checked: Sequence[CheckedTransaction],
    context: BlockContext,
) -> PrefetchedState:
    wanted = footprint(checked, context)
    rows: dict[tuple[Table, bytes], bytes | None] = dict.fromkeys(wanted.rows)
    if len(wanted.rows) < _ROWS_PER_STATEMENT:
        for place in wanted.rows:
            found = connection.execute(_GET_ROW, place).fetchone()
            if found is not None:
                (rows[place],) = found
    else:
        _prefetch_many(connection, wanted.rows, rows)
    scans = {scan: connection.execute(_SCAN_ROWS, scan).fetchall() for scan in wanted.scans}
    return PrefetchedState(rows, scans)


def _prefetch_many(
    connection: sqlite3.Connection,
    places: Sequence[tuple[Table, bytes]],
    rows: dict[tuple[Table, bytes], bytes | None],
) -> None:
    by_table: dict[Table, list[bytes]] = {}
    for table, key in places:
        by_table.setdefault(table, []).append(key)
    for table, keys in by_table.items():
        for start in range(0, len(keys), _ROWS_PER_STATEMENT):
            part: list[bytes | None] = [*keys[start : start + _ROWS_PER_STATEMENT]]
            part += [None] * (_ROWS_PER_STATEMENT - len(part))
            for key, value in connection.execute(_GET_ROWS, (table, *part)):
                rows[table, key] = value


def _tile(connection: sqlite3.Connection, level: int, number: int) -> bytes | None:
    row = connection.execute(
        "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    return None if row is None else row[0]


def _write_rows(connection: sqlite3.Connection, changes: Sequence[RowChange]) -> None:
    inserts = [(c.table, c.key, c.new) for c in changes if c.old is None]
    for start in range(0, len(inserts), _ROWS_PER_STATEMENT):
        part = inserts[start : start + _ROWS_PER_STATEMENT]
        rows = ", ".join(["(?, ?, ?)"] * len(part))
        connection.execute(
            f"INSERT INTO state (tbl, key, value) VALUES {rows}",  # noqa: S608 - placeholders only
            [value for row in part for value in row],
        )
    connection.executemany(
        "UPDATE state SET value = ? WHERE tbl = ? AND key = ?",
        [(c.new, c.table, c.key) for c in changes if c.old is not None and c.new is not None],
    )
    connection.executemany(
        "DELETE FROM state WHERE tbl = ? AND key = ?",
        [(c.table, c.key) for c in changes if c.new is None],
    )


def _write_block(
    connection: sqlite3.Connection,
    head: Head,
    first_index: int,
    leaves: Sequence[bytes],
    tiles: Sequence[Tile],
    blobs: Sequence[tuple[bytes, bytes]],
) -> None:
    connection.execute(
        "INSERT INTO blocks (height, first_index, raft_index, leaves) VALUES (?, ?, ?, ?)",
        (head.height, first_index, head.raft_index, msgspec.msgpack.encode(leaves)),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO tiles (level, number, hashes) VALUES (?, ?, ?)",
        [(tile.level, tile.number, tile.data) for tile in tiles],
    )
    connection.executemany("INSERT OR IGNORE INTO blobs (hash, body) VALUES (?, ?)", blobs)
    connection.execute("UPDATE head SET record = ?", (msgspec.msgpack.encode(head),))
