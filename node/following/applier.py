"""The way of a block through this node: propose, apply, cosign, finalise.

Owns the leader's pace, the work after a commit and the progress of finality. It is consensus'
applier in the wiring's hands, and knows neither consensus nor p2p: `Outside` is what it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from node.chain.block import Block, encode_block
from node.chain.certificate import Certificate, parse_certificate
from node.chain.checkpoint import Checkpoint, sign_origin
from node.chain.cosigned import Cosigned
from node.chain.evidence import RootStatement
from node.chain.merkle import Frontier
from node.chain.run import CertifiedBlock
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.following.tracker import Outcome, Tracker
from node.ledger.signing import secret_key
from node.ledger.transaction import Transaction
from node.storage.ledger import AppliedBlock, CommittedEntry, Ledger, NotReproducedError
from node.submission.admission import VerifiedCache
from node.submission.pool import Pool
from node.system.clock import Clock
from node.voting import pacing as proposer
from node.voting.cosigner import Cosigner

APPLY_ENTRIES_MAX = 4
"""Entries applied in one job: few, so that their cosignatures leave soon."""

_log = structlog.get_logger("node.following.applier")


class HaltedError(RuntimeError):
    """Applying stopped for good, so that two histories do not mix."""


class FalseLedgerError(HaltedError):
    """What is certified comes to something else over this ledger: its file may be damaged."""


class Leadership(msgspec.Struct, frozen=True):
    """Consensus as the engine needs it."""

    leading: bool
    term: int
    leader: int | None


class Outside(Protocol):
    """What the engine needs of consensus and peers."""

    def leadership(self) -> Leadership:
        """The present role."""
        ...

    def propose(self, payload: bytes, term: int) -> int | None:
        """Propose an entry; its index, or None when there is no room or no leadership."""
        ...

    def tell_cosigned(self, statement: Cosigned) -> None:
        """Gossip this voter's statement."""
        ...

    def tell_applied(self, block: AppliedBlock) -> None:
        """A block is stored, and signed if this voter may sign."""
        ...

    def work_reported(self) -> bool:
        """Some voter reports pending or lapsing work."""
        ...


