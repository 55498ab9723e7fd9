"""The handshake: Noise_XX_25519_ChaChaPoly_SHA256, bound to identities and network. Sans-IO.

    prologue    "piaolian/p2p/1" ‖ LF ‖ network id ‖ link (1)
    message 1   → e
    message 2   ← e, ee, s, es   payload: identity proof
    message 3   → s, se          payload: identity proof
    proof       version (1) ‖ identity key (32) ‖ signature (64)
    signed      "piaolian/p2p/static/1" ‖ LF ‖ role (1) ‖ network id ‖ link (1) ‖ noise static key

The Noise static key is made fresh for each process and says nothing; the identity key vouches for
it, labelled with the role, so a proof cannot be reflected. Follows the Noise Protocol Framework,
revision 34, sections 5 and 7. Keys come in as arguments: no randomness here.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum

import msgspec
from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign,
    crypto_sign_open,
)
from nacl.exceptions import CryptoError

from p2p.errors import HandshakeError
from p2p.types import Link, PeerId

PROTOCOL_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
VERSION = 1
KEY_BYTES = 32
TAG_BYTES = 16
_PROOF_BYTES = 1 + 32 + 64
MESSAGE_BYTES = (
    KEY_BYTES,
    2 * KEY_BYTES + TAG_BYTES + _PROOF_BYTES + TAG_BYTES,
    KEY_BYTES + TAG_BYTES + _PROOF_BYTES + TAG_BYTES,
)
"""Exact lengths of the three messages: 32, 193 and 161."""
_STATIC_TAG = b"piaolian/p2p/static/1\n"
_PROLOGUE_TAG = b"piaolian/p2p/1\n"


class HandshakeRole(IntEnum):
    """Who dialled."""

    INITIATOR = 0
    RESPONDER = 1


class SessionKeys(msgspec.Struct, frozen=True):
    """The outcome: who the peer is, and the key of each direction."""

    peer: PeerId
    send_key: bytes
    receive_key: bytes
    handshake_hash: bytes
    """Names this session; both ends have the same."""


class LocalIdentity(msgspec.Struct, frozen=True):
    """This node in a handshake."""

    secret_key: bytes
    """64-byte Ed25519 secret key; the last 32 bytes are the identity."""
    static_key: bytes
    """32-byte X25519 secret, fresh for each process."""
    network_id: bytes


class SymmetricState:
    """Chaining key, handshake hash and cipher key (Noise, section 5.2)."""

    def __init__(self, prologue: bytes) -> None:
        self.hash = PROTOCOL_NAME  # exactly 32 bytes long, so used as it is
        self._chaining_key = PROTOCOL_NAME
        self._key: bytes | None = None
        self._nonce = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Add what both sides saw."""
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        """Add what only both sides know."""
        self._chaining_key, self._key = _hkdf(self._chaining_key, secret)
        self._nonce = 0

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt under the present key, if there is one."""
        data = (
            plaintext if self._key is None else seal(self._key, self._nonce, plaintext, self.hash)
        )
        self._nonce += 1
        self.mix_hash(data)
        return data

    def decrypt_and_hash(self, data: bytes) -> bytes:
        """Inverse of `encrypt_and_hash`.

        Raises:
            HandshakeError: it was altered, or meant for somebody else.
        """
        try:
            plaintext = (
                data if self._key is None else unseal(self._key, self._nonce, data, self.hash)
            )
        except CryptoError as error:
            raise HandshakeError("handshake message does not decrypt") from error
        self._nonce += 1
        self.mix_hash(data)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The keys from and to the initiator."""
        return _hkdf(self._chaining_key, b"")


