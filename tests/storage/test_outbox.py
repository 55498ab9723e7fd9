"""What the outbox acknowledged is on disk, once, with its numbers and its answer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from node.storage.outbox import Outbox, OutboxItem, Promise, RememberedAnswer, row_crc


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Outbox]:
    outbox = await Outbox.open(path)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox.run())
        yield outbox
        task.cancel()
    await outbox.close()


def item(number: int) -> OutboxItem:
    return OutboxItem(number.to_bytes(32, "big"), b"wire %d" % number, 10)


async def test_promises_survive_reopening_in_order(tmp_path: Path) -> None:
    items = [item(n) for n in (3, 1, 2)]
    async with opened(tmp_path / "o.db") as outbox:
        await asyncio.gather(*(outbox.keep(Promise([i])) for i in items))
        await outbox.keep(Promise([items[0]]))  # a repeat is not a second promise

    async with opened(tmp_path / "o.db") as outbox:
        assert items == await outbox.load()


async def test_dropped_transactions_are_gone(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await outbox.keep(Promise([item(1), item(2)]))
        await outbox.drop([item(1).txid])

        assert [item(2)] == await outbox.load()


async def test_serials_never_go_back(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        await outbox.keep(Promise([], serials=[("a", 5)]))
        await outbox.keep(Promise([], serials=[("a", 3), ("b", 1)]))

        assert await outbox.serials() == {"a": 5, "b": 1}


async def test_the_first_answer_of_a_key_stays(tmp_path: Path) -> None:
    first = RememberedAnswer(b"request", b"answer")
    async with opened(tmp_path / "o.db") as outbox:
        await outbox.keep(Promise([], idempotency_key="k", remembered=first))
        await outbox.keep(
            Promise([], idempotency_key="k", remembered=RememberedAnswer(b"other", b"other"))
        )

        assert first == await outbox.remembered("k")
        assert await outbox.remembered("unknown") is None


async def test_a_bit_that_fell_shows_in_the_checksum_of_its_row(tmp_path: Path) -> None:
    async with opened(tmp_path / "o.db") as outbox:
        answer = RememberedAnswer(b"request", b"answer")
        await outbox.keep(Promise([], [("a", 5)], "k", answer, 7))
        await outbox.keep(Promise([], [("a", 9)]))
    with closing(sqlite3.connect(tmp_path / "o.db")) as connection:
        for table in ("idempotency", "serials"):
            *columns, crc = connection.execute(f"SELECT * FROM {table}").fetchone()
            assert crc == row_crc(*columns)
            assert crc != row_crc(*columns[:-1], columns[-1] + 1)
