"""The query index comes to the same rows from applied blocks and from stored ones."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from node.chain.block import Block, encode_block
from node.chain.voters import VoterSet
from node.domains.invoices.index.part import InvoicesPart
from node.following import index_follower as indexing
from node.following.index_follower import IndexFollower
from node.following.tracker import Tracker
from node.storage import recent_blocks
from node.storage.index import QueryIndex
from node.storage.index_part import IndexPart
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from node.storage.recent_blocks import RecentBlocks
from node.storage.transactions_part import TransactionsPart
from tests.index_parts import INDEX_PARTS
from tests.ledger.history import PastBlock, SigningWorld, random_history

TERM = 3
BLOCKS = 200


class Followed:
    """A ledger whose blocks are handed to an index, or not."""

    def __init__(self, path: Path, ledger: Ledger, reader: LedgerReader, index: QueryIndex) -> None:
        self.path = path
        self.ledger = ledger
        self.reader = reader
        self.index = index
        self.tracker = Tracker()
        self.indexer = IndexFollower(index, reader, self.tracker)

    @classmethod
    async def open(
        cls, folder: Path, world: SigningWorld, parts: Sequence[IndexPart] = INDEX_PARTS
    ) -> Followed:
        folder.mkdir(exist_ok=True)
        path, voters = folder / "ledger.db", VoterSet.from_genesis(world.genesis)
        ledger = await Ledger.open(path, world.genesis, voters.hash, lambda _: None)
        index = await QueryIndex.open(folder / "index.db", parts, b"network")
        return cls(folder, ledger, await LedgerReader.open(path), index)

    async def apply(self, entries: Sequence[CommittedEntry], *, tell: bool) -> None:
        for block in await self.ledger.apply(entries, lambda _: None):
            if tell:
                self.indexer.applied(block)

    async def close(self) -> dict[str, list[tuple[object, ...]]]:
        """Close the files; every row of every table of the index."""
        await self.index.close()
        await self.reader.close()
        await self.ledger.close()
        with closing(sqlite3.connect(self.path / "index.db")) as connection:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            return {
                name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
                for (name,) in tables.fetchall()
            }


def entries(past: Sequence[PastBlock]) -> list[CommittedEntry]:
    return [
        CommittedEntry(
            index, TERM, 0, encode_block(Block(TERM, block.time_ms, block.wires)), bytes(32)
        )
        for index, block in enumerate(past, 1)
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_same_rows_from_applied_and_from_stored_blocks(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed over at three paces, one with too little room to keep them all; then only read."""
    world, past = random_history(seed, BLOCKS)
    todo = entries(past)
    found = []
    for pace, room in ((1, 64), (7, 64), (40, 15)):
        monkeypatch.setattr(recent_blocks, "BLOCKS_MAX", room)
        followed = await Followed.open(tmp_path / f"told {pace}", world)
        for start in range(0, len(todo), pace):
            await followed.apply(todo[start : start + pace], tell=True)
            while await followed.indexer.advance():
                pass
        assert followed.index.height == followed.ledger.head.height
        found.append(await followed.close())
    followed = await Followed.open(tmp_path / "read", world)
    await followed.apply(todo, tell=False)
    while await followed.indexer.advance():
        pass
    stored = await followed.close()

    assert all(rows == stored for rows in found)
    # The history is worth following: every table has rows.
    assert all(len(rows) > 0 for rows in stored.values())
    assert len(stored["invoices"]) > 20
    assert len(stored["invoice_steps"]) > 20


class NewerInvoices(InvoicesPart):
    """The invoices' part of a later program."""

    version = InvoicesPart.version + 1


