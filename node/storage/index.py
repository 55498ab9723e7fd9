"""The query index: what lists, traces and the inbox read. Rebuildable from the ledger.

Owns one SQLite file with a writer and a reader. Each of its parts follows the ledger block by
block, in order, and how far it came is remembered in the same transaction; so a crash costs nothing
but time, and deleting the file rebuilds it. `synchronous=NORMAL`: a power cut may take the newest
blocks, which are followed again. What stands in a part is the part's own (`index_part`), and so is
what can be asked of it; knows no domain and no HTTP.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from node.storage.damage import telling
from node.storage.database import Database, open_reader, open_writer
from node.storage.index_heads import (
    IndexBatch,
    check_parts,
    make_batch,
    mark_of,
    prepare_parts,
    write_batch,
)
from node.storage.index_part import IndexPart, LedgerBlock, OpenedBlock, StoredRows, open_block
from node.storage.sql import Sql, Sqlite

T = TypeVar("T")


class IndexGapError(RuntimeError):
    """The blocks offered do not follow the last one that a part holds."""


class QueryIndex:
    """The index. `follow` writes; everything else reads a committed state."""

    def __init__(
        self,
        writer: Database,
        reader: Database,
        parts: Sequence[IndexPart],
        heights: dict[str, int],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._parts = tuple(parts)
        self._heights = heights

    @classmethod
    async def open(cls, path: Path, parts: Sequence[IndexPart], network: bytes) -> QueryIndex:
        """Open or create the index at `path`.

        A file of another layout or network is made anew; a part of another version begins anew
        beside the others, and what belongs to none of `parts` is dropped.

        Args:
            path: The file.
            parts: What stands in it.
            network: The id of the ledger's.

        Raises:
            DamagedFileError: the file does not hold what this program wrote.
            ValueError: two of the parts have a name in common.
        """
        check_parts(parts)
        writer = await open_writer(path, "index", "", synchronous="NORMAL")
        mark = mark_of(network)
        if await writer.run(_mark) not in {0, mark}:
            await writer.close()
            discard(path)
            writer = await open_writer(path, "index", "", synchronous="NORMAL")

        def prepare(connection: sqlite3.Connection) -> dict[str, int]:
            connection.execute(f"PRAGMA user_version={mark}")
            return prepare_parts(Sqlite(connection), parts)

        try:
            heights = await writer.run(
                lambda c: telling(path, lambda: prepare(c), TypeError, ValueError)
            )
        except BaseException:
            await writer.close()
            raise
        return cls(writer, await open_reader(path), parts, heights)

    async def close(self) -> None:
        """Close both connections."""
        await self._reader.close()
        await self._writer.close()

    # --- Heights -----------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The last block that every part holds; 0 before the first."""
        return min(self._heights.values())

    @property
    def heights(self) -> list[int]:
        """Where parts stand, the highest first: more than one while a part is rebuilt."""
        return sorted(set(self._heights.values()), reverse=True)

    def height_of(self, part: str) -> int:
        """The last block that a part holds; 0 before the first."""
        return self._heights[part]

    # --- Following ---------------------------------------------------------------------------

    async def prepare(self, blocks: Sequence[LedgerBlock] | Sequence[OpenedBlock]) -> IndexBatch:
        """What consecutive blocks add to the parts that stand right before the first of them.

        `missing` of the result names the state rows to fetch.

        Raises:
            IndexGapError: no part stands there.
        """
        before = blocks[0].height - 1
        following = [part for part in self._parts if self._heights[part.name] == before]
        if not following:
            raise IndexGapError(f"have {self._heights}, offered {before + 1}")

        def job(_: sqlite3.Connection) -> IndexBatch:
            opened = [b if isinstance(b, OpenedBlock) else open_block(b) for b in blocks]
            return make_batch(following, opened)

        return await self._writer.run(job)

    async def follow(self, batch: IndexBatch, rows: StoredRows) -> None:
        """Write a batch and move its parts to its last height, in one SQLite transaction.

        Args:
            batch: From `prepare`.
            rows: The state rows of `batch.missing`, of this or any later height; those that do not
                exist are left out.

        Raises:
            IndexGapError: the batch does not follow any more; nothing was written.
        """
        if any(self._heights[name] != batch.first_height - 1 for name in batch.parts):
            raise IndexGapError(f"have {self._heights}, offered {batch.first_height}")
        await self._writer.persist(lambda c: write_batch(Sqlite(c), batch, rows))
        self._heights.update(dict.fromkeys(batch.parts, batch.last_height))

    # --- Queries -----------------------------------------------------------------------------

    async def read(self, query: Callable[[Sql], T]) -> T:
        """The result of a part's query."""
        return await self._reader.run(lambda connection: query(Sqlite(connection)))


def discard(path: Path) -> None:
    """Delete an index, so that the next `open` starts anew."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


def _mark(connection: sqlite3.Connection) -> int:
    (mark,) = connection.execute("PRAGMA user_version").fetchone()
    return int(mark)
