"""No room on the disk is no failed disk: nothing is stored, nothing is lost, and it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from consensus.errors import StoreFullError
from consensus.outcomes import Committed
from consensus.types import LogIndex
from tests.consensus.lab import chain
from tests.consensus.stored import STATE, batch, found, load, opened
from tests.consensus.test_driver import Trio

pytestmark = pytest.mark.timeout(20)


def limit(connection: sqlite3.Connection, more: int) -> None:
    """Let the file grow by so many pages: SQLite answers beyond that as on a full disk."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + more}")


async def test_a_batch_without_room_changes_nothing_and_fits_later(tmp_path: Path) -> None:
    log = chain(*[1] * 4_000)
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(log[:1]))
        await store._file.run(lambda connection: limit(connection, 2))

        for _ in range(3):
            with pytest.raises(StoreFullError):
                await store.append(batch(log[1:]))
        assert await store.read(LogIndex(1), LogIndex(1), 1 << 20) == log[:1]
        await store.append(batch((), STATE))  # what needs no room is still stored

        await store._file.run(lambda connection: limit(connection, 1_000))
        await store.append(batch(log[1:]))

    assert await load(tmp_path) == found(STATE, log)


async def test_a_leader_without_room_gives_way_and_follows_again_by_itself() -> None:
    async with Trio() as trio:
        first = await trio.leader()
        store = trio.stores[first]
        store.error = StoreFullError("no room")
        trio.nodes[first].submit(b"waits for the disk")
        while (second := await trio.leader()) == first:
            await asyncio.sleep(0.005)
        outcome = await trio.nodes[second].execute(b"goes on", 5.0)
        assert isinstance(outcome, Committed)

        store.error = None
        await trio.appliers[first].wait(outcome.index)

        assert not trio.nodes[first].failed.done()
        assert trio.appliers[first].entries == trio.appliers[second].entries
