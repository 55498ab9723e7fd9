"""Files of the data folder that are damaged: what counts as damage, and setting them aside.

What can be made again from the ledger, the log, the peers or nothing at all is not mourned over:
the damaged file stays beside the new one, under another name, for whoever wants to look at it.
Knows no content of any file.
"""

from __future__ import annotations

import datetime
import errno
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""A write, or the growth of the index of the write-ahead log, found no room."""
_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_FAILED = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_SYSTEM_FAILED = (errno.EIO, errno.EROFS)
_COMPANIONS = ("", "-wal", "-shm", "-journal")
SET_ASIDE = "*.damaged-*"
KEPT = 3
"""Copies of one file that are kept set aside: a disk that damages a file at each start must not
fill itself with them."""

REBUILT: dict[str, str] = {
    "ledger.db": "it is made again from the Raft log, or from the blocks of its peers",
    "index.db": "it is made again from the ledger",
    "heads.db": "it is made again with the next name of a head",
    "outbox.db": "a new one is begun; what it promised to send, and had not sent yet, is lost",
    "raft.db": "the leader sends its log again; the node votes once it has caught up",
}
"""Files of the data folder that a node makes again, and how."""
_KNOWN = REBUILT | {"wallet.db": "if it held keys: stop the node and put its backup back"}


def missing(folder: Path) -> dict[str, str]:
    """The files that a folder in use lacks, and what becomes of each; a new one lacks none."""
    lost = {name: remedy for name, remedy in _KNOWN.items() if not (folder / name).exists()}
    return {} if len(lost) == len(_KNOWN) else lost


class DamagedFileError(sqlite3.DatabaseError):
    """A file does not hold what this program wrote; the message names it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path


class DiskFullError(sqlite3.OperationalError):
    """There is no room for a file of the data folder. Nothing of the write is stored."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the file system of {path.parent} is full: no room for {path.name}")


class UnusableFileError(sqlite3.OperationalError):
    """A file of the data folder cannot be opened as it is: a directory, or not this user's.

    Nothing is wrong with its content, so nothing is set aside; whoever put it there sets it right.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
        self.path = path


NO_PLAIN_FILE = "is no plain file"


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Complaints of SQLite that `path` cannot be opened name it, and the system's own reason.

    Raises:
        UnusableFileError: instead of them.
        DiskFullError: one of the files that belong to it could not be made for want of room.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        named = _refused(path)
        if named is not None and named[1] == NO_PLAIN_FILE:
            # Whatever SQLite makes of it: a device may be locked by another program, too.
            raise UnusableFileError(*named) from error
        if named is None and code in _UNUSABLE:
            refusal = _takes_no_file(path.parent)
            if refusal is not None and is_full(refusal):
                raise DiskFullError(path) from error
            named = path, str(error) if refusal is None else f"{path.parent}: {refusal.strerror}"
        if named is None or code not in (*_UNUSABLE, sqlite3.SQLITE_IOERR):
            raise
        raise UnusableFileError(*named) from error


def _takes_no_file(folder: Path) -> OSError | None:
    """What the system says to a new file in a folder, where SQLite makes its own beside a database.

    None: it takes one.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=folder)
    except OSError as error:
        return error
    os.close(descriptor)
    Path(name).unlink()
    return None


def _refused(path: Path) -> tuple[Path, str] | None:
    """The file that the system does not open, of those that belong to one, and what it says."""
    for suffix in _COMPANIONS:
        companion = path.with_name(path.name + suffix)
        try:
            descriptor = os.open(companion, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            return companion, error.strerror or str(error)
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        if not plain:  # a FIFO, /dev/null: SQLite says "disk I/O error" and no more
            return companion, NO_PLAIN_FILE
    return None


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file's content is wrong, and not that it cannot be used now."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def is_full(error: BaseException) -> bool:
    """Whether an error says that a file system has no room, or a user's share of it is used up."""
    if isinstance(error, DiskFullError):
        return True
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) in _FULL
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def disk_failure(error: BaseException | None, folder: Path) -> str | None:
    """What to tell of a failure whose cause is the file system of `folder`; None: it is another.

    SQLite says "disk I/O error" where the system has a reason, as that it is read-only by now.
    """
    while error is not None:
        if is_failing(error):
            refusal = _takes_no_file(folder)
            why = "" if refusal is None else f" ({refusal.strerror})"
            return f"the file system of {folder} fails: {error}{why}"
        error = error.__cause__ or error.__context__
    return None


def is_failing(error: BaseException) -> bool:
    """Whether an error says that a file system cannot be written or read any more."""
    if isinstance(error, sqlite3.Error):
        return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _FAILED
    return isinstance(error, OSError) and error.errno in _SYSTEM_FAILED


def telling(path: Path, work: Callable[[], T], *also: type[Exception]) -> T:
    """`work()`, whose complaints about the content of `path` name it.

    Args:
        path: The file that `work` reads or writes.
        work: What is done.
        also: Exceptions that mean damage here, besides those of SQLite.

    Raises:
        DamagedFileError: instead of them.
    """
    try:
        return work()
    except DamagedFileError:
        raise
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        raise DamagedFileError(path, str(error)) from error
    except also as error:
        raise DamagedFileError(path, str(error) or type(error).__name__) from error


def damage_in(error: BaseException | None) -> DamagedFileError | None:
    """The damaged file behind a failure, if that is its cause."""
    while error is not None:
        if isinstance(error, DamagedFileError):
            return error
        error = error.__cause__ or error.__context__
    return None


def set_aside(path: Path, now_ms: int) -> Path:
    """Move a file of SQLite and its companions to `<name>.damaged-<time>`; the oldest ones go.

    Returns:
        Where the file itself is now.

    Raises:
        OSError: it cannot be moved.
    """
    now = datetime.datetime.fromtimestamp(now_ms / 1_000, datetime.UTC)
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S%fZ}")
    for suffix in _COMPANIONS:
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    copies = sorted(path.parent.glob(f"{path.name}.damaged-*Z"))
    for old in copies[:-KEPT]:
        for suffix in _COMPANIONS:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside
