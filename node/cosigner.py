"""This voter's signature under checkpoints: one a height, in order, persisted before it is sent.

Owns the cosign key and the rule of what may be signed: only a tree appended to the last signed
frontier. The signed checkpoint and the cosignature go to the durable marker first; a stored
cosignature is sent again, never made again. Runs in the ledger's thread, after a block is stored.
"""

from __future__ import annotations

from collections.abc import Callable

from node.chain.checkpoint import Checkpoint, cosign
from node.chain.merkle import Frontier, decode_frontier
from node.chain.voters import Voter
from node.finality import Cosigned
from node.ledger.signing import secret_key
from node.storage.marker import Marker, SignedCheckpoint


class SigningHaltedError(RuntimeError):
    """What this voter signed before does not fit its ledger: it must not sign any more."""


class Cosigner:
    """Signs checkpoints of one voter."""

    def __init__(
        self, voter: Voter, cosign_seed: bytes, marker: Marker, clock_s: Callable[[], int]
    ) -> None:
        self._voter = voter
        self._key = secret_key(cosign_seed)
        self._marker = marker
        self._clock_s = clock_s
        self._signed = marker.signed
        self.suspended = False
        """Set while it is not certain what this voter signed before; nothing is signed then."""

    def stored(self) -> Cosigned | None:
        """The newest statement, to be sent again after a restart."""
        signed = self._signed
        if signed is None:
            return None
        return Cosigned(signed.height, signed.size, signed.root, signed.cosignature)

    def check(self, head_height: int, frontier_at: Callable[[int], Frontier]) -> None:
        """Compare the ledger with what was signed, at start.

        Args:
            head_height: The ledger's height.
            frontier_at: The stored tree's frontier at a size up to its own.

        Raises:
            SigningHaltedError: the ledger holds another history than the one signed.
        """
        signed = self._signed
        if signed is None or head_height < signed.height:
            return  # what is missing is replayed from the Raft log, and compared then
        if frontier_at(signed.size).encode() != signed.frontier:
            raise SigningHaltedError(
                f"the ledger does not hold the tree signed at height {signed.height}"
            )

    def compare(self, height: int, size: int, root: bytes) -> None:
        """Compare an applied height that may have been signed before.

        Raises:
            SigningHaltedError: it was signed with another root.
        """
        signed = self._signed
        if signed is None or height != signed.height:
            return
        if (signed.size, signed.root) != (size, root):
            raise SigningHaltedError(f"height {height} was signed with another root")

    def sign(self, height: int, size: int, root: bytes, frontier: Frontier) -> Cosigned | None:
        """Sign the checkpoint of an applied height; None if it was signed before.

        Raises:
            SigningHaltedError: the height was signed with another root, or one was left out.
        """
        signed = self._signed
        if self.suspended:
            return None
        self.compare(height, size, root)
        if signed is not None and height <= signed.height:
            return self.stored() if height == signed.height else None
        if signed is not None and size < decode_frontier(signed.frontier).size:
            raise SigningHaltedError(f"height {height} is smaller than the tree signed before")
        time_s = self._clock_s()
        checkpoint = Checkpoint(self._voter.origin, size, root)
        blob = cosign(checkpoint, self._voter.cosigner, self._key, time_s)
        self._signed = SignedCheckpoint(
            height=height,
            size=size,
            root=root,
            frontier=frontier.encode(),
            cosignature=blob,
            time=time_s,
        )
        self._marker.record_signed(self._signed)
        return Cosigned(height, size, root, blob)
