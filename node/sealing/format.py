"""Sealed details: those of a transaction's invoices in one blob, each under a key of its own.

Owns the format of a sealed blob and of a wrap, and how they are made; opening is
`node.sealing.opener`. Randomness comes in as arguments; knows no storage and no rule. What the
public commitment covers is `node.chain.disclosure`'s.

    blob         MessagePack [3, sealer (32), nonce (24), [wrap …], [section …]]
    section      [commitment (32), ciphertext, [wrap …]], one for each commitment
    wrap         [reader (32), wrapped (48)]
    plaintext    salt (32) ‖ details (canonical JSON)
    content key  BLAKE2b-256(key: blob key, personal: tag, commitment)
    ciphertext   XChaCha20-Poly1305(content key, nonce, plaintext; data: tag ‖ commitment)
    wrapped      XChaCha20-Poly1305(pair key, wrap nonce, key; data: tag ‖ subject ‖ reader)
    wrap nonce   BLAKE2b-192(personal: tag, nonce ‖ subject)
    pair key     BLAKE2b-256(X25519 of sealer and reader, personal: tag, sealer ‖ reader)

Who reads every section has a wrap of the random blob key (subject: empty) beside the sections; who
reads some has in each of those a wrap of its content key (subject: its commitment), and so have
later readers in the state and attachments. A content key tells nothing about the blob key and the
others. All content keys of a blob differ, so they share a nonce. A pair key serves many
wraps: no two of them have one nonce, since no two of a blob for one reader have one subject.

The key of a pair is made once and kept (120 µs), then a wrap costs 4 µs: an anonymous box for each
reader would cost more than everything else that an invoice takes. It names the sealer's key, which
is public anyway. A bare key (Ed25519) reads with the X25519 key that follows from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
)
from nacl.exceptions import CryptoError
from typing_extensions import override

from node.chain.disclosure import SALT_BYTES, commit, items_of
from node.ledger.signing import secret_key
from node.ledger.types import Hash, WrapNonce, WrappedKey

READERS_MAX = 64
"""Wraps of one key in a blob. Who comes later gets a wrap in the state (`ShareDetails`)."""
SECTIONS_MAX = 1_000
CONTENT_KEY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16
"""Poly1305, at the end of a ciphertext."""
RANDOM_BYTES = CONTENT_KEY_BYTES + NONCE_BYTES
"""Blob key and nonce of one sealing."""
_PAIRS_KEPT = 4_096
_SALT_TAG = b"piaolian/details/salt/v2\n"
CONTENT_TAG = b"piaolian/details/content/v3\n"
WRAP_TAG = b"piaolian/details/wrap/v3\n"
_CONTENT_PERSON = b"piaolian conten3"
_NONCE_PERSON = b"piaolian wrapno3"
_PAIR_PERSON = b"piaolian pair v2"

_encrypt = crypto_aead_xchacha20poly1305_ietf_encrypt


class Wrap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key for one reader, inside a blob."""

    reader: Hash
    wrapped: WrappedKey


Wraps = Annotated[tuple[Wrap, ...], msgspec.Meta(max_length=READERS_MAX)]


