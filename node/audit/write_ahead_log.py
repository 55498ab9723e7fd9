"""The write-ahead log beside a database: commits that SQLite passes over in silence.

Owns the log's format (https://sqlite.org/fileformat2.html#walformat). Reads one frame at a time,
since nothing bounds how long a log has grown; knows no tables.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from node.audit.faults import fail

_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_MAGIC = 0x377F0682
_PAGE_BYTES_MAX = 1 << 16
_SHM_LAST_FRAME = 16
"""Where the index of the log tells its last valid frame (mxFrame in wal.c)."""


def check_write_ahead_log(database: Path) -> None:
    """Check what SQLite passes over in silence: commits after a damaged frame.

    The database must be open, and no node may use it.

    Raises:
        AuditError: a commit is there that cannot be read.
    """
    path = database.with_name(f"{database.name}-wal")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        _check(file, path.name, _last_frame(database))


def _check(file: BinaryIO, name: str, last: int) -> None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return
    magic, _, page_bytes, _, *salts, sum0, sum1 = _HEADER.unpack(header)
    big_endian = bool(magic & 1)
    sums = _checksum(header[:-8], (0, 0), big_endian=big_endian)
    if magic & ~1 != _MAGIC or sums != (sum0, sum1) or page_bytes > _PAGE_BYTES_MAX:
        raise fail("its header fails its checksum: SQLite ignores all of it", name, offset=0)
    frame_bytes = _FRAME_HEADER.size + page_bytes
    chain: tuple[int, ...] = (sum0, sum1)
    at = _HEADER.size + last * frame_bytes
    if last:
        file.seek(at - frame_bytes)
        frame = file.read(_FRAME_HEADER.size)
        if len(frame) < _FRAME_HEADER.size:
            return
        chain = _FRAME_HEADER.unpack(frame)[4:]
        file.seek(at)
    while len(frame := file.read(frame_bytes)) == frame_bytes:
        _, commit, salt0, salt1, *sums_told = _FRAME_HEADER.unpack_from(frame)
        if salt0 != salts[0] and salt1 != salts[1]:
            return  # written before the log last began anew
        chain = _checksum(frame[:8], chain, big_endian=big_endian)
        chain = _checksum(frame[_FRAME_HEADER.size :], chain, big_endian=big_endian)
        if [salt0, salt1] != salts or list(chain) != sums_told or commit:
            raise fail(
                "a frame fails its checksum, so SQLite ignores it and all after it: damage, or the"
                " last write of a node that was killed; a start of the node would mend the latter",
                name,
                offset=at,
            )
        at += frame_bytes


def _last_frame(database: Path) -> int:
    try:
        with database.with_name(f"{database.name}-shm").open("rb") as file:
            shared = file.read(_SHM_LAST_FRAME + 4)
    except FileNotFoundError:
        return 0
    if len(shared) < _SHM_LAST_FRAME + 4:
        return 0
    return int(struct.unpack_from("=I", shared, _SHM_LAST_FRAME)[0])


def _checksum(data: bytes, start: tuple[int, ...], *, big_endian: bool) -> tuple[int, int]:
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    a, b = start
    for first, second in zip(words[::2], words[1::2], strict=True):
        a = (a + first + b) & 0xFFFFFFFF
        b = (b + second + a) & 0xFFFFFFFF
    return a, b
