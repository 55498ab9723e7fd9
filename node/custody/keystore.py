"""The key file: a node's secret keys at rest. Owns its format and its safe writing.

    magic "PLKS" ‖ version (1 B) ‖ argon2id operations (4 B BE) ‖ memory in bytes (8 B BE)
    ‖ salt (16 B) ‖ SecretBox(nonce 24 B ‖ MAC ‖ canonical MessagePack of `NodeKeys`)

The passphrase comes from a file or a terminal, never from a command line or the environment.
Nothing here is logged, and no representation shows a secret.
"""

from __future__ import annotations

import getpass
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import nacl.exceptions
import nacl.pwhash
from nacl.public import PrivateKey
from nacl.secret import SecretBox
from nacl.signing import SigningKey
from typing_extensions import override

_MAGIC = b"PLKS"
_VERSION = 1
_HEADER_BYTES = 4 + 1 + 4 + 8 + 16
KEYS_OF_A_KIND_MAX = 256
"""Signing, or sealing, seeds in one file. Ended ones stay: old details open with them."""
_FILE_BYTES_MAX = 32_768
"""More than that many seeds of both kinds take."""
PASSPHRASE_BYTES_MAX = 1_024

Seed = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class KeystoreError(Exception):
    """The key file cannot be used; the message says why and holds no secret."""


class KeyFileError(KeystoreError):
    """Missing, too widely readable, of another version, or malformed."""


class WrongPassphraseError(KeystoreError):
    """The MAC does not match: another passphrase, or a damaged file."""


class KdfCost(msgspec.Struct, frozen=True):
    """What deriving the file's key costs (argon2id)."""

    operations: int
    memory_bytes: int


MODERATE = KdfCost(
    int(nacl.pwhash.argon2id.OPSLIMIT_MODERATE), int(nacl.pwhash.argon2id.MEMLIMIT_MODERATE)
)
"""About half a second and 256 MiB: for keys that matter."""
INTERACTIVE = KdfCost(
    int(nacl.pwhash.argon2id.OPSLIMIT_INTERACTIVE), int(nacl.pwhash.argon2id.MEMLIMIT_INTERACTIVE)
)
"""About 60 ms and 64 MiB: for generated networks whose passphrase lies beside the file."""

_OPERATIONS_MAX = 10
_MEMORY_BYTES_MAX = 1 << 30


class NodeKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The secret seeds of one node. Every key has one role."""

    identity: Seed
    """Ed25519: names the node to its peers and signs the entries it proposes."""
    cosign: Seed
    """Ed25519: signs checkpoints."""
    origin: Seed
    """Ed25519: signs final checkpoints in the log's own name."""
    signing: Seed
    """Ed25519: signs the participant's transactions."""
    sealing: Seed
    """X25519: opens what is sealed to the participant."""
    more_signing: Annotated[tuple[Seed, ...], msgspec.Meta(max_length=KEYS_OF_A_KIND_MAX - 1)] = ()
    """Those that rotations brought, oldest first."""
    more_sealing: Annotated[tuple[Seed, ...], msgspec.Meta(max_length=KEYS_OF_A_KIND_MAX - 1)] = ()

    @override
    def __repr__(self) -> str:
        return "NodeKeys(…)"

    @property
    def signing_seeds(self) -> tuple[bytes, ...]:
        """All Ed25519 seeds that may sign for the participant, oldest first."""
        return (self.signing, *self.more_signing)

    @property
    def sealing_seeds(self) -> tuple[bytes, ...]:
        """All X25519 seeds, oldest first."""
        return (self.sealing, *self.more_sealing)

    @property
    def public(self) -> PublicKeys:
        """The public halves."""
        return PublicKeys(
            identity=bytes(SigningKey(self.identity).verify_key),
            cosign=bytes(SigningKey(self.cosign).verify_key),
            origin=bytes(SigningKey(self.origin).verify_key),
            signing=bytes(SigningKey(self.signing).verify_key),
            sealing=bytes(PrivateKey(self.sealing).public_key),
        )


