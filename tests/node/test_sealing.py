"""Only a named reader opens sealed details, and only true ones."""

from __future__ import annotations

import hashlib

import pytest
from nacl.bindings import crypto_scalarmult_base

from node.sealing import RANDOM_BYTES, details_salt, open_details, seal_details

DETAILS = b'{"lines":[]}'
RANDOMNESS = bytes(range(RANDOM_BYTES))
SALT = bytes(range(100, 132))


def secret(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def test_each_reader_opens_and_a_stranger_does_not() -> None:
    readers = [secret(1), secret(2)]
    sealed = seal_details(DETAILS, [crypto_scalarmult_base(r) for r in readers], SALT, RANDOMNESS)

    assert [open_details(sealed.blob, reader, sealed.commitment) for reader in readers] == [
        DETAILS,
        DETAILS,
    ]
    assert open_details(sealed.blob, secret(3), sealed.commitment) is None
    assert hashlib.sha256(sealed.blob).digest() == sealed.blob_hash
    assert DETAILS not in sealed.blob


def test_details_that_break_the_commitment_are_not_shown() -> None:
    sealed = seal_details(DETAILS, [crypto_scalarmult_base(secret(1))], SALT, RANDOMNESS)

    assert open_details(sealed.blob, secret(1), bytes(32)) is None


@pytest.mark.parametrize("position", range(0, 200, 7))
def test_a_changed_blob_does_not_open(position: int) -> None:
    sealed = seal_details(DETAILS, [crypto_scalarmult_base(secret(1))], SALT, RANDOMNESS)
    changed = bytearray(sealed.blob)
    changed[position] ^= 1

    assert open_details(bytes(changed), secret(1), sealed.commitment) is None


def test_randomness_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        seal_details(DETAILS, [], SALT, b"short")


def test_sealing_an_order_again_gives_the_same_commitment_in_another_blob() -> None:
    salt = details_salt(secret(1), b"order")
    first = seal_details(DETAILS, [], salt, RANDOMNESS)
    again = seal_details(DETAILS, [], salt, RANDOMNESS[::-1])

    assert first.commitment == again.commitment
    assert first.blob != again.blob
    assert salt != details_salt(secret(1), b"another order")
    assert salt != details_salt(secret(2), b"order")
