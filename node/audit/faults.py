"""What is wrong, and where: the first byte that is not what it must be. Owns how a place is told.

Knows no file: callers say what a value must be, or how a true one is recognised.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

LOCATED_BYTES_MAX = 4_096
"""In longer values a single fallen bit is not searched for: it takes a try for each bit."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not what it must be."""

    reason: str
    file: str
    table: str | None = None
    row: str | None = None
    """The row's key, readable."""
    column: str | None = None
    height: int | None = None
    leaf: int | None = None
    """Tree index."""
    offset: int | None = None
    """Of the first wrong byte: in the leaf, if one is named, else in the value of the column, else
    in the file. None: the value fails as a whole."""
    bit: int | None = None
    """The bit of that byte that alone is wrong, 0 the lowest; None: not known, or more than one."""


class AuditError(Exception):
    """The first fault of one part of the audit."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)  # as it travels between processes
        self.fault = fault


def fail(reason: str, file: str, **place: str | int | None) -> AuditError:
    """An error with its fault. Text that is not UTF-8 is shown escaped."""
    told = {
        name: part.encode("utf-8", "backslashreplace").decode() if isinstance(part, str) else part
        for name, part in {"reason": reason, "file": file, **place}.items()
    }
    return AuditError(msgspec.convert(told, Fault))


def first_difference(stored: bytes, true: bytes) -> tuple[int, int | None]:
    """Offset of the first byte that differs, and the bit, if it is the only difference.

    Values that are equal as far as the shorter one goes differ at its end.
    """
    for offset, (a, b) in enumerate(zip(stored, true, strict=False)):
        if a != b:
            alone = (a ^ b).bit_count() == 1 and stored[offset + 1 :] == true[offset + 1 :]
            return offset, (a ^ b).bit_length() - 1 if alone else None
    return min(len(stored), len(true)), None


def fallen_bit(value: bytes, is_true: Callable[[bytes], bool]) -> tuple[int, int] | None:
    """Byte and bit whose change makes `value` true again; None when no single one does."""
    if len(value) > LOCATED_BYTES_MAX:
        return None
    changed = bytearray(value)
    for offset in range(len(value)):
        for bit in range(8):
            changed[offset] ^= 1 << bit
            if is_true(bytes(changed)):
                return offset, bit
            changed[offset] ^= 1 << bit
    return None
