"""A ledger in memory: what the storage floor does around `execute_block`, without a disk.

Prefetches exactly the footprint, so a rule that reads more fails the test that ran it; checks every
change against the stored row, keeps the digest, and checks the invariant of every changed invoice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from node.ledger.codes import Code, Table
from node.ledger.context import BlockContext
from node.ledger.digest import StateDigest
from node.ledger.execution.bykey import by_key_message, encode_operation, inner_operation
from node.ledger.execution.execute import (
    BlockOutcome,
    CheckedTransaction,
    PrefetchedState,
    Result,
    RowChange,
    execute_block,
    footprint,
)
from node.ledger.genesis import Genesis, ParticipantDocument, Terms, VoterDocument
from node.ledger.genesis_state import genesis_rows
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota
from node.ledger.invoices.bureau.register_rows import (
    QuotaRow,
    SegmentsRow,
    decode_quota,
    decode_segments,
    quota_key,
    segments_key,
)
from node.ledger.invoices.invariant import check_invariant
from node.ledger.invoices.rows import InvoiceRow, decode_invoice
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.participants import decode_participant
from node.ledger.rulebook import rulebook_of
from node.ledger.signing import public_key, sign
from node.ledger.state import State, TableState
from node.ledger.stored import UnreadableStateError
from node.ledger.transaction import (
    Transaction,
    TransactionBody,
    decode_transaction,
    encode_body,
    encode_wire,
)
from tests.terms import make_terms

BUREAU = "91440300MA5DA7AE09"
SELLER = "91440300MA5DB7AE01"
RIVAL = "91440300MA5DC7AE0Q"
BUYER = "91440300MA5DD7AE0G"
PAYMASTER = "91440300MA5DE7AE08"
OTHER_PAYMASTER = "91440300MA5DF7AE00"
STRANGER = "91440300MA5DG7AE0P"
SECOND_BUREAU = "91440300MA5DH7AE0F"
THIRD_BUREAU = "91440300MA5DJ7AE07"
THIRD_ISSUER = "91440300MA5DK7AE0Y"
THIRD_PAYMASTER = "91440300MA5DL7AE0N"

_ROLES = {
    BUREAU: ("tax_bureau",),
    SECOND_BUREAU: ("tax_bureau",),
    THIRD_BUREAU: ("tax_bureau",),
    THIRD_ISSUER: ("issuer",),
    THIRD_PAYMASTER: ("reimburser",),
    SELLER: ("issuer", "payer"),
    RIVAL: ("issuer",),
    BUYER: ("payer",),
    PAYMASTER: ("reimburser", "payer"),
    OTHER_PAYMASTER: ("reimburser",),
    STRANGER: ("payer",),
}
PARTICIPANTS = tuple(_ROLES)

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_788_220_800_000
"""2026-09-01T00:00:00Z."""
MONTH = 202_609
SEGMENT_FIRST = "26440000000000000001"
SEGMENT_COUNT = 1_000
QUOTA = 10_000_000


def seed_of(participant: str) -> bytes:
    """The seed of the signing key of a founding participant."""
    return hashlib.sha256(participant.encode()).digest()


@lru_cache
def key_of(participant: str) -> bytes:
    """The signing key of a founding participant. `World` takes signatures as checked."""
    return public_key(seed_of(participant))


def make_genesis(terms: Terms | None = None) -> Genesis:
    participants = tuple(
        ParticipantDocument(p, f"name of {p}", roles, key_of(p).hex(), key_of(p).hex())
        for p, roles in _ROLES.items()
    )
    voter = VoterDocument("tax-bureau", BUREAU, "11" * 32, "22" * 32, "33" * 32)
    return Genesis(
        name="test",
        created="2026-09-01",
        home_currency="CNY",
        rules_version=1,
        tax_rates=(0, 600, 1300),
        governors=(BUREAU, SECOND_BUREAU, THIRD_BUREAU),
        threshold=2,
        terms=terms or make_terms(),
        participants=participants,
        voters=(voter,),
    )


def can_be_read(kind: TableState[Any], value: bytes) -> bool:
    """Whether a row that was written is one of this kind, to the byte."""
    try:
        return kind.encode(kind.decode(value)) == value
    except UnreadableStateError:
        return False


class World:
    """The state, and blocks applied to it."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.rulebook = rulebook_of(self.genesis.domains)
        self.network_id = self.genesis.network_id
        self.store: dict[tuple[Table, bytes], bytes] = {}
        self.height = 0
        self.now = START
        self.nonce = 0
        self.seeds: dict[bytes, bytes] = {}
        """Of keys that were added or rotated to: seed by public key."""
        self.digest = StateDigest()
        self.faulty = False
        """Whether the test has planted a fault in the rules."""
        self.log: list[RowChange] = []
        self._write([RowChange(t, k, None, v) for t, k, v in genesis_rows(self.genesis)])

    @property
    def kinds(self) -> tuple[TableState[Any], ...]:
        """Of the rows that the rulebook's laws write."""
        return tuple(State(PrefetchedState({}, {}), self.rulebook.tables).values())

    # --- Applying ---

    def context(self) -> BlockContext:
        return BlockContext(
            self.network_id,
            self.height,
            self.now,
            self.genesis.home_currency,
            self.genesis.terms,
            self.genesis.utc_offset_minutes,
        )

    def signing_key(self, author: str) -> bytes:
        """The founding key as long as it lives, then the newest with every scope."""
        founding = key_of(author)
        value = self.store.get((Table.PARTICIPANT, author.encode()))
        if value is None:
            return founding
        live = [k for k in decode_participant(value).signing_keys if k.lives(self.height + 1)]
        if any(key.key == founding for key in live):
            return founding
        newest = max(live, key=lambda key: key.scope.bit_count(), default=None)
        return founding if newest is None else newest.key

    def transaction(
        self,
        author: str,
        operations: Sequence[Operation],
        blobs: tuple[bytes, ...] = (),
        /,
        **changed: object,
    ) -> Transaction:
        """A transaction of the next block; `changed` replaces fields of its body."""
        self.nonce += 1
        fields: dict[str, object] = {
            "network": self.network_id,
            "author": author,
            "key": self.signing_key(author),
            "nonce": self.nonce,
            "valid_until": self.height + 10,
            "operations": tuple(operations),
        }
        body = TransactionBody(**{**fields, **changed})  # type: ignore[arg-type]
        return decode_transaction(encode_wire(encode_body(body), bytes(64), blobs))

    def block(self, transactions: Sequence[Transaction], *, signed: bool = True) -> BlockOutcome:
        """Apply one block and check what must hold of any block."""
        self.height += 1
        context = self.context()
        checked = [CheckedTransaction(transaction, signed) for transaction in transactions]
        view = self._prefetch(checked, context)
        outcome = execute_block(view, context, checked, self.rulebook)
        for transaction, result in zip(transactions, outcome.results, strict=True):
            if result.operation is not None:
                refused = transaction.body.operations[result.operation]
                assert result.code in self._refusals(refused), (result.code, refused)
        assert outcome.faults == [] or self.faulty, outcome.faults[0].error
        self._write(outcome.changes)
        return outcome

    def _refusals(self, operation: Operation) -> frozenset[Code]:
        """What the rulebook says an operation may be refused with."""
        every = frozenset({Code.KEY_SCOPE, Code.RULE_FAULT, Code.NOT_PERMITTED, Code.DOMAIN_ABSENT})
        if isinstance(operation, ByKey):
            inner = inner_operation(operation)
            own = frozenset({Code.MALFORMED, Code.PARTY_SIGNATURE_INVALID})
            return every | own | self.rulebook.refusals.get(type(inner), frozenset())
        return every | self.rulebook.refusals.get(type(operation), frozenset())

    def _prefetch(
        self, checked: Sequence[CheckedTransaction], context: BlockContext
    ) -> PrefetchedState:
        wanted = footprint(checked, context, self.rulebook)
        assert wanted.faults == [] or self.faulty, wanted.faults
        scans = {
            scan: sorted(
                (key, value)
                for (table, key), value in self.store.items()
                if table == scan.table and scan.low <= key < scan.high
            )[: scan.limit]
            for scan in wanted.scans
        }
        assert all(len(set(keys)) == len(keys) for keys in wanted.rows.values())
        rows = {
            table: {key: self.store.get((table, key)) for key in keys}
            for table, keys in wanted.rows.items()
        }
        return PrefetchedState(rows, scans)

    def _write(self, changes: Sequence[RowChange]) -> None:
        touched = [(change.table, change.key) for change in changes]
        kinds = self.kinds
        assert len(set(touched)) == len(touched)
        for change in changes:
            place = (change.table, change.key)
            assert self.store.get(place) == change.old
            if change.new is None:
                del self.store[place]
                continue
            self.store[place] = change.new
            assert any(
                can_be_read(kind, change.new) for kind in kinds if kind.table is change.table
            ), (change.table, change.new)
            if change.table is Table.INVOICE:
                assert check_invariant(decode_invoice(change.new)) == []
        self.digest = self.digest.apply(changes)
        self.log.extend(changes)

    # --- One transaction a block ---

    def run(self, author: str, *operations: Operation, blobs: tuple[bytes, ...] = ()) -> Result:
        """Apply one transaction in a block of its own."""
        return self.block([self.transaction(author, operations, blobs)]).results[0]

    def code(self, author: str, *operations: Operation) -> Code:
        return self.run(author, *operations).code

    def ok(self, author: str, *operations: Operation) -> Result:
        result = self.run(author, *operations)
        assert result.code is Code.OK, (result.code, result.operation)
        return result

    def by_key(
        self, seed: bytes, author: str, operation: DirectOperation
    ) -> tuple[Transaction, ByKey]:
        """A transaction of `author` that carries `operation` of the bare key of `seed`."""
        inner = encode_operation(operation)
        nonce, valid_until = self.nonce + 1, self.height + 10
        message = by_key_message(self.network_id, author, nonce, valid_until, inner)
        wrapped = ByKey(public_key(seed), sign(seed, message), inner)
        return self.transaction(author, [wrapped], valid_until=valid_until), wrapped

    def later(self, ms: int) -> None:
        self.now += ms

    # --- Reading ---

    def invoice(self, number: str) -> InvoiceRow:
        return decode_invoice(self.store[Table.INVOICE, number.encode()])

    def segments(self, issuer: str = SELLER) -> SegmentsRow:
        return decode_segments(self.store[Table.SEGMENTS, segments_key(issuer)])

    def quota(self, issuer: str = SELLER, month: int = MONTH) -> QuotaRow:
        return decode_quota(self.store[Table.QUOTA, quota_key(issuer, month)])

    def replace_row(self, table: Table, key: bytes, value: bytes) -> None:
        """Put a row that no operation in scope can make."""
        self._write([RowChange(table, key, self.store.get((table, key)), value)])


