"""The small files of a data folder, grown without end: no more of them is read than they may hold.

With `/dev/zero` in the place of one, what reads all of it first never comes back.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from node.audit.folder import _read
from node.services.final_blocks import Position
from node.storage import rebuilt
from node.voting import astray
from node.voting.rejoin_word import RejoinFileError, read_word, write_word
from tests.node.chronicle import Chronicle
from tests.voting.test_astray import cosigner_of, led_astray

SIZE_BYTES = 256 << 20
READ_BYTES_MAX = 8 << 20


def grown(path: Path) -> None:
    """A file of so many zeros, which takes no room."""
    path.touch()
    os.truncate(path, SIZE_BYTES)


def read_in_part(work: Callable[[], object]) -> object:
    """What it comes to; it may not hold more in memory than such files need."""
    tracemalloc.start()
    try:
        result = work()
        assert tracemalloc.get_traced_memory()[1] < READ_BYTES_MAX
    finally:
        tracemalloc.stop()
    return result


def refused_word(folder: Path) -> str:
    with pytest.raises(RejoinFileError) as caught:
        read_word(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("examined", lambda folder: Position(folder / "examined").read()),
        ("rebuilt", lambda folder: rebuilt.is_repeated(folder, "a reason")),
        ("rejoin", refused_word),
        ("marker", lambda folder: write_word(folder, None)),
        ("marker", lambda folder: _read(folder / "marker") and None),
    ],
    ids=["examined", "rebuilt", "rejoin", "marker", "audit"],
)
def test_a_small_file_is_read_as_far_as_it_may_be_long(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    grown(tmp_path / name)
    found = read_in_part(lambda: read(tmp_path))
    assert not found or "must be empty" in str(found)


async def test_a_note_without_an_end_sets_nothing_aside(tmp_path: Path) -> None:
    chronicle: Chronicle = (await led_astray(tmp_path / "node", 9))[0]
    await chronicle.close()
    grown(chronicle.folder / astray.FILE)
    cosigner, marker = cosigner_of(chronicle)

    def start() -> object:
        return astray.set_aside(chronicle.folder, (), chronicle.voters, cosigner, 1)

    assert read_in_part(start) is None
    assert (chronicle.folder / "ledger.db").exists()
    marker.close()