class Handshake:
    """One side of one handshake. Call `write` and `read` in turn; then `keys` is set."""

    def __init__(
        self,
        role: HandshakeRole,
        link: Link,
        identity: LocalIdentity,
        ephemeral: bytes,
        expected: PeerId | None,
    ) -> None:
        """Begin.

        Args:
            role: Initiator writes first.
            link: Which of the two connections this is.
            identity: This node.
            ephemeral: 32 fresh random bytes, for this handshake only.
            expected: Whom the initiator means to reach; None at the responder.
        """
        self._role = role
        self._link = link
        self._identity = identity
        self._e = ephemeral
        self._expected = expected
        self._remote_e = b""
        self._remote_s = b""
        self._step = 0
        self._peer: PeerId | None = None
        self._state = SymmetricState(_PROLOGUE_TAG + identity.network_id + bytes([link]))
        self.keys: SessionKeys | None = None

    def write(self) -> bytes:
        """The next message to send."""
        state = self._state
        if self._step == 0:
            message = self._write_e() + state.encrypt_and_hash(b"")
        elif self._step == 1:
            message = self._write_e()
            state.mix_key(_dh(self._e, self._remote_e))
            message += state.encrypt_and_hash(crypto_scalarmult_base(self._identity.static_key))
            state.mix_key(_dh(self._identity.static_key, self._remote_e))
            message += state.encrypt_and_hash(self._proof())
        else:
            message = state.encrypt_and_hash(crypto_scalarmult_base(self._identity.static_key))
            state.mix_key(_dh(self._identity.static_key, self._remote_e))
            message += state.encrypt_and_hash(self._proof())
        self._advance()
        return message

    def read(self, message: bytes) -> None:
        """Take the other side's next message.

        Raises:
            HandshakeError: wrong length, altered, another network, or not the peer expected.
        """
        if len(message) != MESSAGE_BYTES[self._step]:
            raise HandshakeError("handshake message has a wrong length")
        state = self._state
        if self._step in (0, 1):
            self._remote_e, message = message[:KEY_BYTES], message[KEY_BYTES:]
            state.mix_hash(self._remote_e)
        if self._step == 0:
            state.decrypt_and_hash(message)
            self._advance()
            return
        if self._step == 1:
            state.mix_key(_dh(self._e, self._remote_e))
        self._remote_s = state.decrypt_and_hash(message[: KEY_BYTES + TAG_BYTES])
        state.mix_key(_dh(self._e, self._remote_s))
        self._check_proof(state.decrypt_and_hash(message[KEY_BYTES + TAG_BYTES :]))
        self._advance()

    def _write_e(self) -> bytes:
        public: bytes = crypto_scalarmult_base(self._e)
        self._state.mix_hash(public)
        return public

    def _advance(self) -> None:
        self._step += 1
        if self._step < 3:
            return
        first, second = self._state.split()
        if self._role is HandshakeRole.RESPONDER:
            first, second = second, first
        assert self._peer is not None, "each side has read a proof by now"
        self.keys = SessionKeys(self._peer, first, second, self._state.hash)

    def _statement(self, role: HandshakeRole, static: bytes) -> bytes:
        network = self._identity.network_id
        return b"".join((_STATIC_TAG, bytes([role]), network, bytes([self._link]), static))

    def _proof(self) -> bytes:
        static: bytes = crypto_scalarmult_base(self._identity.static_key)
        secret = self._identity.secret_key
        signature: bytes = crypto_sign(self._statement(self._role, static), secret)[:64]
        return bytes([VERSION]) + secret[32:] + signature

    def _check_proof(self, proof: bytes) -> None:
        version, key, signature = proof[0], proof[1:33], proof[33:]
        if version != VERSION:
            raise HandshakeError(f"peer speaks version {version}")
        if self._expected is not None and key != self._expected:
            raise HandshakeError("peer is not the one that was dialled")
        if key == self._identity.secret_key[32:]:
            raise HandshakeError("peer shows our own identity")
        other = HandshakeRole(1 - self._role)
        try:
            crypto_sign_open(signature + self._statement(other, self._remote_s), key)
        except CryptoError as error:
            raise HandshakeError("identity does not vouch for the session") from error
        self._peer = PeerId(key)


def seal(key: bytes, nonce: int, plaintext: bytes, associated: bytes = b"") -> bytes:
    """ChaCha20-Poly1305 with Noise's nonce: 4 zero bytes, then 8 little-endian."""
    data: bytes = crypto_aead_chacha20poly1305_ietf_encrypt(
        plaintext, associated, bytes(4) + nonce.to_bytes(8, "little"), key
    )
    return data


def unseal(key: bytes, nonce: int, data: bytes, associated: bytes = b"") -> bytes:
    """Inverse of `seal`.

    Raises:
        CryptoError: it does not authenticate.
    """
    plaintext: bytes = crypto_aead_chacha20poly1305_ietf_decrypt(
        data, associated, bytes(4) + nonce.to_bytes(8, "little"), key
    )
    return plaintext


def _dh(secret: bytes, public: bytes) -> bytes:
    try:
        shared: bytes = crypto_scalarmult(secret, public)
    except (CryptoError, RuntimeError) as error:  # a point of small order gives all zeros
        raise HandshakeError("peer sent a key of small order") from error
    return shared


def _hkdf(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    extracted = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(extracted, b"\x01", "sha256")
    return first, hmac.digest(extracted, first + b"\x02", "sha256")
