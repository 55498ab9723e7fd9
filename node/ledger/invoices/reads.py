"""What the rules of invoices read ahead, beside the rules. Owns that; decides nothing (`Reads`)."""

from __future__ import annotations

from typing import Protocol

from node.ledger.codes import Table
from node.ledger.invoices.bureau.operations import (
    AllotRegion,
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.bureau.region_rows import region_key, regions_key
from node.ledger.invoices.bureau.regions import last_of, overlap_scan, region_scan
from node.ledger.invoices.bureau.register_rows import (
    RATES_FOR_ALL_KEY,
    allotment_key,
    quota_key,
    segments_key,
)
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, LiftHold, UpholdHold
from node.ledger.invoices.holds.rows import cause_key, hold_key
from node.ledger.invoices.operations import (
    ActForRetired,
    CancelInvoice,
    IssueInvoice,
    IssueRedLetter,
    OfferInvoice,
    PayInvoice,
    RecordDiscrepancy,
    ResolveDiscrepancy,
    ShareDetails,
    SubmitInvoice,
)
from node.ledger.invoices.rows import discrepancy_key, order_key, payment_key, share_key
from node.ledger.reads import Reads


class NamesInvoice(Protocol):
    """An operation on an invoice."""

    @property
    def invoice(self) -> str:
        """Its number."""
        ...


def named(reads: Reads, _actor: str, op: NamesInvoice) -> None:
    """The invoice alone: enough for most."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None


def receiver(reads: Reads, _actor: str, op: OfferInvoice | SubmitInvoice) -> None:
    """And who is to receive it."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None
    reads.party(op.to)


def share(reads: Reads, actor: str, op: ShareDetails) -> None:
    """And the actor's wrap for this reader, if there is one."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None
    reads.rows[Table.SHARE][share_key(op.invoice, op.reader, actor)] = None


def discrepancy(reads: Reads, _actor: str, op: RecordDiscrepancy | ResolveDiscrepancy) -> None:
    """And what was recorded."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None
    reads.rows[Table.DISCREPANCY][discrepancy_key(op.invoice, op.kind)] = None


def issue(reads: Reads, actor: str, op: IssueInvoice) -> None:
    """Number, order, buyer; of each issuer once a block its segments, quota and rates."""
    rows = reads.rows
    rows[Table.INVOICE][op.number.encode()] = None
    rows[Table.ORDER][order_key(actor, op.order)] = None
    # A batch has one issuer, and this is the way that most transactions take.
    issuers = reads.seen[IssueInvoice]
    if actor not in issuers:
        issuers.add(actor)
        rows[Table.SEGMENTS][segments_key(actor)] = None
        rows[Table.QUOTA][quota_key(actor, reads.month)] = None
        rows[Table.TAX_RATES][actor.encode()] = None
        rows[Table.TAX_RATES][RATES_FOR_ALL_KEY] = None
        rows[Table.HOLD][hold_key(actor)] = None
    if len(op.buyer) == 18:  # `party`, without the call
        reads.participants[op.buyer.encode()] = None
    if op.currency != reads.home:
        rows[Table.EXCHANGE_RATE][op.currency.encode()] = None
    if op.replaces is not None:
        rows[Table.INVOICE][op.replaces.encode()] = None


def cancel(reads: Reads, actor: str, op: CancelInvoice) -> None:
    """And the quota that it gives back."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None
    reads.rows[Table.QUOTA][quota_key(actor, reads.month)] = None


def issue_red(reads: Reads, actor: str, op: IssueRedLetter) -> None:
    """Both invoices, the order, where the number comes from, the quota that it gives back."""
    rows = reads.rows
    rows[Table.INVOICE][op.invoice.encode()] = None
    rows[Table.INVOICE][op.number.encode()] = None
    rows[Table.ORDER][order_key(actor, op.order)] = None
    rows[Table.SEGMENTS][segments_key(actor)] = None
    rows[Table.QUOTA][quota_key(actor, reads.month)] = None


def pay(reads: Reads, actor: str, op: PayInvoice) -> None:
    """And whether the reference was used, for the invoice or by the signer."""
    reads.rows[Table.INVOICE][op.invoice.encode()] = None
    reads.rows[Table.PAYMENT][payment_key(op.invoice, op.reference)] = None
    reads.rows[Table.PAYMENT][payment_key(actor, op.reference)] = None


def put_hold(reads: Reads, _actor: str, op: HoldIssuing) -> None:
    """The issuer, its newest hold, and whether cause or reference had one."""
    reads.party(op.issuer)
    holds = reads.rows[Table.HOLD]
    holds[hold_key(op.issuer)] = None
    holds[cause_key(op.issuer, op.cause)] = None
    holds[cause_key(op.issuer, op.reference.encode())] = None


def hold_of_issuer(reads: Reads, _actor: str, op: UpholdHold | LiftHold) -> None:
    """The issuer's newest hold."""
    reads.rows[Table.HOLD][hold_key(op.issuer)] = None


def own_hold(reads: Reads, actor: str, _op: AppealHold) -> None:
    """The actor's newest hold."""
    reads.rows[Table.HOLD][hold_key(actor)] = None


def for_retired(reads: Reads, actor: str, op: ActForRetired) -> None:
    """What the operation reads as the issuer's; a number comes from the bureau's own segments."""
    reads.party(op.issuer)
    reads.of(op.issuer, op.operation)
    if isinstance(op.operation, IssueRedLetter):
        reads.rows[Table.SEGMENTS][segments_key(actor)] = None


def allot(reads: Reads, _actor: str, op: AllotSegment) -> None:
    """The issuer, its segments, and who has these numbers."""
    reads.party(op.issuer)
    reads.rows[Table.SEGMENTS][segments_key(op.issuer)] = None
    reads.rows[Table.SEGMENTS][allotment_key(last_of(op.first, op.count))] = None
    reads.scans[overlap_scan(op.first)] = None
    reads.scans[region_scan(op.first)] = None


def allot_region(reads: Reads, _actor: str, op: AllotRegion) -> None:
    """The bureau, its ranges, and who has these numbers."""
    reads.party(op.bureau)
    reads.rows[Table.REGION][regions_key(op.bureau)] = None
    reads.rows[Table.REGION][region_key(last_of(op.first, op.count))] = None
    reads.scans[overlap_scan(op.first)] = None
    reads.scans[region_scan(op.first)] = None


def issuer_only(reads: Reads, _actor: str, op: SuspendIssuing | ResumeIssuing) -> None:
    """The issuer's row."""
    reads.party(op.issuer)


def grant(reads: Reads, _actor: str, op: GrantQuota) -> None:
    """The issuer, and what it has in that month."""
    reads.party(op.issuer)
    reads.rows[Table.QUOTA][quota_key(op.issuer, op.month)] = None


def tax_rates(reads: Reads, _actor: str, op: PublishTaxRates) -> None:
    """The list that is replaced."""
    if op.issuer is not None:
        reads.party(op.issuer)
    reads.rows[Table.TAX_RATES][(op.issuer or "*").encode()] = None


def exchange_rate(reads: Reads, _actor: str, op: PublishExchangeRate) -> None:
    """The currency's rates."""
    reads.rows[Table.EXCHANGE_RATE][op.currency.encode()] = None
