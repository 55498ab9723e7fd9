"""Sealed details: encrypted once, the content key wrapped for each party that may read them.

Owns the format of a sealed blob and of the public commitment. Randomness comes in as arguments;
knows no storage and no rule.

    plaintext   salt (32) ‖ details
    commitment  SHA-256(tag ‖ salt ‖ details), public in the invoice
    blob        MessagePack [1, nonce (24), secretbox(plaintext), [[sealing key, wrapped key], …]]

A wrapped key is a libsodium sealed box of the 32-byte content key, so the blob names its readers'
sealing keys and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from nacl.bindings import (
    crypto_box_seal,
    crypto_box_seal_open,
    crypto_scalarmult_base,
    crypto_secretbox,
    crypto_secretbox_open,
)
from nacl.exceptions import CryptoError

from node.ledger.types import Hash

_COMMITMENT_TAG = b"piaolian/details/v1\n"
READERS_MAX = 32
RANDOM_BYTES = 32 + 24
"""Content key and nonce of one sealing."""
_SALT_TAG = b"piaolian/details/salt/v1\n"


class Wrap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content key for one reader."""

    reader: Hash
    wrapped: Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]


class SealedBlob(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The blob as it is stored and travels."""

    version: Literal[1]
    nonce: Annotated[bytes, msgspec.Meta(min_length=24, max_length=24)]
    ciphertext: bytes
    wraps: Annotated[tuple[Wrap, ...], msgspec.Meta(max_length=READERS_MAX)]


class Sealed(msgspec.Struct, frozen=True):
    """What sealing yields: the blob, its hash (named in the invoice) and the commitment."""

    blob: bytes
    blob_hash: bytes
    commitment: bytes


def details_salt(secret: bytes, order: bytes) -> bytes:
    """The salt of the details of one order: secret, and the same when the order is repeated.

    A fresh one would give a repeated order another commitment, and so make it a conflict.
    """
    return hmac.digest(secret, _SALT_TAG + order, "sha256")


def seal_details(
    details: bytes, readers: Sequence[bytes], salt: bytes, randomness: bytes
) -> Sealed:
    """Seal `details` to X25519 public keys.

    Args:
        details: Canonical JSON.
        readers: 32-byte sealing keys; duplicates are sealed once.
        salt: 32 bytes that nobody else can guess.
        randomness: `RANDOM_BYTES` fresh random bytes.
    """
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"sealing needs {RANDOM_BYTES} random bytes")
    content_key, nonce = randomness[:32], randomness[32:]
    wraps = tuple(
        Wrap(reader, crypto_box_seal(content_key, reader)) for reader in dict.fromkeys(readers)
    )
    ciphertext = crypto_secretbox(salt + details, nonce, content_key)
    blob = msgspec.msgpack.encode(SealedBlob(1, nonce, ciphertext, wraps))
    return Sealed(blob, hashlib.sha256(blob).digest(), _commitment(salt, details))


def open_details(blob: bytes, secret_key: bytes, commitment: bytes | None) -> bytes | None:
    """The details, if `secret_key` may read them and they match the commitment; else None."""
    public_key = crypto_scalarmult_base(secret_key)
    try:
        sealed = msgspec.msgpack.decode(blob, type=SealedBlob)
        wrap = next((w for w in sealed.wraps if w.reader == public_key), None)
        if wrap is None:
            return None
        content_key = crypto_box_seal_open(wrap.wrapped, public_key, secret_key)
        plaintext: bytes = crypto_secretbox_open(sealed.ciphertext, sealed.nonce, content_key)
    except (msgspec.MsgspecError, CryptoError):
        return None
    salt, details = plaintext[:32], plaintext[32:]
    return details if _commitment(salt, details) == commitment else None


def _commitment(salt: bytes, details: bytes) -> bytes:
    return hashlib.sha256(_COMMITMENT_TAG + salt + details).digest()
