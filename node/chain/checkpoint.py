"""Checkpoints (c2sp.org/tlog-checkpoint) and what is signed over them. Owns these bytes.

    body            origin ‖ LF ‖ tree size ‖ LF ‖ base64(root) ‖ LF
    cosignature     key id (4) ‖ POSIX seconds (8, big-endian) ‖ Ed25519 signature (64) over
                    "cosignature/v1" ‖ LF ‖ "time " ‖ seconds ‖ LF ‖ body
    origin          key id (4) ‖ Ed25519 signature (64) over body

Whoever signs must already have persisted the checkpoint; that is not visible here.
"""

from __future__ import annotations

import msgspec

from node.chain.merkle import HASH_BYTES, TREE_SIZE_MAX
from node.chain.note import (
    TYPE_COSIGNATURE,
    MalformedNoteError,
    decode_base64,
    encode_base64,
    key_id,
    sign_note,
)
from node.ledger import signing

COSIGNATURE_BYTES = 76
ORIGIN_SIGNATURE_BYTES = 68
ORIGIN_CHARACTERS_MAX = 256
_TIME_MAX = 2**63 - 1


class MalformedCheckpointError(ValueError):
    """Not the body of a checkpoint."""


class Checkpoint(msgspec.Struct, frozen=True):
    """A tree head. Extension lines are not used, as the specification recommends."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The note text: three lines, each ended by a line feed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def parse_checkpoint(body: str) -> Checkpoint:
    """The checkpoint of a note text.

    Raises:
        MalformedCheckpointError: with a reason; extension lines are refused too.
    """
    lines = body.split("\n")
    if len(lines) != 4 or not 1 <= len(lines[0]) <= ORIGIN_CHARACTERS_MAX:
        raise MalformedCheckpointError("checkpoint must have three lines")
    if not (lines[1].isascii() and lines[1].isdigit() and len(lines[1]) <= 20):
        raise MalformedCheckpointError("tree size is not a number")
    try:
        checkpoint = Checkpoint(lines[0], int(lines[1]), decode_base64(lines[2]))
    except MalformedNoteError as error:
        raise MalformedCheckpointError(f"root: {error}") from error
    if len(checkpoint.root) != HASH_BYTES or checkpoint.size > TREE_SIZE_MAX:
        raise MalformedCheckpointError("root or tree size is out of range")
    if checkpoint.body != body:
        raise MalformedCheckpointError("checkpoint is not in its canonical form")
    return checkpoint


def cosignature_message(time_s: int, body: str) -> bytes:
    """What a cosignature at POSIX second `time_s` covers."""
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def cosign(checkpoint: Checkpoint, cosigner: str, key: bytes, time_s: int) -> bytes:
    """The 76-byte cosignature of `checkpoint`.

    Args:
        checkpoint: What is vouched for; persisted before.
        cosigner: The key's name in the note (`Voter.cosigner`).
        key: Seed or secret key of the cosign key.
        time_s: POSIX seconds; plays no part in any judgement.
    """
    message = cosignature_message(time_s, checkpoint.body)
    public = signing.public_key(key)
    return b"".join(
        (
            key_id(cosigner, TYPE_COSIGNATURE, public),
            time_s.to_bytes(8, "big"),
            signing.sign(key, message),
        )
    )


def cosignature_time(cosignature: bytes) -> int:
    """The POSIX second that a cosignature states."""
    return int.from_bytes(cosignature[4:12], "big")


def verify_cosignature(
    checkpoint: Checkpoint, cosigner: str, public_key: bytes, cosignature: bytes
) -> bool:
    """Whether `cosignature` is one of `checkpoint` by the cosigner's key. One verification."""
    time_s = cosignature_time(cosignature)
    return (
        len(cosignature) == COSIGNATURE_BYTES
        and time_s <= _TIME_MAX
        and cosignature[:4] == key_id(cosigner, TYPE_COSIGNATURE, public_key)
        and signing.verify(
            public_key, cosignature_message(time_s, checkpoint.body), cosignature[12:]
        )
    )


def sign_origin(checkpoint: Checkpoint, key: bytes) -> bytes:
    """The 68-byte log signature of `checkpoint` by an origin key. Only for final checkpoints."""
    return sign_note(checkpoint.body, checkpoint.origin, key).blob
