"""The keys by which this node opens sealed details. Owns which they are; seals and stores nothing.

The participant's own sealing keys, the present one first: what was sealed to an earlier one stays
readable after a rotation. Beside them the keys of the bare keys in the node's wallet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from node.sealing.format import SealingKey, reader_of_bare, sealing_key


class Keyring:
    """All readers that this node is."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Start with the participant's X25519 secrets, the present one first; at least one."""
        self._keys: dict[bytes, SealingKey] = {}
        self.renew(secrets)

    @override
    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"

    @property
    def present(self) -> SealingKey:
        """The key with which this node seals."""
        return self._present

    @property
    def salt_secret(self) -> bytes:
        """Makes the salts of details.

        It is the oldest key's, so that a repeated order gets its salt again after a rotation.
        """
        return self._first.secret

    @property
    def keys(self) -> Mapping[bytes, SealingKey]:
        """Every key, by its public half."""
        return self._keys

    def renew(self, secrets: Sequence[bytes]) -> None:
        """Take up the participant's secrets after a rotation, the present one first."""
        own = [sealing_key(secret) for secret in secrets]
        self._present = own[0]
        self._first = own[-1]
        self._keys |= {key.public: key for key in own}

    def of_bare(self, public_key: bytes) -> SealingKey | None:
        """The key pair by which a bare key of the wallet reads."""
        reader = reader_of_bare(public_key)
        return None if reader is None else self._keys.get(reader)

    def add(self, key: SealingKey) -> None:
        """Read with one more key, of the wallet."""
        self._keys[key.public] = key
