"""Ed25519 (RFC 8032) as every floor uses it. Owns lengths and refusals; knows no message format.

libsodium refuses non-canonical scalars and keys of small order, so for one key and message no
stranger can turn a valid signature into another valid one.
"""

from __future__ import annotations

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

SEED_BYTES = 32
SECRET_KEY_BYTES = 64
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


def secret_key(seed: bytes) -> bytes:
    """The 64-byte libsodium secret key (seed ‖ public key) of a 32-byte seed.

    Keep it where many signatures are made: deriving it costs as much as a signature.

    Raises:
        ValueError: when the seed is not 32 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError("an Ed25519 seed is 32 bytes")
    key: bytes = crypto_sign_seed_keypair(seed)[1]
    return key


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed or a 64-byte secret key.

    Raises:
        ValueError: when the key has another length.
    """
    if len(seed) == SECRET_KEY_BYTES:
        return seed[SEED_BYTES:]
    return secret_key(seed)[SEED_BYTES:]


def sign(key: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message` by a 32-byte seed or a 64-byte secret key.

    Raises:
        ValueError: when the key has another length.
    """
    if len(key) != SECRET_KEY_BYTES:  # also guards libsodium, which checks no length
        key = secret_key(key)
    signed: bytes = crypto_sign(message, key)
    return signed[:SIGNATURE_BYTES]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the signature of `message` by `public_key`; False on bad lengths."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True
