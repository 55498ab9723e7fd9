"""The lock on a data folder: who runs a node in it, who only reads it. Owns what is locked.

That is the folder itself, no file in it: a file can be taken away by whoever thinks it was left
over, and a second process would then lock another one of the same name.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FolderInUseError(OSError):
    """Another process holds the folder; the message names it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is in use by another process")


def lock_folder(folder: Path, *, shared: bool = False) -> int:
    """Lock a folder until the descriptor is closed, which this returns.

    Args:
        folder: Must exist.
        shared: Others may lock it so too; a node may not start.

    Raises:
        FolderInUseError: another process holds it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FolderInUseError(folder) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