class PublicKeys(msgspec.Struct, frozen=True):
    """The public halves of the first keys of `NodeKeys`, 32 bytes each."""

    identity: bytes
    cosign: bytes
    origin: bytes
    signing: bytes
    sealing: bytes


def generate_keys() -> NodeKeys:
    """Fresh keys from the operating system's random source."""
    identity, cosign, origin, signing, sealing = (secrets.token_bytes(32) for _ in range(5))
    return NodeKeys(identity, cosign, origin, signing, sealing)


def save_keys(path: Path, keys: NodeKeys, passphrase: bytes, cost: KdfCost = MODERATE) -> None:
    """Encrypt `keys` into a new file of mode 0600.

    Raises:
        KeyFileError: the file exists already (keys are never overwritten), or cannot be written.
    """
    salt = secrets.token_bytes(16)
    box = _derive(passphrase, salt, cost)
    header = (
        _MAGIC
        + bytes([_VERSION])
        + cost.operations.to_bytes(4, "big")
        + cost.memory_bytes.to_bytes(8, "big")
        + salt
    )
    if path.exists():
        raise KeyFileError(f"{path}: exists already; keys are never overwritten")
    try:
        write_private(path, header + bytes(box.encrypt(msgspec.msgpack.encode(keys))))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error


def load_keys(path: Path, passphrase: bytes) -> NodeKeys:
    """Decrypt a key file.

    Raises:
        KeyFileError: it is missing, readable by others, of another version, or malformed.
        WrongPassphraseError: the MAC does not match.
    """
    return KeyFile.open(path, passphrase).keys


class KeyFile:
    """An opened key file: its keys, and what it takes to read and write it without asking again."""

    def __init__(self, path: Path, header: bytes, box: SecretBox, keys: NodeKeys) -> None:
        self.path = path
        self.keys = keys
        self._header = header
        self._box = box

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> KeyFile:
        """Decrypt a key file.

        Raises:
            KeyFileError: as `load_keys`.
            WrongPassphraseError: as `load_keys`.
        """
        content = read_private(path, _FILE_BYTES_MAX)
        cost = _check_header(path, content)
        box = _derive(passphrase, content[17:33], cost)
        return cls(path, content[:_HEADER_BYTES], box, _decrypt(path, content, box))

    def reload(self) -> None:
        """Take up the keys that somebody has added to the file.

        Raises:
            KeystoreError: it cannot be read, or was made anew with another passphrase.
        """
        content = read_private(self.path, _FILE_BYTES_MAX)
        self.keys = _decrypt(self.path, content, self._box)

    def replace(self, keys: NodeKeys) -> None:
        """Write other keys in the place of these; a crash leaves the old file or the new one.

        Raises:
            KeyFileError: it cannot be written.
        """
        encrypted = bytes(self._box.encrypt(msgspec.msgpack.encode(keys)))
        try:
            write_private(self.path, self._header + encrypted)
        except OSError as error:
            raise KeyFileError(f"{self.path}: {error.strerror or error}") from error
        self.keys = keys


def _check_header(path: Path, content: bytes) -> KdfCost:
    if len(content) < _HEADER_BYTES + 40 or content[:4] != _MAGIC:
        raise KeyFileError(f"{path}: not a Piaolian key file")
    if content[4] != _VERSION:
        raise KeyFileError(f"{path}: version {content[4]}; this program reads {_VERSION}")
    cost = KdfCost(int.from_bytes(content[5:9], "big"), int.from_bytes(content[9:17], "big"))
    # Bounded on read: a planted file must not make the node derive for minutes, nor swap.
    if not (
        INTERACTIVE.operations <= cost.operations <= _OPERATIONS_MAX
        and INTERACTIVE.memory_bytes <= cost.memory_bytes <= _MEMORY_BYTES_MAX
    ):
        raise KeyFileError(f"{path}: argon2id cost out of bounds")
    return cost


