"""What the API needs of a node. Owns the interface and its values; the wiring implements it.

A method that only reads memory is synchronous; everything else is async. Times are UTC
milliseconds, amounts minor units, ids and hashes raw bytes: text forms belong to the HTTP layer.
Every method may be called by many requests at once, from the event loop only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from node.ledger.codes import Code
from node.ledger.genesis import Terms
from node.ledger.operations import Operation, RateGroup, RequestRedLetter
from node.ledger.types import Table

RefusalCode = Literal["NO_QUORUM", "NOT_FINALISING", "NOT_READY", "DISK_FULL"]
WaitFor = Literal["committed", "final"]

DETAILS_BYTES_MAX = 262_144
"""Size of the details of one invoice as JSON, before sealing."""


class WriteRefusal(msgspec.Struct, frozen=True):
    """Why this node takes no write at the moment; nothing is stored then."""

    code: RefusalCode
    detail: str = ""

    @property
    def status(self) -> int:
        """Of HTTP (RFC 9110, 15.6.4; RFC 4918, 11.5)."""
        return 507 if self.code == "DISK_FULL" else 503


# --- Errors that a write may raise -----------------------------------------------------------


class FacadeError(Exception):
    """Base of what a `NodeFacade` raises on purpose; anything else is a fault (HTTP 500)."""


class WriteRefusedError(FacadeError):
    """The node takes no write now. Nothing was stored (HTTP 503 or 507)."""

    def __init__(self, refusal: WriteRefusal) -> None:
        super().__init__(refusal.detail or refusal.code)
        self.refusal = refusal


class BusyError(FacadeError):
    """A pool or outbox limit is reached. Nothing was stored; try again later (HTTP 429)."""

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RefusedError(FacadeError):
    """This node knows before signing that the rules refuse the operation (HTTP 409)."""

    def __init__(self, code: Code, detail: str, operation: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.operation = operation
        """Position of the refused operation or draft in the request."""


class TooLargeError(FacadeError):
    """The transaction would pass 60,000 bytes or its blobs 1 MiB (HTTP 413)."""


class IdempotencyConflictError(FacadeError):
    """The Idempotency-Key was used before with another request (HTTP 422)."""


class AttachmentMissingError(FacadeError):
    """Details name a file that was not handed in here (HTTP 422). Names its SHA-256."""


class NotFinalError(FacadeError):
    """The transaction is known but not final, so there is no receipt yet (HTTP 409)."""


class UnknownWalletKeyError(FacadeError):
    """This node's wallet has no such key (HTTP 404)."""


class NotDisclosableError(FacadeError):
    """No such item in details that this participant can open (HTTP 404)."""


# --- Transactions ----------------------------------------------------------------------------


class TransactionState(StrEnum):
    """ARCHITECTURE, Finality. `final` and a refusal with `final=True` never change again."""

    PENDING = "pending"
    COMMITTED = "committed"
    FINAL = "final"
    REFUSED = "refused"
    EXPIRED = "expired"


class Submission(msgspec.Struct, frozen=True):
    """What became of one transaction on submission."""

    txid: bytes | None
    """32 bytes; None only when the bytes are malformed."""
    state: TransactionState
    code: Code = Code.OK
    """Why, when `state` is refused."""
    detail: str = ""
    """A sentence for the sender when refused; may be empty."""


class TransactionStatus(msgspec.Struct, frozen=True):
    """What this node knows of one transaction."""

    txid: bytes
    state: TransactionState
    code: Code = Code.OK
    final: bool = False
    """True when a final block holds the leaf, whether applied or refused."""
    height: int | None = None
    index: int | None = None
    """Position of its leaf in the tree."""
    body: bytes | None = None
    """Canonical bytes of the transaction body, when this node has them."""
    operation: int | None = None
    """Position of the operation that was refused, while this node remembers it."""


class Idempotency(msgspec.Struct, frozen=True):
    """An Idempotency-Key and what it was sent with. The facade stores both with the result."""

    key: str
    """1 to 128 printable ASCII characters."""
    fingerprint: bytes
    """SHA-256 over method, path and body: another one under the same key is a conflict."""


class InvoiceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A blue invoice before it has a number."""

    order_id: str
    order: bytes
    """H(issuer, order id), 32 bytes."""
    buyer: str
    """Party reference: participant id, or bare public key in hex."""
    special: bool
    currency: str
    issue_date: str
    """YYYY-MM-DD."""
    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int
    replaces: str | None = None
    details: bytes | None = None
    """Canonical JSON (sorted keys, no spaces) of at most `DETAILS_BYTES_MAX`, to be sealed."""


class RedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A red invoice of a confirmed form before it has a number. Amounts are magnitudes."""

    invoice: str
    form: int
    order_id: str
    order: bytes
    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int
    details: bytes | None = None


class Issued(msgspec.Struct, frozen=True):
    """One transaction that issues drafts, all or none."""

    numbers: tuple[str, ...]
    """One per draft, in order; the same again when an Idempotency-Key or order repeats."""
    submission: Submission


# --- Status ----------------------------------------------------------------------------------


class RaftView(msgspec.Struct, frozen=True):
    """Consensus as this node sees it."""

    state: Literal["leader", "follower", "candidate", "observer"]
    term: int
    leader: str | None
    """Node name of the leader, when known."""
    commit_index: int
    applied_index: int
    base_index: int
    """The log begins after it."""


class PeerView(msgspec.Struct, frozen=True):
    """A peer as this node sees it."""

    node: str
    connected: bool
    height: int | None
    rtt_ms: int | None
    strikes: int = 0
    """How often it broke the rules of the links since this node started."""


class PoolView(msgspec.Struct, frozen=True):
    """What waits for inclusion here."""

    transactions: int
    bytes: int


class EvidenceSummary(msgspec.Struct, frozen=True):
    """Evidence that this node keeps against voters."""

    count: int
    newest: tuple[str, ...] = ()
    """Sentences, newest first; a few."""


class SigningView(msgspec.Struct, frozen=True):
    """Whether this voter signs checkpoints, and what it waits for if it does not."""

    state: Literal["signing", "asking", "rejoining"]
    """`asking`: since a start, whether others hold more of its signatures than it remembers.
    `rejoining`: it may have forgotten some; it signs again above a later certificate."""
    answers: int = 0
    answers_needed: int = 0
    missing: tuple[str, ...] = ()
    """Voters that have not answered."""
    height_needed: int | None = None
    """It signs again above a certificate of this height or a later one; null while unknown."""

    @property
    def detail(self) -> str:
        """What is waited for, as a sentence; empty when nothing is."""
        if self.state == "signing":
            return ""
        if self.height_needed is not None:
            return f"rejoining: signs again above a certificate of height {self.height_needed}"
        if self.answers < self.answers_needed:
            waits = f"waits for {', '.join(self.missing)}"
        else:
            waits = "catches up with the certificates they told"
        return f"{self.state}: {self.answers} of {self.answers_needed} answers, {waits}"


