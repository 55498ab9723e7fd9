"""Ed25519 identities of peers. Owns signing and verifying; knows no message format."""

from __future__ import annotations

from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from p2p.errors import LocalProtocolError
from p2p.types import ID_BYTES, PeerId

SECRET_BYTES = 64
SIGNATURE_BYTES = 64


class Identity:
    """This process's key pair."""

    __slots__ = ("_secret", "peer")

    def __init__(self, signing_key: bytes) -> None:
        """Take a libsodium secret key: seed ‖ public key, 64 bytes.

        Raises:
            LocalProtocolError: when the key has another length.
        """
        if len(signing_key) != SECRET_BYTES:
            raise LocalProtocolError("an Ed25519 secret key is 64 bytes: seed and public key")
        self._secret = signing_key
        self.peer = PeerId(signing_key[SECRET_BYTES - ID_BYTES :])

    def sign(self, statement: bytes) -> bytes:
        """The 64-byte signature of `statement`."""
        signed: bytes = crypto_sign(statement, self._secret)
        return signed[:SIGNATURE_BYTES]


def verify(peer: PeerId, statement: bytes, signature: bytes) -> bool:
    """Whether `signature` is `peer`'s over `statement`; False for keys of small order too."""
    if len(peer) != ID_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + statement, peer)
    except BadSignatureError:
        return False
    return True
