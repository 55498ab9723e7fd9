"""Noise_XX_25519_ChaChaPoly_SHA256 bound to identities, sans-IO (Noise specification rev. 34).

Owns the three handshake messages and the two transport keys that follow. Must not know sockets,
clocks or randomness: secrets come in as arguments. Invariants: the dialler reveals its identity
only to the peer it meant; no key leaves before the other identity is verified and known; an
object is used once, in order, and is dead after its first error.

    dialler                                                        listener
    hello    ── 1: e ──────────────────────────────────────────▶   answer
    finish   ◀─ 2: e, ee, s, es, {version, identity, signature} ─
             ── 3: s, se, {version, identity, signature} ──────▶   finish
    each side: 0 ──first call──▶ 1 ──finish──▶ keys; any error ──▶ dead

The X25519 static keys live as long as the process. What lasts is the Ed25519 identity, which
signs, inside the encrypted payload, a statement naming the static key, the role, the link and
the network (as libp2p does, with more in the statement).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Container
from dataclasses import dataclass
from enum import IntEnum

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from p2p.errors import CloseCode, HandshakeError, LocalProtocolError
from p2p.identity import SIGNATURE_BYTES, Identity, verify
from p2p.types import ID_BYTES, Link, PeerId

VERSION = 1
KEY_BYTES = 32
TAG_BYTES = 16
PAYLOAD_BYTES = 2 + ID_BYTES + SIGNATURE_BYTES
"""version u16 ‖ identity ‖ signature."""
MESSAGE_1_BYTES = KEY_BYTES
MESSAGE_2_BYTES = KEY_BYTES + KEY_BYTES + TAG_BYTES + PAYLOAD_BYTES + TAG_BYTES
MESSAGE_3_BYTES = KEY_BYTES + TAG_BYTES + PAYLOAD_BYTES + TAG_BYTES

_PROTOCOL = b"Noise_XX_25519_ChaChaPoly_SHA256"
_PROLOGUE = b"piaolian/p2p/1\n"
_STATEMENT = b"piaolian/p2p-static/v1\n"


class Role(IntEnum):
    """Who speaks first."""

    DIALLER = 0
    LISTENER = 1


@dataclass(frozen=True, slots=True)
class Local:
    """What this side brings to one handshake."""

    identity: Identity
    network_id: bytes
    link: Link
    static_secret: bytes
    """X25519, fresh per process."""
    ephemeral_secret: bytes
    """X25519, fresh per handshake."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a completed handshake yields."""

    peer: PeerId
    remote_static: bytes
    """Names the peer's process: another value is another run of it."""
    send_key: bytes
    receive_key: bytes
    handshake_hash: bytes
    """Equal on both sides, unique to this connection."""


def prologue(network_id: bytes) -> bytes:
    """What both sides must agree on before the first message."""
    return _PROLOGUE + network_id


def static_statement(role: Role, link: Link, network_id: bytes, static: bytes) -> bytes:
    """What an identity signs about its process's static key."""
    return b"".join((_STATEMENT, bytes((role, link)), network_id, static))


