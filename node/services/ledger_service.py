"""What a node's API reads: transactions, blocks, proofs, state, evidence.

Owns the reading half of `node.services.ports.NodeFacade`; `node.services.submitter` adds what is
written. Asks the ledger, the index and the tracker; changes nothing. Knows no HTTP, no p2p and no
consensus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from node.chain.certificate import parse_certificate
from node.chain.disclosure import Disclosure
from node.chain.evidence.file import encode_evidence_file
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import EvidenceError, decode_evidence
from node.chain.leaf import TransactionLeaf, decode_leaf
from node.chain.proof import TooMuchDisclosedError, build_proof
from node.following.evidence_views import EvidenceItem
from node.following.identity import NodeIdentity
from node.following.outcomes import (
    Heights,
    NotFinalError,
    TooLargeError,
    TransactionState,
    TransactionStatus,
)
from node.following.parts import Following
from node.following.tracker import Outcome
from node.ledger.codes import Code, Table
from node.ledger.transaction import TransactionBody, decode_body
from node.storage.block import StoredBlock
from node.submission.intake import Intake


class Discloser(Protocol):
    """Shows items of sealed details; a domain's part, since details are its own."""

    async def disclose(
        self, body: TransactionBody, height: int, paths: Sequence[str], operation: int | None
    ) -> Sequence[Disclosure]:
        """Disclosures of these items.

        Raises:
            NotDisclosableError: no such item in details that this participant can open.
        """
        ...


