"""Which rows a block may read, from its transactions alone. Owns that knowledge of every rule.

It saves reads and decides nothing: a row that is not named here is read when a rule asks for it,
one by one, and told as a fault of this program. So this module changes together with the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from node.ledger.bykey import inner_operation, live_id, message_of
from node.ledger.codes import Table
from node.ledger.context import BlockContext
from node.ledger.faults import MACHINE_ERRORS
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau_operations import (
    AllotRegion,
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.region_rows import region_key, regions_key
from node.ledger.invoices.regions import last_of, overlap_scan, region_scan
from node.ledger.invoices.rows import (
    RATES_FOR_ALL_KEY,
    allotment_key,
    discrepancy_key,
    order_key,
    quota_key,
    segments_key,
    share_key,
)
from node.ledger.membership import operations as membership
from node.ledger.membership.governance import proposal_id
from node.ledger.membership.rows import GOVERNANCE_KEY
from node.ledger.operations import ByKey
from node.ledger.row_codec import RULES_KEY, live_key
from node.ledger.stored import Scan
from node.ledger.transaction import Transaction

EXPIRED_MIN = 1_024
"""Expired live rows that every block may delete; two more for each of its leaves, so the backlog
shrinks under any load, while no single block has to delete without bound."""


class Footprint(msgspec.Struct, frozen=True):
    """What to read before a block: keys by table, each once, and scans."""

    rows: dict[Table, list[bytes]]
    scans: list[Scan]
    faults: list[tuple[bytes, Exception]] = []
    """Transactions over which this module failed: their rows are read one by one."""


class _HasTransaction(Protocol):
    @property
    def transaction(self) -> Transaction: ...


def expired_max(leaves: int) -> int:
    """How many expired live rows a block with so many transaction leaves deletes at most."""
    return EXPIRED_MIN + 2 * leaves


def expiry_scan(height: int, transactions: int) -> Scan:
    """The live rows that a block of so many transactions may delete: valid-until below its height.

    It finds enough for the case that each of them leaves a leaf.
    """
    return Scan(Table.TXID, bytes(8), height.to_bytes(8, "big"), expired_max(transactions))


def footprint(transactions: Iterable[_HasTransaction], context: BlockContext) -> Footprint:
    """Everything that `execute_block` may read for these transactions, each row once."""
    found = _Reads(context)
    faults: list[tuple[bytes, Exception]] = []
    count = 0
    for checked in transactions:
        count += 1
        try:
            found.add_transaction(checked.transaction)
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - costs reads, and no transaction
            faults.append((checked.transaction.txid, error))
    found.scans[expiry_scan(context.height, count)] = None
    rows = {table: list(keys) for table, keys in found.rows.items() if keys}
    return Footprint(rows, list(found.scans), faults)


class _Reads:
    """Collects rows and scans in the order of first mention."""

    def __init__(self, context: BlockContext) -> None:
        self.rows: dict[Table, dict[bytes, None]] = {table: {} for table in Table}
        self.rows[Table.META][RULES_KEY] = None
        self.invoices = self.rows[Table.INVOICE]
        self.orders = self.rows[Table.ORDER]
        self.participants = self.rows[Table.PARTICIPANT]
        self.scans: dict[Scan, None] = {}
        self._issuers: set[str] = set()
        self.month = context.month
        self.home = context.home_currency

    def add_transaction(self, transaction: Transaction) -> None:
        body = transaction.body
        self.participants[body.author.encode()] = None
        self.rows[Table.TXID][live_key(body.valid_until, transaction.txid)] = None
        for operation in body.operations:
            if isinstance(operation, ByKey):
                inner = inner_operation(operation)
                if inner is None:
                    continue
                identifier = live_id(operation.key, message_of(body, operation))
                self.rows[Table.TXID][live_key(body.valid_until, identifier)] = None
                actor = operation.key.hex()
            else:
                inner = operation
                actor = body.author
            reads = _READS.get(type(inner))
            if reads is None:
                self.invoices[inner.invoice.encode()] = None  # type: ignore[union-attr]
            else:
                reads(self, actor, inner)

    def party(self, reference: str) -> None:
        if len(reference) == 18:
            self.participants[reference.encode()] = None

    def receiver(self, _actor: str, op: ops.OfferInvoice | ops.SubmitInvoice) -> None:
        self.invoices[op.invoice.encode()] = None
        self.party(op.to)

    def share(self, author: str, op: ops.ShareDetails) -> None:
        self.invoices[op.invoice.encode()] = None
        self.rows[Table.SHARE][share_key(op.invoice, op.reader, author)] = None

    def discrepancy(self, _author: str, op: ops.RecordDiscrepancy | ops.ResolveDiscrepancy) -> None:
        self.invoices[op.invoice.encode()] = None
        self.rows[Table.DISCREPANCY][discrepancy_key(op.invoice, op.kind)] = None

    def issue(self, author: str, op: ops.IssueInvoice) -> None:
        rows = self.rows
        self.invoices[op.number.encode()] = None
        self.orders[order_key(author, op.order)] = None
        if author not in self._issuers:
            self._issuers.add(author)
            rows[Table.SEGMENTS][segments_key(author)] = None
            rows[Table.QUOTA][quota_key(author, self.month)] = None
            rows[Table.TAX_RATES][author.encode()] = None
            rows[Table.TAX_RATES][RATES_FOR_ALL_KEY] = None
        self.party(op.buyer)
        if op.currency != self.home:
            rows[Table.EXCHANGE_RATE][op.currency.encode()] = None
        if op.replaces is not None:
            self.invoices[op.replaces.encode()] = None

    def cancel(self, author: str, op: ops.CancelInvoice) -> None:
        self.invoices[op.invoice.encode()] = None
        self.rows[Table.QUOTA][quota_key(author, self.month)] = None

    def issue_red(self, author: str, op: ops.IssueRedLetter) -> None:
        rows = self.rows
        self.invoices[op.invoice.encode()] = None
        self.invoices[op.number.encode()] = None
        self.orders[order_key(author, op.order)] = None
        rows[Table.SEGMENTS][segments_key(author)] = None
        rows[Table.QUOTA][quota_key(author, self.month)] = None

    def allot(self, _author: str, op: AllotSegment) -> None:
        self.party(op.issuer)
        self.rows[Table.SEGMENTS][segments_key(op.issuer)] = None
        self.rows[Table.SEGMENTS][allotment_key(last_of(op.first, op.count))] = None
        self.scans[overlap_scan(op.first)] = None
        self.scans[region_scan(op.first)] = None

    def allot_region(self, _author: str, op: AllotRegion) -> None:
        self.party(op.bureau)
        self.rows[Table.REGION][regions_key(op.bureau)] = None
        self.rows[Table.REGION][region_key(last_of(op.first, op.count))] = None
        self.scans[overlap_scan(op.first)] = None
        self.scans[region_scan(op.first)] = None

    def for_retired(self, author: str, op: ops.ActForRetired) -> None:
        self.party(op.issuer)
        inner = op.operation
        reads = _READS.get(type(inner))
        if reads is None:
            self.invoices[inner.invoice.encode()] = None
        else:
            reads(self, op.issuer, inner)
            self.rows[Table.SEGMENTS][segments_key(author)] = None

    def issuing(self, _author: str, op: SuspendIssuing | ResumeIssuing) -> None:
        self.party(op.issuer)

    def own_keys(self, _author: str, _op: object) -> None:
        """The author's row is read anyway."""

    def propose(self, author: str, op: membership.Propose) -> None:
        self.rows[Table.META][GOVERNANCE_KEY] = None
        self.rows[Table.PROPOSAL][proposal_id(author, op)] = None
        self.party(op.action.participant)

    def vote(self, _author: str, op: membership.Vote) -> None:
        self.rows[Table.META][GOVERNANCE_KEY] = None
        self.rows[Table.PROPOSAL][op.proposal] = None
        self.party(op.participant)

    def withdraw_proposal(self, _author: str, op: membership.WithdrawProposal) -> None:
        self.rows[Table.META][GOVERNANCE_KEY] = None
        self.rows[Table.PROPOSAL][op.proposal] = None

    def grant(self, _author: str, op: GrantQuota) -> None:
        self.party(op.issuer)
        self.rows[Table.QUOTA][quota_key(op.issuer, op.month)] = None

    def tax_rates(self, _author: str, op: PublishTaxRates) -> None:
        if op.issuer is not None:
            self.party(op.issuer)
        self.rows[Table.TAX_RATES][(op.issuer or "*").encode()] = None

    def exchange_rate(self, _author: str, op: PublishExchangeRate) -> None:
        self.rows[Table.EXCHANGE_RATE][op.currency.encode()] = None