class Symmetric:
    """The SymmetricState and CipherState of Noise (sections 5.1 and 5.2), for this one suite."""

    __slots__ = ("_chaining_key", "_key", "_nonce", "hash")

    def __init__(self, prologue: bytes) -> None:
        # The protocol name is exactly one hash long, so it is its own initial hash (5.2).
        self.hash = self._chaining_key = _PROTOCOL
        self._key: bytes | None = None
        self._nonce = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """MixHash."""
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret: bytes, public: bytes) -> None:
        """MixKey of a Diffie-Hellman result.

        Raises:
            HandshakeError: `public` is a point of low order.
        """
        try:
            shared = crypto_scalarmult(secret, public)
        except CryptoError as error:
            raise HandshakeError("a key of low order") from error
        self._chaining_key, self._key = self._hkdf(shared)
        self._nonce = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """EncryptAndHash."""
        assert self._key is not None, "XX encrypts only after its first Diffie-Hellman"
        box: bytes = crypto_aead_chacha20poly1305_ietf_encrypt(
            plaintext, self.hash, self._take_nonce(), self._key
        )
        self.mix_hash(box)
        return box

    def decrypt(self, box: bytes) -> bytes:
        """DecryptAndHash.

        Raises:
            HandshakeError: the box was made with other keys or after another conversation.
        """
        assert self._key is not None, "XX encrypts only after its first Diffie-Hellman"
        try:
            plaintext: bytes = crypto_aead_chacha20poly1305_ietf_decrypt(
                box, self.hash, self._take_nonce(), self._key
            )
        except CryptoError as error:
            raise HandshakeError("decryption failed: tampered, or another network") from error
        self.mix_hash(box)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The transport keys: dialler to listener, listener to dialler."""
        return self._hkdf(b"")

    def _hkdf(self, material: bytes) -> tuple[bytes, bytes]:
        derived = hmac.digest(self._chaining_key, material, "sha256")
        first = hmac.digest(derived, b"\x01", "sha256")
        return first, hmac.digest(derived, first + b"\x02", "sha256")

    def _take_nonce(self) -> bytes:
        nonce = bytes(4) + self._nonce.to_bytes(8, "little")
        self._nonce += 1
        return nonce


class _Party:
    """What both roles share: the order of steps, the own payload, the judgement of the other."""

    def __init__(self, local: Local, role: Role) -> None:
        self._local = local
        self._role = role
        self._noise = Symmetric(prologue(local.network_id))
        self._ephemeral: bytes = crypto_scalarmult_base(local.ephemeral_secret)
        self._static: bytes = crypto_scalarmult_base(local.static_secret)
        self._step = 0

    def _enter(self, step: int, message: bytes, size: int) -> None:
        """Take step number `step` once, with a message of the only possible size."""
        if self._step != step:
            raise LocalProtocolError("handshake steps out of order, or after an error")
        self._step = -1  # dead until the step has succeeded
        if len(message) != size:
            raise HandshakeError(f"a handshake message of {len(message)} bytes, not {size}")

    def _payload(self) -> bytes:
        local = self._local
        statement = static_statement(self._role, local.link, local.network_id, self._static)
        signature = local.identity.sign(statement)
        return VERSION.to_bytes(2, "big") + local.identity.peer + signature

    def _judge(self, payload: bytes, remote_static: bytes) -> PeerId:
        """The identity that proved to own the remote static key."""
        version = int.from_bytes(payload[:2], "big")
        if version != VERSION:
            raise HandshakeError(f"protocol version {version}, not {VERSION}")
        peer = PeerId(payload[2 : 2 + ID_BYTES])
        other = Role.LISTENER if self._role is Role.DIALLER else Role.DIALLER
        local = self._local
        statement = static_statement(other, local.link, local.network_id, remote_static)
        if not verify(peer, statement, payload[2 + ID_BYTES :]):
            raise HandshakeError("the identity did not sign this key, role, link and network")
        return peer


class Dialler(_Party):
    """The side that connects: -> e, <- e ee s es, -> s se."""

    def __init__(self, local: Local, expected: PeerId) -> None:
        super().__init__(local, Role.DIALLER)
        self._expected = expected

    def hello(self) -> bytes:
        """Message 1."""
        self._enter(0, b"", 0)
        self._noise.mix_hash(self._ephemeral)
        self._noise.mix_hash(b"")  # the empty payload, in the clear
        self._step = 1
        return self._ephemeral

    def finish(self, message: bytes) -> tuple[bytes, Secrets]:
        """Take message 2; give message 3 and the keys.

        Raises:
            HandshakeError: not the peer that was meant; nothing about us has been revealed.
        """
        self._enter(1, message, MESSAGE_2_BYTES)
        local, noise = self._local, self._noise
        remote_ephemeral = message[:KEY_BYTES]
        noise.mix_hash(remote_ephemeral)
        noise.mix_key(local.ephemeral_secret, remote_ephemeral)
        static_end = KEY_BYTES + KEY_BYTES + TAG_BYTES
        remote_static = noise.decrypt(message[KEY_BYTES:static_end])
        noise.mix_key(local.ephemeral_secret, remote_static)
        peer = self._judge(noise.decrypt(message[static_end:]), remote_static)
        if peer != self._expected:
            raise HandshakeError(
                f"{peer.hex()[:16]} answered in place of {self._expected.hex()[:16]}",
                CloseCode.UNKNOWN_IDENTITY,
            )
        sealed_static = noise.encrypt(self._static)
        noise.mix_key(local.static_secret, remote_ephemeral)
        answer = sealed_static + noise.encrypt(self._payload())
        send_key, receive_key = noise.split()
        return answer, Secrets(
            peer=peer,
            remote_static=remote_static,
            send_key=send_key,
            receive_key=receive_key,
            handshake_hash=noise.hash,
        )


class Listener(_Party):
    """The side that is connected to."""

    def __init__(self, local: Local, known: Container[PeerId] | None) -> None:
        """Take connections of the known, or of anyone (None)."""
        super().__init__(local, Role.LISTENER)
        self._known = known

    def answer(self, message: bytes) -> bytes:
        """Take message 1; give message 2.

        Raises:
            HandshakeError: the message is malformed.
        """
        self._enter(0, message, MESSAGE_1_BYTES)
        local, noise = self._local, self._noise
        noise.mix_hash(message)
        noise.mix_hash(b"")
        noise.mix_hash(self._ephemeral)
        noise.mix_key(local.ephemeral_secret, message)
        sealed_static = noise.encrypt(self._static)
        noise.mix_key(local.static_secret, message)
        answer = self._ephemeral + sealed_static + noise.encrypt(self._payload())
        self._step = 1
        return answer

    def finish(self, message: bytes) -> Secrets:
        """Take message 3; give the keys.

        Raises:
            HandshakeError: the dialler is forged or unknown.
        """
        self._enter(1, message, MESSAGE_3_BYTES)
        noise = self._noise
        static_end = KEY_BYTES + TAG_BYTES
        remote_static = noise.decrypt(message[:static_end])
        noise.mix_key(self._local.ephemeral_secret, remote_static)
        peer = self._judge(noise.decrypt(message[static_end:]), remote_static)
        if (
            self._known is not None and peer not in self._known
        ):  # after the signature: a stranger learns no membership
            raise HandshakeError(f"unknown identity {peer.hex()[:16]}", CloseCode.UNKNOWN_IDENTITY)
        receive_key, send_key = noise.split()
        return Secrets(
            peer=peer,
            remote_static=remote_static,
            send_key=send_key,
            receive_key=receive_key,
            handshake_hash=noise.hash,
        )
