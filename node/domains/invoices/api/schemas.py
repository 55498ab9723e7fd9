"""Shapes of request bodies. Owns field types and limits; every model refuses unknown fields.

Models are strict: an amount is an integer, never a float or a string of digits.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from node.api.body import (
    Amount,
    Body,
    CurrencyCode,
    Date,
    DecimalText,
    MonthText,
    Number,
    ParticipantCode,
    Party,
    PositiveAmount,
    Rate,
    Reason,
    Reference,
    Time,
)
from node.domains.invoices.details.details import LINES_MAX


class RespondBody(Body):
    """The buyer's word on an invoice."""

    response: Literal["received", "accepted", "partly_accepted", "rejected", "disputed"]
    amount: PositiveAmount | None = Field(
        None, description="Of a partial acceptance: the gross amount accepted."
    )
    reason: Reason | None = Field(
        None, description="Needed to accept in part, to reject and to dispute. Public."
    )


class RulingBody(Body):
    """The tax bureau's word on a disputed invoice."""

    accepted: bool
    reason: Reason


class CaseBody(Body):
    """The case for which the tax bureau acts."""

    case: Reference


class OfferBody(Body):
    """Offer the invoice to another holder."""

    to: Party
    expires: Time | None = Field(None, description="Left out: in seven days.")


class ShareBody(Body):
    """Let one more party read the sealed details."""

    to: Party = Field(description="Participant id, or a bare public key in hex.")


class DiscrepancyResolveBody(Body):
    """The tax bureau closes a discrepancy."""

    kind: Literal[
        "unreadable",
        "malformed",
        "line_amount",
        "net_mismatch",
        "tax_mismatch",
        "line_over_credit",
    ]
    reason: Reason


class SubmitBody(Body):
    """Submit an amount to a reimburser; a later one replaces it, 0 ends it."""

    to: Party
    amount: Amount


class ClaimBody(Body):
    """Claim part or all of what was submitted."""

    amount: PositiveAmount


class ReleaseBody(Body):
    """Give up what a claim still locks."""

    claim: int = Field(ge=0, le=10_000)


class ReimburseBody(Body):
    """Pay an amount of a claim; the rest of its lock is released. Irreversible."""

    claim: int = Field(ge=0, le=10_000)
    amount: PositiveAmount
    booking: Reference
    payment: Reference


class PayBody(Body):
    """A payment of the invoice, by the reference that its signer knows it by."""

    amount: PositiveAmount
    reference: Reference


class BookBody(Body):
    """Enter the invoice in the books."""

    reference: Reference


class ReasonBody(Body):
    """A reason."""

    reason: Reason


class RedLineBody(Body):
    """What to take back of one line; with neither quantity nor net, all that it has left."""

    line: int = Field(ge=0, lt=LINES_MAX, description="Position in the invoice, from 0.")
    quantity: DecimalText | None = None
    net: PositiveAmount | None = None


class RedBody(Body):
    """Ask for a red letter."""

    amount: PositiveAmount | None = Field(
        None, description="Gross, to take back; with lines it may be left out."
    )
    reason: Literal["issuing_error", "return", "service_ended", "allowance"]
    lines: list[RedLineBody] | None = Field(
        None,
        min_length=1,
        max_length=LINES_MAX,
        description="By line: sealed to the parties, who must be able to read the invoice's lines.",
    )

    @model_validator(mode="after")
    def _amount_or_lines(self) -> Self:
        if self.amount is None and self.lines is None:
            raise ValueError("give an amount or lines")
        return self


class ConsentBody(Body):
    """A reimburser lets a red letter take from its claim."""

    claim: int = Field(ge=0, le=10_000)
    locked: Amount = 0
    reimbursed: Amount = 0


class SegmentBody(Body):
    """Allot consecutive numbers to an issuer."""

    issuer: ParticipantCode
    first: Number
    count: int = Field(ge=1, le=10**15)


class QuotaBody(Body):
    """Set an issuer's net quota of one month, in the home currency."""

    issuer: ParticipantCode
    month: MonthText
    net: Amount
    valid_from: Time
    valid_to: Time


class TaxRatesBody(Body):
    """Set the tax rates in force for one issuer, or for all without a list of their own."""

    issuer: ParticipantCode | None = None
    rates: list[Rate] = Field(min_length=1, max_length=32)


class ExchangeRateBody(Body):
    """Publish an exchange rate."""

    currency: CurrencyCode
    micro: int = Field(
        ge=1, le=10**12, description="Home-currency minor units for 10^6 of the currency's."
    )
    date: Date


class RegionBody(Body):
    """Allot consecutive numbers to a regional bureau."""

    bureau: ParticipantCode
    first: Number
    count: int = Field(ge=1, le=10**15)
