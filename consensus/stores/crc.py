"""Which bit fell, told by a CRC-32 alone. Pure arithmetic; knows no file.

A CRC is linear: the difference of two checksums depends only on where the data differ. That of one
bit in the last byte is an entry of the CRC's table, and each byte that follows moves it on by one
step, so stepping back finds the place in as many steps as there are bytes.
"""

from __future__ import annotations

import zlib

_POLYNOMIAL = 0xEDB88320


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()
_BACK = {value >> 24: byte for byte, value in enumerate(_TABLE)}
_ONE_BIT = {_TABLE[1 << bit]: bit for bit in range(8)}


def fallen_bit(data: bytes, crc: int, start: int = 0) -> tuple[int, int] | None:
    """Byte and bit of `data` that alone make its checksum differ from `crc`.

    Args:
        data: What is stored.
        crc: The checksum of what was written.
        start: CRC-32 of what goes before `data`.

    Returns:
        None when no single bit does: then more of it is wrong, or the checksum itself.
    """
    difference = zlib.crc32(data, start) ^ crc
    for offset in range(len(data) - 1, -1, -1):
        bit = _ONE_BIT.get(difference)
        if bit is not None:
            return offset, bit
        byte = _BACK[difference >> 24]
        difference = (difference ^ _TABLE[byte]) << 8 & 0xFFFFFFFF | byte
    return None
