"""A ledger that cannot go on is made again once a reason, also where there is no room at first."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.following.finality import DivergedError
from node.following.halt import FalseLedgerError, Halt
from node.runtime import halting
from node.runtime.halting import Halting
from node.storage import rebuilt
from node.storage.damage import DamagedFileError
from node.voting import astray
from tests.node.chronicle import Chronicle

FALSE = FalseLedgerError("height 7 comes to other leaves here")


@dataclass
class Node:
    """What stops, and how it fails."""

    folder: Path
    halt: Halt = field(default_factory=Halt)
    failures: list[BaseException] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        Halting(self.folder, self.halt, lambda: None, self.failures.append, self._spawn)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))


async def test_once_a_reason_whatever_came_between_the_note_and_the_new_ledger(
    tmp_path: Path,
) -> None:
    for _ in range(2):  # the second time after a power cut: the old ledger is still there
        node = Node(tmp_path)
        node.halt.stop(FALSE)
        node.halt.stop(FALSE)
        assert [type(failure) for failure in node.failures] == [DamagedFileError]
    rebuilt.begun(tmp_path)
    node = Node(tmp_path)
    node.halt.stop(FALSE)
    assert node.failures == []
    assert rebuilt.REPEATED in (node.halt.reason or "")


@pytest.mark.parametrize("full", [rebuilt, astray])
async def test_who_has_no_room_is_set_right_when_there_is(
    full: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chronicle = await Chronicle.open(tmp_path / "node")
    block = await chronicle.add()
    error = DivergedError("x", chronicle.certificate(block, (1, 2, 3)), bytes(32))
    await chronicle.close()
    monkeypatch.setattr(halting, "RETRY_S", 0.0)

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    node = Node(tmp_path)
    with monkeypatch.context() as while_full:
        while_full.setattr(full, "note", no_room)
        node.halt.stop(error)
        assert node.failures == []
        await node.tasks[0]
        assert node.failures == []
    await node.tasks[1]
    assert [type(failure) for failure in node.failures] == [astray.AstrayError]
    assert (tmp_path / astray.FILE).exists()
