"""The face of an invoice as data: what is printed, before any layout.

Owns the view model. Amounts are minor units with their sign as printed: those of a red invoice are
negative. Texts come from the parties, so nothing here may be trusted to be short or tame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DetailsState = Literal["opened", "sealed", "none", "unreadable"]
MarkKind = Literal[
    "issued",
    "cancelled",
    "credited",
    "partly_credited",
    "red_reserved",
    "locked",
    "reimbursed",
    "refund_due",
    "frozen",
    "red_document",
    "rejected",
    "disputed",
    "not_final",
]
GRAVE_MARKS: frozenset[MarkKind] = frozenset({"cancelled", "credited", "frozen"})
"""Marks of an invoice that nobody should pay on; they are stamped across the page."""
RowKind = Literal["normal", "discount", "discounted", "allowance", "charge"]


@dataclass(frozen=True, slots=True)
class PartyBlock:
    """A party as printed. `facts` are (label key, text) in the order in which they stand."""

    name: str | None
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A line, or an allowance or charge of the whole document."""

    name: str
    net: int
    rate: int
    """Basis points."""
    tax: int
    kind: RowKind = "normal"
    code: str | None = None
    model: str | None = None
    unit: str | None = None
    quantity: str | None = None
    unit_price: str | None = None
    allowance: int | None = None
    """What was taken from quantity × unit price."""
    original_line: int | None = None
    """Of a red letter: the line that it takes back, from 1."""


@dataclass(frozen=True, slots=True)
class Group:
    """Totals of one tax rate."""

    rate: int
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to know of the invoice's state."""

    kind: MarkKind
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Everything on the face of one invoice."""

    number: str
    special: bool
    currency: str
    decimals: int
    """Decimals of the currency."""
    issue_date: str
    """YYYY-MM-DD."""
    seller: PartyBlock
    buyer: PartyBlock
    details: DetailsState
    rows: Sequence[Row]
    """Empty unless the details are opened."""
    groups: Sequence[Group]
    net: int
    tax: int
    gross: int
    remarks: str | None = None
    references: Sequence[tuple[str, str]] = ()
    """(Label key, text): numbers and dates of other documents, attachments."""
    drawer: str | None = None
    original: str | None = None
    """Of a red invoice: the blue one."""
    claim_key: str | None = None
    """The secret of a buyer without keys, on the issuer's own print only."""
    marks: Sequence[Mark]
    transaction: str
    """Hex."""
    network: str
    """Hex."""
    height: int
    """Of the block that issued it."""
    issued_ms: int
    seen_height: int
    """The state is that after this block."""
    seen_ms: int
    """Time of that block: the only time on the page, so that equal faces have equal bytes."""
    qr: str

    @property
    def red(self) -> bool:
        """Whether this is a red-letter invoice."""
        return self.original is not None

    @property
    def title_key(self) -> str:
        """Label key of the title."""
        return f"title_{'red_' if self.red else ''}{'special' if self.special else 'ordinary'}"
