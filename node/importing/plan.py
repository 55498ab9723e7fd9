"""From retail documents to invoices and red letters, before any node sees them. Pure.

Owns the matching of cancellations and the arithmetic of amounts. DOMAIN §4: prices are net at one
rate; a cancellation goes to the latest earlier invoices of its customer that still hold the stock
code at that price. One invoice that holds all of it is preferred to several; a cancellation that
is not wholly covered is refused (NO_ORIGINAL), so that no half of a credit note is on the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from node.importing.online_retail import RetailDocument, RetailFile, RetailLine
from node.ledger.types import AMOUNT_MAX

CURRENCY = "GBP"
RATE = 2_000
"""20 % in basis points: the United Kingdom's standard rate from January 2011, taken for the
whole file."""
_CENTS = Decimal(100)
_Goods = tuple[str, Decimal]
"""Stock code and price."""


class PlannedLine(msgspec.Struct, frozen=True):
    """A line of a planned document. In a red letter, amounts and quantities are magnitudes."""

    row: int
    stock: str
    description: str
    quantity: int
    price: Decimal
    net: int


class PlannedInvoice(msgspec.Struct, frozen=True):
    """A blue invoice to issue."""

    order_id: str
    row: int
    customer: str
    country: str
    date: str
    lines: tuple[PlannedLine, ...]
    net: int
    tax: int
    gross: int


class PlannedRed(msgspec.Struct, frozen=True):
    """A red letter against one invoice of the plan. Amounts are magnitudes."""

    order_id: str
    row: int
    original: str
    """Order id of the invoice."""
    lines: tuple[PlannedLine, ...]
    net: int
    tax: int
    gross: int


class PlannedCancellation(msgspec.Struct, frozen=True):
    """The red letters of one cancellation, one for each invoice it touches."""

    order_id: str
    row: int
    letters: tuple[PlannedRed, ...]


class Refusal(msgspec.Struct, frozen=True):
    """A document that is not taken, and why. `row` is the first row at fault."""

    row: int
    code: str
    message: str


class Plan(msgspec.Struct, frozen=True):
    """What is to be issued, in the file's order, and what is refused."""

    invoices: tuple[PlannedInvoice, ...]
    cancellations: tuple[PlannedCancellation, ...]
    refused: tuple[Refusal, ...]

    @property
    def letters(self) -> tuple[PlannedRed, ...]:
        """All red letters in order."""
        return tuple(letter for item in self.cancellations for letter in item.letters)


class _Held:
    """What one planned invoice still holds."""

    def __init__(self, invoice: PlannedInvoice) -> None:
        self.order_id = invoice.order_id
        self.net_credited = 0
        self.tax_credited = 0
        self.quantities: dict[_Goods, int] = {}
        for line in invoice.lines:
            if line.quantity > 0 and line.net > 0:
                goods = (line.stock, line.price)
                self.quantities[goods] = self.quantities.get(goods, 0) + line.quantity


def tax_half_up(net: int, rate: int) -> int:
    """The tax of a net amount, rounded half up to a minor unit; `rate` in basis points, net ≥ 0."""
    return (2 * net * rate + 10_000) // 20_000


def plan_import(file: RetailFile, rate: int = RATE) -> Plan:
    """Plan all documents of a file.

    Args:
        file: What was read.
        rate: The one declared tax rate, in basis points.
    """
    invoices: list[PlannedInvoice] = []
    cancellations: list[PlannedCancellation] = []
    refused = [Refusal(stray.row, "MALFORMED", stray.message) for stray in file.strays]
    held: dict[str, list[_Held]] = {}
    for document in file.documents:
        outcome: PlannedInvoice | PlannedCancellation | Refusal
        if document.problem is not None:
            problem = document.problem
            outcome = Refusal(problem.row, "MALFORMED", f"{document.number}: {problem.message}")
        elif document.cancels:
            outcome = _plan_cancellation(document, held.get(document.customer, []), rate)
        else:
            outcome = _plan_invoice(document, rate)
        match outcome:
            case PlannedInvoice():
                invoices.append(outcome)
                if outcome.customer:
                    held.setdefault(outcome.customer, []).append(_Held(outcome))
            case PlannedCancellation():
                cancellations.append(outcome)
            case Refusal():
                refused.append(outcome)
    refused.sort(key=lambda refusal: refusal.row)
    return Plan(tuple(invoices), tuple(cancellations), tuple(refused))


