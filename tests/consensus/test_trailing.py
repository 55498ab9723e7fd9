"""What is kept below a snapshot is bounded by number and by weight, and room is given back."""

from __future__ import annotations

from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import pytest

from consensus.driver.trailing import Trailing
from consensus.ports import AppendBatch
from consensus.stores.sqlite_file import CHECKPOINT_BYTES, SPARE_BYTES
from consensus.types import ZERO_HASH, Entry, LogIndex
from tests.consensus.lab import chain
from tests.consensus.stored import base_at, batch, load, opened


@pytest.mark.parametrize(
    ("entries_max", "bytes_max", "cut"),
    [
        (100, 10_000, 0),  # all may stay
        (3, 10_000, 7),
        (0, 10_000, 10),
        (100, 1_000, 0),
        (100, 999, 2),  # runs of two, of 200 bytes
        (100, 200, 8),
        (100, 199, 10),
        (5, 200, 8),
        (1, 600, 9),
    ],
)
def test_the_narrower_of_two_bounds_counts(entries_max: int, bytes_max: int, cut: int) -> None:
    trailing = Trailing(entries_max, bytes_max, LogIndex(0))
    for last in (2, 4, 6, 8, 10):
        trailing.applied(LogIndex(last), 200)

    assert trailing.cut(LogIndex(10)) == cut


def test_what_was_never_weighed_is_not_kept() -> None:
    trailing = Trailing(100, 10_000, LogIndex(500))
    trailing.applied(LogIndex(510), 10)

    assert trailing.cut(LogIndex(510)) == 500
    trailing.restart(LogIndex(900))
    assert trailing.cut(LogIndex(900)) == 900


def test_entries_above_the_snapshot_are_not_cut() -> None:
    trailing = Trailing(100, 100, LogIndex(0))
    for last in (5, 10, 15):
        trailing.applied(LogIndex(last), 90)

    assert trailing.cut(LogIndex(12)) <= 12


def test_the_cut_is_that_of_the_whole_history() -> None:
    """The runs that were given up could not have changed it."""
    rng = Random(7)
    for _ in range(200):
        entries_max, bytes_max = rng.randrange(50), rng.randrange(2_000)
        trailing, last, runs = Trailing(entries_max, bytes_max, LogIndex(0)), 0, []
        for _ in range(rng.randrange(1, 60)):
            last += rng.randrange(1, 5)
            runs.append((last, rng.randrange(200)))
            trailing.applied(LogIndex(last), runs[-1][1])
        kept, expected = sum(size for _, size in runs), 0
        for end, size in runs:
            if kept <= bytes_max:
                break
            kept, expected = kept - size, end
        assert trailing.cut(LogIndex(last)) == max(expected, last - entries_max)
        assert len(trailing._runs) <= max(1, entries_max + 1)


def heavy(count: int, size: int) -> list[Entry]:
    """A log of heavy entries."""
    log: list[Entry] = []
    for entry in chain(*[1] * count):
        prev = log[-1].hash if log else ZERO_HASH
        log.append(
            Entry(entry.term, entry.index, entry.kind, entry.leader, prev, b"x" * size, b"signed")
        )
    return log


async def test_a_log_that_was_cut_gives_its_room_back(tmp_path: Path) -> None:
    log = heavy(400, 250_000)
    path = tmp_path / "raft.db"
    async with opened(tmp_path) as store:
        await store.load()
        for start in range(0, 390, 10):
            await store.append(batch(log[start : start + 10]))
        grown = path.stat().st_size
        await store.append(AppendBatch(None, (), base=base_at(log[379])))
        for start in range(390, 400):
            await store.append(batch(log[start : start + 1]))
        for _ in range(1_000):
            await store.append(batch())
    shrunk = path.stat().st_size

    assert grown > 80_000_000
    assert shrunk < SPARE_BYTES + 2 * CHECKPOINT_BYTES
    assert (await load(tmp_path)).base.index == 380