class Heights(msgspec.Struct, frozen=True):
    """How far the local ledger has come. `final` ≤ `committed`."""

    committed: int
    final: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `GET /v1/status` shows but the query index. Field names are the JSON names."""

    node: str
    participant: str
    roles: tuple[str, ...]
    network_id: str
    """Lower-case hex."""
    version: str
    raft: RaftView
    height: int
    final_height: int
    tree_size: int
    root: str
    """Lower-case hex of the root at `tree_size`."""
    state_digest: str
    """Lower-case hex of the state digest after block `height`."""
    head_time_ms: int
    """Block time of `height`; 0 before the first block."""
    rules_version: int
    outbox: int
    """Own transactions that are acknowledged but not final."""
    peers: tuple[PeerView, ...]
    pool: PoolView
    evidence: EvidenceSummary = EvidenceSummary(0)
    rule_faults: int = 0
    """Transactions since the start over which the rules failed (`RULE_FAULT`)."""
    signing: SigningView = SigningView("signing")
    clock_offset_ms: int = 0
    """This clock less the middle of all clocks; 0 while too few peers are heard."""
    disk_free_bytes: int = 0
    """Of the file system of the data folder."""


class Check(msgspec.Struct, frozen=True):
    """One named condition of readiness."""

    name: str
    """A short stable word: it becomes a metric label."""
    ok: bool
    detail: str = ""
    fatal: bool = False
    """True when the process cannot recover by itself: `/livez` fails too."""


class EvidenceItem(msgspec.Struct, frozen=True):
    """Stored evidence against one key (see node.chain.evidence)."""

    id: bytes
    """32 bytes."""
    kind: str
    voter: str
    """Node name of the voter it names."""
    sentence: str
    found_ms: int
    body: bytes
    """The evidence itself, self-contained and verifiable."""


class Block(Protocol):
    """A stored block, as node.storage.ledger reads it."""

    @property
    def height(self) -> int:
        """From 1."""
        ...

    @property
    def first_index(self) -> int:
        """Tree position of the first leaf."""
        ...

    @property
    def leaves(self) -> Sequence[bytes]:
        """Leaf bytes in tree order; the seal is the last."""
        ...

    @property
    def certificate(self) -> bytes | None:
        """The cosigned checkpoint of this height as a note, if this node has one."""
        ...


# --- The node --------------------------------------------------------------------------------


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

    async def request_red(
        self,
        operation: RequestRedLetter,
        details: bytes,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Ask for a red letter with details, which are sealed to the invoice's parties.

        Raises: as `submit_operations`.
        """
        ...

    async def issue(
        self,
        drafts: Sequence[InvoiceDraft | RedDraft],
        idempotency: Idempotency | None = None,
    ) -> Issued:
        """Draw numbers from the participant's segments, seal details, sign and store.

        Raises: as `submit_operations`; RefusedError(NUMBER_NOT_ALLOTTED) when numbers run out.
        """
        ...

    async def share(
        self,
        number: str,
        party: str,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Let `party` read an invoice's details: pass their key on, in one transaction.

        Raises: as `submit_operations`; NotDisclosableError when this participant cannot open them,
        or the party has no key to seal to.
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

    def claim_buyer(self, order: bytes) -> str:
        """The party reference of the claim key that belongs to an order of this participant."""
        ...

    def details_commitment(self, order: bytes, details: bytes) -> bytes:
        """The commitment that this node makes to the details of an order: always the same."""
        ...

    def claim_key(self, order: bytes, buyer: str) -> str | None:
        """The claim key of an order, if `buyer` is the key that was made for it."""
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

    async def block(self, height: int) -> Block | None:
        """A committed block, or None."""
        ...

    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> Sequence[Block]:
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

    async def details(self, number: str) -> bytes | None:
        """Opened details of an invoice as JSON; None unless this participant can open them."""
        ...

    async def keep_attachment(self, content: bytes) -> bytes:
        """Keep a file until an invoice names it, in memory, for an hour; its SHA-256."""
        ...

    async def attachment(self, number: str, file_hash: bytes) -> bytes | None:
        """A file that the invoice's details name; None unless this participant can open it."""
        ...

    async def form_details(self, number: str, form: int) -> bytes | None:
        """What a red-letter form wants to take back, as JSON; None as above, or without lines."""
        ...

    async def detail_paths(self, number: str) -> Sequence[str] | None:
        """Paths of the items of an invoice's details that a receipt may show; None as above."""
        ...

    async def evidence(self, after: bytes | None, limit: int) -> Sequence[EvidenceItem]:
        """Stored evidence in the order of its id, after the given id."""
        ...

    async def resumptions(self) -> Sequence[bytes]:
        """Of voters that were led astray (`node.chain.excuse`), as canonical bytes."""
        ...

    async def evidence_file(self, identity: bytes) -> str | None:
        """Stored evidence as a file (`node.chain.evidence_file`); None when there is none."""
        ...