def _plan_invoice(document: RetailDocument, rate: int) -> PlannedInvoice | Refusal:
    lines = tuple(_planned(line, line.quantity) for line in document.lines)
    net = sum(line.net for line in lines)
    if net <= 0:
        return Refusal(
            document.row, "NOTHING_TO_INVOICE", f"{document.number}: the total is {_pounds(net)}"
        )
    tax = tax_half_up(net, rate)
    if net + tax > AMOUNT_MAX:
        return Refusal(document.row, "MALFORMED", f"{document.number}: the total is too large")
    return PlannedInvoice(
        document.number,
        document.row,
        document.customer,
        document.country,
        document.date,
        lines,
        net,
        tax,
        net + tax,
    )


def _plan_cancellation(
    document: RetailDocument, held: list[_Held], rate: int
) -> PlannedCancellation | Refusal:
    for line in document.lines:
        if line.quantity > 0 or line.price < 0:
            return Refusal(line.row, "MALFORMED", f"{document.number}: cancels nothing in this row")
    lines = [line for line in document.lines if line.quantity < 0 and line.price > 0]
    if not lines:
        return Refusal(document.row, "NOTHING_TO_INVOICE", f"{document.number}: cancels no amount")
    taken = _take_from_one(lines, held) or _take_from_several(lines, held)
    if isinstance(taken, RetailLine):
        who = f"customer {document.customer}" if document.customer else "an unnamed customer"
        return Refusal(
            taken.row,
            "NO_ORIGINAL",
            f"{document.number}: no earlier invoice of {who} still holds "
            f"{-taken.quantity} × {taken.stock} at {taken.price}",
        )
    several = len(taken) > 1
    letters = []
    for number, (source, parts) in enumerate(taken, start=1):
        order_id = f"{document.number}/{number}" if several else document.number
        letters.append(_letter(order_id, document.row, source, parts, rate))
    return PlannedCancellation(document.number, document.row, tuple(letters))


_Taken = list[tuple[_Held, tuple[PlannedLine, ...]]]
"""From which invoices, latest first, and what."""


def _take_from_one(lines: list[RetailLine], held: list[_Held]) -> _Taken:
    need: dict[_Goods, int] = {}
    for line in lines:
        goods = (line.stock, line.price)
        need[goods] = need.get(goods, 0) - line.quantity
    for source in reversed(held):
        if all(source.quantities.get(goods, 0) >= count for goods, count in need.items()):
            for goods, count in need.items():
                source.quantities[goods] -= count
            return [(source, tuple(_planned(line, -line.quantity) for line in lines))]
    return []


def _take_from_several(lines: list[RetailLine], held: list[_Held]) -> _Taken | RetailLine:
    """Spread the lines, or return the first that is not covered, with nothing taken."""
    parts: dict[int, list[PlannedLine]] = {}
    taken: dict[tuple[int, _Goods], int] = {}
    for line in lines:
        goods = (line.stock, line.price)
        left = -line.quantity
        for position in range(len(held) - 1, -1, -1):
            holds = held[position].quantities.get(goods, 0) - taken.get((position, goods), 0)
            part = min(holds, left)
            if part > 0:
                taken[position, goods] = taken.get((position, goods), 0) + part
                parts.setdefault(position, []).append(_planned(line, part))
                left -= part
            if left == 0:
                break
        if left > 0:
            return line
    for (position, goods), count in taken.items():
        held[position].quantities[goods] -= count
    return [(held[position], tuple(parts[position])) for position in sorted(parts, reverse=True)]


def _letter(
    order_id: str, row: int, source: _Held, lines: tuple[PlannedLine, ...], rate: int
) -> PlannedRed:
    net = sum(line.net for line in lines)
    # Tax of the running sum, so that the parts of one invoice add up to exactly its tax.
    tax = tax_half_up(source.net_credited + net, rate) - source.tax_credited
    source.net_credited += net
    source.tax_credited += tax
    return PlannedRed(order_id, row, source.order_id, lines, net, tax, net + tax)


def _planned(line: RetailLine, quantity: int) -> PlannedLine:
    amount = line.price * quantity * _CENTS
    net = int(amount.to_integral_value(ROUND_HALF_UP))  # half away from zero below zero
    return PlannedLine(line.row, line.stock, line.description, quantity, line.price, net)


def _pounds(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02} {CURRENCY}"


class Totals(msgspec.Struct, frozen=True):
    """Net, tax and gross in minor units; red letters count negative."""

    net: int
    tax: int
    gross: int


def totals(invoices: Iterable[PlannedInvoice], letters: Iterable[PlannedRed] = ()) -> Totals:
    """What invoices and red letters add up to."""
    net = tax = 0
    for invoice in invoices:
        net += invoice.net
        tax += invoice.tax
    for letter in letters:
        net -= letter.net
        tax -= letter.tax
    return Totals(net, tax, net + tax)
