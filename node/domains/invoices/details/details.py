"""The details of an invoice: what is sealed to its parties. Owns their shape and limits.

The sealed document is the canonical JSON of `DetailsBody`, with `lines` and `allowances` beside
its own fields (`totals.canonical_details`). What another format says beyond these fields is kept
under `extensions`, by the name of the format.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from node.api.body import (
    Amount,
    Body,
    Date,
    DecimalText,
    Lines500,
    Lines2000,
    Rate,
    SignedAmount,
    Text32,
    Text64,
    Text200,
)
from node.ledger.text import check_safe, check_safe_lines

DETAILS_BYTES_MAX = 262_144
"""Size of the details of one invoice as JSON, before sealing."""
LINES_MAX = 5_000
ALLOWANCES_MAX = 100
ATTACHMENTS_MAX = 7
"""An operation names at most 8 blobs; the details are one."""
ATTACHMENT_BYTES_MAX = (1 << 20) - (64 << 10)
"""All blobs of a transaction have a mebibyte together; some of it is for the details."""


def _check_foreign(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Texts of another format, laid out with tabs as it likes."""
    _check_json(value)
    return value


def _check_json(value: JsonValue) -> None:
    if isinstance(value, str):
        check_safe_lines(value.replace("\t", " "))
    elif isinstance(value, dict):
        for key, item in value.items():
            check_safe(key)
            _check_json(item)
    elif isinstance(value, list):
        for item in value:
            _check_json(item)


class LineBody(Body):
    """One line. Lines are sealed with the details; only their sums by rate become public."""

    code: Text32 | None = Field(None, description="Tax classification code or stock code.")
    description: Lines500
    model: Text200 | None = None
    unit: Text32 | None = None
    quantity: DecimalText | None = None
    unit_price: DecimalText | None = Field(None, description="Net, in major units.")
    allowance: SignedAmount | None = Field(
        None, description="What was taken from quantity × unit price; negative: added."
    )
    net: SignedAmount
    rate: Rate
    tax: SignedAmount | None = Field(None, description="Left out: net × rate, rounded half up.")
    nature: Literal["normal", "discount", "discounted"] = "normal"
    original: int | None = Field(
        None,
        ge=0,
        lt=LINES_MAX,
        description="Of a red letter: the position, from 0, of the line that it takes back.",
    )


class AllowanceBody(Body):
    """An allowance or charge of the whole document: taken from, or added to, the sum of lines."""

    kind: Literal["allowance", "charge"]
    net: Amount
    rate: Rate
    tax: Amount | None = Field(None, description="Left out: net × rate, rounded half up.")
    reason: Text200 | None = None


class PartyDetails(Body):
    """Who a party is, as the face of the invoice shows it."""

    name: Text200 | None = None
    tax_id: Text64 | None = None
    address: Lines500 | None = None
    country: Text64 | None = None
    phone: Text64 | None = None
    email: Text200 | None = None
    bank: Text200 | None = None
    account: Text64 | None = None
    contact: Text200 | None = None


class AttachmentBody(Body):
    """A file that belongs to the invoice, sealed as a blob of its own."""

    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the file's bytes."
    )
    name: Text200
    media_type: Text200
    size: int = Field(ge=0, le=1_048_576)


class DetailsBody(Body):
    """What only the parties and the tax bureau read, beside the lines and allowances."""

    seller: PartyDetails | None = None
    buyer: PartyDetails | None = None
    remarks: Lines2000 | None = None
    external_number: Text64 | None = Field(None, description="The issuer's own document number.")
    external_date: (
        Annotated[
            str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{5,15}Z?)?$")
        ]
        | None
    ) = Field(None, description="The date of the issuer's own document.")
    due_date: Date | None = None
    payment_terms: Lines500 | None = None
    order_reference: Text200 | None = None
    contract_reference: Text200 | None = None
    attachments: list[AttachmentBody] | None = Field(None, max_length=ATTACHMENTS_MAX)
    extensions: Annotated[dict[str, JsonValue], AfterValidator(_check_foreign)] | None = Field(
        None, description="What another format says beyond these fields, by its name."
    )
