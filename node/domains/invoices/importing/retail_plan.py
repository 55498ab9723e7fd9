"""From retail documents to invoices and red letters, before any node sees them. Pure.

Owns the matching of cancellations. DOMAIN §4: prices are net at one rate; a cancellation goes to
the latest earlier invoices of its customer that still hold the stock code at that price. One
invoice that holds all of it is preferred to several; a cancellation that is not wholly covered is
refused (NO_ORIGINAL), so that no half of a credit note is on the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from node.domains.invoices.details.details import LINES_MAX
from node.domains.invoices.importing.checks import check_head
from node.domains.invoices.importing.online_retail import RetailDocument, RetailFile, RetailLine
from node.domains.invoices.importing.plan import (
    Plan,
    PlannedCancellation,
    PlannedInvoice,
    PlannedRed,
    Refusal,
    encode_json,
)
from node.ledger.invoices.tax import tax_half_up
from node.ledger.types import AMOUNT_MAX

CURRENCY = "GBP"
RATE = 2_000
"""20 % in basis points: the United Kingdom's standard rate from January 2011, taken for the
whole file."""
_CENTS = Decimal(100)
_Goods = tuple[str, Decimal]
"""Stock code and price."""
_Taken = list[tuple["_Held", list[tuple[RetailLine, int]]]]
"""From which invoices, latest first: lines of the cancellation and how many of each."""


class _HeldLine:
    """What a line of a planned invoice still holds."""

    __slots__ = ("left", "position", "sold")

    def __init__(self, position: int, sold: int) -> None:
        self.position = position
        self.sold = sold
        self.left = sold


class _Held:
    """What one planned invoice still holds."""

    def __init__(self, document: RetailDocument) -> None:
        self.order_id = document.number
        self.net_credited = 0
        self.tax_credited = 0
        self._lines: dict[_Goods, list[_HeldLine]] = {}
        for position, line in enumerate(document.lines):
            if line.quantity > 0 and _net(line.price, line.quantity) > 0:
                held = self._lines.setdefault((line.stock, line.price), [])
                held.append(_HeldLine(position, line.quantity))

    def count(self, goods: _Goods) -> int:
        """How many are left."""
        return sum(line.left for line in self._lines.get(goods, ()))

    def take(self, line: RetailLine, count: int) -> list[dict[str, object]]:
        """Take goods from the first lines that hold them: lines of a red letter.

        Amounts are of the running sum, so that a line's parts add up to exactly the line.
        """
        taken: list[dict[str, object]] = []
        for held in self._lines.get((line.stock, line.price), ()):
            part = min(held.left, count)
            if part == 0:
                continue
            gone = held.sold - held.left
            net = _net(line.price, gone + part) - _net(line.price, gone)
            held.left -= part
            count -= part
            taken.append(_line(line, part, net) | {"original": held.position})
        assert count == 0, "counted before"
        return taken


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
            outcome = _refusal(document, "MALFORMED", problem.message, problem.row)
        elif document.cancels:
            outcome = _plan_cancellation(document, held.get(document.customer, []), rate)
        else:
            outcome = _plan_invoice(document, rate)
        match outcome:
            case PlannedInvoice():
                invoices.append(outcome)
                if document.customer:
                    held.setdefault(document.customer, []).append(_Held(document))
            case PlannedCancellation():
                cancellations.append(outcome)
            case Refusal():
                refused.append(outcome)
    refused.sort(key=lambda refusal: refusal.row)
    return Plan(tuple(invoices), tuple(cancellations), tuple(refused))


def _plan_invoice(document: RetailDocument, rate: int) -> PlannedInvoice | Refusal:
    nets = [_net(line.price, line.quantity) for line in document.lines]
    net = sum(nets)
    if net <= 0:
        return _refusal(document, "NOTHING_TO_INVOICE", f"the total is {_pounds(net)}")
    tax = tax_half_up(net, rate)
    if net + tax > AMOUNT_MAX:
        return _refusal(document, "MALFORMED", "the total is too large")
    lines = [
        _line(line, line.quantity, each) for line, each in zip(document.lines, nets, strict=True)
    ]
    body: dict[str, object] = {"order_id": document.number, "currency": CURRENCY}
    body |= _amounts(document, lines, net, tax, rate)
    if problem := _head_problem(document, body):
        return problem
    return PlannedInvoice(
        order_id=document.number,
        row=document.row,
        buyer=None,
        currency=CURRENCY,
        net=net,
        tax=tax,
        body=encode_json(body),
    )


def _head_problem(document: RetailDocument, body: dict[str, object]) -> Refusal | None:
    """What the node would refuse of a body. Its lines were read within every limit already."""
    details = body["details"]
    assert isinstance(details, dict)
    if len(document.lines) > LINES_MAX:
        return _refusal(document, "INVALID_FIELDS", f"has more than {LINES_MAX} lines")
    problems = check_head(document.number, details)
    if not problems:
        return None
    problem = problems[0]
    return _refusal(document, problem.code, f"{problem.pointer or '/'}: {problem.message}")


def _plan_cancellation(
    document: RetailDocument, held: list[_Held], rate: int
) -> PlannedCancellation | Refusal:
    for line in document.lines:
        if line.quantity > 0 or line.price < 0:
            return _refusal(document, "MALFORMED", "cancels nothing in this row", line.row)
    lines = [line for line in document.lines if line.quantity < 0 and line.price > 0]
    if not lines:
        return _refusal(document, "NOTHING_TO_INVOICE", "cancels no amount")
    taken = _take_from_one(lines, held) or _take_from_several(lines, held)
    if isinstance(taken, RetailLine):
        who = f"customer {document.customer}" if document.customer else "an unnamed customer"
        message = (
            f"no earlier invoice of {who} still holds {-taken.quantity} × {taken.stock} "
            f"at {taken.price}"
        )
        return _refusal(document, "NO_ORIGINAL", message, taken.row)
    several = len(taken) > 1
    if problem := _head_problem(document, _head(document)):
        return problem
    letters = []
    for number, (source, parts) in enumerate(taken, start=1):
        order_id = f"{document.number}/{number}" if several else document.number
        letters.append(_letter(document, order_id, source, parts, rate))
    if any(letter.net == 0 for letter in letters):
        return _refusal(document, "NOTHING_TO_INVOICE", "cancels no amount")
    return PlannedCancellation(document.number, document.row, tuple(letters))


def _take_from_one(lines: list[RetailLine], held: list[_Held]) -> _Taken:
    need: dict[_Goods, int] = {}
    for line in lines:
        goods = (line.stock, line.price)
        need[goods] = need.get(goods, 0) - line.quantity
    for source in reversed(held):
        if all(source.count(goods) >= count for goods, count in need.items()):
            return [(source, [(line, -line.quantity) for line in lines])]
    return []


def _take_from_several(lines: list[RetailLine], held: list[_Held]) -> _Taken | RetailLine:
    """Spread the lines, or return the first that is not covered."""
    parts: dict[int, list[tuple[RetailLine, int]]] = {}
    taken: dict[tuple[int, _Goods], int] = {}
    for line in lines:
        goods = (line.stock, line.price)
        left = -line.quantity
        for position in range(len(held) - 1, -1, -1):
            holds = held[position].count(goods) - taken.get((position, goods), 0)
            part = min(holds, left)
            if part > 0:
                taken[position, goods] = taken.get((position, goods), 0) + part
                parts.setdefault(position, []).append((line, part))
                left -= part
            if left == 0:
                break
        if left > 0:
            return line
    return [(held[position], parts[position]) for position in sorted(parts, reverse=True)]


def _letter(
    document: RetailDocument,
    order_id: str,
    source: _Held,
    parts: list[tuple[RetailLine, int]],
    rate: int,
) -> PlannedRed:
    lines = [made for line, count in parts for made in source.take(line, count)]
    net = sum(int(str(line["net"])) for line in lines)
    # Tax of the running sum, so that the parts of one invoice add up to exactly its tax.
    tax = tax_half_up(source.net_credited + net, rate) - source.tax_credited
    source.net_credited += net
    source.tax_credited += tax
    return PlannedRed(
        order_id=order_id,
        row=document.row,
        original=source.order_id,
        by_number=False,
        reason="return",
        currency=CURRENCY,
        net=net,
        tax=tax,
        body=encode_json({"order_id": order_id} | _amounts(document, lines, net, tax, rate)),
    )


# --- Parts of a body --------------------------------------------------------------------------


def _amounts(
    document: RetailDocument,
    lines: Sequence[dict[str, object]],
    net: int,
    tax: int,
    rate: int,
) -> dict[str, object]:
    groups = [{"rate": rate, "net": net, "tax": tax, "lines": len(lines)}]
    return {"groups": groups, "lines": [line | {"rate": rate} for line in lines]} | _head(document)


def _head(document: RetailDocument) -> dict[str, object]:
    head: dict[str, object] = {
        "external_number": document.number,
        "external_date": document.date.replace(" ", "T"),
    }
    buyer = {"name": document.customer, "country": document.country}
    if known := {name: text for name, text in buyer.items() if text}:
        head["buyer"] = known
    return {"details": head}


def _line(line: RetailLine, quantity: int, net: int) -> dict[str, object]:
    return {
        "code": line.stock,
        "description": line.description or line.stock,
        "quantity": str(quantity),
        "unit_price": format(line.price, "f"),
        "net": net,
    }


def _net(price: Decimal, quantity: int) -> int:
    amount = price * quantity * _CENTS
    return int(amount.to_integral_value(ROUND_HALF_UP))  # half away from zero below zero


def _pounds(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02} {CURRENCY}"


def _refusal(document: RetailDocument, code: str, message: str, row: int | None = None) -> Refusal:
    where = document.row if row is None else row
    return Refusal(where, code, f"{document.number}: {message}", order_id=document.number)
