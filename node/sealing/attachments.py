"""Attachments of invoices: files that are sealed like the details, each as a blob of its own.

Owns the format of a sealed attachment, and the files that wait here for an invoice to name them.

    blob        nonce (24) ‖ ciphertext
    ciphertext  XChaCha20-Poly1305(key, nonce, file; data: tag ‖ commitment ‖ SHA-256 of the file)
    key         BLAKE2b-256(key: content key of the details, personal: tag)

Whoever can open the details can open what they name, also who is let in later. The details hold
the file's SHA-256 and are themselves committed to, so nobody can put another file in its place.
Waiting files are kept in memory only: nothing of them is on disk before it is sealed.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from node.following.outcomes import AttachmentMissingError, BusyError
from node.sealing.format import NONCE_BYTES

WAITING_BYTES_MAX = 64 << 20
"""A few dozen of the largest files: an upload is a matter of seconds before its invoice."""
WAITING_MAX = 1_024
WAITING_S = 3_600.0
_TAG = b"piaolian/attachment/v1\n"
_PERSON = b"piaolian attach1"


class _Named(msgspec.Struct, frozen=True):
    hash: str
    size: int


class _Naming(msgspec.Struct, frozen=True):
    """The part of the details that names files."""

    attachments: list[_Named] = []


_decode = msgspec.json.Decoder(_Naming).decode


def named_attachments(details: bytes) -> list[tuple[bytes, int]]:
    """SHA-256 and size of the files that details name, in their order."""
    if b'"attachments"' not in details:
        return []
    try:
        return [(bytes.fromhex(item.hash), item.size) for item in _decode(details).attachments]
    except (msgspec.MsgspecError, ValueError):
        return []


def seal_attachment(content: bytes, content_key: bytes, commitment: bytes) -> bytes:
    """The blob of a file.

    Args:
        content: The file.
        content_key: That of the details that name it.
        commitment: To these details.
    """
    nonce = os.urandom(NONCE_BYTES)
    data = _TAG + commitment + hashlib.sha256(content).digest()
    sealed: bytes = crypto_aead_xchacha20poly1305_ietf_encrypt(
        content, data, nonce, _key(content_key)
    )
    return nonce + sealed


def open_attachment(
    blob: bytes, content_key: bytes, commitment: bytes, file_hash: bytes
) -> bytes | None:
    """The file of a blob, if it is the one that the details name; else None."""
    nonce, sealed = blob[:NONCE_BYTES], blob[NONCE_BYTES:]
    try:
        content: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, _TAG + commitment + file_hash, nonce, _key(content_key)
        )
    except (CryptoError, ValueError, TypeError):
        return None
    return content if hashlib.sha256(content).digest() == file_hash else None


def _key(content_key: bytes) -> bytes:
    return hashlib.blake2b(digest_size=32, key=content_key, person=_PERSON).digest()


class WaitingFiles:
    """Files that were handed in and wait for an invoice that names them. Bounded; in memory."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._files: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def add(self, content: bytes) -> bytes:
        """Keep a file for a while; returns its SHA-256.

        Raises:
            BusyError: too much waits already.
        """
        self._forget_old()
        file_hash = hashlib.sha256(content).digest()
        self._drop(file_hash)
        if len(self._files) >= WAITING_MAX or self._bytes + len(content) > WAITING_BYTES_MAX:
            raise BusyError("too many attachments wait for their invoices", 60)
        self._files[file_hash] = (self._now_s(), content)
        self._bytes += len(content)
        return file_hash

    def named_by(self, details: bytes) -> Iterator[bytes]:
        """The files that details name, in their order. They stay: the issue may yet fail.

        Raises:
            AttachmentMissingError: one does not wait here, or has another size.
        """
        for file_hash, size in named_attachments(details):
            found = self._files.get(file_hash)
            if found is None or len(found[1]) != size:
                raise AttachmentMissingError(file_hash.hex())
            yield found[1]

    def _forget_old(self) -> None:
        end_s = self._now_s() - WAITING_S
        while self._files:
            file_hash, (since_s, _) = next(iter(self._files.items()))
            if since_s > end_s:
                return
            self._drop(file_hash)

    def _drop(self, file_hash: bytes) -> None:
        found = self._files.pop(file_hash, None)
        if found is not None:
            self._bytes -= len(found[1])
