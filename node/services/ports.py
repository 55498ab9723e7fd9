"""What the API needs of a node. Owns the interface; `node.services.submitter` implements it.

A method that only reads memory is synchronous; everything else is async. Times are UTC
milliseconds, amounts minor units, ids and hashes raw bytes: text forms belong to the HTTP layer.
Every method may be called by many requests at once, from the event loop only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from node.following.evidence_views import EvidenceItem
from node.following.outcomes import (
    Heights,
    Idempotency,
    Submission,
    TransactionStatus,
    WaitFor,
    WriteRefusal,
)
from node.ledger.codes import Table
from node.ledger.genesis import Terms
from node.ledger.operations import Operation
from node.services.status import Check, NodeStatus
from node.storage.block import StoredBlock


class NodeFacade(Protocol):
    """A running node as its API sees it."""

    # Memory reads.

    @property
    def participant(self) -> str:
        """The id of the participant this node signs for."""
        ...

    @property
    def terms(self) -> Terms:
        """The network's terms and limits."""
        ...

    @property
    def home_currency(self) -> str:
        """Of the network's quotas."""
        ...

    @property
    def utc_offset_minutes(self) -> int:
        """Of the network's days and months."""
        ...

    def status(self) -> NodeStatus:
        """A snapshot; cheap enough for every request."""
        ...

    def heights(self) -> Heights:
        """Committed and final height."""
        ...

    def checks(self) -> Sequence[Check]:
        """All readiness conditions, passing ones included."""
        ...

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now, or None. Asked before each write."""
        ...

    # Writes. Each raises WriteRefusedError or BusyError, with nothing stored.

    async def submit_signed(self, wires: Sequence[bytes]) -> Sequence[Submission]:
        """Admit and store signed transactions; answers one submission each, in order.

        A transaction that is already known answers its present state, not DUPLICATE. A refused
        one does not stop its neighbours. `pending` means fsynced in the outbox.
        """
        ...

    async def submit_operations(
        self,
        operations: Sequence[Operation],
        blobs: Sequence[bytes] = (),
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Sign one transaction with this node's key and store it in the outbox.

        With `actor`, the public key of one of the wallet's bare keys, each operation is that
        key's, and this participant's transaction carries it.

        Raises:
            UnknownWalletKeyError: the wallet has no such key.
            RefusedError: known to be refused; nothing stored.
            TooLargeError: does not fit one transaction.
            IdempotencyConflictError: the key belongs to another request.
        """
        ...

    # The wallet of bare keys.

    def wallet_keys(self) -> Sequence[bytes]:
        """Public keys, oldest first."""
        ...

    async def make_wallet_key(self) -> bytes:
        """A fresh bare key; its public half. BusyError when the wallet is full."""
        ...

    async def import_wallet_key(self, text: str) -> bytes:
        """Take a claim key over; its public half. ValueError when it is mistyped."""
        ...

    # Transactions and blocks.

    async def transaction(self, txid: bytes) -> TransactionStatus | None:
        """What this node knows of a transaction; None when nothing."""
        ...

    async def wait(self, txid: bytes, until: WaitFor, timeout_s: float) -> TransactionStatus | None:
        """As `transaction`, once the state is reached or cannot be any more, or at the timeout.

        `committed` is answered by committed, final, refused with a leaf, or expired; `final` by
        `final=True` or expired. An unknown id is waited for as well.
        """
        ...

    async def wait_heights(self, above: Heights, timeout_s: float) -> Heights:
        """Return when either height passes its value in `above`, or at the timeout."""
        ...

    async def block(self, height: int) -> StoredBlock | None:
        """A committed block, or None."""
        ...

    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> Sequence[StoredBlock]:
        """Blocks from `from_height` up: at least one if there is one, cut past `bytes_max`."""
        ...

    async def receipt(
        self, txid: bytes, disclose: Sequence[str] = (), operation: int | None = None
    ) -> str | None:
        """The proof file; None when the id is unknown.

        Args:
            txid: The transaction.
            disclose: Paths of items of the sealed details that the file shall show.
            operation: Position of the operation whose details they are; None: the only one.

        Raises:
            NotFinalError: known, but no final block holds it.
            NotDisclosableError: no such item in details that this participant can open.
        """
        ...

    async def checkpoint(self) -> str | None:
        """The newest final checkpoint as a signed note; None before the first."""
        ...

    async def final_size(self) -> int:
        """Leaves under the newest final checkpoint; 0 before the first."""
        ...

    async def tile(self, level: int, number: int) -> bytes | None:
        """Hashes stored of a tile, 32 bytes each, at most 256; None when there are none."""
        ...

    async def leaves(self, first_index: int, count: int) -> Sequence[bytes]:
        """Up to `count` (≤ 256) consecutive leaves; fewer at the end of the tree."""
        ...

    # State after the newest committed block.

    async def state_rows(self, table: Table, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The rows that exist."""
        ...

    async def state_scan(
        self, table: Table, low: bytes, high: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """Rows with low ≤ key < high in key order, at most `limit`."""
        ...

    async def evidence(self, after: bytes | None, limit: int) -> Sequence[EvidenceItem]:
        """Stored evidence in the order of its id, after the given id."""
        ...

    async def resumptions(self) -> Sequence[bytes]:
        """Of voters that were led astray (`node.chain.evidence.excuse`), as canonical bytes."""
        ...

    async def evidence_file(self, identity: bytes) -> str | None:
        """Stored evidence as a file (`node.chain.evidence.file`); None when there is none."""
        ...
