"""One flipped bit anywhere in the store's files: harmless, or noticed; never a wrong entry.

Nor does a node that is not suspect come back with an older term, another vote, or a shorter log.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import pytest

from tests.powercut.files import LOG, MARKER, NAMES, WAL, Files, load, mend, put, record
from tests.powercut.history import State


def flipped(files: Files, name: str, at: int, bit: int) -> Files:
    damaged = bytearray(files[name])
    damaged[at] ^= 1 << bit
    return {**files, name: bytes(damaged)}


async def look(folder: Path, files: Files, states: Sequence[State]) -> str:
    """Load damaged files of the last of these states: what the store says. Lies are errors."""
    state = states[-1]
    put(folder, files)
    loaded = await load(folder)
    if loaded is None:
        return "refused"
    found, entries = loaded
    assert found.hard_state.term >= state.hard_state.term
    assert [(entry.term, entry.hash) for entry in entries] == list(found.positions)
    if not found.suspect:
        assert found.hard_state == state.hard_state
        assert (found.base, entries) == (state.base, state.entries)
        return "harmless"
    assert not entries or any(
        found.base == earlier.base and entries == earlier.entries[: len(entries)]
        for earlier in states
    )
    if not await mend(folder, state):
        return "suspect, cannot be written"
    again = await load(folder)
    if again is None or again[0].suspect:
        return "suspect again after mending"
    assert (again[0].hard_state, again[0].base) == (state.hard_state, state.base)
    assert again[1] == state.entries
    return "suspect, mended"


async def flip(folder: Path, seed: int, times: int) -> Counter[tuple[str, str]]:
    """Flip one bit of freshly written files, so often; what was seen in which file."""
    rng = Random(seed)
    seen: Counter[tuple[str, str]] = Counter()
    recorded = await record(folder, seed, 40, checkpoint_bytes=200_000)
    # With a log that holds most in its file and the newest in the write-ahead log.
    end = max(range(25, len(recorded)), key=lambda at: len(recorded[at][1].entries))
    files = recorded[end][0]
    states = [state for _, state in recorded[: end + 1]]
    for number in range(times):
        name = NAMES[number % len(NAMES)]
        at, bit = rng.randrange(len(files[name])), rng.randrange(8)
        try:
            seen[name, await look(folder, flipped(files, name, at, bit), states)] += 1
        except Exception as error:
            error.add_note(f"seed {seed}: bit {bit} of byte {at} of {name}")
            raise
    return seen


@pytest.mark.slow
async def test_two_hundred_flips(tmp_path: Path) -> None:
    seen = await flip(tmp_path, seed=1, times=210)

    assert sum(seen.values()) == 210
    for name in (LOG, WAL, MARKER):
        assert seen[name, "harmless"]
    assert seen[LOG, "suspect, mended"] + seen[LOG, "refused"]
    assert seen[WAL, "suspect, mended"]


@pytest.mark.soak
async def test_many_flips(tmp_path: Path) -> None:
    times = int(os.environ.get("SEEDS", "1000"))
    total: Counter[tuple[str, str]] = Counter()
    for seed in range(20):
        total += await flip(tmp_path, seed=100 + seed, times=times // 2)
    for kind, count in sorted(total.items()):
        print(count, *kind)
