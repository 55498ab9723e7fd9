"""A sync that fails, for real: the process ends, and what it had acknowledged is there.

The kernel forgets what it could not write after it has said so once, so another sync that succeeds
proves nothing. Needs strace, which makes the system call fail.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.stores.sqlite import open_sqlite_store
from tests.powercut.files import load
from tests.powercut.history import History
from tests.powercut.test_torn import is_just

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
ROOT = Path(__file__).parents[2]


def live(folder: Path, fault: str, *where: str) -> int:
    """Let a process live until a system call fails; how many batches it acknowledged."""
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = ["strace", "-f", "-qq", "-o", folder / "calls", *where]
    command += ["-e", f"inject={fault}"]
    command += [sys.executable, "-P", "-m", "tests.powercut.worker", "7", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1].decode()
    assert any(said in last for said in ("MarkerError", "disk I/O error", "is full")), last
    return len(done.stdout)


async def judge(folder: Path, acknowledged: int) -> None:
    """What was acknowledged is there, with or without the batch that failed, and is not doubted."""
    loaded = await load(folder)
    assert loaded is not None
    history = History(7)
    old, new = history.after(acknowledged), history.after(1)
    assert not loaded[0].suspect
    assert is_just(loaded[0], old) or is_just(loaded[0], new)


@pytest.mark.slow
async def test_a_failed_sync_ends_the_process_and_loses_nothing(tmp_path: Path) -> None:
    acknowledged = []
    for number in range(11, 26, 2):
        folder = tmp_path / str(number)
        acknowledged.append(live(folder, f"fdatasync:error=EIO:when={number}"))
        await judge(folder, acknowledged[-1])

    assert acknowledged[0] == 0 < acknowledged[-1]


@pytest.mark.slow
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
async def test_a_failed_write_ends_the_process_and_loses_nothing(
    tmp_path: Path, error: str
) -> None:
    acknowledged = []
    for number in (20, 30, 45, 70):
        folder = tmp_path / str(number)
        acknowledged.append(live(folder, f"pwrite64:error={error}:when={number}"))
        await judge(folder, acknowledged[-1])

    assert acknowledged[-1] > 0


@pytest.mark.slow
async def test_a_failed_sync_of_a_checkpoint_ends_the_process_too(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    await (await open_sqlite_store(folder / "raft.db")).close()
    # The file is made, so the first sync of the file itself is that of a checkpoint.
    acknowledged = live(folder, "fdatasync:error=EIO:when=1", "-P", str(folder / "raft.db"))

    assert acknowledged > 20
    await judge(folder, acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_a_failed_sync_while_the_file_is_made_leaves_no_other_journal(
    tmp_path: Path, number: int
) -> None:
    """The second one makes its journal a write-ahead log, after SQLite has said that it is one."""
    folder = tmp_path / "store"
    where = str(folder / "raft.db")

    assert live(folder, f"fdatasync:error=EIO:when={number}", "-P", where) == 0
