"""One power cut: a real process, on a filesystem of its own, whose unsynced writes are lost.

The folder is a loop-mounted image. The process is stopped and the image is copied: the copy has
only what the filesystem gave to its device, not what lay in the page cache. Then the process is
killed, and what the copy holds is loaded by the real store. Without the stop, the copy would be of
no single moment. Needs Linux, root and loop devices.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consensus.ports import Recovered
from consensus.stores.marker import Condition, Marker, Promises
from consensus.stores.sqlite import DamagedLogError, open_sqlite_store
from consensus.types import LogIndex
from tests.powercut.history import History, State

_IMAGE_BYTES = 128 * 1_048_576
_ROOT = Path(__file__).parents[2]


@dataclass
class Aftermath:
    """What was promised, and what was found."""

    acknowledged: int
    """Batches."""
    possible: list[State]
    """After the last acknowledged batch, and after the one that was under way."""
    condition: Condition
    promises: Promises
    recovered: Recovered | None
    """None when the store refused to load."""

    @property
    def lost(self) -> bool:
        """Something that was acknowledged is not presented."""
        found = self.recovered
        return found is None or (found.hard_state, found.base, found.positions) not in [
            (state.hard_state, state.base, state.positions) for state in self.possible
        ]

    @property
    def noticed(self) -> bool:
        """The store calls itself suspect, or refuses to load."""
        return self.recovered is None or self.recovered.suspect

    @property
    def marker_lags(self) -> bool:
        """The marker promises something else than what was acknowledged."""
        found = self.promises
        return (found.hard_state, found.last_index, found.last_hash) not in [
            (state.hard_state, state.last_index, state.last_hash) for state in self.possible
        ]


def why_impossible() -> str | None:
    """Why no power can be cut here; None when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root"
    if not all(map(shutil.which, ("mkfs.ext4", "mount", "umount"))):
        return "needs mkfs.ext4 and mount"
    return None if Path("/dev/loop-control").exists() else "needs loop devices"


async def cut_power(folder: Path, seed: int, seconds: float, weakness: str = "") -> Aftermath:
    """Let a process write for a while, cut its power, and look at what is left.

    Args:
        folder: For the images; made when it is missing.
        seed: Of the history.
        seconds: From the first acknowledgement to the cut.
        weakness: "log" or "marker": that one is not synced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image, copy = folder / "disk.img", folder / "crash.img"
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with _mounted(image, folder / "disk") as disk, _living(disk, seed, weakness) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        time.sleep(seconds)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        os.set_blocking(process.stdout.fileno(), False)
        acknowledged = 1 + len(process.stdout.read() or b"")
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    image.unlink()
    with _mounted(copy, folder / "crash") as disk:
        marker = Marker.open(disk / "raft.db.marker")
        marker.close()
        recovered = await _load(disk)
    copy.unlink()
    history = History(seed)
    possible = [history.after(acknowledged), history.after(1)]
    return Aftermath(acknowledged, possible, marker.condition, marker.promises, recovered)


async def _load(disk: Path) -> Recovered | None:
    """What the store presents, after reading each of its entries."""
    try:
        store = await open_sqlite_store(disk / "raft.db")
    except DamagedLogError:
        return None
    try:
        recovered = await store.load()
        first = LogIndex(recovered.base.index + 1)
        last = LogIndex(recovered.base.index + len(recovered.positions))
        entries = await store.read(first, last, 1 << 40) if first <= last else []
    except DamagedLogError:
        return None
    finally:
        await store.close()
    assert [(entry.term, entry.hash) for entry in entries] == recovered.positions
    return recovered


@contextmanager
def _living(disk: Path, seed: int, weakness: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "tests.powercut.worker", str(seed), str(disk), weakness]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _mounted(image: Path, point: Path) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)
