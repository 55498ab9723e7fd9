"""Shapes of request bodies. Owns field types and limits; every model refuses unknown fields.

Models are strict: an amount is an integer, never a float or a string of digits.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from node.ledger.operations import RATE_GROUPS_MAX
from node.ledger.types import AMOUNT_MAX

LINES_MAX = 1_000
INVOICES_BATCH_MAX = 200
"""Invoices in one transaction: about 230 bytes each must fit 60,000."""


def _check_date(text: str) -> str:
    datetime.date.fromisoformat(text)
    return text


def _check_utf8(text: str) -> str:
    text.encode()  # a lone surrogate has no UTF-8 form
    return text


def _check_time(text: str) -> str:
    if datetime.datetime.fromisoformat(text).year < 1970:
        raise ValueError("is before 1970")
    return text


ParticipantCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
Party = Annotated[str, StringConstraints(pattern=r"^([0-9A-Z]{18}|[0-9a-f]{64})$", max_length=64)]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{20}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Date = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_check_date),
    Field(json_schema_extra={"format": "date"}),
]
Time = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$"
    ),
    AfterValidator(_check_time),
    Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC, ending in Z."),
]
MonthText = Annotated[
    str,
    StringConstraints(pattern=r"^(19|[2-9][0-9])[0-9]{2}-(0[1-9]|1[0-2])$"),
    Field(description="YYYY-MM"),
]
Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="Minor units of the currency.")]
PositiveAmount = Annotated[
    int, Field(ge=1, le=AMOUNT_MAX, description="Minor units of the currency.")
]
SignedAmount = Annotated[
    int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Minor units of the currency.")
]
Rate = Annotated[int, Field(ge=0, le=10_000, description="Tax rate in basis points: 1300 = 13 %.")]
OrderId = Annotated[
    str, StringConstraints(min_length=1, max_length=128), AfterValidator(_check_utf8)
]
Reference = Annotated[
    str, StringConstraints(min_length=1, max_length=64), AfterValidator(_check_utf8)
]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=256), AfterValidator(_check_utf8)
]
DecimalText = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,13})?$", max_length=30)
]


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EmptyBody(Body):
    """An empty object; the body may also be left out."""


class GroupBody(Body):
    """Totals of one tax rate."""

    rate: Rate
    net: Amount
    tax: Amount | None = Field(None, description="Left out: net × rate, rounded half up.")
    lines: int = Field(1, ge=1, le=10_000, description="Bounds the rounding: ±1 a line.")


class LineBody(Body):
    """One line. Lines are sealed with the details; only their sums by rate become public."""

    description: Annotated[
        str, StringConstraints(min_length=1, max_length=500), AfterValidator(_check_utf8)
    ]
    quantity: DecimalText | None = None
    unit_price: DecimalText | None = Field(None, description="Net, in major units.")
    net: SignedAmount
    rate: Rate


class _Amounts(Body):
    """Either lines, or rate groups."""

    lines: list[LineBody] | None = Field(None, min_length=1, max_length=LINES_MAX)
    groups: list[GroupBody] | None = Field(None, min_length=1, max_length=RATE_GROUPS_MAX)
    details: dict[str, JsonValue] | None = Field(
        None, description="Any JSON of at most 32 KiB; sealed to the parties and the bureau."
    )


class InvoiceBody(_Amounts):
    """A blue invoice to issue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "SO-2026-0001",
                    "buyer": "91350100M000100Y43",
                    "currency": "CNY",
                    "lines": [
                        {
                            "description": "Paper, A4",
                            "quantity": "10",
                            "unit_price": "25.00",
                            "net": 25000,
                            "rate": 1300,
                        }
                    ],
                }
            ]
        }
    )

    order_id: OrderId = Field(description="The issuer's own order: one invoice each, ever.")
    buyer: Party = Field(description="Participant id, or a bare public key in hex.")
    kind: Literal["ordinary", "special"] = "ordinary"
    currency: CurrencyCode
    issue_date: Date | None = Field(None, description="Left out: today, UTC.")
    replaces: Number | None = None

    @model_validator(mode="after")
    def _one_form_of_amounts(self) -> Self:
        if (self.lines is None) == (self.groups is None):
            raise ValueError("give either lines or groups")
        return self


class InvoiceBatchBody(Body):
    """Invoices to issue in one transaction: all or none."""

    invoices: list[InvoiceBody] = Field(min_length=1, max_length=INVOICES_BATCH_MAX)


class OfferBody(Body):
    """Offer the invoice to another holder."""

    to: Party
    expires: Time | None = Field(None, description="Left out: in seven days.")


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


class BookBody(Body):
    """Enter the invoice in the books."""

    reference: Reference


class ReasonBody(Body):
    """A reason."""

    reason: Reason


class RedBody(Body):
    """Ask for a red letter."""

    amount: PositiveAmount = Field(description="Gross, to take back.")
    reason: Literal["issuing_error", "return", "service_ended", "allowance"]


class ConsentBody(Body):
    """A reimburser lets a red letter take from its claim."""

    claim: int = Field(ge=0, le=10_000)
    locked: Amount = 0
    reimbursed: Amount = 0


class RedIssueBody(_Amounts):
    """Issue the red invoice of a confirmed form; amounts are magnitudes.

    Without lines and groups it takes back the form's amount at the invoice's own rates.
    """

    order_id: OrderId

    @model_validator(mode="after")
    def _at_most_one_form_of_amounts(self) -> Self:
        if self.lines is not None and self.groups is not None:
            raise ValueError("give either lines or groups")
        return self


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
