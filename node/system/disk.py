"""Room on the file system of the data folder. Owns when it counts as full, when as free again.

A node that has no room waits with what it must write, and takes nothing new; both end by
themselves.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

RESERVE_BYTES = 32 * 1_048_576
"""What must stay free for what is on its way: the log, the ledger and their write-ahead logs."""
RESERVE_SHARE = 20
"""On a small file system it is no more than one part of so many."""
FREE_AGAIN = 1.5
"""It is full until there is so much more than the reserve, so that it does not flicker."""
INODES_MIN = 16

_log = structlog.get_logger("node.system.disk")


class DiskRoom:
    """The file system of one folder, as last looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.free_bytes = 0
        self._free_files: int | None = None
        """None: the file system counts no files."""
        self.full = False
        self.look()

    def look(self) -> None:
        """Ask the system anew."""
        try:
            found = os.statvfs(self._folder)
        except OSError as error:
            _log.warning("file system not read", folder=str(self._folder), reason=str(error))
            return
        self.free_bytes = found.f_bavail * found.f_frsize
        reserve = min(RESERVE_BYTES, found.f_blocks * found.f_frsize // RESERVE_SHARE)
        if self.full:
            reserve = int(reserve * FREE_AGAIN)
        self._free_files = found.f_favail if found.f_files > 0 else None
        full = self.free_bytes < reserve or self._lacks_files
        if full != self.full:
            self.full = full
            told = _log.error if full else _log.warning
            told("disk full" if full else "disk has room again", **self._facts())

    @property
    def complaint(self) -> str:
        """What is full, for people."""
        left = f"{self.free_bytes >> 20} MiB free"
        if self._lacks_files:
            left = f"room for {self._free_files} files, {left}"
        return f"the file system of {self._folder} is full ({left})"

    @property
    def _lacks_files(self) -> bool:
        return self._free_files is not None and self._free_files < INODES_MIN

    def _facts(self) -> dict[str, object]:
        return {"folder": str(self._folder), "free_mib": self.free_bytes >> 20}
