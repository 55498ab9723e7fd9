"""C2SP signed notes (c2sp.org/signed-note) and verifier keys. Owns their syntax, and type 01.

    note        text, ending in a line feed ‖ empty line ‖ signature lines
    line        em dash, space, key name, space, base64(key id (4 bytes) ‖ signature), line feed
    key id      SHA-256(name ‖ line feed ‖ type ‖ public key)[:4]

Knows nothing of checkpoints. Parsing is strict: a note has one accepted form, so no byte of it
can change unseen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

import msgspec

from node.ledger import signing

TYPE_ED25519 = 1
TYPE_COSIGNATURE = 4
"""Timestamped Ed25519 cosignature (c2sp.org/tlog-cosignature)."""

NOTE_CHARACTERS_MAX = 262_144
"""Room for `SIGNATURES_MAX` lines of other kinds: post-quantum ones hold nearly 5 kB each."""
SIGNATURES_MAX = 32
"""The specification asks for at least 16; a note of seven voters holds at most 14 of theirs."""
LINE_BYTES = 48_000
"""Of the data in one line of base64: 64,000 characters, unpadded."""

_KEY_ID_BYTES = 4
_LINE_PREFIX = "\u2014 "
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Control characters but the line feed, and what UTF-8 cannot encode."""


class MalformedNoteError(ValueError):
    """Not a note, a verifier key or canonical base64."""


class VerifierKey(msgspec.Struct, frozen=True):
    """A named public key that signs notes."""

    name: str
    type: int
    public_key: bytes

    @property
    def id(self) -> bytes:
        """The 4-byte key id."""
        return key_id(self.name, self.type, self.public_key)

    def encode(self) -> str:
        """The textual form (vkey): `<name>+<id in hex>+<base64(type ‖ public key)>`."""
        return f"{self.name}+{self.id.hex()}+{encode_base64(bytes((self.type,)) + self.public_key)}"


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line."""

    name: str
    blob: bytes
    """Key id ‖ signature."""

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of the blob."""
        return self.blob[:_KEY_ID_BYTES]


class Note(msgspec.Struct, frozen=True):
    """A text and the signature lines under it, none of them verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> str:
        """The whole note."""
        lines = (f"{_LINE_PREFIX}{s.name} {encode_base64(s.blob)}\n" for s in self.signatures)
        return f"{self.text}\n{''.join(lines)}"


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """The 4 bytes that name a key in a signature line."""
    digest = hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + public_key).digest()
    return digest[:_KEY_ID_BYTES]


def parse_verifier_key(text: str) -> VerifierKey:
    """The key of a vkey of type 01 or 04.

    Raises:
        MalformedNoteError: when it is none, or its id is not the id of its key.
    """
    name, _, rest = text.partition("+")  # base64 may hold a '+', a name may not
    _, _, encoded = rest.partition("+")
    material = decode_base64(encoded)
    if len(material) != 1 + signing.PUBLIC_KEY_BYTES:
        raise MalformedNoteError("not an Ed25519 verifier key")
    key = VerifierKey(name, material[0], material[1:])
    known = key.type in {TYPE_ED25519, TYPE_COSIGNATURE}
    if not known or not is_key_name(name) or key.encode() != text:
        raise MalformedNoteError("not an Ed25519 verifier key")
    return key


def parse_note(text: str) -> Note:
    """Split a note into text and signature lines; verifies nothing.

    Raises:
        MalformedNoteError: with a reason.
    """
    if len(text) > NOTE_CHARACTERS_MAX or _FORBIDDEN.search(text):
        raise MalformedNoteError("note is too large or has forbidden characters")
    body, separator, block = text.rpartition("\n\n")
    lines = block.split("\n")
    if not separator or lines.pop() or not 1 <= len(lines) <= SIGNATURES_MAX:
        raise MalformedNoteError("note has no signature lines")
    note = Note(f"{body}\n", tuple(_parse_signature(line) for line in lines))
    if note.encode() != text:
        raise MalformedNoteError("note is not in its canonical form")
    return note


def sign_note(text: str, name: str, key: bytes) -> NoteSignature:
    """The type 01 signature of `text` by a seed or secret key."""
    public = signing.public_key(key)
    return NoteSignature(
        name, key_id(name, TYPE_ED25519, public) + signing.sign(key, text.encode())
    )


def verify_note_signature(text: str, signature: NoteSignature, key: VerifierKey) -> bool:
    """Whether `signature` is the type 01 signature of `text` by `key`."""
    return (
        key.type == TYPE_ED25519
        and signature.name == key.name
        and signature.key_id == key.id
        and signing.verify(key.public_key, text.encode(), signature.blob[_KEY_ID_BYTES:])
    )


def open_note(text: str, keys: Iterable[VerifierKey]) -> Note:
    """Parse a note and keep the signatures of `keys` (type 01), all verified.

    As the specification asks: lines of unknown keys are ignored, one bad line of a known key
    refuses the note.

    Raises:
        MalformedNoteError: when the note is malformed, badly signed or signed by no known key.
    """
    note = parse_note(text)
    known = {(key.name, key.id): key for key in keys}
    verified = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not verify_note_signature(note.text, signature, key):
            raise MalformedNoteError(f"signature of {key.name} does not verify")
        verified.append(signature)
    if not verified:
        raise MalformedNoteError("note is signed by no known key")
    return Note(note.text, tuple(verified))


def is_key_name(name: str) -> bool:
    """Whether `name` may name a key: not empty, no Unicode space, no plus sign."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def base64_lines(data: bytes) -> list[str]:
    """`data` as lines of base64 that other tools' scanners read (64 KiB with some words before).

    The lines have one form: each but the last holds `LINE_BYTES`, so joined they are base64 too.
    """
    pieces = (data[at : at + LINE_BYTES] for at in range(0, len(data), LINE_BYTES))
    return [encode_base64(piece) for piece in pieces]


def decode_base64(text: str) -> bytes:
    """The bytes of canonical base64.

    Raises:
        MalformedNoteError: also when padding bits are not zero, which a lax decoder ignores.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedNoteError("not base64") from error
    if encode_base64(data) != text:
        raise MalformedNoteError("base64 is not canonical")
    return data


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_LINE_PREFIX).partition(" ")
    if not line.startswith(_LINE_PREFIX) or not is_key_name(name):
        raise MalformedNoteError("not a signature line")
    blob = decode_base64(encoded)
    if len(blob) <= _KEY_ID_BYTES:
        raise MalformedNoteError("signature is too short")
    return NoteSignature(name, blob)
