"""The node's marker: what consensus promised, and the last checkpoint that this node signed.

Owns the checkpoint's record inside the file of `consensus.marker`, and that it never goes back.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from consensus.marker import Condition, MarkerError
from consensus.marker import Marker as ConsensusMarker

__all__ = ["Condition", "Marker", "MarkerError", "SignedCheckpoint"]


class SignedCheckpoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last checkpoint that this node signed, or is about to sign."""

    height: int
    size: int
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    frontier: Annotated[bytes, msgspec.Meta(max_length=2_560)]
    """Encoded compact range of the tree, to prove the next one an extension."""
    cosignature: Annotated[bytes, msgspec.Meta(max_length=256)]
    """Empty until it is made; sent again, never made again."""
    time: int


class Marker(ConsensusMarker):
    """The open file. Two threads write: the log's, and the ledger's, which signs."""

    @property
    def signed(self) -> SignedCheckpoint | None:
        """The checkpoint that was noted last.

        Raises:
            MarkerError: when something else was noted in its place.
        """
        extra = self.promises.extra
        try:
            return _decoder.decode(extra) if extra else None
        except msgspec.MsgspecError as error:
            raise MarkerError(f"the marker holds no checkpoint: {error}") from error

    def record_signed(self, signed: SignedCheckpoint) -> None:
        """Note a checkpoint before it is signed or sent; durable when this returns.

        Raises:
            MarkerError: when that is not certain.
            ValueError: when it is below the one already noted, or too large.
        """
        before = self.signed
        if before is not None and (signed.height, signed.size) < (before.height, before.size):
            raise ValueError(f"height {signed.height} is below the signed {before.height}")
        self.record_extra(_encoder.encode(signed))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SignedCheckpoint)
