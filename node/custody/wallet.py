"""Bare keys that this node holds: made for one purchase each, or taken over from a claim key.

Owns their safe keeping and the text form of a claim key. A seed is encrypted with a key that
follows from the node's identity key, so the file alone opens nothing. Knows no operation and no
HTTP.

    wallet.db       public key (32) → nonce (24) ‖ secretbox(seed)
    claim key text  "plck1-" and base32 of seed (32) ‖ SHA-256(tag ‖ seed)[:4], in groups of six
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from nacl.bindings import crypto_secretbox, crypto_secretbox_open
from nacl.exceptions import CryptoError
from typing_extensions import override

from node.custody.keyring import Keyring
from node.ledger.signing import SEED_BYTES, public_key, secret_key
from node.sealing.format import NONCE_BYTES, sealing_key_of_bare
from node.storage.damage import DiskFullError
from node.storage.database import Database, open_writer
from node.storage.outbox import row_crc

KEYS_MAX = 10_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    public BLOB NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
"""
"""`crc` (`row_crc`) is for who has not the node's key: an audit, a backup."""
_REMEDY = (
    "put its backup back; without one, move the file away: the node starts without its bare keys, "
    "and what they own cannot be acted on"
)
_FILE_PERSON = b"piaolian wallet1"
_CLAIM_PERSON = b"piaolian claim 1"
_CLAIM_TAG = b"piaolian/claim-key/v1\n"
_PREFIX = "plck1-"
_CHECK_BYTES = 4
_GROUP = 6
CLAIM_TEXT_MAX = 100


class WalletError(Exception):
    """The wallet cannot do it; the message holds no secret."""


class ClaimKeyError(ValueError):
    """Not the text of a claim key."""


class Wallet:
    """The bare keys of one node. Made by `open`."""

    def __init__(
        self, database: Database, file_key: bytes, keyring: Keyring, seeds: Sequence[bytes]
    ) -> None:
        self._database = database
        self._file_key = file_key
        self._keyring = keyring
        self._keys: dict[bytes, bytes] = {}
        for seed in seeds:
            self._hold(seed)

    @override
    def __repr__(self) -> str:
        return f"Wallet({len(self._keys)} keys)"

    @classmethod
    async def open(cls, path: Path, node_secret: bytes, keyring: Keyring) -> Wallet:
        """Open or create the wallet at `path`; the node reads with all its keys from now on.

        Args:
            path: The file.
            node_secret: A secret of the node that never changes: its identity key.
            keyring: Gets the keys by which bare keys read.

        Raises:
            WalletError: the file was written with another node's key, or is damaged.
        """
        file_key = hashlib.blake2b(digest_size=32, key=node_secret, person=_FILE_PERSON).digest()
        try:
            database = await open_writer(path, "wallet", SCHEMA, synchronous="FULL")
        except DiskFullError:
            raise  # nothing is wrong with the file
        except sqlite3.DatabaseError as error:
            raise WalletError(f"{path} does not open ({error}): {_REMEDY}") from error

        def job(connection: sqlite3.Connection) -> list[tuple[bytes, bytes, int]]:
            rows = connection.execute("SELECT public, sealed, crc FROM keys ORDER BY rowid")
            return rows.fetchall()

        try:
            seeds = [_unseal(file_key, *row) for row in await database.run(job)]
        except (WalletError, sqlite3.DatabaseError) as error:
            await database.close()
            raise WalletError(f"{path} does not open ({error}): {_REMEDY}") from error
        return cls(database, file_key, keyring, seeds)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    @property
    def keys(self) -> list[bytes]:
        """The public keys, oldest first."""
        return list(self._keys)

    def secret(self, public: bytes) -> bytes | None:
        """The 64-byte signing key of a public key that is held here."""
        return self._keys.get(public)

    async def make(self) -> bytes:
        """A fresh key; its public half. Durable when this returns.

        Raises:
            WalletError: the wallet is full.
        """
        return await self.add(os.urandom(SEED_BYTES))

    async def add(self, seed: bytes) -> bytes:
        """Take a key over; its public half. A key that is held already stays.

        Raises:
            WalletError: the wallet is full.
        """
        public = public_key(seed)
        if public in self._keys:
            return public
        if len(self._keys) >= KEYS_MAX:
            raise WalletError(f"the wallet holds {KEYS_MAX} keys, and no more")
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + crypto_secretbox(seed, nonce, self._file_key)

        def job(connection: sqlite3.Connection) -> None:
            row = (public, sealed, row_crc(public, sealed))
            connection.execute("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", row)

        await self._database.run(job)
        self._hold(seed)
        return public

    def _hold(self, seed: bytes) -> None:
        self._keys[public_key(seed)] = secret_key(seed)
        self._keyring.add(sealing_key_of_bare(seed))


def _unseal(file_key: bytes, public: bytes, sealed: bytes, crc: int) -> bytes:
    if row_crc(public, sealed) != crc:
        raise WalletError("the checksum of a key is wrong")
    try:
        seed: bytes = crypto_secretbox_open(sealed[NONCE_BYTES:], sealed[:NONCE_BYTES], file_key)
    except (CryptoError, ValueError, TypeError) as error:
        raise WalletError("a key does not open with this node's key") from error
    if public_key(seed) != public:
        raise WalletError("a key stands in the place of another")
    return seed


# --- Claim keys ------------------------------------------------------------------------------


def claim_seed(secret: bytes, order: bytes) -> bytes:
    """The seed of the claim key of one order: the same again when the order is repeated.

    Args:
        secret: Of the issuer's node (`Keyring.salt_secret`).
        order: H(issuer, order id).
    """
    return hashlib.blake2b(order, digest_size=32, key=secret, person=_CLAIM_PERSON).digest()


def claim_text(seed: bytes) -> str:
    """What is printed on a face, or handed over: whoever has it acts as the buyer."""
    code = base64.b32encode(seed + _check(seed)).decode().rstrip("=").lower()
    return _PREFIX + "-".join(code[i : i + _GROUP] for i in range(0, len(code), _GROUP))


def parse_claim_text(text: str) -> bytes:
    """The seed of a claim key's text; case, spaces and hyphens do not matter.

    Raises:
        ClaimKeyError: a letter is missing or wrong.
    """
    plain = "".join(text.split()).replace("-", "").lower()
    prefix = _PREFIX.rstrip("-")
    if len(text) > CLAIM_TEXT_MAX or not plain.isascii() or not plain.startswith(prefix):
        raise ClaimKeyError(f"a claim key begins with {prefix}")
    code = plain.removeprefix(prefix).upper()
    try:
        data = base64.b32decode(code + "=" * (-len(code) % 8))
    except ValueError as error:
        raise ClaimKeyError("a claim key has letters and the digits 2 to 7 only") from error
    seed, check = data[:SEED_BYTES], data[SEED_BYTES:]
    again = base64.b32encode(data).decode().rstrip("=")
    if len(seed) != SEED_BYTES or check != _check(seed) or again != code:
        raise ClaimKeyError("the claim key is mistyped")
    return seed


def _check(seed: bytes) -> bytes:
    return hashlib.sha256(_CLAIM_TAG + seed).digest()[:_CHECK_BYTES]
