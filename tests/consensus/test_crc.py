"""The bit that fell is found by the checksum, wherever it is; two bits are not one."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import zlib

from consensus.stores.crc import fallen_bit


def test_every_bit_of_a_short_value_is_found() -> None:
    data = bytes(range(40))
    crc = zlib.crc32(data, zlib.crc32(b"before"))
    for offset in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            assert fallen_bit(bytes(changed), crc, zlib.crc32(b"before")) == (offset, bit)


def test_a_bit_of_a_long_value_is_found() -> None:
    rng = random.Random(7)
    data = bytearray(rng.randbytes(300_000))
    crc = zlib.crc32(data)
    for offset in (0, 1, 150_000, 299_999):
        data[offset] ^= 4
        assert fallen_bit(bytes(data), crc) == (offset, 2)
        data[offset] ^= 4


def test_what_is_not_one_bit_is_not_told() -> None:
    data = bytes(100)
    assert fallen_bit(data, zlib.crc32(data)) is None
    assert fallen_bit(data, zlib.crc32(data) ^ 1 << 9) is None
    assert fallen_bit(b"\x01" + data[1:-1] + b"\x01", zlib.crc32(data)) is None
