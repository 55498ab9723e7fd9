"""A node in memory behind the API's port: no rules, no consensus, real blocks and a real index."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from node.chain.leaf import SealLeaf, TransactionLeaf, encode_leaf
from node.custody.wallet import claim_seed, claim_text, parse_claim_text
from node.domains.invoices.details.drafts import InvoiceDraft, Issued, RedDraft
from node.following.evidence_views import EvidenceItem
from node.following.outcomes import (
    FacadeError,
    Heights,
    Idempotency,
    IdempotencyConflictError,
    NotDisclosableError,
    NotFinalError,
    Submission,
    TransactionState,
    TransactionStatus,
    UnknownWalletKeyError,
    WaitFor,
    WriteRefusal,
)
from node.ledger.codes import LEAFLESS_MAX, Code, Table
from node.ledger.genesis import Terms
from node.ledger.invoices.operations import (
    IssueInvoice,
    IssueRedLetter,
    RateGroup,
    RequestRedLetter,
    ShareDetails,
)
from node.ledger.invoices.rows import GroupRow, InvoiceRow
from node.ledger.operations import Operation
from node.ledger.row_codec import encode_row
from node.ledger.signing import public_key
from node.ledger.transaction import (
    MalformedTransactionError,
    TransactionBody,
    decode_transaction,
    encode_body,
    transaction_id,
)
from node.services.status import Check, NodeStatus, PeerView, PoolView, RaftView
from node.storage.index import QueryIndex
from tests.terms import make_terms

ISSUER = "91350100M000100Y43"
BUYER = "91110000600037341L"
REIMBURSER = "91440300708461136T"
KEY = bytes(range(32))
START_MS = 1_795_000_000_000
BLOCK_MS = 1_000


class FakeBlock(msgspec.Struct, frozen=True):
    height: int
    first_index: int
    leaves: Sequence[bytes]
    certificate: bytes | None


def issue(
    number: str, *, gross: int = 11_300, buyer: str = BUYER, **fields: object
) -> IssueInvoice:
    """An issue operation of one rate group at 13 %."""
    net = gross * 100 // 113
    values: dict[str, object] = {
        "number": number,
        "special": False,
        "buyer": buyer,
        "currency": "CNY",
        "issue_date": "2026-11-18",
        "groups": (RateGroup(1_300, net, gross - net, 1),),
        "net": net,
        "tax": gross - net,
        "gross": gross,
        "order": bytes(32),
        "replaces": None,
        "details": None,
        "blobs": (),
    }
    return IssueInvoice(**{**values, **fields})  # type: ignore[arg-type]


def invoice_row(
    operation: IssueInvoice | IssueRedLetter, author: str, txid: bytes, height: int
) -> InvoiceRow:
    """The state row that issuing makes."""
    buyer = operation.buyer if isinstance(operation, IssueInvoice) else BUYER
    return InvoiceRow(
        number=operation.number,
        issuer=author,
        buyer=buyer,
        special=False,
        currency="CNY",
        issue_date="2026-11-18",
        groups=tuple(GroupRow(g.rate, g.net, g.tax, g.lines) for g in operation.groups),
        net=operation.net,
        tax=operation.tax,
        gross=operation.gross,
        order=operation.order,
        replaces=None,
        original=operation.invoice if isinstance(operation, IssueRedLetter) else None,
        details=operation.details,
        blobs=(),
        txid=txid,
        height=height,
        issued_at=START_MS + height * BLOCK_MS,
        quota=operation.net,
        holder=buyer,
    )


class FakeNode:
    """Implements NodeFacade. With `automatic`, each write is committed and final at once."""

    def __init__(self, index: QueryIndex) -> None:
        self.utc_offset = 0
        self.index = index
        self.automatic = True
        self.refusal: WriteRefusal | None = None
        self.fault: FacadeError | None = None
        self.next_code = Code.OK
        self.failing: list[Check] = []
        self.operations: list[Operation] = []
        self.drafts: list[InvoiceDraft | RedDraft] = []
        self.rows: dict[tuple[Table, bytes], bytes] = {}
        self.stored: list[FakeBlock] = []
        self.final = 0
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.tree_leaves: int | None = None
        """Of the final tree, where a test sets `tiles` itself."""
        self.opened: dict[str, bytes] = {}
        self.files: dict[tuple[str, bytes], bytes] = {}
        self.forms: dict[tuple[str, int], bytes] = {}
        self.wallet: list[bytes] = []
        self.actors: list[bytes | None] = []
        self.paths: list[str] = ["/lines/0", "/seller/name"]
        self.disclosed: tuple[tuple[str, ...], int | None] | None = None
        self.found: list[EvidenceItem] = []
        self._pending: list[tuple[bytes, bytes, Code]] = []
        self._statuses: dict[bytes, TransactionStatus] = {}
        self._answers: dict[str, tuple[bytes, Issued]] = {}
        self._nonce = 0
        self._serial = 0
        self._tree_size = 0
        self._changed = asyncio.Event()

    # Memory reads.

    @property
    def participant(self) -> str:
        return ISSUER

    @property
    def terms(self) -> Terms:
        return make_terms()

    @property
    def home_currency(self) -> str:
        return "CNY"

    @property
    def utc_offset_minutes(self) -> int:
        return self.utc_offset

    def status(self) -> NodeStatus:
        return NodeStatus(
            node="issuer",
            participant=ISSUER,
            roles=("issuer",),
            network_id="00" * 32,
            version="0.1.0",
            raft=RaftView("leader", 3, "issuer", 9, 9, 0),
            height=len(self.stored),
            final_height=self.final,
            tree_size=self._tree_size,
            root="11" * 32,
            state_digest="22" * 32,
            head_time_ms=START_MS,
            rules_version=1,
            outbox=0,
            peers=(PeerView("payer", True, 1, 2),),
            pool=PoolView(0, 0),
        )

    def heights(self) -> Heights:
        return Heights(len(self.stored), self.final)

    def checks(self) -> Sequence[Check]:
        return self.failing or [Check("quorum", True)]

    def write_refusal(self) -> WriteRefusal | None:
        return self.refusal

    # Writes.

    async def submit_signed(self, wires: Sequence[bytes]) -> Sequence[Submission]:
        self._raise()
        submissions = []
        for wire in wires:
            try:
                transaction = decode_transaction(wire)
            except MalformedTransactionError as error:
                refused = TransactionState.REFUSED
                submissions.append(Submission(None, refused, Code.MALFORMED, str(error)))
                continue
            submissions.append(self._accept(transaction.body_bytes))
        await self._settle()
        return submissions

    async def submit_operations(
        self,
        operations: Sequence[Operation],
        blobs: Sequence[bytes] = (),
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        self._raise()
        if actor is not None and actor not in self.wallet:
            raise UnknownWalletKeyError("no such key")
        self.actors.append(actor)
        self.operations += operations
        return (await self._once((), operations, idempotency)).submission

    async def issue(
        self,
        drafts: Sequence[InvoiceDraft | RedDraft],
        idempotency: Idempotency | None = None,
    ) -> Issued:
        self._raise()
        self.drafts += drafts
        numbers = tuple(f"{self._serial + place:020d}" for place in range(len(drafts)))
        operations: list[Operation] = []
        for draft, number in zip(drafts, numbers, strict=True):
            shared = (draft.groups, draft.net, draft.tax, draft.gross, draft.order)
            commitment = bytes(32) if draft.details is not None else None
            if isinstance(draft, RedDraft):
                operations.append(
                    IssueRedLetter(draft.invoice, draft.form, number, *shared, commitment, ())
                )
            else:
                operations.append(
                    IssueInvoice(
                        number,
                        draft.special,
                        draft.buyer,
                        draft.currency,
                        draft.issue_date,
                        *shared,
                        draft.replaces,
                        commitment,
                        (),
                    )
                )
            if draft.details is not None:
                self.opened[number] = draft.details
        return await self._once(numbers, operations, idempotency)

    async def _once(
        self,
        numbers: tuple[str, ...],
        operations: Sequence[Operation],
        idempotency: Idempotency | None,
    ) -> Issued:
        if idempotency is not None and idempotency.key in self._answers:
            fingerprint, answer = self._answers[idempotency.key]
            if fingerprint != idempotency.fingerprint:
                raise IdempotencyConflictError("this key belongs to another request")
            return answer
        self._serial += len(numbers)
        submission = self._accept(self.body(operations))
        await self._settle()
        issued = Issued(numbers, submission)
        if idempotency is not None:
            self._answers[idempotency.key] = (idempotency.fingerprint, issued)
        return issued

    def _raise(self) -> None:
        if self.fault is not None:
            raise self.fault

    def body(self, operations: Sequence[Operation], author: str = ISSUER) -> bytes:
        """A transaction body of its own."""
        self._nonce += 1
        return encode_body(
            TransactionBody(bytes(32), author, KEY, self._nonce, 1_000, tuple(operations))
        )

    def _accept(self, body: bytes) -> Submission:
        txid = transaction_id(body)
        known = self._statuses.get(txid)
        if known is not None:
            return Submission(txid, known.state)
        if 0 < self.next_code <= LEAFLESS_MAX:
            return Submission(txid, TransactionState.REFUSED, self.next_code)
        self._pending.append((txid, body, self.next_code))
        self._statuses[txid] = TransactionStatus(txid, TransactionState.PENDING, body=body)
        return Submission(txid, TransactionState.PENDING)

    async def _settle(self) -> None:
        if self.automatic and self._pending:
            await self.commit()
            self.finalise()

    async def commit(self) -> FakeBlock:
        """Make a block of what is pending, and index it."""
        height, first = len(self.stored) + 1, self._tree_size
        leaves = []
        for position, (txid, body, code) in enumerate(self._pending):
            leaves.append(encode_leaf(TransactionLeaf(code, height, body, bytes(64))))
            state = TransactionState.REFUSED if code else TransactionState.COMMITTED
            self._statuses[txid] = TransactionStatus(
                txid, state, code, False, height, first + position, body, 0 if code else None
            )
            if code is Code.OK:
                self._add_rows(txid, body, height)
        seal = SealLeaf(
            height, START_MS + height * BLOCK_MS, 3, 1, first, len(leaves), KEY, KEY, 1, height, KEY
        )
        leaves.append(encode_leaf(seal))
        self._pending = []
        self._tree_size += len(leaves)
        block = FakeBlock(height, first, leaves, b"certificate %d\n" % height)
        self.stored.append(block)
        batch = await self.index.prepare([block])
        rows = {
            table: {key: self.rows[table, key] for key in keys if (table, key) in self.rows}
            for table, keys in batch.missing.items()
        }
        await self.index.follow(batch, rows)
        self._wake()
        return block

    def _add_rows(self, txid: bytes, body: bytes, height: int) -> None:
        decoded = msgspec.msgpack.decode(body, type=TransactionBody)
        for operation in decoded.operations:
            if isinstance(operation, IssueInvoice | IssueRedLetter):
                row = invoice_row(operation, decoded.author, txid, height)
                self.put(row)

    def put(self, row: InvoiceRow) -> None:
        """Store an invoice's state row; the index sees it when the invoice is touched next."""
        self.rows[Table.INVOICE, row.number.encode()] = encode_row(row)

    def finalise(self) -> None:
        """Everything committed is final."""
        self.final = len(self.stored)
        for txid, status in self._statuses.items():
            if status.height is not None:
                state = TransactionState.REFUSED if status.code else TransactionState.FINAL
                self._statuses[txid] = msgspec.structs.replace(status, state=state, final=True)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # Transactions and blocks.

    async def transaction(self, txid: bytes) -> TransactionStatus | None:
        return self._statuses.get(txid)

    async def wait(self, txid: bytes, until: WaitFor, timeout_s: float) -> TransactionStatus | None:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = self._statuses.get(txid)
                    if status is not None and (
                        status.final or (until == "committed" and status.height is not None)
                    ):
                        return status
                    await self._changed.wait()
        except TimeoutError:
            return self._statuses.get(txid)

    async def wait_heights(self, above: Heights, timeout_s: float) -> Heights:
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.stored) <= above.committed and self.final <= above.final:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.heights()

    async def block(self, height: int) -> FakeBlock | None:
        return self.stored[height - 1] if 1 <= height <= len(self.stored) else None

    async def blocks(self, from_height: int, limit: int, bytes_max: int) -> Sequence[FakeBlock]:
        return self.stored[from_height - 1 : from_height - 1 + limit]

    async def receipt(
        self, txid: bytes, disclose: Sequence[str] = (), operation: int | None = None
    ) -> str | None:
        status = self._statuses.get(txid)
        if status is None:
            return None
        if not status.final:
            raise NotFinalError("not final yet")
        for path in disclose:
            if path not in self.paths:
                raise NotDisclosableError(f"no item {path}")
        self.disclosed = (tuple(disclose), operation)
        return "c2sp.org/tlog-proof@v1\n"

    async def checkpoint(self) -> str | None:
        return f"origin\n{self._tree_size}\n" if self.final else None

    async def final_size(self) -> int:
        if self.tree_leaves is not None:
            return self.tree_leaves
        return sum(len(block.leaves) for block in self.stored[: self.final])

    async def tile(self, level: int, number: int) -> bytes | None:
        return self.tiles.get((level, number))

    async def leaves(self, first_index: int, count: int) -> Sequence[bytes]:
        everything = [leaf for block in self.stored for leaf in block.leaves]
        return everything[first_index : first_index + count]

    # State.

    async def state_rows(self, table: Table, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {key: self.rows[table, key] for key in keys if (table, key) in self.rows}

    async def state_scan(
        self, table: Table, low: bytes, high: bytes, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        found = sorted(
            (key, value)
            for (t, key), value in self.rows.items()
            if t is table and low <= key < high
        )
        return found[:limit]

    async def details(self, number: str) -> bytes | None:
        return self.opened.get(number)

    async def keep_attachment(self, content: bytes) -> bytes:
        self._raise()
        return hashlib.sha256(content).digest()

    async def attachment(self, number: str, file_hash: bytes) -> bytes | None:
        return self.files.get((number, file_hash))

    async def form_details(self, number: str, form: int) -> bytes | None:
        return self.forms.get((number, form))

    async def request_red(
        self,
        operation: RequestRedLetter,
        details: bytes,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        self.forms[operation.invoice, len(self.forms)] = details
        return await self.submit_operations((operation,), (), idempotency, actor)

    async def detail_paths(self, number: str) -> Sequence[str] | None:
        return self.paths if number in self.opened else None

    async def share(
        self,
        number: str,
        party: str,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        if number not in self.opened:
            raise NotDisclosableError("cannot open")
        share = ShareDetails(number, bytes(32), bytes(32), bytes(48), bytes(24))
        return await self.submit_operations((share,), (), idempotency, actor)

    def wallet_keys(self) -> Sequence[bytes]:
        return self.wallet

    async def make_wallet_key(self) -> bytes:
        return await self._hold(public_key(bytes([len(self.wallet)]) * 32))

    async def import_wallet_key(self, text: str) -> bytes:
        return await self._hold(public_key(parse_claim_text(text)))

    async def _hold(self, key: bytes) -> bytes:
        self._raise()
        self.wallet += [] if key in self.wallet else [key]
        return key

    def claim_buyer(self, order: bytes) -> str:
        return public_key(claim_seed(KEY, order)).hex()

    def details_commitment(self, order: bytes, details: bytes) -> bytes:
        return hashlib.sha256(order + details).digest()

    def claim_key(self, order: bytes, buyer: str) -> str | None:
        return claim_text(claim_seed(KEY, order)) if buyer == self.claim_buyer(order) else None

    async def evidence(self, after: bytes | None, limit: int) -> Sequence[EvidenceItem]:
        return [item for item in self.found if after is None or item.id > after][:limit]

    async def resumptions(self) -> Sequence[bytes]:
        return ()

    async def evidence_file(self, identity: bytes) -> str | None:
        return next((f"file of {i.voter}\n" for i in self.found if i.id == identity), None)
