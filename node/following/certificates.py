"""From finality counted to finality kept: certificates are stored, then told to be final.

Owns the way of a certificate once `node.following.finality` has it, whoever brought it, and what is
applied but not final meanwhile. Signs nothing: a voter's statement is handed in before its block is
counted. Knows no peer and no consensus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from node.chain.certificate import Certificate, parse_certificate
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint
from node.chain.cosigned import Cosigned
from node.chain.merkle import Frontier
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.following.tracker import Tracker
from node.storage.ledger import Ledger
from node.storage.ledger_values import AppliedBlock
from node.system.clock import Clock

Own = tuple[int, Cosigned]
"""This voter's number, and what it signed and persisted."""


class Certificates:
    """What of the applied blocks is final, and what is not yet."""

    def __init__(
        self,
        voters: VoterSet,
        finality: Finality,
        ledger: Ledger,
        tracker: Tracker,
        clock: Clock,
        publish: Callable[[Certificate], Certificate] = lambda certificate: certificate,
    ) -> None:
        """Put it together; `keep` is the work.

        Args:
            voters: Who certifies.
            finality: Counts what they sign.
            ledger: Keeps certificates.
            tracker: Told what is final.
            clock: Tells when the final height last moved.
            publish: Adds the signature under which outsiders take a checkpoint, for who has it.
        """
        self._voters = voters
        self._finality = finality
        self._ledger = ledger
        self._tracker = tracker
        self._clock = clock
        self._publish = publish
        self.newest: tuple[int, str] | None = None
        """The newest stored certificate: its height, and its note."""
        self.last_final_ms = clock.monotonic_ms()
        """When the final height last moved."""
        self._own: dict[int, Own] = {}
        """Handed in by height, until the block is counted."""
        self._unfinal_bytes: dict[int, int] = {}
        self._waiting: list[tuple[int, Certificate]] = []
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Tell whenever a later height is final; registered before the start."""
        self._listeners.append(listener)

    @property
    def finality(self) -> Finality:
        """The counting."""
        return self._finality

    @property
    def note(self) -> str | None:
        """The newest stored certificate as text."""
        return None if self.newest is None else self.newest[1]

    @property
    def backlog(self) -> tuple[int, int]:
        """Committed but not final: blocks and payload bytes."""
        return self._finality.unfinal, sum(self._unfinal_bytes.values())

    # --- After a restart ---------------------------------------------------------------------

    def resume(self, newest: tuple[int, bytes] | None, remembered: CertifiedHead | None) -> None:
        """Begin where the files end.

        Args:
            newest: The newest certificate that is stored, by height.
            remembered: The newest one kept anywhere else; it may be of a later height.
        """
        final = 0
        if newest is not None:
            final, note = newest[0], newest[1].decode()
            self.newest = (final, note)
            if remembered is None or remembered.height <= final:
                remembered = CertifiedHead.of(final, parse_certificate(note), self._voters)
        self._tracker.final_height = final
        self._finality.resume(final, remembered)

    def recount(self, heights: Sequence[tuple[int, Frontier]], own: Own | None) -> None:
        """Count again the heights that are applied but not final; `own` is of one of them."""
        for height, frontier in heights:
            checkpoint = Checkpoint(self._voters.origin, frontier.size, frontier.root())
            mine = own if own is not None and own[1].height == height else None
            self._finalise(self._finality.block_applied(height, checkpoint, mine), height)

    # --- Blocks ------------------------------------------------------------------------------

    def hand_in(self, number: int, statement: Cosigned) -> None:
        """What this voter signed of the block that is counted next."""
        self._own[statement.height] = (number, statement)

    def applied(self, block: AppliedBlock) -> None:
        """A block is stored: count it.

        Raises:
            DivergedError: another root is certified.
        """
        self._unfinal_bytes[block.height] = block.payload_bytes
        checkpoint = Checkpoint(self._voters.origin, block.size, block.root)
        own = self._own.pop(block.height, None)
        self._finalise(self._finality.block_applied(block.height, checkpoint, own), block.height)

    def signed(self, number: int, statement: Cosigned) -> None:
        """This voter signed a height later than it was applied."""
        self._finalise(self._finality.signed(number, statement), statement.height)

    # --- What comes from others --------------------------------------------------------------

    def receive_statement(self, number: int, statement: Cosigned) -> None:
        """A voter's statement arrived.

        Raises:
            ValueError: it does not verify.
            DivergedError: another root is certified.
        """
        self._finalise(self._finality.receive(number, statement), statement.height)

    def receive_note(self, height: int, note: str) -> None:
        """A certificate arrived from a peer that is ahead in finality.

        Raises:
            CertificateError: it does not verify.
            DivergedError: it certifies another root than ours.
        """
        self.receive(height, parse_certificate(note))

    def receive(self, height: int, certificate: Certificate) -> None:
        """The same, parsed; as of a block that was adopted with it."""
        if self._finality.receive_certificate(height, certificate):
            self._finalise(certificate, height)

    # --- Keeping -----------------------------------------------------------------------------

    def _finalise(self, certificate: Certificate | None, height: int) -> None:
        if certificate is None:
            return
        self._waiting.append((height, self._publish(certificate)))
        for old in [h for h in self._unfinal_bytes if h <= height]:
            del self._unfinal_bytes[old]
        self.last_final_ms = self._clock.monotonic_ms()
        self._wake.set()
        for listener in self._listeners:
            listener()

    async def keep(self) -> None:
        """Store certificates, then tell that their heights are final; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            notes = [(height, certificate.encode()) for height, certificate in batch]
            await self._ledger.store_certificates([(h, note.encode()) for h, note in notes])
            self.newest = notes[-1]
            self._tracker.finalised(notes[-1][0])
