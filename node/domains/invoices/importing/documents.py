"""From the rows of our own tables to documents: grouped, cells read, errors by row and column.

A row is a line; rows of one order id are one document, wherever they stand. What belongs to the
document may stand on its first row or on all of them, but not differ. A row that cannot be placed
refuses the order that it may belong to: half an order is never imported. Judges no total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from node.domains.invoices.importing.cell_text import OddCell, folded
from node.domains.invoices.importing.cells import ORDER_ID_MAX, CellError, choice
from node.domains.invoices.importing.columns import COLUMNS, ERROR_COLUMNS, Level, column_name
from node.domains.invoices.importing.number_formats import may_mean
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.plan import Refusal
from node.domains.invoices.importing.tables import Row, Table

ERRORS_PER_DOCUMENT = 20
HOME_CURRENCY = "CNY"
_DOCUMENT_COLUMNS = frozenset(c.name for c in COLUMNS if c.level is Level.DOCUMENT)
_IGNORED = frozenset(ERROR_COLUMNS)
_IDENTIFIERS = ("order_id", "buyer", "original", "original_number")
"""What names something else: two spellings of one name would be two things."""
_DATES = frozenset({"external_date", "due_date"})
_AMOUNTS = ("unit_price", "net", "tax")
_ERRORS = frozenset(
    {
        "#N/A",
        "#REF!",
        "#DIV/0!",
        "#VALUE!",
        "#NAME?",
        "#NUM!",
        "#NULL!",
        "#SPILL!",
        "#CALC!",
        "#UNKNOWN!",
    }
)
"""What spreadsheets write into a CSV file for a cell without a value."""


class Line(msgspec.Struct, frozen=True):
    """A row: its number and its filled cells by column."""

    row: int
    cells: Mapping[str, str]
    signs: Mapping[str, str] = {}
    """By column: the sign of a currency with which a spreadsheet shows the cell."""

    def cell(self, name: str) -> str:
        """A cell's text; empty when it is not filled."""
        return self.cells.get(name, "")


class Document(msgspec.Struct):
    """The rows of one order."""

    order_id: str
    red: bool
    lines: list[Line]
    head: dict[str, str] = {}
    """What belongs to the document, by column."""
    head_rows: dict[str, int] = {}
    """Where each of `head` stands."""
    problems: list[Refusal] = []

    @property
    def row(self) -> int:
        """Of its first line."""
        return self.lines[0].row

    def refuse(self, row: int, column: str | None, code: str, message: str) -> None:
        """Note something wrong; the first `ERRORS_PER_DOCUMENT` are kept."""
        if len(self.problems) < ERRORS_PER_DOCUMENT:
            where = "" if column is None else f"{column}: "
            text = f"{self.order_id}: {where}{message}"
            self.problems.append(Refusal(row, code, text, column, self.order_id))


class Documents(msgspec.Struct, frozen=True):
    """All documents in the order of their first rows, and rows that belong to none."""

    documents: list[Document]
    strays: list[Refusal]
    notes: tuple[str, ...] = ()
    """What of the file was read otherwise than one would think."""


def read_documents(rows: Iterable[Row], documents_max: int | None = None) -> Documents:
    """Group the rows of a table. Rows before its header may be comments: they begin with #.

    Raises:
        FileFormatError: the header does not name our columns, or there are more documents.
    """
    iterator = iter(rows)
    names = read_header(next((cells for _, cells in iterator if not is_comment(cells)), []))
    grouping = _Grouping(names, documents_max)
    for number, cells in iterator:
        grouping.add(number, cells)
    notes: tuple[str, ...] = ()
    if isinstance(rows, Table):
        grouping.refuse_merged(rows)
        notes = tuple(rows.notes)
    return Documents(grouping.finish(), grouping.strays, notes)


def is_comment(cells: list[str]) -> bool:
    """Whether a row above the header is a comment."""
    return bool(cells) and cells[0].startswith("#")


def read_header(cells: list[str]) -> list[str]:
    """The columns that a header names.

    Raises:
        FileFormatError: a heading is unknown or stands twice, or `order_id` is missing.
    """
    names: list[str] = []
    for heading in cells:
        name = column_name(heading)
        if name is None:
            raise FileFormatError(
                f"a table of ours has no column {heading[:60]!r}; see `invoice template`"
            )
        if name in names:
            raise FileFormatError(f"the column {name} stands twice")
        names.append(name)
    if "order_id" not in names:
        raise FileFormatError("the first row must name the columns, order_id (订单号) among them")
    return names


class _Unplaced(msgspec.Struct, frozen=True):
    """A row that no order can be given."""

    row: int
    names: frozenset[str]
    """What may name its order."""
    before: Document | None
    """The order of the row before it, which it belongs to if none is named."""
    identified: bool
    """Whether the names are its own order id; else any cell may be it."""