def _decrypt(path: Path, content: bytes, box: SecretBox) -> NodeKeys:
    try:
        plain = box.decrypt(content[_HEADER_BYTES:])
    except nacl.exceptions.CryptoError as error:
        raise WrongPassphraseError(f"{path}: wrong passphrase, or the file is damaged") from error
    try:
        return msgspec.msgpack.decode(plain, type=NodeKeys)
    except msgspec.MsgspecError as error:
        raise KeyFileError(f"{path}: malformed content") from error


def copy_keys(source: Path, target: Path) -> None:
    """Copy a key file as it is, encrypted, to a new file of mode 0600.

    Raises:
        KeyFileError: the source cannot be read, or the target exists or cannot be written.
    """
    content = read_private(source, _FILE_BYTES_MAX)
    if target.exists():
        raise KeyFileError(f"{target}: exists already; keys are never overwritten")
    try:
        write_private(target, content)
    except OSError as error:
        raise KeyFileError(f"{target}: {error.strerror or error}") from error


def open_keystore(file: Path, passphrase_file: Path | None) -> NodeKeys:
    """The keys of `open_key_file`.

    Raises:
        KeystoreError: as `open_key_file`.
    """
    return open_key_file(file, passphrase_file).keys


def open_key_file(file: Path, passphrase_file: Path | None) -> KeyFile:
    """Decrypt a key file with the passphrase of a file, or one asked on the terminal.

    Raises:
        KeystoreError: as `load_keys`, or there is neither a file nor a terminal.
    """
    if passphrase_file is not None:
        return KeyFile.open(file, read_passphrase(passphrase_file))
    return KeyFile.open(file, ask_passphrase(f"Passphrase of {file}: "))


def ask_passphrase(prompt: str) -> bytes:
    """Ask on the terminal, without echo.

    Raises:
        KeyFileError: there is no terminal, or nothing was entered.
    """
    if not sys.stdin.isatty():
        raise KeyFileError(
            "there is no terminal to ask for the passphrase on, and no file with it is given "
            "(--key-passphrase-file, or keys.passphrase_file in node.toml)"
        )
    passphrase = getpass.getpass(prompt).encode()
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise KeyFileError("the passphrase is empty or too long")
    return passphrase


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file of mode 0600 (or a systemd credential), without its newline.

    Raises:
        KeyFileError: missing, readable by others, empty, or too long.
    """
    passphrase = read_private(path, PASSPHRASE_BYTES_MAX).rstrip(b"\r\n")
    if not passphrase:
        raise KeyFileError(f"{path}: the passphrase is empty")
    return passphrase


def read_private(path: Path, bytes_max: int) -> bytes:
    """Read a secret file.

    Raises:
        KeyFileError: missing, larger than `bytes_max`, no plain file, or open to other users.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise KeyFileError(f"{path}: not a plain file")
        if state.st_mode & 0o077 and not _is_credential(path):
            raise KeyFileError(
                f"{path}: mode {stat.S_IMODE(state.st_mode):04o} lets other users in; "
                f"run: chmod 600 {path}"
            )
        content = os.read(descriptor, bytes_max + 1)
    finally:
        os.close(descriptor)
    if len(content) > bytes_max:
        raise KeyFileError(f"{path}: larger than {bytes_max} bytes")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a secret file, mode 0600, so that a crash leaves the old one or the new one.

    Raises:
        OSError: the folder is missing or not writable.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_credential(path: Path) -> bool:
    # systemd hands credentials over by ACL, which shows as group bits on a private tmpfs.
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.absolute().is_relative_to(folder)


def _derive(passphrase: bytes, salt: bytes, cost: KdfCost) -> SecretBox:
    key = nacl.pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase,
        salt,
        opslimit=cost.operations,
        memlimit=cost.memory_bytes,
    )
    return SecretBox(key)
