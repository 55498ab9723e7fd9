"""Opening sealed blobs, which come from anyone: the other half of `node.sealing.format`.

Owns which key opens what. Nothing that does not fit its commitment is shown. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
from nacl.exceptions import CryptoError
from typing_extensions import override

from node.chain.disclosure import SALT_BYTES, DetailsError, Item, commit, items_of
from node.sealing.format import (
    CONTENT_KEY_BYTES,
    CONTENT_TAG,
    WRAP_TAG,
    LaterWrap,
    SealedBlob,
    SealingKey,
    Section,
    content_key,
    pair_key,
    wrap_nonce,
)

_decode = msgspec.msgpack.Decoder(SealedBlob).decode
_decrypt = crypto_aead_xchacha20poly1305_ietf_decrypt


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


class BlobOpener:
    """Opens sections of one blob, from anyone. Malformed bytes open nothing."""

    def __init__(self, blob: bytes) -> None:
        self._sections: dict[bytes, Section] = {}
        self._blob_keys: dict[bytes, bytes | None] = {}
        """What unwrapping gave, by reader: once for all sections."""
        try:
            self._sealed = _decode(blob)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        sections = {section.commitment: section for section in self._sealed.sections}
        if len(sections) == len(self._sealed.sections):  # else one commitment stands twice
            self._sections = sections

    def readers(self, commitment: bytes | None) -> frozenset[bytes]:
        """The keys for which the blob has wraps to the details of a commitment."""
        section = None if commitment is None else self._sections.get(commitment)
        if section is None:
            return frozenset()
        return frozenset(wrap.reader for wrap in (*self._sealed.wraps, *section.wraps))

    def open(
        self,
        keys: Mapping[bytes, SealingKey],
        commitment: bytes | None,
        later: Sequence[LaterWrap] = (),
    ) -> Opened | None:
        """The details, if one of `keys` may read them and they match the commitment; else None.

        Args:
            keys: The reader's key pairs, by public key.
            commitment: From the ledger; None opens nothing.
            later: Wraps from the ledger's state; those for other readers are passed over.
        """
        section = None if commitment is None else self._sections.get(commitment)
        if section is None:
            return None
        for found in self._content_keys(section, keys, later):
            opened = self._open(section, found)
            if opened is not None:
                return opened
        return None

    def _content_keys(
        self, section: Section, keys: Mapping[bytes, SealingKey], later: Sequence[LaterWrap]
    ) -> Iterator[bytes]:
        sealed, commitment = self._sealed, section.commitment
        for wrap in sealed.wraps:
            key = keys.get(wrap.reader)
            if key is None:
                continue
            if wrap.reader not in self._blob_keys:
                nonce = wrap_nonce(sealed.nonce, b"")
                self._blob_keys[wrap.reader] = _unwrap(
                    LaterWrap(wrap.reader, sealed.sealer, nonce, wrap.wrapped), key, b""
                )
            blob_key = self._blob_keys[wrap.reader]
            if blob_key is not None:
                yield content_key(blob_key, commitment)
        mine = [wrap for wrap in section.wraps if wrap.reader in keys]
        nonce = wrap_nonce(sealed.nonce, commitment) if mine else b""
        wraps = [LaterWrap(wrap.reader, sealed.sealer, nonce, wrap.wrapped) for wrap in mine]
        for later_wrap in (*wraps, *later):
            key = keys.get(later_wrap.reader)
            found = None if key is None else _unwrap(later_wrap, key, commitment)
            if found is not None:
                yield found

    def _open(self, section: Section, key: bytes) -> Opened | None:
        commitment = section.commitment
        try:
            plaintext: bytes = _decrypt(
                section.ciphertext, CONTENT_TAG + commitment, self._sealed.nonce, key
            )
            salt, details = plaintext[:SALT_BYTES], plaintext[SALT_BYTES:]
            items = items_of(details)
            if len(salt) != SALT_BYTES or commit(items, salt) != commitment:
                return None
        except (CryptoError, DetailsError):
            return None
        return Opened(details, items, salt, key, commitment)


def _unwrap(wrap: LaterWrap, key: SealingKey, subject: bytes) -> bytes | None:
    pair = pair_key(key.secret, wrap.sealer, wrap.sealer, wrap.reader)
    if pair is None:
        return None
    try:
        found: bytes = _decrypt(wrap.wrapped, WRAP_TAG + subject + wrap.reader, wrap.nonce, pair)
    except CryptoError:
        return None
    return found if len(found) == CONTENT_KEY_BYTES else None
