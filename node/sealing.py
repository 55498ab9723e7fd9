"""Sealed details: encrypted once, the content key wrapped for each party that may read them.

Owns the format of a sealed blob, of a wrap, and how a reader's key is found. Randomness comes in
as arguments; knows no storage and no rule. What the public commitment covers is
`node.chain.disclosure`'s.

    plaintext   salt (32) ‖ details (canonical JSON)
    blob        MessagePack [2, sealer (32), nonce (24), ciphertext, [wrap …]]
    wrap        [reader (32), wrapped (48)]
    ciphertext  XChaCha20-Poly1305(content key, nonce, plaintext; data: tag ‖ commitment)
    wrapped     XChaCha20-Poly1305(pair key, nonce, content key; data: tag ‖ commitment ‖ reader)
    pair key    BLAKE2b-256(X25519 of sealer and reader, personal: tag, sealer ‖ reader)

The key of a pair is made once and kept (120 µs), then a wrap costs 3 µs: an anonymous box for each
reader would cost more than everything else that an invoice takes. It names the sealer's key, which
is public anyway. A wrap opens nothing but the details of its own commitment. A bare key
(Ed25519) reads with the X25519 key that follows from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
)
from nacl.exceptions import CryptoError
from typing_extensions import override

from node.chain.disclosure import SALT_BYTES, DetailsError, Item, commit, items_of
from node.ledger.signing import secret_key
from node.ledger.types import Hash, WrapNonce, WrappedKey

READERS_MAX = 64
"""Wraps in one blob. Who comes later gets a wrap in the state (`ShareDetails`)."""
CONTENT_KEY_BYTES = 32
NONCE_BYTES = 24
RANDOM_BYTES = CONTENT_KEY_BYTES + NONCE_BYTES
"""Content key and nonce of one sealing."""
_PAIRS_KEPT = 4_096
_SALT_TAG = b"piaolian/details/salt/v2\n"
_CONTENT_TAG = b"piaolian/details/content/v2\n"
_WRAP_TAG = b"piaolian/details/wrap/v2\n"
_PAIR_PERSON = b"piaolian pair v2"

_encrypt = crypto_aead_xchacha20poly1305_ietf_encrypt
_decrypt = crypto_aead_xchacha20poly1305_ietf_decrypt


class Wrap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content key for one reader, inside a blob."""

    reader: Hash
    wrapped: WrappedKey


