"""Writes that were torn by a power cut, and files that lost what was synced.

A write is taken apart into the sectors that it changed. Until a sync returns, any of them may be
on the disk and any may not; what an earlier sync covered is there.
"""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import pytest

from consensus.ports import Recovered
from tests.powercut.files import LOG, MARKER, WAL, Files, load, put, record
from tests.powercut.history import State

SECTOR = 512
CHECKPOINT_BYTES = 150_000
_HEADER_BYTES = 32
Recorded = list[tuple[Files, State]]


def torn(before: bytes, after: bytes, rng: Random) -> bytes:
    """`before`, with some of the sectors that differ in `after`."""
    share = rng.choice([0.1, 0.5, 0.9, 1.0])
    size = rng.randint(min(len(before), len(after)), max(len(before), len(after)))
    mixed = bytearray(before.ljust(size, b"\0"))
    for at in range(0, size, SECTOR):
        if rng.random() < share:
            mixed[at : at + SECTOR] = after[at : at + SECTOR]
    return bytes(mixed[:size])


def interrupted(before: Files, after: Files, rng: Random) -> list[tuple[str, Files]]:
    """What may be on the disk when the power goes during one append, stage by stage."""
    # SQLite syncs the header of a log that it begins again before it writes anything else.
    headed = {**before, WAL: after[WAL][:_HEADER_BYTES] + before[WAL][_HEADER_BYTES:]}
    stages = [("log", {**before, WAL: torn(headed[WAL], after[WAL], rng)})]
    if before[WAL] and before[WAL] != headed[WAL]:
        stages.append(("header", headed))
    marked = {**after, LOG: before[LOG], MARKER: torn(before[MARKER], after[MARKER], rng)}
    stages.append(("marker", marked))
    if before[LOG] != after[LOG]:
        stages.append(("checkpoint", {**after, LOG: torn(before[LOG], after[LOG], rng)}))
    return stages


def is_just(found: Recovered, state: State) -> bool:
    """Whether all of this state, and nothing else, is presented."""
    return (found.hard_state, found.base, found.positions) == (
        state.hard_state,
        state.base,
        state.positions,
    )


def keeps(found: Recovered, promised: State) -> bool:
    """Whether term, vote and end of the log are at least what was promised."""
    if found.hard_state.term < promised.hard_state.term:
        return False
    if found.hard_state.term == promised.hard_state.term and (
        found.hard_state.vote != promised.hard_state.vote
    ):
        return False
    place = promised.last_index - found.base.index
    if place == 0:
        return found.base.hash == promised.last_hash
    return place <= len(found.positions) and found.positions[place - 1][1] == promised.last_hash


async def tear(folder: Path, seed: int, batches: int) -> dict[str, int]:
    """Interrupt every append of a history; how often each stage was seen."""
    rng = Random(seed)
    recorded = await record(folder, seed, batches, CHECKPOINT_BYTES)
    seen: dict[str, int] = {}
    for (before, old), (after, new) in pairwise(recorded):
        for stage, files in interrupted(before, after, rng):
            put(folder, files)
            loaded = await load(folder)
            assert loaded is not None, (seed, stage)
            found, entries = loaded
            assert not found.suspect, (seed, stage)
            whole = is_just(found, new)
            assert whole or (stage in {"header", "log"} and is_just(found, old)), (seed, stage)
            assert entries == (new if whole else old).entries
            seen[stage] = seen.get(stage, 0) + 1
            seen["whole"] = seen.get("whole", 0) + (whole and stage == "log")
    return seen


async def test_a_torn_write_is_whole_or_was_never_there_and_nothing_is_doubted(
    tmp_path: Path,
) -> None:
    seen = await tear(tmp_path, seed=1, batches=40)

    assert seen["log"] == seen["marker"] == 40
    assert seen["checkpoint"] > 3
    assert seen["header"] > 3
    assert 0 < seen["whole"] < 40


@pytest.mark.soak
async def test_many_torn_writes(tmp_path: Path) -> None:
    for seed in range(max(5, int(os.environ.get("SEEDS", "1000")) // 50)):
        assert (await tear(tmp_path, 10_000 + seed, batches=200))["checkpoint"]


# --- Files that lost what was synced -------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return asyncio.run(record(tmp_path_factory.mktemp("recorded"), 2, 50, CHECKPOINT_BYTES))


async def notices(folder: Path, files: Files, promised: State) -> bool:
    """Whether the store doubts these files; if it does not, all that was promised is there."""
    put(folder, files)
    loaded = await load(folder)
    if loaded is None or loaded[0].suspect:
        return True
    assert keeps(loaded[0], promised)
    return False


async def test_an_older_log_is_noticed_or_lacks_nothing_and_takes_no_vote_back(
    tmp_path: Path, recorded: Recorded
) -> None:
    files, promised = recorded[-1]
    noticed = 0
    for older, _ in recorded[:-1]:
        put(tmp_path, {**older, MARKER: files[MARKER]})
        loaded = await load(tmp_path)
        assert loaded is not None
        assert loaded[0].hard_state == promised.hard_state
        assert loaded[0].suspect or keeps(loaded[0], promised)
        noticed += loaded[0].suspect

    assert noticed > 40


async def test_a_cut_write_ahead_log_is_noticed_or_lacks_nothing(
    tmp_path: Path, recorded: Recorded
) -> None:
    files, promised = recorded[-1]
    wal = files[WAL]
    cuts = range(0, len(wal), len(wal) // 64 // SECTOR * SECTOR)
    noticed = [await notices(tmp_path, {**files, WAL: wal[:cut]}, promised) for cut in cuts]

    assert sum(noticed) > 1
    assert not noticed[-1]  # the end is left from before the log began again


@pytest.mark.parametrize("lost", [[LOG], [WAL], [LOG, WAL], [MARKER]])
async def test_a_lost_file_is_noticed(tmp_path: Path, recorded: Recorded, lost: list[str]) -> None:
    for files, promised in recorded[30:]:
        assert files[WAL]
        noticed = await notices(tmp_path, {**files, **dict.fromkeys(lost, b"")}, promised)
        assert noticed or lost == [WAL]


async def test_a_log_beside_an_older_write_ahead_log_is_noticed_or_lacks_nothing(
    tmp_path: Path, recorded: Recorded
) -> None:
    files, promised = recorded[-1]
    noticed = [
        await notices(tmp_path, {**files, name: older[name]}, promised)
        for older, _ in recorded[20:-1:2]
        for name in (LOG, WAL)
    ]

    assert sum(noticed) > 0


async def test_an_older_marker_is_a_crash_between_the_two_writes(
    tmp_path: Path, recorded: Recorded
) -> None:
    (older, _), (files, state) = recorded[-2:]
    put(tmp_path, {**files, MARKER: older[MARKER]})
    loaded = await load(tmp_path)

    assert loaded is not None
    assert not loaded[0].suspect
    assert is_just(loaded[0], state)