class _Grouping:
    """Documents, as rows come in."""

    def __init__(self, names: list[str], documents_max: int | None = None) -> None:
        self._names = names
        self._documents_max = documents_max
        self._head_names = [name for name in names if name in _DOCUMENT_COLUMNS]
        self._documents: dict[str, Document] = {}
        self._before: Document | None = None
        """Of the row before: a row that names no order may belong to it."""
        self._unplaced: list[_Unplaced] = []
        self.strays: list[Refusal] = []

    def add(self, number: int, cells: list[str]) -> None:
        """One row."""
        filled: dict[str, str] = {}
        signs: dict[str, str] = {}
        wrong: list[tuple[str, str]] = []
        for name, cell in zip(self._names, cells, strict=False):
            text = cell.strip()
            if not text or name in _IGNORED:
                continue
            filled[name] = text
            if type(cell) is str and text.isascii() and text[0] != "#":
                continue  # most cells: nothing can be odd about them
            problem = _problem_of(name, cell, text)
            if problem:
                wrong.append((name, problem))
            elif isinstance(cell, OddCell) and cell.currency:
                signs[name] = cell.currency
        if len(cells) > len(self._names):
            message = f"has {len(cells)} cells, not {len(self._names)}: is a separator too many?"
            self._stray(number, "", message, cells, identified=False)
        elif filled:
            self._place(Line(number, filled, signs), wrong)

    def refuse_merged(self, table: Table) -> None:
        """Refuse documents with rows whose cells are merged with those above them."""
        if not table.merged:
            return
        rows = {line.row: each for each in self._documents.values() for line in each.lines}
        for first, last, reference in table.merged:
            for row in range(first + 1, min(last, first + 10_000) + 1):
                document = rows.get(row)
                if document is not None:
                    message = f"cells of this row are merged with those above ({reference})"
                    document.refuse(row, None, "MALFORMED", message)

    def finish(self) -> list[Document]:
        """All documents; those that may lack a row are refused."""
        by_look: dict[str, list[Document]] = {}
        for document in self._documents.values():
            by_look.setdefault(folded(document.order_id), []).append(document)
        for each in self._unplaced:
            owners = [d for name in each.names for d in by_look.get(folded(name), ())]
            if each.before is not None and (not owners or not each.identified):
                owners.append(each.before)
            for document in {id(owner): owner for owner in owners}.values():
                message = f"row {each.row} may belong to it, and cannot be placed"
                document.refuse(each.row, None, "MALFORMED", message)
        for document in self._documents.values():
            _check_signs(document)
        return list(self._documents.values())

    def _place(self, line: Line, wrong: list[tuple[str, str]]) -> None:
        order_id = line.cell("order_id")
        problem = next((message for name, message in wrong if name == "order_id"), "")
        if not order_id:
            problem = "is missing: which order does this row belong to?"
        elif len(order_id) > ORDER_ID_MAX:
            problem = f"has more than {ORDER_ID_MAX} characters"
        if problem:
            self._stray(line.row, "order_id", problem, [order_id], identified=True)
            return
        document = self._document(order_id, line)
        for name, message in wrong:
            document.refuse(line.row, name, "MALFORMED", message)
        self._before = document

    def _stray(
        self, row: int, column: str, message: str, cells: list[str], *, identified: bool
    ) -> None:
        where = f"{column}: " if column else ""
        self.strays.append(Refusal(row, "MALFORMED", f"{where}{message}", column or None))
        named = {cell.strip() for cell in cells if 0 < len(cell.strip()) <= ORDER_ID_MAX}
        self._unplaced.append(_Unplaced(row, frozenset(named), self._before, identified))

    def _document(self, order_id: str, line: Line) -> Document:
        problem: tuple[str, str] | None = None
        document = self._documents.get(order_id)
        try:
            red = choice("kind", line.cell("kind")) == "red"
        except CellError as error:
            red = document is not None and document.red
            problem = ("MALFORMED", str(error))
        if document is None:
            if len(self._documents) == self._documents_max:
                raise FileFormatError(f"more than {self._documents_max} documents")
            document = self._documents[order_id] = Document(order_id, red, [])
        elif problem is None and document.red is not red:
            problem = ("CONFLICT", f"is another one in row {document.row}")
        document.lines.append(line)
        if problem is not None:
            document.refuse(line.row, "kind", *problem)
        for name in self._head_names:
            text = line.cells.get(name)
            if text is None:
                continue
            held = document.head.setdefault(name, text)
            first = document.head_rows.setdefault(name, line.row)
            if held != text:
                document.refuse(line.row, name, "CONFLICT", f"is {held!r} in row {first}")
        return document


def _problem_of(name: str, cell: str, text: str) -> str:
    """Why a cell cannot be taken; empty if it can."""
    if isinstance(cell, OddCell):
        if cell.problem:
            return cell.problem
        if cell.is_date and name not in _DATES:
            return f"holds a date ({text}): format the cell as text and write it again"
    if text[0] == "#" and text in _ERRORS:
        return f"holds the error {text}"
    if name in _IDENTIFIERS and not text.isascii() and folded(text) != text:
        return f"holds invisible or full-width characters: write {folded(text)[:60]!r}"
    return ""


def _check_signs(document: Document) -> None:
    """Refuse amounts that a spreadsheet shows in another currency than the document has."""
    currency = document.head.get("currency", HOME_CURRENCY)
    for line in document.lines:
        for name in _AMOUNTS:
            sign = line.signs.get(name, "")
            if sign and not may_mean(sign, currency):
                message = (
                    f"is shown in {sign}, but the order is in {currency}: see the column currency"
                )
                document.refuse(line.row, name, "CONFLICT", message)
