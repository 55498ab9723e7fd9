"""Reading the ledger: blocks, tiles, certificates, state rows, proofs. Changes nothing.

Owns a read-only connection, so that a slow reader never delays the writer. Every method is one
job and sees one committed state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from node.chain.leaf_range import LeafRange
from node.chain.merkle import Frontier, consistency_path, frontier_of, inclusion_path
from node.chain.tiles import MissingTileError, TileSubtrees
from node.ledger.codes import Table
from node.ledger.execution.execute import Scan
from node.storage.database import Database, open_reader
from node.storage.leaf_ranges import read_range
from node.storage.ledger_rows import Head, height_of_size, read_blob, read_tile
from node.storage.state_rows import last_key, read_rows, scan_rows

_BLOCK = (
    "SELECT b.height, b.first_index, b.leaves, c.note FROM blocks b "
    "LEFT JOIN certificates c ON c.height = b.height "
)


class StoredBlock(msgspec.Struct, frozen=True):
    """A block as it was applied."""

    height: int
    first_index: int
    leaves: Sequence[bytes]
    """Leaf bytes in tree order; the seal is the last."""
    certificate: bytes | None
    """The cosigned checkpoint of this height, if this node collected one."""


class Inclusion(msgspec.Struct, frozen=True):
    """A leaf with its path to a certified checkpoint."""

    leaf: bytes
    index: int
    path: Sequence[bytes]
    certificate: bytes


class OtherTreeError(Exception):
    """The ledger does not hold a certified tree."""


class LedgerReader:
    """The reading side of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path) -> LedgerReader:
        """Open the ledger at `path`, which its writer has opened before."""
        return cls(await open_reader(path))

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> list[StoredBlock]:
        """Blocks from `from_height` up: at least one if there is one, cut past `bytes_max`."""

        def job(connection: sqlite3.Connection) -> list[StoredBlock]:
            blocks: list[StoredBlock] = []
            size = 0
            rows = connection.execute(
                _BLOCK + "WHERE b.height >= ? ORDER BY b.height LIMIT ?", (from_height, limit)
            )
            for row in rows:
                size += len(row[2])
                if blocks and size > bytes_max:
                    break
                blocks.append(_stored_block(row))
            return blocks

        return await self._database.run(job)

    async def leaves(self, first_index: int, count: int) -> list[bytes]:
        """Up to `count` consecutive leaves from `first_index`."""

        def job(connection: sqlite3.Connection) -> list[bytes]:
            found: list[bytes] = []
            row = _block_of(connection, first_index)
            height = row.height if row else 0
            while row is not None and len(found) < count:
                start = max(0, first_index - row.first_index)
                found.extend(row.leaves[start : start + count - len(found)])
                height += 1
                rows = connection.execute(_BLOCK + "WHERE b.height = ?", (height,)).fetchone()
                row = None if rows is None else _stored_block(rows)
            return found

        return await self._database.run(job)

    async def newest_certificate(self) -> tuple[int, bytes] | None:
        """The certificate of the greatest height."""

        def job(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
            row: tuple[int, bytes] | None = connection.execute(
                "SELECT height, note FROM certificates ORDER BY height DESC LIMIT 1"
            ).fetchone()
            return row

        return await self._database.run(job)

    async def inclusion(self, index: int) -> Inclusion | None:
        """The proof of the leaf at `index` under the first checkpoint that certifies it.

        None while no certificate covers the leaf.
        """

        def job(connection: sqlite3.Connection) -> Inclusion | None:
            block = _block_of(connection, index)
            if block is None or index - block.first_index >= len(block.leaves):
                return None
            found = _certificate_from(connection, block.height)
            if found is None:
                return None
            height, note = found
            size = connection.execute(
                "SELECT first_index FROM blocks WHERE height = ?", (height + 1,)
            ).fetchone()
            if size is None:
                last = connection.execute(_BLOCK + "WHERE b.height = ?", (height,)).fetchone()
                certified = _stored_block(last)
                size = (certified.first_index + len(certified.leaves),)
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            return Inclusion(
                leaf=block.leaves[index - block.first_index],
                index=index,
                path=inclusion_path(index, size[0], lookup),
                certificate=note,
            )

        return await self._database.run(job)

    async def leaf_range(self, first: int) -> LeafRange | None:
        """Certified leaves from tree index `first` on, for a peer; None when there is none."""
        return await self._database.run(partial(read_range, first=first))

    async def frontiers(self, first: int, last: int) -> list[tuple[int, Frontier]]:
        """The heights `first`..`last` with the tree as it stood after each."""

        def job(connection: sqlite3.Connection) -> list[tuple[int, Frontier]]:
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            found = []
            for height in range(first, last + 1):
                row = connection.execute(_BLOCK + "WHERE b.height = ?", (height,)).fetchone()
                block = _stored_block(row)
                size = block.first_index + len(block.leaves)
                found.append((height, frontier_of(size, lookup)))
            return found

        return await self._database.run(job)

    async def height_of(self, size: int, root: bytes) -> int | None:
        """The height whose tree this is; None while the ledger is smaller.

        Raises:
            OtherTreeError: the ledger holds another tree of that size, or none that ends there.
        """

        def job(connection: sqlite3.Connection) -> int | None:
            (record,) = connection.execute("SELECT record FROM head").fetchone()
            head = msgspec.msgpack.decode(record, type=Head)
            if size > head.tree_size:
                return None
            height = height_of_size(connection, head, size)
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            if height is None or frontier_of(size, lookup).root() != root:
                raise OtherTreeError(f"the ledger holds another tree of {size} leaves")
            return height

        return await self._database.run(job)

    async def tile(self, level: int, number: int) -> bytes | None:
        """The stored hashes of a tile, 32 bytes each."""
        return await self._database.run(lambda connection: read_tile(connection, level, number))

    async def rows(self, table: Table, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The state rows that exist."""
        return await self._database.run(lambda connection: read_rows(connection, table, keys))

    async def scan(
        self, table: Table, low: bytes, high: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """State rows of any table but orders with low ≤ key < high, in key order."""
        wanted = Scan(table, low, high, limit)
        return await self._database.run(lambda connection: scan_rows(connection, wanted))

    async def last_key(self, table: Table, low: bytes, high: bytes) -> bytes | None:
        """The greatest key with low ≤ key ≤ high of any table but orders, if there is one."""
        return await self._database.run(lambda connection: last_key(connection, table, low, high))

    async def blob(self, height: int, blob_hash: bytes) -> bytes | None:
        """A sealed blob that a leaf of this height names, unless it was erased."""
        return await self._database.run(lambda connection: read_blob(connection, height, blob_hash))

    async def blobs(self, places: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        """Sealed blobs by height and hash, in one job."""
        return await self._database.run(
            lambda connection: [read_blob(connection, *place) for place in places]
        )

    async def newest_transactions(self, limit: int) -> list[bytes]:
        """Ids of the newest applied transactions that a duplicate could still follow."""

        def job(connection: sqlite3.Connection) -> list[bytes]:
            # These rows are inserted and removed, never replaced: row ids follow the ledger.
            rows = connection.execute(
                "SELECT key FROM state WHERE tbl = ? ORDER BY rowid DESC LIMIT ?",
                (Table.TXID, limit),
            )
            return [key[8:] for (key,) in rows][::-1]

        return await self._database.run(job)

    async def evidence(self, after: bytes | None, limit: int) -> list[tuple[bytes, int, bytes]]:
        """Stored evidence (id, found at, body) in the order of ids."""

        def job(connection: sqlite3.Connection) -> list[tuple[bytes, int, bytes]]:
            return connection.execute(
                "SELECT id, found_ms, body FROM evidence WHERE id > ? ORDER BY id LIMIT ?",
                (after or b"", limit),
            ).fetchall()

        return await self._database.run(job)

    async def resumptions(self) -> list[bytes]:
        """Stored resumptions in the order of voter and size."""

        def job(connection: sqlite3.Connection) -> list[bytes]:
            rows = connection.execute("SELECT body FROM resumptions ORDER BY voter, size")
            return [body for (body,) in rows]

        return await self._database.run(job)

    async def evidence_body(self, identity: bytes) -> bytes | None:
        """Stored evidence by its id."""

        def job(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT body FROM evidence WHERE id = ?", (identity,)
            ).fetchone()
            return None if row is None else row[0]

        return await self._database.run(job)

    async def prefix(self, size: int, under: int) -> tuple[bytes, list[bytes]] | None:
        """The root that the stored tree had at `size`, and its consistency proof to `under`.

        None while the stored tree has fewer than `under` leaves. `size` is at most `under`.
        """

        def job(connection: sqlite3.Connection) -> tuple[bytes, list[bytes]] | None:
            lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
            try:
                path = consistency_path(size, under, lookup)
                return frontier_of(size, lookup).root(), path
            except MissingTileError:
                return None

        return await self._database.run(job)


def _stored_block(row: tuple[int, int, bytes, bytes | None]) -> StoredBlock:
    height, first_index, leaves, note = row
    return StoredBlock(height, first_index, msgspec.msgpack.decode(leaves, type=list[bytes]), note)


def _block_of(connection: sqlite3.Connection, index: int) -> StoredBlock | None:
    row = connection.execute(
        _BLOCK + "WHERE b.first_index <= ? ORDER BY b.first_index DESC LIMIT 1", (index,)
    ).fetchone()
    return None if row is None else _stored_block(row)


def _certificate_from(connection: sqlite3.Connection, height: int) -> tuple[int, bytes] | None:
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT height, note FROM certificates WHERE height >= ? ORDER BY height LIMIT 1",
        (height,),
    ).fetchone()
    return row
