"""From the rows of our own tables to documents: grouped, cells read, errors by row and column.

A row is a line; rows of one order id are one document, wherever they stand. What belongs to the
document may stand on its first row or on all of them, but not differ. Judges no total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from node.importing.cells import CellError, choice
from node.importing.columns import COLUMNS, ERROR_COLUMNS, Level, column_name
from node.importing.online_retail import FileFormatError
from node.importing.plan import Refusal
from node.importing.tables import Row

ORDER_ID_MAX = 128
ERRORS_PER_DOCUMENT = 20
_DOCUMENT_COLUMNS = tuple(c.name for c in COLUMNS if c.level is Level.DOCUMENT)


class Line(msgspec.Struct, frozen=True):
    """A row: its number and its filled cells by column."""

    row: int
    cells: Mapping[str, str]

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


def read_documents(rows: Iterable[Row]) -> Documents:
    """Group the rows of a table. Rows before its header may be comments: they begin with #.

    Raises:
        FileFormatError: the header does not name our columns.
    """
    iterator = iter(rows)
    names = read_header(next((cells for _, cells in iterator if not is_comment(cells)), []))
    documents: dict[str, Document] = {}
    strays: list[Refusal] = []
    for number, cells in iterator:
        if len(cells) > len(names):
            strays.append(Refusal(number, "MALFORMED", f"has more than {len(names)} cells"))
            continue
        filled = {
            name: text
            for name, cell in zip(names, cells, strict=False)
            if (text := cell.strip()) and name not in ERROR_COLUMNS
        }
        if filled:
            _add(documents, strays, Line(number, filled))
    return Documents(list(documents.values()), strays)


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
            raise FileFormatError(f"there is no column {heading[:60]!r}; see `invoice template`")
        if name in names:
            raise FileFormatError(f"the column {name} stands twice")
        names.append(name)
    if "order_id" not in names:
        raise FileFormatError("the first row must name the columns, order_id (订单号) among them")
    return names


def _add(documents: dict[str, Document], strays: list[Refusal], line: Line) -> None:
    order_id = line.cell("order_id")
    if not order_id or len(order_id) > ORDER_ID_MAX:
        message = f"needs an order id of at most {ORDER_ID_MAX} characters"
        strays.append(Refusal(line.row, "MALFORMED", message, "order_id"))
        return
    try:
        red = choice("kind", line.cell("kind")) == "red"
    except CellError as error:
        red = documents[order_id].red if order_id in documents else False
        problem: tuple[str, str] | None = ("MALFORMED", str(error))
    else:
        problem = None
    document = documents.get(order_id)
    if document is None:
        document = documents[order_id] = Document(order_id, red, [])
    elif problem is None and document.red is not red:
        problem = ("CONFLICT", f"is another one in row {document.row}")
    document.lines.append(line)
    if problem is not None:
        document.refuse(line.row, "kind", *problem)
    for name, text in _head_cells(line):
        held = document.head.setdefault(name, text)
        first = document.head_rows.setdefault(name, line.row)
        if held != text:
            document.refuse(line.row, name, "CONFLICT", f"is {held!r} in row {first}")


def _head_cells(line: Line) -> Iterator[tuple[str, str]]:
    for name in _DOCUMENT_COLUMNS:
        if name in line.cells:
            yield name, line.cells[name]
