"""The law of the tax bureau's registers, a part of `law`: what is known of each operation."""

from __future__ import annotations

from typing import Any

from node.ledger.codes import Code
from node.ledger.invoices import reads
from node.ledger.invoices.bureau import regions, registers
from node.ledger.invoices.bureau.operations import (
    AllotRegion,
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.participants import Scope
from node.ledger.spec import OperationSpec

_OF_AN_ISSUER = frozenset({Code.NOT_BUREAU, Code.UNKNOWN_PARTY, Code.NOT_PERMITTED})

BUREAU_OPERATIONS: tuple[OperationSpec[Any], ...] = (
    OperationSpec(
        kind=AllotSegment,
        name="allot_segment",
        row=None,
        apply=registers.allot_segment,
        scopes=Scope.REGISTER,
        refusals=_OF_AN_ISSUER | {Code.SEGMENT_OVERLAP, Code.NOT_IN_REGION, Code.TOO_MANY_SEGMENTS},
        reads=reads.allot,
    ),
    OperationSpec(
        kind=GrantQuota,
        name="grant_quota",
        row=None,
        apply=registers.grant_quota,
        scopes=Scope.REGISTER,
        refusals=_OF_AN_ISSUER | {Code.PERIOD_INVALID},
        reads=reads.grant,
    ),
    OperationSpec(
        kind=PublishTaxRates,
        name="publish_tax_rates",
        row=None,
        apply=registers.publish_tax_rates,
        scopes=Scope.REGISTER,
        refusals=_OF_AN_ISSUER,
        reads=reads.tax_rates,
    ),
    OperationSpec(
        kind=PublishExchangeRate,
        name="publish_exchange_rate",
        row=None,
        apply=registers.publish_exchange_rate,
        scopes=Scope.REGISTER,
        refusals=frozenset({Code.NOT_BUREAU, Code.PERIOD_INVALID}),
        reads=reads.exchange_rate,
    ),
    OperationSpec(
        kind=AllotRegion,
        name="allot_region",
        row=None,
        apply=regions.allot_region,
        scopes=Scope.REGISTER,
        refusals=frozenset(
            {
                Code.NOT_BUREAU,
                Code.NOT_HEAD_BUREAU,
                Code.UNKNOWN_PARTY,
                Code.NOT_REGIONAL_BUREAU,
                Code.SEGMENT_OVERLAP,
                Code.TOO_MANY_REGIONS,
            }
        ),
        reads=reads.allot_region,
    ),
    OperationSpec(
        kind=SuspendIssuing,
        name="suspend_issuing",
        row=None,
        apply=registers.suspend_issuing,
        scopes=Scope.REGISTER,
        refusals=_OF_AN_ISSUER | {Code.ISSUING_STATE},
        reads=reads.issuer_only,
    ),
    OperationSpec(
        kind=ResumeIssuing,
        name="resume_issuing",
        row=None,
        apply=registers.resume_issuing,
        scopes=Scope.REGISTER,
        refusals=_OF_AN_ISSUER | {Code.ISSUING_STATE},
        reads=reads.issuer_only,
    ),
)
