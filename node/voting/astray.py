"""The way back of a node that a lying leader led astray: its ledger is none that is certified.

It keeps what it promised (marker, keys, outbox, wallet) and sets aside what follows from the log:
ledger, Raft log, names of heads, query index. Then it comes back as one that lost those files, but
with its memory: it signs again only above a certificate that is no lower than all it has signed.
What was set aside stays as a record of what the leader did; evidence found before is taken along.

Nothing here decides that a node is astray: a verified certificate that contradicts its ledger does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from node.chain.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certificate,
    CertificateError,
    parse_certificate,
)
from node.chain.voters import VoterSet
from node.storage.ledger import Ledger
from node.voting.cosigner import Cosigner

FILE = "astray"
"""In the data folder: the certificate that contradicts the ledger. Gone when all is set aside."""
_PREFIX = "astray-"
_CERTIFICATE = "certificate"
KEPT_MAX = 3
"""Records kept; a liar that leads a node astray again and again fills no disk."""
_DATABASES = ("raft.db", "heads.db", "index.db", "ledger.db")
"""The ledger last: while it is there, so is everything that shows what it is."""

_log = structlog.get_logger("node.voting.astray")


class AstrayError(RuntimeError):
    """Another history is certified than this node's; it comes back when it is started anew."""


def note(folder: Path, certificate: Certificate) -> None:
    """Note durably that the ledger of this folder is to be set aside at the next start."""
    with (folder / FILE).open("w", encoding="utf-8") as file:
        file.write(certificate.encode())
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)


def set_aside(
    folder: Path, others: tuple[str, ...], voters: VoterSet, cosigner: Cosigner, now_ms: int
) -> Path | None:
    """Do it, before any file is open; cut off, it is done by the next start.

    Args:
        folder: The data folder.
        others: Names of further files that follow from the ledger.
        voters: Who certifies.
        cosigner: Signs nothing from here on, until there is a base.
        now_ms: Names the record.

    Returns:
        Where the files are now; None if nothing was to be done.
    """
    try:
        text = _text(folder / FILE)
    except FileNotFoundError:
        return None
    try:
        certificate = parse_certificate(text)
        certificate.verify(voters)
    except CertificateError as error:  # torn while it was written: the ledger shows it again
        _log.error("not set aside", reason=str(error))
        (folder / FILE).unlink()
        return None
    cosigner.forget(above=cosigner.signed_height)
    record = _begun(folder, certificate) or folder / f"{_PREFIX}{_later(folder, now_ms)}"
    record.mkdir(mode=0o700, exist_ok=True)
    (record / _CERTIFICATE).write_text(certificate.encode(), encoding="utf-8")
    for name in (*others, *_DATABASES):
        for suffix in ("-shm", "-wal", ""):
            if (folder / f"{name}{suffix}").exists():
                (folder / f"{name}{suffix}").rename(record / f"{name}{suffix}")
    _sync(record)
    _sync(folder)
    (folder / FILE).unlink()
    _prune(folder)
    _log.warning("set aside", folder=record.name, certified_size=certificate.checkpoint.size)
    return record


async def take_along(record: Path, ledger: Ledger) -> None:
    """Keep what the old ledger held of evidence and of resumptions."""
    path = record / "ledger.db"
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            evidence = connection.execute("SELECT id, found_ms, body FROM evidence").fetchall()
            resumptions = connection.execute("SELECT voter, size, body FROM resumptions").fetchall()
    except sqlite3.Error as error:  # peers tell it again
        _log.error("evidence is not taken along", reason=str(error))
        return
    for row in evidence:
        await ledger.store_evidence(*row)
    for row in resumptions:
        await ledger.store_resumption(*row)


def newest_record(folder: Path) -> Path | None:
    """What was set aside last, if anything is still there."""
    return next(reversed(_records(folder)), None)


def _records(folder: Path) -> list[Path]:
    """What was set aside, the newest last."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name[len(_PREFIX) :].isdecimal()]
    return sorted(found, key=_time_of)


def _time_of(record: Path) -> int:
    return int(record.name[len(_PREFIX) :])


def _begun(folder: Path, certificate: Certificate) -> Path | None:
    """The record of a start that was cut off while it set the same aside: one place for it all."""
    newest = newest_record(folder)
    if newest is None:
        return None
    try:
        text = _text(newest / _CERTIFICATE)
    except OSError:
        return None
    twice = all((place / _DATABASES[-1]).exists() for place in (folder, newest))
    return newest if text == certificate.encode() and not twice else None


def _later(folder: Path, now_ms: int) -> int:
    """A time after all records: the clock may have been set back, and the oldest ones go."""
    newest = newest_record(folder)
    return now_ms if newest is None else max(now_ms, _time_of(newest) + 1)


def _prune(folder: Path) -> None:
    for old in _records(folder)[:-KEPT_MAX]:
        shutil.rmtree(old, ignore_errors=True)


def _text(path: Path) -> str:
    """What a certificate's file holds, as far as one may be long."""
    with path.open("rb") as file:
        return file.read(CERTIFICATE_BYTES_MAX + 1).decode("utf-8", "replace")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
