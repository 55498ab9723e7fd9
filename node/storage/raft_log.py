"""The node's Raft log: consensus' own store, with the node's marker. Owns where they meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consensus.errors import SnapshotError
from consensus.stores.sqlite import DamagedLogError, SqliteStore, WrongFileError, open_sqlite_store
from consensus.types import EntryFormat
from node.chain.entry import HEADER_TAG
from node.storage.damage import DamagedFileError, opening
from node.storage.marker import Marker

__all__ = ["ENTRY_FORMAT", "DamagedLogError", "SqliteStore", "naming_damage", "open_raft_log"]

ENTRY_FORMAT = EntryFormat(HEADER_TAG)
"""What a leader attests begins as `node.chain.entry` has it."""


async def open_raft_log(path: Path, marker: Marker, *, rejoin: bool = False) -> SqliteStore:
    """Open the log at `path`, or make it. `marker` stays the caller's, to close last.

    With `rejoin` the node is no new one, but its files are: it does not vote until it caught up.

    Raises:
        DamagedFileError: the file holds something else; the marker keeps what it promised.
    """
    with naming_damage(path):
        return await open_sqlite_store(path, marker, rejoin=rejoin, entries=ENTRY_FORMAT)


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Complaints about the log at `path` name it, while it is opened and loaded.

    A log that does not reach back to the ledger, without a snapshot that does, is of no use either.
    """
    try:
        with opening(path):
            yield
    except (DamagedLogError, WrongFileError, SnapshotError) as error:
        raise DamagedFileError(path, str(error)) from error