class Section(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The details behind one commitment."""

    commitment: Hash
    # libsodium's binding raises ValueError at what is shorter than a tag.
    ciphertext: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES + TAG_BYTES)]
    wraps: Wraps
    """For those who do not read every section."""


class SealedBlob(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The blob as it is stored and travels."""

    version: Literal[3]
    sealer: Hash
    nonce: WrapNonce
    wraps: Wraps
    """For those who read every section."""
    sections: Annotated[tuple[Section, ...], msgspec.Meta(min_length=1, max_length=SECTIONS_MAX)]


class LaterWrap(msgspec.Struct, frozen=True):
    """The content key for a reader who came after the sealing, as the ledger's state keeps it."""

    reader: bytes
    sealer: bytes
    nonce: bytes
    wrapped: bytes


class Sealed(msgspec.Struct, frozen=True):
    """A blob and its hash, which every operation names whose details it holds."""

    blob: bytes
    blob_hash: bytes


class SealingKey(msgspec.Struct, frozen=True):
    """An X25519 key pair that seals and opens."""

    secret: bytes
    public: bytes

    @override
    def __repr__(self) -> str:
        return f"SealingKey({self.public.hex()})"


def sealing_key(secret: bytes) -> SealingKey:
    """The key pair of a 32-byte X25519 secret."""
    return SealingKey(secret, crypto_scalarmult_base(secret))


def sealing_key_of_bare(seed: bytes) -> SealingKey:
    """The key pair by which a bare key reads, from its 32-byte Ed25519 seed."""
    return sealing_key(crypto_sign_ed25519_sk_to_curve25519(secret_key(seed)))


@lru_cache(maxsize=_PAIRS_KEPT)
def reader_of_bare(public_key: bytes) -> bytes | None:
    """The X25519 key to which a bare Ed25519 key's details are sealed; None if it is no key."""
    try:
        found: bytes = crypto_sign_ed25519_pk_to_curve25519(public_key)
    except (CryptoError, TypeError, ValueError):
        return None
    return found


def details_salt(secret: bytes, order: bytes) -> bytes:
    """The salt of the details of one order: secret, and the same when the order is repeated.

    A fresh one would give a repeated order another commitment, and so make it a conflict.
    """
    return hmac.digest(secret, _SALT_TAG + order, "sha256")


class BlobSealer:
    """Seals one blob: the details of one transaction."""

    def __init__(self, sealer: SealingKey, randomness: bytes) -> None:
        """Begin.

        Args:
            sealer: Who seals; reads everything as well.
            randomness: `RANDOM_BYTES` fresh random bytes.

        Raises:
            ValueError: too little randomness.
        """
        if len(randomness) != RANDOM_BYTES:
            raise ValueError(f"sealing needs {RANDOM_BYTES} random bytes")
        self._sealer = sealer
        self._key, self._nonce = randomness[:CONTENT_KEY_BYTES], randomness[CONTENT_KEY_BYTES:]
        self._readers: dict[bytes, dict[bytes, None]] = {}
        """By commitment, in order."""
        self._ciphertexts: dict[bytes, bytes] = {}

    def add(self, details: bytes, readers: Sequence[bytes], salt: bytes) -> tuple[bytes, bytes]:
        """Add details; their commitment, and their content key, which is a secret.

        The same details with the same salt are added once, for the readers of both.

        Args:
            details: Canonical JSON.
            readers: 32-byte X25519 public keys. One of small order, to which nothing can be
                sealed, is left out.
            salt: 32 bytes that nobody else can guess.

        Raises:
            DetailsError: the details are not canonical JSON.
            ValueError: a salt of another length, too many readers, or too many details.
        """
        if len(salt) != SALT_BYTES:
            raise ValueError(f"a salt has {SALT_BYTES} bytes")
        commitment = commit(items_of(details), salt)
        key = content_key(self._key, commitment)
        known = self._readers.get(commitment, {self._sealer.public: None})
        known = known | dict.fromkeys(readers)
        if len(known) > READERS_MAX:
            raise ValueError(f"at most {READERS_MAX} readers")
        self._readers[commitment] = known
        if commitment not in self._ciphertexts:
            if len(self._ciphertexts) == SECTIONS_MAX:
                raise ValueError(f"at most {SECTIONS_MAX} details in a blob")
            self._ciphertexts[commitment] = _encrypt(
                salt + details, CONTENT_TAG + commitment, self._nonce, key
            )
        return commitment, key

    def seal(self) -> Sealed:
        """The blob, of at least one section."""
        first, *others = self._readers.values()
        all_read = [reader for reader in first if all(reader in some for some in others)]
        common = frozenset(all_read)
        sections = [
            Section(
                commitment,
                ciphertext,
                self._wraps(
                    content_key(self._key, commitment),
                    commitment,
                    [reader for reader in self._readers[commitment] if reader not in common],
                ),
            )
            for commitment, ciphertext in self._ciphertexts.items()
        ]
        blob = msgspec.msgpack.encode(
            SealedBlob(
                3,
                self._sealer.public,
                self._nonce,
                self._wraps(self._key, b"", all_read),
                tuple(sections),
            )
        )
        return Sealed(blob, hashlib.sha256(blob).digest())

    def _wraps(self, key: bytes, subject: bytes, readers: Sequence[bytes]) -> tuple[Wrap, ...]:
        if not readers:
            return ()
        nonce = wrap_nonce(self._nonce, subject)
        found = [(reader, _wrap(key, self._sealer, reader, nonce, subject)) for reader in readers]
        return tuple(Wrap(reader, wrapped) for reader, wrapped in found if wrapped is not None)


def wrap_later(
    key: bytes, commitment: bytes, sealer: SealingKey, reader: bytes, nonce: bytes
) -> LaterWrap | None:
    """A content key for one more reader; None if that is no key to seal to.

    Args:
        key: The content key, as who passes it on has found it.
        commitment: To the details that it opens.
        sealer: Who passes it on.
        reader: The 32-byte X25519 key of the new reader.
        nonce: 24 fresh random bytes.
    """
    wrapped = _wrap(key, sealer, reader, nonce, commitment)
    return None if wrapped is None else LaterWrap(reader, sealer.public, nonce, wrapped)


def content_key(blob_key: bytes, commitment: bytes) -> bytes:
    """The key of one section."""
    return hashlib.blake2b(
        commitment, digest_size=CONTENT_KEY_BYTES, key=blob_key, person=_CONTENT_PERSON
    ).digest()


def wrap_nonce(nonce: bytes, subject: bytes) -> bytes:
    """The nonce of the wraps of one key of a blob."""
    return hashlib.blake2b(nonce + subject, digest_size=NONCE_BYTES, person=_NONCE_PERSON).digest()


def _wrap(
    key: bytes, sealer: SealingKey, reader: bytes, nonce: bytes, subject: bytes
) -> bytes | None:
    pair = pair_key(sealer.secret, reader, sealer.public, reader)
    if pair is None:
        return None
    wrapped: bytes = _encrypt(key, WRAP_TAG + subject + reader, nonce, pair)
    return wrapped


@lru_cache(maxsize=_PAIRS_KEPT)
def pair_key(secret: bytes, other: bytes, sealer: bytes, reader: bytes) -> bytes | None:
    """The key that sealer and reader share; None when the other's key is of small order."""
    if len(secret) != 32 or len(other) != 32:  # libsodium's binding checks no length
        return None
    try:
        shared = crypto_scalarmult(secret, other)
    except CryptoError:
        return None
    return hashlib.blake2b(
        sealer + reader, digest_size=32, key=shared, person=_PAIR_PERSON
    ).digest()