class LedgerService:
    """Answers questions about the ledger as this node has it."""

    def __init__(
        self,
        identity: NodeIdentity,
        following: Following,
        intake: Intake,
        discloser: Discloser,
    ) -> None:
        self._voters = identity.voters
        self._intake = intake
        self._tracker = following.tracker
        self._reader = following.books.reader
        self._history = following.indexer
        self._discloser = discloser

    def heights(self) -> Heights:
        """Committed and final height."""
        return Heights(self._tracker.height, self._tracker.final_height)

    # --- Transactions and blocks -------------------------------------------------------------

    async def transaction(self, txid: bytes) -> TransactionStatus | None:
        """What this node knows of a transaction."""
        outcome = self._tracker.outcome(txid)
        if outcome is None and self._intake.waits(txid):
            return TransactionStatus(txid, TransactionState.PENDING)
        if outcome is None:
            outcome = await self._history.outcome(txid)
        if outcome is None:
            given_up = self._intake.given_up(txid)
            if given_up is None and self._intake.promises(txid):
                return TransactionStatus(txid, TransactionState.PENDING)
            if given_up is None:
                return None
            if given_up is Code.EXPIRED:
                return TransactionStatus(txid, TransactionState.EXPIRED)
            return TransactionStatus(txid, TransactionState.REFUSED, given_up)
        return await self._applied_status(txid, outcome)

    async def _applied_status(self, txid: bytes, outcome: Outcome) -> TransactionStatus:
        final = outcome.height <= self._tracker.final_height
        if outcome.code is not Code.OK:
            state = TransactionState.REFUSED
        else:
            state = TransactionState.FINAL if final else TransactionState.COMMITTED
        leaves = await self._reader.leaves(outcome.index, 1)
        leaf = decode_leaf(leaves[0])
        return TransactionStatus(
            txid=txid,
            state=state,
            code=outcome.code,
            final=final,
            height=outcome.height,
            index=outcome.index,
            body=leaf.body if isinstance(leaf, TransactionLeaf) else None,
            operation=outcome.operation,
        )

    async def wait(
        self, txid: bytes, until: Literal["committed", "final"], timeout_s: float
    ) -> TransactionStatus | None:
        """As `transaction`, once the state is reached or cannot be any more, or at the timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            heights = self.heights()
            status = await self.transaction(txid)
            left = deadline - loop.time()
            if _is_reached(status, until) or left <= 0:
                return status
            if status is None or status.height is None:
                await self._tracker.wait_outcome(txid, left)
            else:
                await self._tracker.wait_heights(2**62, heights.final, left)

    async def wait_heights(self, above: Heights, timeout_s: float) -> Heights:
        """Return when either height passes its value in `above`, or at the timeout."""
        await self._tracker.wait_heights(above.committed, above.final, timeout_s)
        return self.heights()

    async def block(self, height: int) -> StoredBlock | None:
        """A committed block, or None."""
        found = await self._reader.blocks(height, 1, 1)
        return found[0] if found and found[0].height == height else None

    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> Sequence[StoredBlock]:
        """Blocks from `from_height` up."""
        return await self._reader.blocks(from_height, limit, bytes_max)

    async def receipt(
        self, txid: bytes, disclose: Sequence[str] = (), operation: int | None = None
    ) -> str | None:
        """The proof file of a transaction, with the items of its details that it shall show."""
        status = await self.transaction(txid)
        if status is None:
            return None
        inclusion = None
        if status.final and status.index is not None:
            inclusion = await self._reader.inclusion(status.index)
        if inclusion is None:
            raise NotFinalError("no final block holds the transaction yet")
        certificate = parse_certificate(inclusion.certificate.decode())
        assert certificate.origin_signature is not None, "stored certificates are published"
        disclosures: Sequence[Disclosure] = ()
        if disclose:
            assert status.body is not None, "a final transaction has its leaf"
            assert status.height is not None, "and a height"
            body = decode_body(status.body)
            disclosures = await self._discloser.disclose(body, status.height, disclose, operation)
        try:
            proof = build_proof(
                inclusion.index,
                inclusion.path,
                inclusion.leaf,
                certificate,
                certificate.origin_signature,
                self._voters,
                disclosures,
            )
        except TooMuchDisclosedError as error:
            raise TooLargeError(str(error)) from error
        return proof.encode()

    async def checkpoint(self) -> str | None:
        """The newest final checkpoint as a signed note."""
        found = await self._reader.newest_certificate()
        return None if found is None else found[1].decode()

    async def final_size(self) -> int:
        """Leaves under the newest final checkpoint."""
        note = await self.checkpoint()
        return 0 if note is None else parse_certificate(note).checkpoint.size

    async def tile(self, level: int, number: int) -> bytes | None:
        """Hashes stored of a tile."""
        return await self._reader.tile(level, number)

    async def leaves(self, first_index: int, count: int) -> Sequence[bytes]:
        """Up to `count` consecutive leaves."""
        return await self._reader.leaves(first_index, count)

    # --- State -------------------------------------------------------------------------------

    async def state_rows(self, table: Table, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The rows that exist."""
        return await self._reader.rows(table, keys)

    async def state_scan(
        self, table: Table, low: bytes, high: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """Rows with low ≤ key < high in key order."""
        return await self._reader.scan(table, low, high, limit)

    async def evidence(self, after: bytes | None, limit: int) -> Sequence[EvidenceItem]:
        """Stored evidence in the order of its id."""
        items = []
        for evidence_id, found_ms, body in await self._reader.evidence(after, limit):
            try:
                finding = judge(decode_evidence(body), self._voters)
            except EvidenceError:
                continue
            items.append(
                EvidenceItem(
                    id=evidence_id,
                    kind=finding.kind,
                    voter=finding.voter,
                    sentence=finding.sentence,
                    found_ms=found_ms,
                    body=body,
                )
            )
        return items

    async def resumptions(self) -> Sequence[bytes]:
        """Of voters that were led astray."""
        return await self._reader.resumptions()

    async def evidence_file(self, identity: bytes) -> str | None:
        """Stored evidence as a file."""
        body = await self._reader.evidence_body(identity)
        return None if body is None else encode_evidence_file(decode_evidence(body), self._voters)


def _is_reached(status: TransactionStatus | None, until: Literal["committed", "final"]) -> bool:
    if status is None:
        return False
    if status.final or status.state is TransactionState.EXPIRED:
        return True
    if status.state is TransactionState.REFUSED and status.height is None:
        return True
    return until == "committed" and status.height is not None
