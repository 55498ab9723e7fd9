"""Invoices as a client sends them, before they are drafts. Owns their shapes and limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from node.api.body import (
    LINE,
    Body,
    CurrencyCode,
    Date,
    Number,
    Rate,
    SignedAmount,
    spelt,
)
from node.domains.invoices.details.details import (
    ALLOWANCES_MAX,
    LINES_MAX,
    AllowanceBody,
    DetailsBody,
    LineBody,
)
from node.ledger.invoices.operations import RATE_GROUPS_MAX
from node.ledger.text import check_line

INVOICES_BATCH_MAX = 200
"""Invoices in one transaction: about 230 bytes each must fit 60,000."""

PartyOrClaim = Annotated[
    str,
    spelt(
        r"^([0-9A-Z]{18}|[0-9a-f]{64}|claim)$",
        "must be a unified social credit code (18 digits and capital letters), a bare key (64 hex "
        "digits), or claim",
        max_length=64,
    ),
]
OrderId = Annotated[
    str, StringConstraints(min_length=1, max_length=128), AfterValidator(check_line), LINE
]


class GroupBody(Body):
    """Totals of one tax rate; negative when more of it is taken back than sold."""

    rate: Rate
    net: SignedAmount
    tax: SignedAmount | None = Field(None, description="Left out: net × rate, rounded half up.")
    lines: int = Field(1, ge=1, le=10_000, description="Bounds the rounding: ±1 a line.")


class _Amounts(Body):
    """Lines, rate groups, or both."""

    lines: list[LineBody] | None = Field(None, min_length=1, max_length=LINES_MAX)
    groups: list[GroupBody] | None = Field(
        None,
        min_length=1,
        max_length=RATE_GROUPS_MAX,
        description="With lines as well: their sums by rate, with the tax of each rate.",
    )
    allowances: list[AllowanceBody] | None = Field(
        None,
        min_length=1,
        max_length=ALLOWANCES_MAX,
        description="Of the whole document; only beside lines.",
    )
    details: DetailsBody | None = Field(
        None, description="At most 256 KiB as JSON; sealed to the parties and the tax bureau."
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
    buyer: PartyOrClaim = Field(
        description="Participant id, a bare public key in hex, or `claim`: a key made for whoever "
        "gets the answer's `claim_key`."
    )
    kind: Literal["ordinary", "special"] = "ordinary"
    currency: CurrencyCode
    issue_date: Date | None = Field(
        None, description="Left out: today, by the network's `utc_offset_minutes`."
    )
    replaces: Number | None = None

    @model_validator(mode="after")
    def _some_amounts(self) -> Self:
        if self.lines is None and self.groups is None:
            raise ValueError("give lines or groups")
        return self


class InvoiceBatchBody(Body):
    """Invoices to issue in one transaction: all or none."""

    invoices: list[InvoiceBody] = Field(min_length=1, max_length=INVOICES_BATCH_MAX)


class RedIssueBody(_Amounts):
    """Issue the red invoice of a confirmed form; amounts are magnitudes.

    Without lines and groups it takes back the form's amount at the invoice's own rates.
    """

    order_id: OrderId