_READS: dict[type, Callable[[_Reads, str, Any], None]] = {
    ops.IssueInvoice: _Reads.issue,
    ops.OfferInvoice: _Reads.receiver,
    ops.SubmitInvoice: _Reads.receiver,
    ops.ShareDetails: _Reads.share,
    ops.RecordDiscrepancy: _Reads.discrepancy,
    ops.ResolveDiscrepancy: _Reads.discrepancy,
    ops.CancelInvoice: _Reads.cancel,
    ops.IssueRedLetter: _Reads.issue_red,
    AllotSegment: _Reads.allot,
    GrantQuota: _Reads.grant,
    PublishTaxRates: _Reads.tax_rates,
    PublishExchangeRate: _Reads.exchange_rate,
    ops.ActForRetired: _Reads.for_retired,
    AllotRegion: _Reads.allot_region,
    SuspendIssuing: _Reads.issuing,
    ResumeIssuing: _Reads.issuing,
    membership.AddKey: _Reads.own_keys,
    membership.RevokeKey: _Reads.own_keys,
    membership.RotateKey: _Reads.own_keys,
    membership.Propose: _Reads.propose,
    membership.Vote: _Reads.vote,
    membership.WithdrawProposal: _Reads.withdraw_proposal,
}
"""Operations that read more than the invoice they name."""
