"""Listeners of final blocks: told of each in order, from where they stood, none too early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from node.following.tracker import Tracker
from node.services import final_blocks
from node.services.final_blocks import BLOCKS_AT_ONCE, FinalBlocks, Position
from node.storage.block import StoredBlock


class Block(NamedTuple):
    """A block, as far as the loop looks at it."""

    height: int


class Reader:
    """A ledger of so many blocks."""

    def __init__(self, height: int) -> None:
        self._height = height

    async def blocks(self, first: int, limit: int, _: int) -> list[Block]:
        end = min(self._height, first + limit - 1)
        return [Block(height) for height in range(first, end + 1)]


class Listener:
    """Keeps what it was told; refuses the first `refusals` batches."""

    position_file = "looked"

    def __init__(self, refusals: int = 0, *, wanted: bool = True) -> None:
        self.heard: list[int] = []
        self.wanted = wanted
        self._refusals = refusals

    async def wants_blocks(self) -> bool:
        return self.wanted

    async def take(self, blocks: Sequence[StoredBlock]) -> bool:
        self.heard += [block.height for block in blocks]
        self._refusals -= 1
        return self._refusals < 0


@asynccontextmanager
async def following(
    listener: Listener, folder: Path, *, height: int, final: int
) -> AsyncIterator[Tracker]:
    tracker, reader = Tracker(), Reader(height)
    tracker.final_height = final
    blocks: Any = reader
    async with asyncio.TaskGroup() as group:
        task = group.create_task(FinalBlocks(listener, blocks, tracker, folder).run())
        yield tracker
        task.cancel()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0)


async def test_every_final_block_is_told_once_and_none_above(tmp_path: Path) -> None:
    listener, final = Listener(), BLOCKS_AT_ONCE + 3
    position = Position(tmp_path / Listener.position_file)
    async with following(listener, tmp_path, height=final + 5, final=final):
        await until(lambda: position.read() == final)
    assert listener.heard == [*range(1, final + 1)]


async def test_it_goes_on_where_it_stood(tmp_path: Path) -> None:
    Position(tmp_path / Listener.position_file).write(3)
    listener = Listener()
    async with following(listener, tmp_path, height=5, final=5):
        await until(lambda: len(listener.heard) == 2)
    assert listener.heard == [4, 5]


async def test_what_it_could_not_do_it_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(final_blocks, "RETRY_S", 0.0)
    listener, position = Listener(refusals=2), Position(tmp_path / Listener.position_file)
    async with following(listener, tmp_path, height=2, final=2):
        await until(lambda: position.read() == 2)
    assert listener.heard == [1, 2] * 3


async def test_who_wants_none_is_told_none_and_its_place_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(final_blocks, "IDLE_S", 0.001)
    listener = Listener(wanted=False)
    async with following(listener, tmp_path, height=2, final=2):
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert listener.heard == []
        assert not (tmp_path / Listener.position_file).exists()
        listener.wanted = True
        await until(lambda: listener.heard == [1, 2])


def test_a_position_is_kept_and_a_damaged_one_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "examined"
    assert Position(path).read() == 0
    Position(path).write(7_000)
    assert Position(path).read() == 7_000
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            assert Position(path).read() == 0
    path.write_bytes(whole[:-1])
    assert Position(path).read() == 0
