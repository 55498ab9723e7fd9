"""An operator's word on a voter's memory: the file `rejoin` in its data folder, read and written.

Owns the file's form. A height in it vouches that nothing above it was signed; that is true at the
moment when it is said, and false as soon as the voter has signed on. So it counts only in the file
that was written then and in the same boot of the machine: a copy of the folder that is put back
later brings the file with it, and must not bring the word into force again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from node.storage.marker import MARKER_BYTES, MARKER_FILE, decode_marker, decode_memory
from node.system.folder_lock import FolderInUseError, lock_folder

FILE = "rejoin"
FILE_BYTES_MAX = 128
HEIGHT_MAX = 2**53
SAY_AGAIN = "say it again with the node stopped, if it is true now: piaolian rejoin --above HEIGHT"
WRITTEN_NS_MAX = 10_000_000
"""From the making of the file to its last change: no copy is made and put back in that time."""
_TRIES = 50
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class RejoinFileError(ValueError):
    """The operator's file `rejoin` does not hold what it may."""


class Word(NamedTuple):
    """What the file says."""

    asked: bool
    """The voter is to rejoin."""
    vouched: int | None = None
    """It signed nothing above this height; None: nobody vouches."""
    void: str = ""
    """Why a height that stands there does not count."""


class Vouch(NamedTuple):
    """What an operator says for this start."""

    folder: Path
    height: int | None
    """Nothing above it was signed; None: nobody vouches."""

    def consume(self) -> None:
        """Take the word away, durably: what it allowed is about to be done, once."""
        consume(self.folder)


def read_word(folder: Path) -> Word:
    """What an operator says of this voter.

    Raises:
        RejoinFileError: the file holds something else than nothing or one height.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1).decode("ascii", "replace")
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        return Word(False)
    except OSError as error:  # a directory, or nobody's to read: it asks for something
        raise RejoinFileError(f"{path}: {error.strerror or error}") from error
    fields = text.split()
    if not fields:
        return Word(True)
    height, *stamp = fields
    if not (height.isascii() and height.isdigit()) or int(height) > HEIGHT_MAX:
        raise RejoinFileError(f"{path} must be empty or hold what `piaolian rejoin` wrote")
    if not stamp:
        return Word(True, void=f"{path} does not tell when and where it was written")
    if not _is_said_here(stamp, status):
        return Word(
            True, void=f"{path} was copied, changed, or is from before a restart of this machine"
        )
    return Word(True, int(height))


def write_word(folder: Path, above: int | None) -> None:
    """Ask the voter of a stopped node to rejoin at its next start, and maybe vouch for a height.

    Raises:
        RejoinFileError: the node runs, or the height is below what its marker says it signed.
    """
    try:
        os.close(lock_folder(folder))
    except FileNotFoundError:
        pass  # it never ran
    except FolderInUseError:
        raise RejoinFileError(f"{folder} is in use: stop the node first") from None
    path = folder / MARKER_FILE
    try:
        with path.open("rb") as file:
            promises = decode_marker(file.read(MARKER_BYTES))[2]
    except FileNotFoundError:
        promises = decode_marker(b"")[2]
    signed = decode_memory(promises.extra).signed
    if above is not None and signed is not None and above < signed.height:
        raise RejoinFileError(f"this voter signed height {signed.height}, above {above}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_TRIES):
        if _write(folder / FILE, above):
            return
    raise RejoinFileError(f"{folder / FILE} cannot be written at one moment: try again")


def _write(path: Path, above: int | None) -> bool:
    """Write the file anew; False if that took so long that the word would not count."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if above is not None:
            made = os.fstat(descriptor)
            stamp = f"{above} {made.st_ino} {made.st_ctime_ns} {_boot()}\n"
            os.write(descriptor, stamp.encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync(path.parent)
    return above is None or read_word(path.parent).vouched == above


def consume(folder: Path) -> None:
    """Take the word away, durably: what it allowed is about to be done, once."""
    (folder / FILE).unlink(missing_ok=True)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_said_here(stamp: list[str], status: os.stat_result) -> bool:
    """Whether this very file was written then: no program can set when a file was changed last."""
    match stamp:
        case [inode, made, boot] if inode.isdigit() and made.isdigit():
            age_ns = status.st_ctime_ns - int(made)
            same_file = int(inode) == status.st_ino and 0 <= age_ns <= WRITTEN_NS_MAX
            return same_file and boot == _boot()
        case _:
            return False


def _boot() -> str:
    """This boot of the machine; the same word everywhere where the system does not tell."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
