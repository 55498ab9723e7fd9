"""Operations of the tax bureau's registers: numbers, quota, rates, who may issue. Owns shapes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.operation import Shape
from node.ledger.text import Worded
from node.ledger.types import (
    Amount,
    Code18,
    Currency,
    Date,
    InvoiceNumber,
    Month,
    RateBasisPoints,
    Text64,
    TimeMs,
)


class AllotSegment(Shape, frozen=True, tag=1):
    """Allot `count` consecutive numbers from `first` to an issuer."""

    issuer: Code18
    first: InvoiceNumber
    count: Annotated[int, msgspec.Meta(ge=1, le=10**15)]


class GrantQuota(Shape, frozen=True, tag=2):
    """Set an issuer's net quota of one month, in the home currency, and when it may be used."""

    issuer: Code18
    month: Month
    net: Amount
    valid_from: TimeMs
    valid_to: TimeMs


class PublishTaxRates(Shape, frozen=True, tag=3):
    """Set the rates in force for one issuer, or for all who have no list of their own."""

    issuer: Code18 | None
    rates: Annotated[tuple[RateBasisPoints, ...], msgspec.Meta(min_length=1, max_length=32)]


class PublishExchangeRate(Shape, frozen=True, tag=4):
    """Home-currency minor units for 10^6 minor units of `currency`, from `date` on."""

    currency: Currency
    micro: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    date: Date


class AllotRegion(Shape, frozen=True, tag=5):
    """Allot `count` consecutive numbers to a regional bureau, which allots them to issuers."""

    bureau: Code18
    first: InvoiceNumber
    count: Annotated[int, msgspec.Meta(ge=1, le=10**15)]


class SuspendIssuing(Worded, frozen=True, tag=6):
    """Stop an issuer's blue invoices. Red letters stay possible."""

    issuer: Code18
    case: Text64


class ResumeIssuing(Worded, frozen=True, tag=7):
    """Let a stopped issuer issue again."""

    issuer: Code18
    case: Text64


BureauOperation = (
    AllotSegment
    | GrantQuota
    | PublishTaxRates
    | PublishExchangeRate
    | AllotRegion
    | SuspendIssuing
    | ResumeIssuing
)
