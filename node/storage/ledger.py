"""The ledger's one writer: applying an entry is one SQLite transaction of one job.

Owns the writing connection and the head (height, frontier, state digest, Raft index). Prefetches
rows, runs the rules, appends leaves and seal, writes everything at once. `synchronous=NORMAL`:
what a power cut may take is replayed from the Raft log, whose commits are FULL; `sync` comes before
that log is cut. A block of peers is adopted by doing it again.
Knows no peer, no clock and no voter's key. Reading is `node.storage.ledger_reader`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from node.chain.block import MalformedBlockError, decode_block
from node.chain.leaf_range import CertifiedBlock
from node.chain.merkle import Frontier, frontier_of, leaf_hashes
from node.chain.tiles import TileBuilder, TileSubtrees
from node.ledger.codes import Table
from node.ledger.digest import StateDigest
from node.ledger.execution.execute import RowChange
from node.ledger.genesis import Genesis
from node.ledger.genesis_state import genesis_rows
from node.ledger.stored import UnreadableStateError
from node.ledger.transaction import Transaction
from node.storage.block_builder import BlockBuilder, BuiltBlock
from node.storage.checking import check_block, check_leaves
from node.storage.damage import is_full, telling
from node.storage.database import Database, open_writer
from node.storage.ledger_rows import (
    LEDGER_PAGE_BYTES,
    SCHEMA,
    Head,
    read_tile,
    sync,
    tree_size,
    write_block,
    write_certificates,
    write_head,
)
from node.storage.ledger_values import (
    AppliedBlock,
    CommittedEntry,
    LedgerError,
    NotReproducedError,
    WrongNetworkError,
)
from node.storage.state_rows import prefetch, write_rows

T = TypeVar("T")

__all__ = ["Head", "Ledger"]


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
        self._builder = BlockBuilder(genesis, voters_hash)
        self._verified = verified
        self._tiles = TileBuilder()
        self.head = Head(
            height=0, time_ms=0, raft_index=0, frontier=Frontier().encode(), accumulator=b"", rows=0
        )

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
            WrongNetworkError: the file belongs to another network.
            DamagedFileError: it does not hold what this program wrote.
        """
        database = await open_writer(
            path, "ledger", SCHEMA, synchronous="NORMAL", page_bytes=LEDGER_PAGE_BYTES
        )
        ledger = cls(database, genesis, voters_hash, verified)
        try:
            await database.run(
                lambda c: telling(
                    path, lambda: ledger._load(c), LedgerError, msgspec.MsgspecError, ValueError
                )
            )
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

        `after` is called in the ledger's thread for each block once it is stored. While the disk
        has no room this waits. Any error is final: the head in memory may be ahead of the file, so
        the node must stop.
        """
        blocks: list[AppliedBlock] = []

        def job(connection: sqlite3.Connection) -> None:
            for entry in entries:  # those that an earlier try has stored make no block again
                block = self._unless_full(connection, partial(self._apply, connection, entry))
                if block is not None:
                    after(block)
                    blocks.append(block)

        await self._database.persist(job)
        return blocks

    async def adopt(
        self,
        block: CertifiedBlock,
        index: int,
        after: Callable[[AppliedBlock], None],
        *,
        last: bool,
    ) -> AppliedBlock:
        """Execute a block that peers hold, and store it if it comes to the same leaves.

        Args:
            block: The next one.
            index: The Raft index that the last adopted block stands for.
            after: Called in the ledger's thread once it is stored.
            last: This is that block. Until it is stored, no entry can be applied.

        Raises:
            NotReproducedError: it comes to something else; nothing changed.
        """

        def job(connection: sqlite3.Connection) -> AppliedBlock:
            applied = self._unless_full(
                connection, lambda: self._adopt(connection, block, index, last=last)
            )
            after(applied)
            return applied

        return await self._database.persist(job)

    async def stand_for(self, index: int) -> None:
        """The head stands for all entries up to a Raft index: none of them made another block."""

        def job(connection: sqlite3.Connection) -> None:
            head = msgspec.structs.replace(self.head, raft_index=index, adopting=0)
            write_head(connection, head)
            self.head = head

        await self._database.persist(job)

    async def sync(self) -> None:
        """Make everything that is stored durable."""
        await self._database.persist(sync)

    async def check_signed(self, check: Callable[[int, Callable[[int], Frontier]], None]) -> None:
        """Let `check(height, frontier at a size)` compare the stored tree with a signature."""

        def job(connection: sqlite3.Connection) -> None:
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            check(self.head.height, lambda size: frontier_of(size, lookup))

        await self._database.run(job)

    async def revisit(
        self, heights: Callable[[int], range], use: Callable[[int, Frontier], None]
    ) -> None:
        """Call `use` in the ledger's thread with stored heights and the tree after each.

        Args:
            heights: Which, given the ledger's height; asked in that thread too, so that no block
                is applied in between.
            use: Called for each in order.
        """

        def job(connection: sqlite3.Connection) -> None:
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            for height in heights(self.head.height):
                use(height, frontier_of(tree_size(connection, self.head, height), lookup))

        await self._database.run(job)

    async def store_certificates(self, certificates: Sequence[tuple[int, bytes]]) -> None:
        """Keep cosigned checkpoints by height; the first kept for a height stays."""
        await self._database.persist(lambda c: write_certificates(c, certificates))

    async def store_evidence(self, evidence_id: bytes, found_ms: int, body: bytes) -> bool:
        """Keep evidence. False if it is known already."""

        def job(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO evidence (id, found_ms, body) VALUES (?, ?, ?)",
                (evidence_id, found_ms, body),
            )
            return cursor.rowcount > 0

        return await self._database.persist(job)

    def _unless_full(self, connection: sqlite3.Connection, work: Callable[[], T]) -> T:
        """`work()`; when there was no room for it, head and tiles are those of the file again.

        A stored row that cannot be read is damage of the file like any other: SQLite has no
        checksums, so a flipped bit of a row may show to nobody else.
        """
        try:
            return telling(self._database.path, work, UnreadableStateError)
        except sqlite3.Error as error:
            if is_full(error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._load(connection)
            raise

    async def drop_evidence(self, evidence_id: bytes) -> None:
        """Forget evidence that turned out to be excused."""
        await self._database.persist(
            lambda connection: connection.execute(
                "DELETE FROM evidence WHERE id = ?", (evidence_id,)
            )
        )

    async def store_resumption(self, voter: int, size: int, body: bytes) -> None:
        """Keep a voter's resumption above a certified tree of this size."""
        await self._database.persist(
            lambda connection: connection.execute(
                "INSERT OR IGNORE INTO resumptions (voter, size, body) VALUES (?, ?, ?)",
                (voter, size, body),
            )
        )

    def _load(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT network, record FROM head").fetchone()
        if row is None:
            self._found(connection)
            return
        network, record = row
        if network != self._network_id:
            raise WrongNetworkError(f"{self._database.path} belongs to another network")
        self.head = msgspec.msgpack.decode(record, type=Head)

        self._tiles = TileBuilder.resume(
            self.head.tree_size, lambda level, number: read_tile(connection, level, number)
        )
        if self._tiles.frontier.encode() != self.head.frontier:
            raise LedgerError("the stored tiles do not make the stored frontier")

    def _found(self, connection: sqlite3.Connection) -> None:
        changes = [RowChange(t, k, None, v) for t, k, v in genesis_rows(self._genesis)]
        digest = StateDigest().apply(changes)
        self.head = Head(
            height=0,
            time_ms=0,
            raft_index=0,
            frontier=Frontier().encode(),
            accumulator=digest.accumulator,
            rows=digest.rows,
        )
        connection.execute("BEGIN IMMEDIATE")
        write_rows(connection, changes)
        connection.execute(
            "INSERT INTO head (one, network, record) VALUES (1, ?, ?)",
            (self._network_id, msgspec.msgpack.encode(self.head)),
        )
        connection.execute("COMMIT")

    def _apply(self, connection: sqlite3.Connection, entry: CommittedEntry) -> AppliedBlock | None:
        if entry.index <= self.head.raft_index:
            return None
        if self.head.adopting:
            raise LedgerError(
                f"blocks were adopted up to height {self.head.height}, for Raft index"
                f" {self.head.adopting}: entry {entry.index} cannot be applied to them"
            )
        try:
            block = decode_block(entry.payload)
        except MalformedBlockError:
            return None  # only a faulty leader makes one; it has no height on any node
        if block.expected_term != entry.term:
            return None
        time_ms = max(block.time_ms, self.head.time_ms)
        checked = check_block(block, self._verified)
        connection.execute("BEGIN IMMEDIATE")
        made = self._builder.build(
            partial(prefetch, connection), self.head, time_ms, checked, entry.origin
        )
        applied = self._write(connection, made, entry.index, 0, len(entry.payload))
        connection.execute("COMMIT")
        return applied

    def _adopt(
        self, connection: sqlite3.Connection, block: CertifiedBlock, index: int, *, last: bool
    ) -> AppliedBlock:
        seal, head = block.seal, self.head
        if seal.height != head.height + 1 or seal.time_ms < head.time_ms:
            raise NotReproducedError(f"height {seal.height} does not follow height {head.height}")
        checked = check_leaves(block)
        connection.execute("BEGIN IMMEDIATE")
        try:
            made = self._builder.build(
                partial(prefetch, connection), head, seal.time_ms, checked, seal.origin
            )
            if made.leaves != block.leaves:
                raise NotReproducedError(f"height {seal.height} comes to other leaves here")
            places = (index, 0) if last else (head.raft_index, index)
            applied = self._write(connection, made, *places, sum(map(len, made.leaves)))
            if block.certificate is not None:
                note = block.certificate.encode().encode()
                write_certificates(connection, [(seal.height, note)])
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return applied

    def _write(
        self,
        connection: sqlite3.Connection,
        made: BuiltBlock,
        raft_index: int,
        adopting: int,
        payload_bytes: int,
    ) -> AppliedBlock:
        tiles = self._tiles.append(leaf_hashes(made.leaves))
        frontier = self._tiles.frontier
        self.head = Head(
            height=made.context.height,
            time_ms=made.context.time_ms,
            raft_index=raft_index,
            frontier=frontier.encode(),
            accumulator=made.digest.accumulator,
            rows=made.digest.rows,
            adopting=adopting,
        )
        write_rows(connection, made.changes)
        write_block(connection, self.head, made.first_index, made.leaves, tiles, made.blobs)
        return AppliedBlock(
            height=made.context.height,
            raft_index=raft_index,
            time_ms=made.context.time_ms,
            first_index=made.first_index,
            size=frontier.size,
            root=frontier.root(),
            frontier=frontier,
            state_digest=made.digest.value(),
            transactions=made.transactions,
            skipped=made.skipped,
            payload_bytes=payload_bytes,
            participants=[
                change.new
                for change in made.changes
                if change.table is Table.PARTICIPANT and change.new is not None
            ],
            rows=made.rows,
            rows_bytes=sum(len(c.new) for c in made.changes if c.new is not None),
            faults=made.faults,
        )
