"""Only a named reader opens sealed details, and only true ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random  # noqa: TID251 - seeded
from typing import NamedTuple

import msgspec
import pytest

import node.sealing.format
from node.chain.disclosure import DetailsError
from node.ledger.signing import public_key
from node.sealing.format import (
    RANDOM_BYTES,
    READERS_MAX,
    SECTIONS_MAX,
    BlobSealer,
    LaterWrap,
    SealedBlob,
    SealingKey,
    details_salt,
    reader_of_bare,
    sealing_key,
    sealing_key_of_bare,
    wrap_later,
)
from node.sealing.opener import BlobOpener, Opened

DETAILS = b'{"lines":[{"description":"A"}],"remarks":"B"}'
RANDOMNESS = bytes(range(RANDOM_BYTES))
SALT = bytes(range(100, 132))
NONCE = bytes(range(24))


def key(number: int) -> SealingKey:
    return sealing_key(hashlib.sha256(bytes([number])).digest())


SEALER, FIRST, SECOND, STRANGER = key(0), key(1), key(2), key(3)


class One(NamedTuple):
    """A blob of one section."""

    blob: bytes
    blob_hash: bytes
    commitment: bytes


def seal(
    *readers: bytes,
    details: bytes = DETAILS,
    randomness: bytes = RANDOMNESS,
    salt: bytes = SALT,
) -> One:
    sealer = BlobSealer(SEALER, randomness)
    commitment, _ = sealer.add(details, readers, salt)
    sealed = sealer.seal()
    return One(sealed.blob, sealed.blob_hash, commitment)


def open_with(
    blob: bytes, reader: SealingKey, commitment: bytes | None, later: Sequence[LaterWrap] = ()
) -> Opened | None:
    return BlobOpener(blob).open({reader.public: reader}, commitment, later)


def later_wrap(opened: Opened, sealer: SealingKey, reader: bytes) -> LaterWrap | None:
    return wrap_later(opened.content_key, opened.commitment, sealer, reader, NONCE)


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
        patch.setattr("node.sealing.format.commit", lambda _items, _salt: claimed)
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
    later = later_wrap(opened, FIRST, SECOND.public)
    assert later is not None
    junk = LaterWrap(SECOND.public, FIRST.public, NONCE, bytes(48))

    assert open_with(sealed.blob, SECOND, sealed.commitment) is None
    found = open_with(sealed.blob, SECOND, sealed.commitment, (junk, later))
    assert details_of(found) == DETAILS
    assert open_with(sealed.blob, STRANGER, sealed.commitment, (later,)) is None
    assert later_wrap(opened, FIRST, bytes(32)) is None


def test_a_wrap_of_one_invoice_does_not_open_another() -> None:
    one, two = seal(FIRST.public), seal(details=b'{"remarks":"C"}')
    opened = open_with(one.blob, FIRST, one.commitment)
    assert opened is not None
    later = later_wrap(opened, FIRST, SECOND.public)
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
    with pytest.raises(ValueError, match="salt"):
        seal(salt=b"short")
    with pytest.raises(ValueError, match="readers"):
        seal(*(key(n).public for n in range(1, READERS_MAX + 1)))
    sealer = BlobSealer(SEALER, RANDOMNESS)
    for number in range(SECTIONS_MAX):
        sealer.add(b'{"a":%d}' % number, [], SALT)
    sealer.add(b'{"a":0}', [FIRST.public], SALT)  # known already
    with pytest.raises(ValueError, match="details"):
        sealer.add(b'{"b":0}', [], SALT)


def test_secrets_do_not_show_in_a_representation() -> None:
    sealed = seal()
    opened = open_with(sealed.blob, SEALER, sealed.commitment)
    assert SEALER.secret.hex() not in repr(SEALER)
    assert repr(SEALER.secret) not in repr(SEALER)
    assert "remarks" not in repr(opened)


def test_sealing_an_order_again_gives_the_same_commitment_in_another_blob() -> None:
    salt = details_salt(SEALER.secret, b"order")
    first = seal(salt=salt)
    again = seal(salt=salt, randomness=RANDOMNESS[::-1])

    assert first.commitment == again.commitment
    assert first.blob != again.blob
    assert salt != details_salt(SEALER.secret, b"another order")
    assert salt != details_salt(FIRST.secret, b"order")


# --- Several details in one blob ---------------------------------------------------------------


def bundle(*readers: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Details one for each sequence of readers: the blob, and the commitments."""
    sealer = BlobSealer(SEALER, RANDOMNESS)
    added = [
        sealer.add(b'{"remarks":"%d"}' % place, some, bytes([place]) * 32)
        for place, some in enumerate(readers)
    ]
    return sealer.seal().blob, [commitment for commitment, _ in added]


def opens(blob: bytes, reader: SealingKey, commitments: Sequence[bytes]) -> list[bytes | None]:
    opener = BlobOpener(blob)
    return [details_of(opener.open({reader.public: reader}, item)) for item in commitments]


