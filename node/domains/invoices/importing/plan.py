"""What an import is going to send, whatever file it comes from. Pure; knows no format and no node.

A plan holds the invoices in the file's order, then corrections: red letters, one for each invoice
that they touch. Bodies are encoded once, when planned: a large file is held as its requests' bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

encode_json = msgspec.json.Encoder().encode

RedReason = Literal["issuing_error", "return", "service_ended", "allowance"]


class PlannedInvoice(msgspec.Struct, frozen=True):
    """A blue invoice to issue."""

    order_id: str
    row: int
    """Where it begins in the file."""
    buyer: str | None
    """None: whoever the import is told to make invoices out to."""
    currency: str
    net: int
    tax: int
    body: bytes
    """`InvoiceBody` as JSON, without `buyer`."""
    files: tuple[bytes, ...] = ()
    """Attachments that the body names; they are handed in before it is sent."""

    @property
    def gross(self) -> int:
        """Net and tax."""
        return self.net + self.tax


class PlannedRed(msgspec.Struct, frozen=True):
    """A red letter against one invoice. Amounts are magnitudes."""

    order_id: str
    row: int
    original: str
    """Order id of the invoice; or its number, when it is another issuing system's."""
    by_number: bool
    """Whether `original` is a number."""
    reason: RedReason
    currency: str
    net: int
    tax: int
    body: bytes
    """`RedIssueBody` as JSON."""
    files: tuple[bytes, ...] = ()
    """Attachments that the body names."""

    @property
    def gross(self) -> int:
        """Net and tax."""
        return self.net + self.tax


class RedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one row takes back of one line of its original."""

    row: int
    line: int
    """Position in the original, from 0."""
    quantity: str | None = None
    """Decimal text. With neither quantity nor net, the line is taken back whole."""
    net: int | None = None
    """Minor units."""
    description: str | None = None


class LateRed(msgspec.Struct, frozen=True):
    """A red letter whose original is not in the file: worked out from the ledger's details."""

    order_id: str
    row: int
    original: str
    by_number: bool
    reason: RedReason
    currency: str
    """Of the amounts that its lines name."""
    lines: tuple[RedLine, ...]
    head: bytes
    """`DetailsBody` as JSON."""


Letter = PlannedRed | LateRed


class PlannedCancellation(msgspec.Struct, frozen=True):
    """The red letters of one document of the file, one for each invoice it touches."""

    order_id: str
    row: int
    letters: tuple[Letter, ...]


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a document is not taken. One document may have several."""

    row: int
    code: str
    message: str
    column: str | None = None
    """Name of the column at fault, as the file spells it."""
    order_id: str | None = None
    """The document, if the row names one: all its rows are left out."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be issued, in the file's order, and what is refused."""

    invoices: tuple[PlannedInvoice, ...]
    cancellations: tuple[PlannedCancellation, ...]
    refused: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()
    """What is taken otherwise than one would think; told to who imports."""

    @property
    def letters(self) -> tuple[Letter, ...]:
        """All red letters in order."""
        return tuple(letter for item in self.cancellations for letter in item.letters)


class Totals(msgspec.Struct, frozen=True):
    """Net, tax and gross in minor units; red letters count negative."""

    net: int = 0
    tax: int = 0
    gross: int = 0


def totals(
    invoices: Iterable[PlannedInvoice], letters: Iterable[PlannedRed] = ()
) -> dict[str, Totals]:
    """What invoices and red letters add up to, by currency in its order of appearance."""
    sums: dict[str, list[int]] = {}
    for invoice in invoices:
        held = sums.setdefault(invoice.currency, [0, 0])
        held[0] += invoice.net
        held[1] += invoice.tax
    for letter in letters:
        held = sums.setdefault(letter.currency, [0, 0])
        held[0] -= letter.net
        held[1] -= letter.tax
    return {currency: Totals(net, tax, net + tax) for currency, (net, tax) in sums.items()}
