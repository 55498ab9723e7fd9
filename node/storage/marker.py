"""The node's marker: what consensus promised, and what this voter knows of its own signatures.

Owns the record of signing inside the file of `consensus.stores.marker`, and that it never goes
back. A marker is made with the cosign key (`Marker.make`), so a node that finds none has lost it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from consensus.stores.marker import (
    SLOT_BYTES,
    Condition,
    MarkerError,
    MarkerFullError,
    decode_marker,
)
from consensus.stores.marker import Marker as ConsensusMarker
from node.chain.certified import CertifiedHead

__all__ = [
    "MARKER_BYTES",
    "MARKER_FILE",
    "Condition",
    "Marker",
    "MarkerError",
    "MarkerFullError",
    "SignedCheckpoint",
    "SigningMemory",
    "decode_marker",
    "decode_memory",
]


MARKER_FILE = "marker"
"""In the data folder."""
MARKER_BYTES = 2 * SLOT_BYTES


class SignedCheckpoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last checkpoint that this node signed, or a certified one that it signs only above."""

    height: int
    size: int
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    frontier: Annotated[bytes, msgspec.Meta(max_length=2_560)]
    """Encoded compact range of the tree, to prove the next one an extension."""
    cosignature: Annotated[bytes, msgspec.Meta(max_length=256)]
    """Sent again, never made again. Empty: the base of a voter that rejoined, not its own."""
    time: int


class SigningMemory(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that a voter must remember of its signatures; written before any of them leaves."""

    signed: SignedCheckpoint | None = None
    """Nothing above it was signed, unless `rejoining`."""
    certified: CertifiedHead | None = None
    """The newest certificate that was held when it was signed. In the same write, so that no loss
    of the ledger's newest rows leaves a signature above the window of what this node can show."""
    rejoining: bool = False
    """More may have been signed than is remembered. Nothing is signed until that is settled."""
    above: int | None = None
    """While rejoining: a height that bounds all that was signed, where the loss itself tells."""


class Marker(ConsensusMarker):
    """The open file. Two threads write: the log's, and the ledger's, which signs."""

    @classmethod
    def make(cls, path: Path) -> None:
        """Write the marker of a voter that never signed; its folder must exist.

        Raises:
            FileExistsError: there is one: what it remembers is not to be lost.
            MarkerError: when it is not certain that it is durable.
        """
        path.touch(mode=0o600, exist_ok=False)
        marker = cls.open(path)
        try:
            marker.record_extra(_encoder.encode(SigningMemory()))
        finally:
            marker.close()

    @property
    def memory(self) -> SigningMemory:
        """What was noted last of signing.

        Raises:
            MarkerError: when something else was noted in its place.
        """
        return decode_memory(self.promises.extra)

    def record_memory(self, memory: SigningMemory) -> None:
        """Note what was signed before it is sent; durable when this returns.

        Raises:
            MarkerError: when that is not certain.
            ValueError: when it is below what is already noted, or too large.
        """
        before, after = self.memory.signed, memory.signed
        if before is not None and (after is None or after.height < before.height):
            raise ValueError(f"nothing may be noted below the signed height {before.height}")
        self.record_extra(_encoder.encode(memory))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SigningMemory)


def decode_memory(extra: bytes) -> SigningMemory:
    """The record of signing that a marker carries.

    Raises:
        MarkerError: it is something else.
    """
    try:
        return _decoder.decode(extra) if extra else SigningMemory()
    except msgspec.MsgspecError as error:
        raise MarkerError(f"the marker holds no record of signing: {error}") from error
