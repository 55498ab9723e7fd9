"""From documents of our own tables to a plan. Pure; needs no node.

Each invoice is checked as the node will check it, so a dry run tells what the node would say, by
row and column. Red letters of invoices in the file are worked out here; those of invoices that are
only on the ledger when they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TypeVar

from node.domains.invoices.importing.cells import (
    CellError,
    amount,
    choice,
    day,
    decimal_text,
    line_number,
    moment,
    order_reference,
    product,
    rate,
)
from node.domains.invoices.importing.checks import (
    Checked,
    Problem,
    check_invoice,
    check_late_letter,
    check_red_letter,
    with_buyer,
)
from node.domains.invoices.importing.documents import HOME_CURRENCY, Document, Documents, Line
from node.domains.invoices.importing.plan import (
    LateRed,
    Letter,
    Plan,
    PlannedCancellation,
    PlannedInvoice,
    RedLine,
    encode_json,
)
from node.domains.invoices.importing.red_lines import Original, OriginalGroup, RedLineError
from node.ledger.currency import minor_units
from node.ledger.invoices.tax import signed_tax

_RED_ONLY = ("original", "original_number", "line", "reason")
_LINE_NEEDS = ("description", "rate")
_LINE_TEXTS = ("code", "description", "model", "unit")
_BUYER = "buyer_"
_Value = TypeVar("_Value")


def plan_table(found: Documents) -> Plan:
    """Plan all documents of a table."""
    refused = list(found.strays)
    invoices: list[PlannedInvoice] = []
    originals: dict[str, Original | None] = {}
    named = {line.cell("original") for each in found.documents if each.red for line in each.lines}
    for document in found.documents:
        if not document.red:
            planned = _plan_invoice(document)
            if planned is not None:
                invoices.append(planned[0])
            # Lines of many thousand invoices are large: only what a red letter names is kept.
            if document.order_id in named:
                originals[document.order_id] = None if planned is None else planned[1]
    cancellations = [
        PlannedCancellation(document.order_id, document.row, tuple(letters))
        for document in found.documents
        if document.red and (letters := _plan_red(document, originals))
    ]
    for document in found.documents:
        refused += document.problems
    refused.sort(key=lambda refusal: refusal.row)
    return Plan(tuple(invoices), tuple(cancellations), tuple(refused), found.notes)


# --- Invoices ---------------------------------------------------------------------------------


def _plan_invoice(document: Document) -> tuple[PlannedInvoice, Original] | None:
    """The invoice, and what red letters may take from it; None when something is wrong."""
    currency = document.head.get("currency", HOME_CURRENCY)
    units = minor_units(currency)
    lines = [_line(document, line, units) for line in document.lines]
    details = _details(document)
    kind = _read(document, document.lines[0], "invoice_type", _choice("invoice_type"))
    if document.problems:
        return None
    body: dict[str, object] = {
        "order_id": document.order_id,
        "kind": kind or "ordinary",
        "currency": currency,
        "lines": lines,
    }
    if details:
        body["details"] = details
    buyer = document.head.get("buyer")
    encoded = encode_json(body)
    checked = check_invoice(with_buyer(body, buyer), json_bytes=len(encoded))
    if not isinstance(checked, Checked):
        for problem in checked:
            _note(document, problem, lines)
        return None
    totals = checked.totals
    planned = PlannedInvoice(
        order_id=document.order_id,
        row=document.row,
        buyer=buyer,
        currency=currency,
        net=totals.net,
        tax=totals.tax,
        body=encoded,
    )
    groups = {group.rate: OriginalGroup(group.net, group.tax) for group in totals.groups}
    return planned, Original(currency, groups, lines)


def _line(document: Document, line: Line, minor_units: int) -> dict[str, object]:
    cells = line.cells
    made: dict[str, object] = {name: cells[name] for name in _LINE_TEXTS if name in cells}
    for name in _RED_ONLY:
        if name in cells:
            document.refuse(line.row, name, "MALFORMED", "belongs to red letters only")
    for name, reader in _line_readers(minor_units):
        text = cells.get(name)
        if text is not None:
            try:
                made[name] = reader(text)
            except CellError as error:
                _malformed(document, line.row, name, error)
    for name in _LINE_NEEDS:
        if name not in cells:
            document.refuse(line.row, name, "MISSING", "is missing")
    if "net" not in cells:
        net = _worked_out_net(document, line, made, minor_units)
        if net is not None:
            made["net"] = net
    return made


@lru_cache(8)
def _line_readers(minor_units: int) -> tuple[tuple[str, Callable[[str], object]], ...]:
    in_minor_units = partial(amount, minor_units=minor_units)
    return (
        ("quantity", decimal_text),
        ("unit_price", decimal_text),
        ("net", in_minor_units),
        ("rate", rate),
        ("tax", in_minor_units),
        ("nature", _choice("nature")),
    )


def _worked_out_net(
    document: Document, line: Line, made: dict[str, object], minor_units: int
) -> int | None:
    """Quantity × unit price; None, with a refusal, where one of them is missing or malformed."""
    quantity, unit_price = made.get("quantity"), made.get("unit_price")
    if isinstance(quantity, str) and isinstance(unit_price, str):
        try:
            return product(quantity, unit_price, minor_units)
        except CellError as error:
            document.refuse(line.row, "net", "MALFORMED", str(error))
    elif not ("quantity" in line.cells and "unit_price" in line.cells):
        message = "is missing, and so is quantity or unit_price"
        document.refuse(line.row, "net", "MISSING", message)
    return None


def _details(document: Document) -> dict[str, object]:
    head = document.head
    details: dict[str, object] = {
        name: head[name] for name in ("external_number", "remarks") if name in head
    }
    for name, reader in (("external_date", moment), ("due_date", day)):
        read = _read(document, document.lines[0], name, reader)
        if read is not None:
            details[name] = read
    buyer = {
        name.removeprefix(_BUYER): text for name, text in head.items() if name.startswith(_BUYER)
    }
    return details | ({"buyer": buyer} if buyer else {})


# --- Red letters ------------------------------------------------------------------------------


def _plan_red(document: Document, originals: dict[str, Original | None]) -> list[Letter]:
    """One letter for each invoice that the document names; none when something is wrong."""
    by_original: dict[tuple[str, bool], list[RedLine]] = {}
    reason = _read(document, document.lines[0], "reason", _choice("reason")) or "return"
    details = _details(document)
    for line in document.lines:
        number, order_id = line.cell("original_number"), line.cell("original")
        if bool(number) == bool(order_id):
            document.refuse(line.row, "original", "MISSING", "or original_number must be given")
            continue
        if number and not (number.isascii() and number.isdecimal() and len(number) == 20):
            document.refuse(line.row, "original_number", "MALFORMED", "has not 20 digits")
            continue
        if order_id and _read(document, line, "original", order_reference) is None:
            continue
        red = _red_line(document, line, originals.get(order_id))
        if red is not None:
            by_original.setdefault((number or order_id, bool(number)), []).append(red)
    if document.problems or not by_original:
        return []
    several = len(by_original) > 1
    letters: list[Letter] = []
    for count, ((original, by_number), lines) in enumerate(by_original.items(), start=1):
        late = LateRed(
            order_id=f"{document.order_id}/{count}" if several else document.order_id,
            row=lines[0].row,
            original=original,
            by_number=by_number,
            reason=reason,  # type: ignore[arg-type]  # one of the choices
            currency=_currency(document, originals.get(original)),
            lines=tuple(lines),
            head=encode_json(details),
        )
        letter = _worked_out(document, late, originals)
        if letter is None or document.problems:
            return []
        letters.append(letter)
    return letters


def _worked_out(
    document: Document, late: LateRed, originals: dict[str, Original | None]
) -> Letter | None:
    if late.by_number or late.original not in originals:
        for problem in check_late_letter(late):
            _note(document, problem, ())
        return late
    original = originals[late.original]
    if original is None:
        message = f"the invoice of order {late.original} is refused itself"
        document.refuse(late.row, "original", "NO_ORIGINAL", message)
        return None
    try:
        letter = original.work_out(late)
    except RedLineError as error:
        document.refuse(error.row, "line", error.code, str(error))
        return None
    checked = check_red_letter(letter.body, letter.currency)
    if isinstance(checked, Checked):
        return letter
    for problem in checked:
        _note(document, problem, ())
    return None


def _currency(document: Document, original: Original | None) -> str:
    default = HOME_CURRENCY if original is None else original.currency
    return document.head.get("currency", default)


def _red_line(document: Document, line: Line, original: Original | None) -> RedLine | None:
    units = minor_units(_currency(document, original))
    before = len(document.problems)
    position = _read(document, line, "line", line_number)
    quantity = _read(document, line, "quantity", decimal_text)
    net = _read(document, line, "net", lambda text: amount(text, units))
    if not line.cell("line"):
        document.refuse(line.row, "line", "MISSING", "is missing: which line of the original?")
    if net is not None and net <= 0:
        document.refuse(line.row, "net", "MALFORMED", "must be positive: it is what is taken back")
    if len(document.problems) > before:
        return None
    assert position is not None, "read or refused"
    return RedLine(
        row=line.row,
        line=position,
        quantity=quantity,
        net=net,
        description=line.cell("description") or None,
    )


# --- Cells and errors -------------------------------------------------------------------------


def _read(
    document: Document, line: Line, name: str, reader: Callable[[str], _Value]
) -> _Value | None:
    text = line.cells.get(name) or document.head.get(name)
    if not text:
        return None
    try:
        return reader(text)
    except CellError as error:
        _malformed(document, document.head_rows.get(name, line.row), name, error)
        return None


def _malformed(document: Document, row: int, name: str, error: CellError) -> None:
    """A cell that cannot be read, unless the reader of the file has told what is odd about it."""
    if not any(each.row == row and each.column == name for each in document.problems):
        document.refuse(row, name, "MALFORMED", str(error))


def _choice(column: str) -> Callable[[str], str]:
    return partial(choice, column)


def _note(document: Document, problem: Problem, lines: Sequence[dict[str, object]]) -> None:
    """An error of the node's or the ledger's own check, at the cell that it is about."""
    path, code = problem.path, problem.code
    row, column = document.row, path[-1] if path else None
    if len(path) > 1 and path[0] == "lines" and path[1].isdecimal():
        row = document.lines[min(int(path[1]), len(document.lines) - 1)].row
    elif len(path) > 2 and path[:2] == ("details", "buyer"):
        column = _BUYER + path[2]
    elif path == ("groups",):
        row, column = _wrong_tax(document, lines)
    if column is not None:
        row = document.head_rows.get(column, row)
    document.refuse(row, column, code, problem.message)


def _wrong_tax(document: Document, lines: Sequence[dict[str, object]]) -> tuple[int, str | None]:
    """The first line whose tax is more than a rounding off; the document if none is alone."""
    for line, made in zip(document.lines, lines, strict=False):
        net, rate_, tax = made.get("net"), made.get("rate"), made.get("tax")
        if (
            isinstance(net, int)
            and isinstance(rate_, int)
            and isinstance(tax, int)
            and abs(tax - signed_tax(net, rate_)) > 1
        ):
            return line.row, "tax"
    return document.row, None
