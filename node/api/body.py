"""What bodies of requests are made of: their base, and the texts and numbers that they share.

Models are strict and refuse unknown fields; an amount is an integer, never a float or a string of
digits. Knows no operation.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from node.ledger.text import check_line, check_safe, check_safe_lines
from node.ledger.types import AMOUNT_MAX

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def message_of(problem: ErrorDetails) -> str:
    """What a model says is wrong, for a client: in words that a person understands."""
    if problem["type"] == "string_pattern_mismatch":
        pattern = problem["msg"].partition("'")[2].removesuffix("'")
        return MEANINGS.get(pattern, problem["msg"])
    return problem["msg"].removeprefix("Value error, ")


def _check_date(text: str) -> str:
    datetime.date.fromisoformat(text)
    return text


MEANINGS: dict[str, str] = {}
"""What is told to whoever misses a pattern, which says little to a person."""


def spelt(pattern: str, words: str, *, max_length: int | None = None) -> StringConstraints:
    """Text of this pattern; `words` say what it must be."""
    MEANINGS[pattern] = words
    return StringConstraints(pattern=pattern, max_length=max_length)


def _check_time(text: str) -> str:
    if datetime.datetime.fromisoformat(text).year < 1970:
        raise ValueError("is before 1970")
    return text


Date = Annotated[
    str,
    spelt(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "must be a date: YYYY-MM-DD"),
    AfterValidator(_check_date),
    Field(json_schema_extra={"format": "date"}),
]
Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="Minor units of the currency.")]
SignedAmount = Annotated[
    int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Minor units of the currency.")
]
Rate = Annotated[int, Field(ge=0, le=10_000, description="Tax rate in basis points: 1300 = 13 %.")]
DecimalText = Annotated[
    str,
    spelt(
        r"^-?[0-9]{1,15}(\.[0-9]{1,13})?$",
        "must be a decimal number: 12.5, of at most 15 digits and 13 decimals",
        max_length=30,
    ),
]
Text32 = Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(check_safe)]
Text64 = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(check_safe)]
Text200 = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_safe)
]
Lines500 = Annotated[
    str, StringConstraints(min_length=1, max_length=500), AfterValidator(check_safe_lines)
]
"""Of several lines, as addresses, descriptions and terms of payment are written."""
Lines2000 = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(check_safe_lines)
]
ParticipantCode = Annotated[
    str,
    spelt(r"^[0-9A-Z]{18}$", "must be a unified social credit code: 18 digits and capital letters"),
]
Party = Annotated[
    str,
    spelt(
        r"^([0-9A-Z]{18}|[0-9a-f]{64})$",
        "must be a unified social credit code (18 digits and capital letters), or a bare key (64 "
        "hex digits)",
        max_length=64,
    ),
]
Number = Annotated[str, spelt(r"^[0-9]{20}$", "must be an invoice number: 20 digits")]
HexKey = Annotated[str, spelt(r"^[0-9a-f]{64}$", "must be a key: 64 hex digits in lower case")]
HexSignature = Annotated[
    str, spelt(r"^[0-9a-f]{128}$", "must be a signature: 128 hex digits in lower case")
]
CurrencyCode = Annotated[
    str, spelt(r"^[A-Z]{3}$", "must be a currency of ISO 4217: three capital letters, as CNY")
]
Time = Annotated[
    str,
    spelt(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$",
        "must be a time in UTC: 2026-12-01T09:30:00Z",
    ),
    AfterValidator(_check_time),
    Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC, ending in Z."),
]
MonthText = Annotated[
    str,
    spelt(r"^(19|[2-9][0-9])[0-9]{2}-(0[1-9]|1[0-2])$", "must be a month: YYYY-MM"),
    Field(description="YYYY-MM"),
]
PositiveAmount = Annotated[
    int, Field(ge=1, le=AMOUNT_MAX, description="Minor units of the currency.")
]
# What is signed, hashed or compared has one spelling (`node.ledger.text`).
LINE = Field(
    description="One line in Unicode's normal form C, without blanks at its ends and without "
    "control, directional or invisible characters, or ones that came after Unicode 14.0."
)
Reference = Annotated[
    str, StringConstraints(min_length=1, max_length=64), AfterValidator(check_line), LINE
]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=256), AfterValidator(check_line), LINE
]


class Body(BaseModel):
    """Base of every request body: strict types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EmptyBody(Body):
    """An empty object; the body may also be left out."""


class SessionBody(Body):
    """A one-time link to the web page."""

    scope: Literal["read", "operate", "admin"] = "operate"
