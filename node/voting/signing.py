"""This voter's statements: made in the order of heights, told to all, told again until final.

Owns when what is applied is signed: at once, in the ledger's thread after the block is stored, or
later, when a certificate lets the window move on. What may be signed is `node.voting.cosigner`. A
statement is persisted before anything can send it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from node.chain.cosigned import Cosigned
from node.chain.merkle import Frontier
from node.following.certificates import Certificates
from node.peers.messages import StatementMessage
from node.peers.ports import Sending
from node.storage.ledger import Ledger
from node.storage.ledger_values import AppliedBlock
from node.voting.cosigner import Cosigner


class Signing:
    """The signing of one voter; implements `applier.BlockSigner`."""

    def __init__(
        self,
        number: int,
        cosigner: Cosigner,
        certificates: Certificates,
        ledger: Ledger,
        sending: Sending,
    ) -> None:
        self._number = number
        self._cosigner = cosigner
        self._certificates = certificates
        self._finality = certificates.finality
        self._ledger = ledger
        self._sending = sending
        self._signed: dict[int, Cosigned] = {}
        """By height, from the ledger's thread: persisted, and not told yet."""
        self._wake = asyncio.Event()

    # --- In the ledger's thread --------------------------------------------------------------

    def sign(self, block: AppliedBlock) -> None:
        """Sign a stored block and persist that, unless an earlier one has to wait."""
        if block.height > self._next_unsigned():
            return  # an earlier one waits for a certificate; `keep` keeps the order
        statement = self._cosigner.sign(
            block.height, block.size, block.root, block.frontier, self._finality.certified
        )
        if statement is not None:
            self._signed[block.height] = statement

    def compare(self, block: AppliedBlock) -> None:
        """Compare a block that is final without this voter with what it signed."""
        self._cosigner.compare(block.height, block.size, block.root)

    # --- On the event loop -------------------------------------------------------------------

    def applied(self, block: AppliedBlock) -> None:
        """A block is stored: tell what was signed of it, before it is counted."""
        statement = self._signed.pop(block.height, None)
        if statement is not None:
            self._tell(statement)
            self._certificates.hand_in(self._number, statement)

    def resume(self) -> tuple[int, Cosigned] | None:
        """After a restart: what was signed last. What was stored and not signed is signed soon."""
        stored = self._cosigner.stored()
        self.wake()
        return None if stored is None else (self._number, stored)

    def wake(self) -> None:
        """Applied heights that had to wait may be signed now."""
        self._wake.set()

    def final_moved(self) -> None:
        """A later height is final, so the window has moved on."""
        if self._cosigner.signed_height < self._finality.applied_height:
            self.wake()

    async def keep(self) -> None:
        """Sign in order what had to wait when it was applied; runs until cancelled.

        Raises:
            SigningHaltedError: what was signed before does not fit this ledger.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            made: list[Cosigned] = []

            def sign(height: int, frontier: Frontier, made: list[Cosigned] = made) -> None:
                statement = self._cosigner.sign(
                    height, frontier.size, frontier.root(), frontier, self._finality.certified
                )
                if statement is not None:
                    made.append(statement)

            await self._ledger.revisit(self._unsigned, sign)
            for statement in made:
                self._tell(statement)
                self._certificates.signed(self._number, statement)

    def repeat(self, final_heights: Mapping[int, int]) -> None:
        """Send peers again what may have been lost: statements above what each says is final."""
        for number, height in final_heights.items():
            for statement in self._finality.repeat(height):
                self._sending.send(number, self._message(statement))

    def _next_unsigned(self) -> int:
        """The height to sign next: what is final needs no signature of ours."""
        return max(self._cosigner.signed_height, self._finality.final_height) + 1

    def _unsigned(self, head_height: int) -> range:
        # In the ledger's thread, which signs what is applied meanwhile.
        end = self._cosigner.window_end(self._finality.certified)
        return range(self._next_unsigned(), min(head_height, end) + 1)

    def _tell(self, statement: Cosigned) -> None:
        self._sending.broadcast(self._message(statement))

    def _message(self, statement: Cosigned) -> StatementMessage:
        return StatementMessage(
            self._number, statement.height, statement.size, statement.root, statement.cosignature
        )