class SealedBlob(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The blob as it is stored and travels."""

    version: Literal[2]
    sealer: Hash
    nonce: WrapNonce
    ciphertext: bytes
    wraps: Annotated[tuple[Wrap, ...], msgspec.Meta(max_length=READERS_MAX)]


class LaterWrap(msgspec.Struct, frozen=True):
    """The content key for a reader who came after the sealing, as the ledger's state keeps it."""

    reader: bytes
    sealer: bytes
    nonce: bytes
    wrapped: bytes


class Sealed(msgspec.Struct, frozen=True):
    """What sealing yields: the blob, its hash (named in the invoice) and the commitment."""

    blob: bytes
    blob_hash: bytes
    commitment: bytes


class Opened(msgspec.Struct, frozen=True):
    """Details as a reader has them. Holds secrets: never logged."""

    details: bytes
    """Canonical JSON."""
    items: list[Item]
    salt: bytes
    content_key: bytes
    commitment: bytes

    @override
    def __repr__(self) -> str:
        return "Opened(…)"


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


def seal_details(
    details: bytes, sealer: SealingKey, readers: Sequence[bytes], salt: bytes, randomness: bytes
) -> Sealed:
    """Seal `details` to the sealer and to X25519 public keys.

    A key of small order, to which nothing can be sealed, is left out.

    Args:
        details: Canonical JSON.
        sealer: Who seals; a reader as well.
        readers: 32-byte keys; each is sealed to once.
        salt: 32 bytes that nobody else can guess.
        randomness: `RANDOM_BYTES` fresh random bytes.

    Raises:
        DetailsError: the details are not canonical JSON.
        ValueError: too little randomness, or too many readers.
    """
    if len(randomness) != RANDOM_BYTES or len(salt) != SALT_BYTES:
        raise ValueError(f"sealing needs {RANDOM_BYTES} random bytes and a salt of {SALT_BYTES}")
    content_key, nonce = randomness[:CONTENT_KEY_BYTES], randomness[CONTENT_KEY_BYTES:]
    commitment = commit(items_of(details), salt)
    wraps = []
    for reader in dict.fromkeys((sealer.public, *readers)):
        wrapped = _wrap(content_key, sealer, reader, nonce, commitment)
        if wrapped is not None:
            wraps.append(Wrap(reader, wrapped))
    if len(wraps) > READERS_MAX:
        raise ValueError(f"at most {READERS_MAX} readers")
    ciphertext = _encrypt(salt + details, _CONTENT_TAG + commitment, nonce, content_key)
    blob = msgspec.msgpack.encode(SealedBlob(2, sealer.public, nonce, ciphertext, tuple(wraps)))
    return Sealed(blob, hashlib.sha256(blob).digest(), commitment)


def wrap_later(opened: Opened, sealer: SealingKey, reader: bytes, nonce: bytes) -> LaterWrap | None:
    """The content key of opened details for one more reader; None if it is no key to seal to.

    Args:
        opened: What the sealer itself has opened.
        sealer: Who passes the key on.
        reader: The 32-byte X25519 key of the new reader.
        nonce: 24 fresh random bytes.
    """
    wrapped = _wrap(opened.content_key, sealer, reader, nonce, opened.commitment)
    return None if wrapped is None else LaterWrap(reader, sealer.public, nonce, wrapped)


def open_details(
    blob: bytes,
    keys: Mapping[bytes, SealingKey],
    commitment: bytes | None,
    later: Sequence[LaterWrap] = (),
) -> Opened | None:
    """What the blob holds, if one of `keys` may read it and it matches the commitment; else None.

    Args:
        blob: The sealed bytes, from anyone.
        keys: The reader's key pairs, by public key.
        commitment: From the ledger; None opens nothing.
        later: Wraps from the ledger's state; those for other readers are passed over.
    """
    if commitment is None:
        return None
    try:
        sealed = msgspec.msgpack.decode(blob, type=SealedBlob)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    wraps = [
        LaterWrap(wrap.reader, sealed.sealer, sealed.nonce, wrap.wrapped) for wrap in sealed.wraps
    ]
    for wrap in (*wraps, *later):
        key = keys.get(wrap.reader)
        content_key = None if key is None else _unwrap(wrap, key, commitment)
        opened = None if content_key is None else _open(sealed, content_key, commitment)
        if opened is not None:
            return opened
    return None


def _open(sealed: SealedBlob, content_key: bytes, commitment: bytes) -> Opened | None:
    try:
        plaintext: bytes = _decrypt(
            sealed.ciphertext, _CONTENT_TAG + commitment, sealed.nonce, content_key
        )
        salt, details = plaintext[:SALT_BYTES], plaintext[SALT_BYTES:]
        items = items_of(details)
        if len(salt) != SALT_BYTES or commit(items, salt) != commitment:
            return None
    except (CryptoError, DetailsError):
        return None
    return Opened(details, items, salt, content_key, commitment)


def _wrap(
    content_key: bytes, sealer: SealingKey, reader: bytes, nonce: bytes, commitment: bytes
) -> bytes | None:
    pair = _pair_key(sealer.secret, reader, sealer.public, reader)
    if pair is None:
        return None
    wrapped: bytes = _encrypt(content_key, _WRAP_TAG + commitment + reader, nonce, pair)
    return wrapped


def _unwrap(wrap: LaterWrap, key: SealingKey, commitment: bytes) -> bytes | None:
    pair = _pair_key(key.secret, wrap.sealer, wrap.sealer, wrap.reader)
    if pair is None:
        return None
    try:
        content_key: bytes = _decrypt(
            wrap.wrapped, _WRAP_TAG + commitment + wrap.reader, wrap.nonce, pair
        )
    except CryptoError:
        return None
    return content_key if len(content_key) == CONTENT_KEY_BYTES else None


@lru_cache(maxsize=_PAIRS_KEPT)
def _pair_key(secret: bytes, other: bytes, sealer: bytes, reader: bytes) -> bytes | None:
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
