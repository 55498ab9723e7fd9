"""The node's Raft log: consensus' own store, with the node's marker. Owns where they meet."""

from __future__ import annotations

from pathlib import Path

from consensus.sqlite import DamagedLogError, SqliteStore, open_sqlite_store
from node.storage.marker import Marker

__all__ = ["DamagedLogError", "SqliteStore", "open_raft_log"]


async def open_raft_log(path: Path, marker: Marker, *, rejoin: bool = False) -> SqliteStore:
    """Open the log at `path`, or make it. `marker` stays the caller's, to close last.

    With `rejoin` the node is no new one, but its files are: it does not vote until it caught up.
    """
    return await open_sqlite_store(path, marker, rejoin=rejoin)
