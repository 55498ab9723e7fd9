"""This voter's signature under checkpoints: one a height, in order, persisted before it is sent.

Owns the cosign key and the record of what was signed with it: only a tree appended to the last
signed frontier, and only within the window above a certificate (`node.voting.resumption`). The
signed checkpoint, the cosignature and that certificate go to the durable marker first; a stored
cosignature is sent again, never made again. Signs in the ledger's thread, after a block is stored;
the event loop may end that at any time (`forget`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint, cosign, verify_cosignature
from node.chain.cosigned import Cosigned
from node.chain.evidence.excuse import Resumption, sign_resumption
from node.chain.merkle import Frontier, decode_frontier
from node.chain.voters import Voter, VoterSet
from node.ledger.signing import public_key, secret_key
from node.storage.marker import Marker, MarkerFullError, SignedCheckpoint, SigningMemory
from node.voting.resumption import RULES, Rules


class SigningHaltedError(RuntimeError):
    """What this voter signed before does not fit its ledger: it must not sign any more."""


class Cosigner:
    """Signs checkpoints of one voter."""

    def __init__(
        self,
        voter: Voter,
        cosign_seed: bytes,
        marker: Marker,
        clock_s: Callable[[], int],
        rules: Rules = RULES,
    ) -> None:
        self._voter = voter
        self._key = secret_key(cosign_seed)
        self._marker = marker
        self._clock_s = clock_s
        self.rules = rules
        self._memory = marker.memory
        self._lock = threading.Lock()
        self.held_back = False
        """Set while the others are asked whether they hold more of this voter's signatures."""

        self.lacks_room = False
        """A signature was not made for want of room on the disk."""

    @property
    def voter(self) -> Voter:
        """Who signs."""
        return self._voter

    @property
    def memory(self) -> SigningMemory:
        """What is remembered."""
        return self._memory

    @property
    def rejoining(self) -> bool:
        """More may have been signed than is remembered; nothing is signed then."""
        return self._memory.rejoining

    @property
    def signed_height(self) -> int:
        """The highest height signed, or resumed above."""
        return 0 if self._memory.signed is None else self._memory.signed.height

    @property
    def signed_size(self) -> int:
        """The tree size of that."""
        return 0 if self._memory.signed is None else self._memory.signed.size

    @property
    def remembers_another(self) -> bool:
        """The signature that is remembered is no one of this voter's: the marker is not its own."""
        statement = self.stored()
        if statement is None:
            return False
        checkpoint = Checkpoint(self._voter.origin, statement.size, statement.root)
        return not verify_cosignature(
            checkpoint, self._voter.cosigner, public_key(self._key), statement.cosignature
        )

    def window_end(self, certified: CertifiedHead | None) -> int:
        """The last height that may be signed with this certificate; the last signed if none may."""
        if self._memory.rejoining or self.held_back:
            return self.signed_height
        return self._certified_height(certified) + self.rules.window

    def stored(self) -> Cosigned | None:
        """The newest statement, to be sent again after a restart."""
        signed = self._memory.signed
        if signed is None or not signed.cosignature:
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
        signed = self._memory.signed
        if signed is None or self._memory.rejoining or head_height < signed.height:
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
        signed = self._memory.signed
        if signed is None or self._memory.rejoining or height != signed.height:
            return  # who rejoins signs above all that it signed, of whichever history
        if (signed.size, signed.root) != (size, root):
            raise SigningHaltedError(f"height {height} was signed with another root")

    def sign(
        self,
        height: int,
        size: int,
        root: bytes,
        frontier: Frontier,
        certified: CertifiedHead | None = None,
    ) -> Cosigned | None:
        """Sign the checkpoint of an applied height.

        Args:
            height: Its height.
            size: The tree's size.
            root: The tree's root.
            frontier: The tree's frontier.
            certified: The newest certificate that fits this ledger.

        Returns:
            None if it was signed before, or may not be signed now; ask again with a newer
            certificate.

        Raises:
            SigningHaltedError: the height was signed with another root, or one was left out.
        """
        with self._lock:
            memory = self._memory
            signed = memory.signed
            if memory.rejoining or self.held_back:
                return None
            self.compare(height, size, root)
            if signed is not None and height <= signed.height:
                return self.stored() if height == signed.height else None
            if signed is not None and size < decode_frontier(signed.frontier).size:
                raise SigningHaltedError(f"height {height} is smaller than the tree signed before")
            if not self.rules.may_sign(height, self._certified_height(certified)):
                return None
            time_s = self._clock_s()
            checkpoint = Checkpoint(self._voter.origin, size, root)
            blob = cosign(checkpoint, self._voter.cosigner, self._key, time_s)
            now = SignedCheckpoint(height, size, root, frontier.encode(), blob, time_s)
            try:
                self._note(SigningMemory(now, self._newer(certified)))
            except MarkerFullError:
                self.lacks_room = True  # nothing is sent; it is asked for again
                return None
            self.lacks_room = False
        return Cosigned(height, size, root, blob)

    def forget(self, above: int | None = None) -> None:
        """More may have been signed than is remembered: sign nothing, at later starts neither.

        Args:
            above: A height that all of it is known not to exceed. It bounds what this loss took:
                what an earlier one took is bounded no better by it.
        """
        with self._lock:
            before = self._memory
            if before.rejoining:
                bounds = (above, before.above)
                above = None if None in bounds else max(filter(None, bounds), default=0)
            memory = msgspec.structs.replace(before, rejoining=True, above=above)
            self._note(memory)
            self._note(memory)  # into both slots: no damage to one may bring back trust

    def disown(self) -> None:
        """What is remembered is another voter's: it is no signature of ours, and ours are lost."""
        with self._lock:
            before = self._memory
            assert before.signed is not None
            signed = msgspec.structs.replace(before.signed, cosignature=b"")
            memory = SigningMemory(signed, rejoining=True)
            self._note(memory)
            self._note(memory)  # into both slots, as in `forget`

    def sign_resumption(self, voters: VoterSet, base: CertifiedHead) -> Resumption:
        """What tells the others that this voter signs again above a base; published before."""
        certificate = base.certificate(voters)
        return sign_resumption(voters, self._voter.number, certificate, self._key)

    def resume_above(self, base: CertifiedHead, frontier: Frontier) -> None:
        """Sign again, and only what extends this certified head of the own ledger.

        The caller has made sure that this voter signed nothing above it. What the head replaces
        as the last signed checkpoint may be of another history.

        Raises:
            ValueError: the frontier is not of that head, or the head is below what was signed.
        """
        if (frontier.size, frontier.root()) != (base.size, base.root):
            raise ValueError(f"the tree at height {base.height} is not the certified one")
        with self._lock:
            signed = SignedCheckpoint(
                base.height, base.size, base.root, frontier.encode(), b"", self._clock_s()
            )
            self._note(SigningMemory(signed, base))

    def _certified_height(self, certified: CertifiedHead | None) -> int:
        held = self._newer(certified)
        return 0 if held is None else held.height

    def _newer(self, certified: CertifiedHead | None) -> CertifiedHead | None:
        held = self._memory.certified
        if held is None or (certified is not None and certified.height > held.height):
            return certified
        return held

    def _note(self, memory: SigningMemory) -> None:
        self._marker.record_memory(memory)
        self._memory = memory