async def test_a_part_that_is_rebuilt_comes_to_the_same_rows_while_the_others_keep_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, past = random_history(5, 60)
    todo = entries(past)
    straight = await Followed.open(tmp_path / "straight", world)
    await straight.apply(todo, tell=True)
    while await straight.indexer.advance():
        pass
    wanted = await straight.close()
    followed = await Followed.open(tmp_path / "rebuilt", world)
    await followed.apply(todo[:40], tell=True)
    while await followed.indexer.advance():
        pass
    await followed.close()

    monkeypatch.setattr(indexing, "BLOCKS_PER_BATCH", 7)
    parts = (TransactionsPart(), NewerInvoices(0))
    followed = await Followed.open(tmp_path / "rebuilt", world, parts)
    index = followed.index
    heights, places = [index.heights], []
    for start in range(40, len(todo), 5):
        await followed.apply(todo[start : start + 5], tell=True)
        await followed.indexer.advance()
        places.append((followed.ledger.head.height, index.height_of("invoices")))
        heights.append(index.heights)
    while await followed.indexer.advance():
        pass
    heights.append(index.heights)
    found = await followed.close()

    # Those that are complete stay so, while the other comes from the beginning.
    assert heights[1:-1] == [[head, place] for head, place in places]
    assert [place for _, place in places] == [7 * n for n in range(1, len(places) + 1)]
    assert (heights[0], heights[-1]) == ([40, 0], [followed.ledger.head.height])
    heads = found.pop("parts")
    assert [(name, version) for name, version, *_ in heads] == [
        ("invoices", 2),
        ("transactions", 1),
    ]
    del wanted["parts"]
    assert found == wanted


async def test_far_behind_the_ledger_no_batch_waits_for_more_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a batch is small because its blocks are large."""
    world, past = random_history(5, 60)
    followed = await Followed.open(tmp_path / "told", world)
    await followed.apply(entries(past), tell=False)
    head = followed.ledger.head.height
    followed.tracker.applied(head, [])
    monkeypatch.setattr(indexing, "BYTES_PER_BATCH", 1)
    waits: list[int] = []

    class ComeNearError(Exception):
        """The first time that the loop waits."""

    async def wait(_: float) -> None:
        waits.append(followed.index.height)
        raise ComeNearError

    monkeypatch.setattr(asyncio, "sleep", wait)
    with pytest.raises(ComeNearError):
        await followed.indexer.run()
    await followed.close()

    assert waits == [head - indexing.BLOCKS_PER_BATCH + 1]


async def test_blocks_that_were_handed_over_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, past = random_history(3, 30)
    todo = entries(past)
    followed = await Followed.open(tmp_path / "told", world)
    await followed.apply(todo[:10], tell=False)
    await followed.apply(todo[10:], tell=True)
    read: list[int] = []
    blocks = followed.reader.blocks

    async def counted(from_height: int, limit: int, bytes_max: int) -> object:
        read.append(from_height)
        return await blocks(from_height, 4, bytes_max)

    monkeypatch.setattr(followed.reader, "blocks", counted)
    while await followed.indexer.advance():
        pass

    head = followed.ledger.head.height
    await followed.close()
    told = head - (len(todo) - 10)
    assert read == [*range(1, told + 1, 4), head + 1]


async def test_what_is_kept_is_bounded_in_blocks_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, past = random_history(3, 30)
    followed = await Followed.open(tmp_path / "told", world)
    applied: list[AppliedBlock] = await followed.ledger.apply(entries(past), lambda _: None)
    await followed.close()
    last = applied[-1].height

    recent = RecentBlocks()
    for block in applied:
        recent.add(block)
    assert [b.height for b in recent.after(last - 3, 2)] == [last - 2, last - 1]
    assert recent.after(last, 2) == []
    recent.forget(last - 1)
    assert recent.after(last - 2, 2) == []
    assert [b.height for b in recent.after(last - 1, 2)] == [last]

    monkeypatch.setattr(recent_blocks, "BLOCKS_MAX", 5)
    for block in applied:
        recent.add(block)
    assert recent.after(last - 6, 99) == []
    assert len(recent.after(last - 5, 99)) == 5

    monkeypatch.setattr(recent_blocks, "BYTES_MAX", 0)
    recent.add(applied[-1])
    assert recent.after(last - 1, 99) == []
