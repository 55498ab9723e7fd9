"""The way of a block into this node: stored, told to whoever follows, counted.

Owns the order of these three, for blocks that consensus commits and for those that peers hold
certified. Listeners hear of each block in their order once it is stored; who signs it does that in
the ledger's thread, before. Knows no consensus, no peer, and not whether this node votes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from node.chain.leaf_range import CertifiedBlock
from node.following.certificates import Certificates
from node.following.halt import FalseLedgerError, Halt
from node.storage.ledger import Ledger
from node.storage.ledger_values import AppliedBlock, CommittedEntry, NotReproducedError

APPLY_ENTRIES_MAX = 4
"""Entries applied in one job: few, so that their cosignatures leave soon."""

BlockListener = Callable[[AppliedBlock], None]

_log = structlog.get_logger("node.following.applier")


class BlockSigner(Protocol):
    """A voter's share in an applied block. Both are called in the ledger's thread."""

    def sign(self, block: AppliedBlock) -> None:
        """A block of the log is stored: sign it and persist that, or leave it for later."""
        ...

    def compare(self, block: AppliedBlock) -> None:
        """A block of peers is stored, final without this voter: compare it with what was signed."""
        ...


class NoSigner:
    """The share of a node that does not vote."""

    def sign(self, block: AppliedBlock) -> None:
        """Nothing."""

    def compare(self, block: AppliedBlock) -> None:
        """Nothing."""


NO_SIGNER = NoSigner()


class Applier:
    """Brings blocks into the ledger, one after another."""

    def __init__(
        self,
        ledger: Ledger,
        certificates: Certificates,
        halt: Halt,
        signer: BlockSigner = NO_SIGNER,
    ) -> None:
        self._ledger = ledger
        self._certificates = certificates
        self._halt = halt
        self._signer = signer
        self._listeners: tuple[BlockListener, ...] = ()
        self.rule_faults = 0
        """Transactions since the start over which the rules failed: faults of this program."""

    def listen(self, *listeners: BlockListener) -> None:
        """Tell these of each block that is stored, in this order; once, before the start.

        Counting towards finality comes after all of them: it may end in a halt.
        """
        assert not self._listeners, "the order is said in one place"
        self._listeners = listeners

    async def apply(self, entries: Sequence[CommittedEntry]) -> None:
        """Apply committed entries in order.

        Raises:
            HaltedError: this node stopped applying before.
            DivergedError: another root is certified than that of a block.
            Exception: this node's ledger cannot go on.
        """
        self._halt.check()
        for start in range(0, len(entries), APPLY_ENTRIES_MAX):
            part = entries[start : start + APPLY_ENTRIES_MAX]
            for block in await self._ledger.apply(part, self._signer.sign):
                self._applied(block)

    async def adopt(self, block: CertifiedBlock, index: int, *, last: bool) -> None:
        """Apply the next block as peers hold it: its entry is in no log any more.

        Nothing is signed: the block is final without this voter.

        Args:
            block: The next one.
            index: The Raft index that the last adopted block stands for.
            last: This is that block.

        Raises:
            FalseLedgerError: it cannot be done again here.
            HaltedError: this node stopped applying before.
        """
        self._halt.check()
        try:
            applied = await self._ledger.adopt(block, index, self._signer.compare, last=last)
        except NotReproducedError as error:
            raise FalseLedgerError(str(error)) from error
        self._applied(applied)
        if block.certificate is not None:
            self._certificates.receive(applied.height, block.certificate)

    def _applied(self, block: AppliedBlock) -> None:
        if block.faults:
            self._tell_faults(block)
        for listener in self._listeners:
            listener(block)
        self._certificates.applied(block)

    def _tell_faults(self, block: AppliedBlock) -> None:
        self.rule_faults += len(block.faults)
        for fault in block.faults:
            if fault.error is not None:
                _log.error(
                    "rule fault",
                    transaction=fault.txid.hex(),
                    operation=fault.operation,
                    height=block.height,
                    of_block=len(block.faults),
                    exc_info=fault.error,
                )