# --- Operations --------------------------------------------------------------------------------


def number(serial: int) -> str:
    return f"{int(SEGMENT_FIRST) + serial:020d}"


def order(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def make_issue(
    serial: int = 0,
    *,
    buyer: str = BUYER,
    net: int = 1_000,
    rate: int = 1300,
    order_name: str | None = None,
    **changed: object,
) -> ops.IssueInvoice:
    """A blue invoice of one group: net 10.00, tax 1.30, gross 11.30 unless told otherwise."""
    tax = (net * rate + 5_000) // 10_000
    fields: dict[str, object] = {
        "number": number(serial),
        "special": False,
        "buyer": buyer,
        "currency": "CNY",
        "issue_date": "2026-09-01",
        "groups": (ops.RateGroup(rate, net, tax, 1),),
        "net": net,
        "tax": tax,
        "gross": net + tax,
        "order": order(order_name or f"order {serial}"),
        "replaces": None,
        "details": None,
        "blobs": (),
    }
    return ops.IssueInvoice(**{**fields, **changed})  # type: ignore[arg-type]


def make_red(
    serial: int, blue: str, form: int, *, net: int, tax: int, rate: int = 1300, **changed: object
) -> ops.IssueRedLetter:
    fields: dict[str, object] = {
        "invoice": blue,
        "form": form,
        "number": number(serial),
        "groups": (ops.RateGroup(rate, net, tax, 1),),
        "net": net,
        "tax": tax,
        "gross": net + tax,
        "order": order(f"red {serial}"),
        "details": None,
        "blobs": (),
    }
    return ops.IssueRedLetter(**{**fields, **changed})  # type: ignore[arg-type]


def opened(genesis: Genesis | None = None) -> World:
    """A world in which the seller may issue: a segment, and this month's quota."""
    world = World(genesis)
    open_registers(world)
    return world


def open_registers(world: World) -> None:
    """A segment, and this month's quota."""
    world.ok(
        BUREAU,
        AllotSegment(SELLER, SEGMENT_FIRST, SEGMENT_COUNT),
        GrantQuota(SELLER, MONTH, QUOTA, START, START + 30 * DAY),
    )


def issued(**changed: object) -> World:
    """`opened`, with invoice `number(0)` of gross 11.30 issued to the buyer."""
    world = opened()
    world.ok(SELLER, make_issue(0, **changed))  # type: ignore[arg-type]
    return world
