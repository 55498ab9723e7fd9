"""The law of invoices: what the ledger knows of each of its operations. Owns that list.

Rows are those of the rule book's table (DOMAIN §3). The longer parts stand in `life_law`,
`red_law`, `bureau.law` and `holds.law`.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.ledger.codes import Code
from node.ledger.genesis import Genesis
from node.ledger.invoices import (
    discrepancies,
    issuing,
    reads,
    sharing,
)
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.law import BUREAU_OPERATIONS
from node.ledger.invoices.bureau.region_rows import REGIONS, REGIONS_OF
from node.ledger.invoices.bureau.register_rows import (
    ALLOTMENTS,
    EXCHANGE_RATES,
    QUOTAS,
    RATES_FOR_ALL_KEY,
    SEGMENTS,
    TAX_RATES,
    TaxRatesRow,
)
from node.ledger.invoices.holds.law import HOLD_OPERATIONS
from node.ledger.invoices.holds.rows import HOLD_CAUSES, HOLDS
from node.ledger.invoices.invariant import check_invariant
from node.ledger.invoices.life_law import LIFE_OPERATIONS
from node.ledger.invoices.on_invoice import no_facts
from node.ledger.invoices.red_law import RED_OPERATIONS
from node.ledger.invoices.rows import (
    DISCREPANCIES,
    INVOICES,
    ORDERS,
    PAYMENTS,
    SHARES,
    DiscrepancyKind,
)
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.participants import Scope
from node.ledger.spec import (
    Facts,
    Invariant,
    Law,
    OpeningRow,
    OperationSpec,
    Sealed,
    own_blobs,
)

_EITHER_SIDE = Scope.ISSUE | Scope.HOLD


def _discrepancy(op: ops.RecordDiscrepancy | ops.ResolveDiscrepancy) -> Facts:
    return (None, DiscrepancyKind(op.kind).name.lower(), None)


_ISSUE = OperationSpec(
    kind=ops.IssueInvoice,
    name="issue",
    row=1,
    apply=issuing.issue,
    scopes=Scope.ISSUE,
    refusals=frozenset(
        {
            Code.NOT_PERMITTED,
            Code.ORDER_CONFLICT,
            Code.ISSUING_SUSPENDED,
            Code.ISSUING_HELD,
            Code.UNKNOWN_PARTY,
            Code.DATE_INVALID,
            Code.NOTHING_TO_INVOICE,
            Code.TOTALS_MISMATCH,
            Code.RATE_NOT_ALLOWED,
            Code.UNKNOWN_INVOICE,
            Code.WRONG_PARTY,
            Code.RED_TAKES_NO_OPERATION,
            Code.NUMBER_NOT_ALLOTTED,
            Code.NUMBER_USED,
            Code.NO_EXCHANGE_RATE,
            Code.QUOTA_PERIOD,
            Code.QUOTA_EXCEEDED,
        }
    ),
    reads=reads.issue,
    carries_blobs=own_blobs,
    sealed=lambda op: Sealed("invoice", op.number, op.details),
)

# A red invoice takes these too, and reading moves no value.
_DETAILS = (
    OperationSpec(
        kind=ops.ShareDetails,
        name="share",
        row=None,
        apply=sharing.share,
        scopes=_EITHER_SIDE | Scope.REGISTER,
        refusals=frozenset(
            {Code.UNKNOWN_INVOICE, Code.WRONG_PARTY, Code.NO_DETAILS, Code.TOO_MANY_SHARES}
        ),
        reads=reads.share,
        by_key=True,
        facts=no_facts,
    ),
    OperationSpec(
        kind=ops.RecordDiscrepancy,
        name="discrepancy",
        row=None,
        apply=discrepancies.record,
        scopes=Scope.REGISTER,
        refusals=frozenset({Code.NOT_BUREAU, Code.UNKNOWN_INVOICE, Code.ALREADY_RECORDED}),
        reads=reads.discrepancy,
        facts=_discrepancy,
    ),
    OperationSpec(
        kind=ops.ResolveDiscrepancy,
        name="discrepancy_resolve",
        row=None,
        apply=discrepancies.resolve,
        scopes=Scope.REGISTER,
        refusals=frozenset(
            {
                Code.NOT_BUREAU,
                Code.NO_DISCREPANCY,
                Code.DISCREPANCY_RESOLVED,
                Code.REASON_REQUIRED,
            }
        ),
        reads=reads.discrepancy,
        facts=_discrepancy,
    ),
)


def _opening(genesis: Genesis) -> Sequence[OpeningRow]:
    rates = TaxRatesRow(tuple(sorted(set(genesis.tax_rates))))
    return [(TAX_RATES, RATES_FOR_ALL_KEY, rates)]


INVOICES_LAW = Law(
    name="invoices",
    operations=(
        _ISSUE,
        *LIFE_OPERATIONS,
        *RED_OPERATIONS,
        *_DETAILS,
        *BUREAU_OPERATIONS,
        *HOLD_OPERATIONS,
    ),
    tables=(
        SEGMENTS,
        ALLOTMENTS,
        QUOTAS,
        TAX_RATES,
        EXCHANGE_RATES,
        INVOICES,
        ORDERS,
        REGIONS,
        REGIONS_OF,
        SHARES,
        DISCREPANCIES,
        PAYMENTS,
        HOLDS,
        HOLD_CAUSES,
    ),
    opening=_opening,
    terms=InvoicesTerms,
    invariants=(Invariant(name="invoices", kind=INVOICES, broken=check_invariant),),
)
