"""Only a named reader opens sealed details, and only true ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import pytest

from node.chain.disclosure import DetailsError
from node.ledger.signing import public_key
from node.sealing import (
    RANDOM_BYTES,
    READERS_MAX,
    LaterWrap,
    Opened,
    Sealed,
    SealedBlob,
    SealingKey,
    details_salt,
    open_details,
    reader_of_bare,
    seal_details,
    sealing_key,
    sealing_key_of_bare,
    wrap_later,
)

DETAILS = b'{"lines":[{"description":"A"}],"remarks":"B"}'
RANDOMNESS = bytes(range(RANDOM_BYTES))
SALT = bytes(range(100, 132))
NONCE = bytes(range(24))


def key(number: int) -> SealingKey:
    return sealing_key(hashlib.sha256(bytes([number])).digest())


SEALER, FIRST, SECOND, STRANGER = key(0), key(1), key(2), key(3)


def seal(*readers: bytes, details: bytes = DETAILS, randomness: bytes = RANDOMNESS) -> Sealed:
    return seal_details(details, SEALER, readers, SALT, randomness)


def open_with(
    blob: bytes, reader: SealingKey, commitment: bytes | None, later: Sequence[LaterWrap] = ()
) -> Opened | None:
    return open_details(blob, {reader.public: reader}, commitment, later)


def details_of(opened: Opened | None) -> bytes | None:
    return None if opened is None else opened.details


def test_each_reader_opens_and_a_stranger_does_not() -> None:
    sealed = seal(FIRST.public, SECOND.public, FIRST.public)

    for reader in (SEALER, FIRST, SECOND):
        assert details_of(open_with(sealed.blob, reader, sealed.commitment)) == DETAILS
    assert open_with(sealed.blob, STRANGER, sealed.commitment) is None
    assert hashlib.sha256(sealed.blob).digest() == sealed.blob_hash
    assert len(msgspec.msgpack.decode(sealed.blob, type=SealedBlob).wraps) == 3
    for planted in (DETAILS, b"description", b"remarks", SALT):
        assert planted not in sealed.blob


def test_a_bare_key_reads_with_its_seed() -> None:
    seed = hashlib.sha256(b"bare").digest()
    reader = reader_of_bare(public_key(seed))
    assert reader is not None
    sealed = seal(reader)

    opened = open_with(sealed.blob, sealing_key_of_bare(seed), sealed.commitment)

    assert details_of(opened) == DETAILS


@pytest.mark.parametrize("bare", [bytes(32), b"\xff" * 32, b"short", bytes([1]) + bytes(31)])
def test_bytes_that_are_no_bare_key_have_no_reader(bare: bytes) -> None:
    assert reader_of_bare(bare) is None


def test_a_key_to_which_nothing_can_be_sealed_is_left_out() -> None:
    sealed = seal(bytes(32), FIRST.public, b"short")

    assert details_of(open_with(sealed.blob, FIRST, sealed.commitment)) == DETAILS
    assert len(msgspec.msgpack.decode(sealed.blob, type=SealedBlob).wraps) == 2


def test_details_that_break_the_commitment_are_not_shown() -> None:
    sealed = seal(FIRST.public)
    other = seal(FIRST.public, details=b'{"remarks":"C"}')

    assert open_with(sealed.blob, FIRST, bytes(32)) is None
    assert open_with(sealed.blob, FIRST, other.commitment) is None
    assert open_with(sealed.blob, FIRST, None) is None


def test_a_sealer_that_commits_to_other_details_than_it_seals_is_noticed() -> None:
    """Wraps and ciphertext name the commitment, yet it must be that of what they hold."""
    claimed = seal(FIRST.public, details=b'{"remarks":"C"}').commitment
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("node.sealing.commit", lambda items, salt: claimed)
        forged = seal(FIRST.public)
    assert forged.commitment == claimed

    assert open_with(forged.blob, FIRST, claimed) is None


def test_no_changed_byte_of_a_blob_opens() -> None:
    """Also through a wrap that the state keeps: a blob is not trusted for having a reader."""
    sealed = seal(FIRST.public)
    opened = open_with(sealed.blob, FIRST, sealed.commitment)
    assert opened is not None
    # Its own wrap stands at the end: a changed byte there leaves the sealer's wrap whole.
    for position in range(len(sealed.blob)):
        changed = bytearray(sealed.blob)
        changed[position] ^= 1
        found = open_with(bytes(changed), FIRST, sealed.commitment)
        in_wrap_of_sealer = sealed.blob.find(SEALER.public, 40)
        if found is not None:
            assert found.details == DETAILS
            assert in_wrap_of_sealer - 4 <= position < in_wrap_of_sealer + 32 + 2 + 48


def test_who_comes_later_reads_with_a_wrap_from_the_state() -> None:
    sealed = seal(FIRST.public)
    opened = open_with(sealed.blob, FIRST, sealed.commitment)
    assert opened is not None
    later = wrap_later(opened, FIRST, SECOND.public, NONCE)
    assert later is not None
    junk = LaterWrap(SECOND.public, FIRST.public, NONCE, bytes(48))

    assert open_with(sealed.blob, SECOND, sealed.commitment) is None
    found = open_with(sealed.blob, SECOND, sealed.commitment, (junk, later))
    assert details_of(found) == DETAILS
    assert open_with(sealed.blob, STRANGER, sealed.commitment, (later,)) is None
    assert wrap_later(opened, FIRST, bytes(32), NONCE) is None


def test_a_wrap_of_one_invoice_does_not_open_another() -> None:
    one, two = seal(FIRST.public), seal(details=b'{"remarks":"C"}')
    opened = open_with(one.blob, FIRST, one.commitment)
    assert opened is not None
    later = wrap_later(opened, FIRST, SECOND.public, NONCE)
    assert later is not None

    assert open_with(two.blob, SECOND, two.commitment, (later,)) is None
    assert open_with(two.blob, SECOND, one.commitment, (later,)) is None


@pytest.mark.parametrize(
    "details", [b"", b"[]", b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b'{"a":1.50}', b"\xff"]
)
def test_what_is_not_canonical_is_not_sealed(details: bytes) -> None:
    with pytest.raises(DetailsError):
        seal(details=details)


def test_arguments_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        seal(randomness=b"short")
    with pytest.raises(ValueError, match="readers"):
        seal(*(key(n).public for n in range(1, READERS_MAX + 1)))


def test_secrets_do_not_show_in_a_representation() -> None:
    sealed = seal()
    opened = open_with(sealed.blob, SEALER, sealed.commitment)
    assert SEALER.secret.hex() not in repr(SEALER)
    assert repr(SEALER.secret) not in repr(SEALER)
    assert "remarks" not in repr(opened)


def test_sealing_an_order_again_gives_the_same_commitment_in_another_blob() -> None:
    salt = details_salt(SEALER.secret, b"order")
    first = seal_details(DETAILS, SEALER, [], salt, RANDOMNESS)
    again = seal_details(DETAILS, SEALER, [], salt, RANDOMNESS[::-1])

    assert first.commitment == again.commitment
    assert first.blob != again.blob
    assert salt != details_salt(SEALER.secret, b"another order")
    assert salt != details_salt(FIRST.secret, b"order")
