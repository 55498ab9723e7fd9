"""Section 1 of node/chain/README.md: MessagePack in its one encoding, base64 and Ed25519.

Knows nothing of what the bytes mean. What is not exactly as the page says raises `RefusedError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_SIZE = 2**53
MAX_DEPTH = 8
_P = 2**255 - 19
_Y = 2**255 - 1
_D = -121665 * pow(121666, -1, _P) % _P


class RefusedError(Exception):
    """What was read is not what the page describes, or does not hold."""


def need(holds: object, why: str) -> None:
    if not holds:
        raise RefusedError(why)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# MessagePack


def pack(value: object) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _pack_integer(value)
    if isinstance(value, str):
        text = value.encode()
        return _head(len(text), (0xA0, 31), (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, bytes):
        return _head(len(value), None, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, list | tuple):
        return _head(len(value), (0x90, 15), (None, 0xDC, 0xDD)) + b"".join(map(pack, value))
    raise TypeError(type(value).__name__)


def _head(length: int, fix: tuple[int, int] | None, tags: Sequence[int | None]) -> bytes:
    if fix and length <= fix[1]:
        return bytes([fix[0] | length])
    for tag, width in zip(tags, (1, 2, 4), strict=True):
        if tag is not None and length < 1 << 8 * width:
            return bytes([tag]) + length.to_bytes(width)
    raise RefusedError("too long for MessagePack")


def _pack_integer(value: int) -> bytes:
    if -32 <= value < 128:
        return (value & 0xFF).to_bytes()
    for power in range(4):
        width = 1 << power
        if value >= 0 and value < 1 << 8 * width:
            return bytes([0xCC + power]) + value.to_bytes(width)
        if value < 0 and value >= -(1 << 8 * width - 1):
            return bytes([0xD0 + power]) + value.to_bytes(width, signed=True)
    raise RefusedError("an integer of more than 64 bits")


def unpack(data: bytes) -> object:
    value, end = _unpack(data, 0, 0)
    need(end == len(data), "something follows the MessagePack value")
    need(pack(value) == data, "not the shortest MessagePack")
    return value


def _unpack(data: bytes, at: int, depth: int) -> tuple[object, int]:
    need(at < len(data), "MessagePack ends too early")
    tag, at = data[at], at + 1
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at
    if 0xCC <= tag <= 0xD3:
        raw, at = _take(data, at, 1 << (tag & 3))
        return int.from_bytes(raw, signed=tag >= 0xD0), at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag in range(0x90, 0xA0) or tag in (0xDC, 0xDD):
        need(depth < MAX_DEPTH, "arrays are nested too deep")
        length, at = (tag & 15, at) if tag < 0xA0 else _length(data, at, 2 << (tag - 0xDC))
        need(length <= len(data) - at, "MessagePack ends too early")
        values = []
        for _ in range(length):
            value, at = _unpack(data, at, depth + 1)
            values.append(value)
        return values, at
    if tag in range(0xA0, 0xC0) or tag in (0xD9, 0xDA, 0xDB):
        length, at = (tag & 31, at) if tag < 0xC0 else _length(data, at, 1 << (tag - 0xD9))
        raw, at = _take(data, at, length)
        try:
            return raw.decode(), at
        except UnicodeDecodeError as error:
            raise RefusedError("a text is not UTF-8") from error
    need(tag in (0xC4, 0xC5, 0xC6), f"MessagePack of type {tag:02x}")
    length, at = _length(data, at, 1 << (tag - 0xC4))
    return _take(data, at, length)


def _length(data: bytes, at: int, width: int) -> tuple[int, int]:
    raw, at = _take(data, at, width)
    return int.from_bytes(raw), at


def _take(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    need(length <= len(data) - at, "MessagePack ends too early")
    return data[at : at + length], at + length


# The types of what was unpacked


def integer(value: object, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:  # a bool is an int to Python
        raise RefusedError(f"{what} is not an integer from {least} to {most}")
    return value


def binary(value: object, what: str, length: int | None = None) -> bytes:
    if not isinstance(value, bytes) or length not in (None, len(value)):
        raise RefusedError(f"{what} is not a byte string, or of another length")
    return value


def text(value: object, what: str, pattern: str = r"[\s\S]*") -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise RefusedError(f"{what} is not such a text")
    return value


def array(value: object, what: str, length: int | None = None) -> list[object]:
    if not isinstance(value, list) or length not in (None, len(value)):
        raise RefusedError(f"{what} is not an array, or of another length")
    return value


def hashes(value: object, most: int) -> list[bytes]:
    path = [binary(each, "a hash", 32) for each in array(value, "a path")]
    need(len(path) <= most, "a path is too long")
    return path


# Texts


def unbase64(line: str) -> bytes:
    try:
        data = base64.b64decode(line.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError("not base64") from error
    need(base64.b64encode(data).decode() == line, "base64 in another spelling")
    return data


def decimal(line: str, most: int) -> int:
    need(len(line) < 20 and re.fullmatch("0|[1-9][0-9]*", line), "not a decimal")
    return integer(int(line), 0, most, "a number")


def chunks(lines: list[str]) -> bytes:
    """The bytes that stand in lines of base64, 48,000 in each but the last."""
    parts = [unbase64(line) for line in lines]
    need(parts and 0 < len(parts[-1]) <= 48_000, "the last line of data has another length")
    need(all(len(part) == 48_000 for part in parts[:-1]), "a line of data has another length")
    return b"".join(parts)


# Ed25519


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """The library refuses an unreduced scalar, and compares the bytes of R; the rest is here."""
    if len(key) != 32 or len(signature) != 64:
        return False
    if int.from_bytes(key, "little") & _Y >= _P or _small(key) or _small(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _small(point: bytes) -> bool:
    """Whether its order divides 8: y is 1 or -1, or 0, or the double of the point has y = 0."""
    y = int.from_bytes(point, "little") & _Y
    return y * (y * y - 1) * (_D * y**4 + 2 * y * y - 1) % _P == 0
