"""Section 1 of the page: base64, Ed25519, MessagePack."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError


class InvalidError(Exception):
    """What is checked does not hold."""


def need(holds: bool, why: str) -> None:
    if not holds:
        raise InvalidError(why)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidError("not base64") from error
    need(base64.b64encode(data).decode() == text, "base64 is not canonical")
    return data


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def pack(value: Any) -> bytes:
    """Canonical MessagePack."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return _pack_integer(value)
    if isinstance(value, bytes):
        return _header(len(value), ((0xC4, 1), (0xC5, 2), (0xC6, 4))) + value
    if isinstance(value, str):
        data = value.encode("utf-8")
        short = bytes((0xA0 | len(data),)) if len(data) < 32 else None
        return (short or _header(len(data), ((0xD9, 1), (0xDA, 2), (0xDB, 4)))) + data
    short = bytes((0x90 | len(value),)) if len(value) < 16 else None
    head = short or _header(len(value), ((0xDC, 2), (0xDD, 4)))
    return head + b"".join(map(pack, value))


def _pack_integer(value: int) -> bytes:
    if -32 <= value < 128:
        return bytes((value & 0xFF,))
    if value >= 0:
        return _header(value, ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)))
    size = next(size for size in (1, 2, 4, 8) if value >= -(1 << 8 * size - 1))
    return bytes((0xD0 + size.bit_length() - 1,)) + value.to_bytes(size, "big", signed=True)


def _header(number: int, forms: tuple[tuple[int, int], ...]) -> bytes:
    code, size = next((code, size) for code, size in forms if number < 1 << 8 * size)
    return bytes((code,)) + number.to_bytes(size, "big")


_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
_INTEGERS = {
    **{0xCC + n: (1 << n, False) for n in range(4)},
    **{0xD0 + n: (1 << n, True) for n in range(4)},
}


class _Unpacker:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        need(len(piece) == size, "MessagePack ends too early")
        self.at += size
        return piece

    def value(self, depth: int = 8) -> Any:
        need(depth > 0, "MessagePack is nested too deep")
        code = self.take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 256
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code in _INTEGERS:
            size, negative = _INTEGERS[code]
            return int.from_bytes(self.take(size), "big", signed=negative)
        if 0x90 <= code < 0xA0 or code in (0xDC, 0xDD):
            length = code & 0x0F if code < 0xA0 else int.from_bytes(self.take(_SIZED[code]), "big")
            need(length <= len(self.data), "MessagePack array is longer than the data")
            return [self.value(depth - 1) for _ in range(length)]
        if 0xA0 <= code < 0xC0 or code in (0xD9, 0xDA, 0xDB):
            length = code & 0x1F if code < 0xC0 else int.from_bytes(self.take(_SIZED[code]), "big")
            try:
                return self.take(length).decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidError("text is not UTF-8") from error
        need(code in _SIZED, "MessagePack has a type that is not used")
        return self.take(int.from_bytes(self.take(_SIZED[code]), "big"))


def unpack(data: bytes) -> Any:
    value = _Unpacker(data).value()
    need(pack(value) == data, "MessagePack is not canonical")
    return list(value)


def array(value: Any, what: str, *kinds: Any) -> list[Any]:
    """An array with elements of these kinds: a type, a length of bytes, or a range of integers."""
    need(isinstance(value, list) and len(value) == len(kinds), f"{what} has another shape")
    for element, kind in zip(value, kinds, strict=True):
        if isinstance(kind, range):
            fits = type(element) is int and element in kind
        elif isinstance(kind, int):
            fits = isinstance(element, bytes) and len(element) == kind
        else:
            fits = isinstance(element, kind)
        need(fits, f"{what} has an element of another kind")
    return list(value)