def test_each_reader_of_a_bundle_opens_its_own_sections_and_no_other() -> None:
    blob, commitments = bundle(
        [SECOND.public, FIRST.public], [FIRST.public], [STRANGER.public, FIRST.public]
    )
    texts = [b'{"remarks":"0"}', b'{"remarks":"1"}', b'{"remarks":"2"}']

    assert opens(blob, SEALER, commitments) == texts
    assert opens(blob, FIRST, commitments) == texts
    assert opens(blob, SECOND, commitments) == [texts[0], None, None]
    assert opens(blob, STRANGER, commitments) == [None, None, texts[2]]
    assert opens(blob, key(9), commitments) == [None, None, None]
    decoded = msgspec.msgpack.decode(blob, type=SealedBlob)
    assert [wrap.reader for wrap in decoded.wraps] == [SEALER.public, FIRST.public]
    assert [len(section.wraps) for section in decoded.sections] == [1, 0, 1]
    opener = BlobOpener(blob)
    assert opener.readers(commitments[0]) == {SEALER.public, FIRST.public, SECOND.public}
    assert opener.readers(commitments[1]) == {SEALER.public, FIRST.public}
    assert opener.readers(bytes(32)) == opener.readers(None) == frozenset()


def test_the_key_of_one_section_opens_no_other_section_and_wraps_no_other() -> None:
    blob, commitments = bundle([FIRST.public], [SECOND.public])
    opened = open_with(blob, FIRST, commitments[0])
    assert opened is not None
    later = later_wrap(opened, FIRST, STRANGER.public)
    assert later is not None
    # Claimed for another section: the wrap names its commitment, and the key would not fit.
    forged = wrap_later(opened.content_key, commitments[1], FIRST, STRANGER.public, NONCE)
    assert forged is not None

    assert details_of(open_with(blob, STRANGER, commitments[0], [later])) == opened.details
    assert open_with(blob, STRANGER, commitments[1], [later]) is None
    assert open_with(blob, STRANGER, commitments[1], [forged]) is None


def test_no_two_wraps_for_one_reader_share_a_nonce() -> None:
    """Under one pair key, one nonce for two keys would tell their difference."""
    nonces: list[tuple[bytes, bytes]] = []
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        true = node.sealing.format._encrypt

        def noted(message: bytes, data: bytes, nonce: bytes, secret: bytes) -> bytes:
            nonces.append((nonce, secret))
            sealed: bytes = true(message, data, nonce, secret)
            return sealed

        patch.setattr(node.sealing.format, "_encrypt", noted)
        bundle([FIRST.public], [FIRST.public, SECOND.public], [SECOND.public], [FIRST.public])

    assert len(nonces) == 4 + 1 + 3 + 2
    assert len(set(nonces)) == len(nonces)


def test_the_same_details_are_in_a_blob_once_for_the_readers_of_both() -> None:
    sealer = BlobSealer(SEALER, RANDOMNESS)
    first = sealer.add(DETAILS, [FIRST.public], SALT)
    assert sealer.add(DETAILS, [SECOND.public], SALT) == first
    blob = sealer.seal().blob

    assert len(msgspec.msgpack.decode(blob, type=SealedBlob).sections) == 1
    for reader in (FIRST, SECOND):
        assert details_of(open_with(blob, reader, first[0])) == DETAILS


def test_a_section_under_another_commitment_opens_nothing() -> None:
    blob, commitments = bundle([FIRST.public], [FIRST.public])
    decoded = msgspec.msgpack.decode(blob, type=SealedBlob)
    one, two = decoded.sections
    swapped = msgspec.structs.replace(
        decoded,
        sections=(
            msgspec.structs.replace(one, commitment=two.commitment),
            msgspec.structs.replace(two, commitment=one.commitment),
        ),
    )

    assert opens(msgspec.msgpack.encode(swapped), FIRST, commitments) == [None, None]


def test_a_section_cut_anywhere_opens_nothing() -> None:
    blob, commitments = bundle([FIRST.public], [FIRST.public])
    decoded = msgspec.msgpack.decode(blob, type=SealedBlob)
    one, two = decoded.sections
    for length in range(len(one.ciphertext)):
        cut = msgspec.structs.replace(one, ciphertext=one.ciphertext[:length])
        changed = msgspec.msgpack.encode(msgspec.structs.replace(decoded, sections=(cut, two)))
        assert opens(changed, FIRST, commitments)[0] is None


def test_a_commitment_that_stands_twice_opens_nothing() -> None:
    blob, commitments = bundle([FIRST.public], [FIRST.public])
    decoded = msgspec.msgpack.decode(blob, type=SealedBlob)
    one, two = decoded.sections
    for sections in ((one, two, one), (two, one, one)):
        changed = msgspec.msgpack.encode(msgspec.structs.replace(decoded, sections=sections))
        assert opens(changed, FIRST, commitments) == [None, None]


def test_a_thousand_mutated_bundles_open_nothing_false() -> None:
    draw = Random(7)
    blob, commitments = bundle([FIRST.public], [SECOND.public], [FIRST.public, SECOND.public])
    texts = [b'{"remarks":"0"}', b'{"remarks":"1"}', b'{"remarks":"2"}']
    harmed = 0
    for _ in range(1_000):
        changed = bytearray(blob)
        kind = draw.randrange(3)
        place = draw.randrange(len(changed))
        if kind == 0:
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[place:]
        else:
            cut = draw.randrange(len(changed))
            changed[place:place] = changed[min(place, cut) : max(place, cut)]
        for reader in (SEALER, FIRST, SECOND):
            found = opens(bytes(changed), reader, commitments)
            assert all(item in {None, text} for item, text in zip(found, texts, strict=True))
            harmed += None in found
    assert harmed > 2_000