class Engine:
    """Applies what consensus commits and drives it to finality."""

    def __init__(
        self,
        voters: VoterSet,
        number: int,
        origin_seed: bytes,
        ledger: Ledger,
        pool: Pool,
        verified: VerifiedCache,
        cosigner: Cosigner,
        finality: Finality,
        tracker: Tracker,
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._number = number
        self._origin_key = secret_key(origin_seed)
        self._ledger = ledger
        self._pool = pool
        self._verified = verified
        self._cosigner = cosigner
        self._finality = finality
        self._tracker = tracker
        self._clock = clock
        self.outside: Outside | None = None
        self.halted: str | None = None
        """Why applying stopped for good, when it did; reads go on."""
        self.rule_faults = 0
        """Transactions since the start over which the rules failed: faults of this program."""
        self.newest_certificate: tuple[int, str] | None = None
        self._signed: dict[int, Cosigned] = {}
        self._in_flight: dict[int, tuple[int, list[Transaction]]] = {}
        """Entries proposed here by index: payload bytes and transactions."""
        self._unfinal_bytes: dict[int, int] = {}
        self._certificates: list[tuple[int, Certificate]] = []
        self._wake_proposer = asyncio.Event()
        self._wake_scribe = asyncio.Event()
        self._wake_signer = asyncio.Event()
        self._last_proposal_ms = 0
        self._last_final_ms = clock.monotonic_ms()
        self._led_term = 0

    # --- After a commit ----------------------------------------------------------------------

    @property
    def applied_index(self) -> int:
        """Raft index up to which the ledger is durable."""
        return self._ledger.head.raft_index

    @property
    def backlog(self) -> tuple[int, int]:
        """Committed but not final: blocks and payload bytes."""
        return self._finality.unfinal, sum(self._unfinal_bytes.values())

    async def apply(self, entries: Sequence[CommittedEntry]) -> None:
        """Apply committed entries in order.

        Raises:
            HaltedError: this node stopped applying before.
            Exception: this node's ledger cannot go on.
        """
        if self.halted is not None:
            raise HaltedError(self.halted)
        for start in range(0, len(entries), APPLY_ENTRIES_MAX):
            blocks = await self._ledger.apply(
                entries[start : start + APPLY_ENTRIES_MAX], self._sign
            )
            for block in blocks:
                self._applied(block)
        for entry in entries:
            _, transactions = self._in_flight.pop(entry.index, (0, []))
            self._pool.give_back(transactions)  # those of a void entry; applied ones are gone

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
        if self.halted is not None:
            raise HaltedError(self.halted)
        try:
            applied = await self._ledger.adopt(block, index, self._compare, last=last)
        except NotReproducedError as error:
            raise FalseLedgerError(str(error)) from error
        self._applied(applied)
        certificate, height = block.certificate, applied.height
        if certificate is not None and self._finality.receive_certificate(height, certificate):
            self._finalise(certificate, height)

    def resume(self, heights: Sequence[tuple[int, Frontier]]) -> None:
        """Count again, after a restart, the heights that are applied but not final.

        A height that was stored but not signed before the restart is signed by `keep_signing`.
        """
        stored = self._cosigner.stored()
        for height, frontier in heights:
            checkpoint = Checkpoint(self._voters.origin, frontier.size, frontier.root())
            own = None if stored is None or stored.height != height else (self._number, stored)
            self._finalise(self._finality.block_applied(height, checkpoint, own), height)
        self.sign_waiting()

    # --- Signing -----------------------------------------------------------------------------

    def _sign(self, block: AppliedBlock) -> None:
        # In the ledger's thread: the statement is persisted before anything can send it.
        if block.height > self._next_unsigned():
            return  # an earlier one waits for a certificate; `keep_signing` keeps the order
        statement = self._cosigner.sign(
            block.height, block.size, block.root, block.frontier, self._finality.certified
        )
        if statement is not None:
            self._signed[block.height] = statement

    def sign_waiting(self) -> None:
        """Applied heights that had to wait may be signed now."""
        self._wake_signer.set()

    async def keep_signing(self) -> None:
        """Sign in order what had to wait when it was applied; runs until cancelled.

        Raises:
            SigningHaltedError: what was signed before does not fit this ledger.
        """
        while True:
            await self._wake_signer.wait()
            self._wake_signer.clear()
            made: list[Cosigned] = []

            def sign(height: int, frontier: Frontier, made: list[Cosigned] = made) -> None:
                statement = self._cosigner.sign(
                    height, frontier.size, frontier.root(), frontier, self._finality.certified
                )
                if statement is not None:
                    made.append(statement)

            await self._ledger.revisit(self._unsigned, sign)
            for statement in made:
                if self.outside is not None:
                    self.outside.tell_cosigned(statement)
                certificate = self._finality.signed(self._number, statement)
                self._finalise(certificate, statement.height)

    def _next_unsigned(self) -> int:
        """The height to sign next: what is final needs no signature of ours."""
        return max(self._cosigner.signed_height, self._finality.final_height) + 1

    def _unsigned(self, head_height: int) -> range:
        # In the ledger's thread, which signs what is applied meanwhile.
        end = self._cosigner.window_end(self._finality.certified)
        return range(self._next_unsigned(), min(head_height, end) + 1)

    def _compare(self, block: AppliedBlock) -> None:
        # In the ledger's thread.
        self._cosigner.compare(block.height, block.size, block.root)

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

    def _applied(self, block: AppliedBlock) -> None:
        if block.faults:
            self._tell_faults(block)
        self._in_flight.pop(block.raft_index, None)
        txids = [t.txid for t in block.transactions]
        self._pool.applied(txids)
        self._pool.applied([txid for txid, _ in block.skipped])
        self._verified.forget([t.wire for t in block.transactions])
        self._tracker.applied(
            block.height,
            [
                (t.txid, Outcome(block.height, t.index, t.code, t.operation))
                for t in block.transactions
            ],
        )
        if self.outside is not None:
            self.outside.tell_applied(block)
        self._unfinal_bytes[block.height] = block.payload_bytes
        statement = self._signed.pop(block.height, None)
        if statement is not None and self.outside is not None:
            self.outside.tell_cosigned(statement)
        checkpoint = Checkpoint(self._voters.origin, block.size, block.root)
        own = None if statement is None else (self._number, statement)
        self._finalise(self._finality.block_applied(block.height, checkpoint, own), block.height)
        self._wake_proposer.set()

    # --- Finality ----------------------------------------------------------------------------

    def receive_statement(self, number: int, statement: Cosigned) -> None:
        """A voter's statement arrived.

        Raises:
            ValueError: it does not verify.
        """
        self._finalise(self._finality.receive(number, statement), statement.height)

    def receive_certificate(self, height: int, note: str) -> None:
        """A certificate arrived from a peer that is ahead in finality.

        Raises:
            CertificateError: it does not verify.
        """
        certificate = parse_certificate(note)
        if self._finality.receive_certificate(height, certificate):
            self._finalise(certificate, height)

    def hear(self, number: int, said: RootStatement) -> bool:
        """A peer tells what a voter signed; False if it did not sign that."""
        return self._finality.hear(number, said)

    def doubt(self, certificate: Certificate) -> None:
        """A verified certificate is of another history than ours, as it seems."""
        self._finality.doubt(certificate)

    def repeat(self, after: int) -> list[Cosigned]:
        """Own statements above height `after` that are not final here."""
        return self._finality.repeat(after)

    def _finalise(self, certificate: Certificate | None, height: int) -> None:
        if certificate is None:
            return
        certificate = certificate.published(sign_origin(certificate.checkpoint, self._origin_key))
        self._certificates.append((height, certificate))
        for old in [h for h in self._unfinal_bytes if h <= height]:
            del self._unfinal_bytes[old]
        self._last_final_ms = self._clock.monotonic_ms()
        self._wake_scribe.set()
        self._wake_proposer.set()
        if self._cosigner.signed_height < self._finality.applied_height:
            self.sign_waiting()

    async def keep_certificates(self) -> None:
        """Store certificates, then tell that their heights are final; runs until cancelled."""
        while True:
            await self._wake_scribe.wait()
            self._wake_scribe.clear()
            batch, self._certificates = self._certificates, []
            notes = [(height, certificate.encode()) for height, certificate in batch]
            await self._ledger.store_certificates([(h, note.encode()) for h, note in notes])
            self.newest_certificate = notes[-1]
            self._tracker.finalised(notes[-1][0])

    # --- Proposing ---------------------------------------------------------------------------

    def work(self) -> None:
        """Something changed that may make a proposal due."""
        self._wake_proposer.set()

    async def propose(self) -> None:
        """Propose whenever this node leads and it is due; runs until cancelled."""
        while True:
            delay = self._delay_ms()
            if delay == 0:
                self._propose_one()
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(1.0 if delay is None else delay / 1000):
                    await self._wake_proposer.wait()
            except TimeoutError:
                pass
            self._wake_proposer.clear()

    def _delay_ms(self) -> int | None:
        if self.outside is None or self.halted is not None:
            return None
        leadership = self.outside.leadership()
        if not leadership.leading:
            if self._led_term:
                self._led_term = 0
                self._in_flight.clear()
                self._pool.give_back_all()
            return None
        now = self._clock.monotonic_ms()
        if self._led_term != leadership.term:
            self._led_term = leadership.term
            self._in_flight.clear()
            self._pool.give_back_all()
            self._last_final_ms = now
        blocks, size = self.backlog
        return proposer.delay_ms(
            proposer.Situation(
                now_ms=now,
                waiting=self._pool.waiting,
                unsettled_blocks=blocks + len(self._in_flight),
                unsettled_bytes=size + sum(b for b, _ in self._in_flight.values()),
                last_proposal_ms=self._last_proposal_ms,
                last_final_ms=self._last_final_ms,
                work_reported=blocks > 0 or self.outside.work_reported(),
            )
        )

    def _propose_one(self) -> None:
        assert self.outside is not None
        self._last_proposal_ms = self._clock.monotonic_ms()
        transactions = self._pool.take(
            proposer.BLOCK_BYTES_MAX, proposer.BLOCK_TRANSACTIONS_MAX, proposer.BLOCK_OPERATIONS_MAX
        )
        payload = encode_block(
            Block(self._led_term, self._clock.time_ms(), tuple(t.wire for t in transactions))
        )
        index = self.outside.propose(payload, self._led_term)
        if index is None:
            self._pool.give_back(transactions)
        else:
            self._in_flight[index] = (len(payload), transactions)
