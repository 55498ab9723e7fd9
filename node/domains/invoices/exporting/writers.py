"""Writing a table row by row as CSV or as a workbook. Owns types of cells, not their meaning.

Both hold one row in memory. Text is never a formula: guarded in CSV, typed as text in a workbook.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TextIO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.styles import Font
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from node.domains.invoices.exporting.rows import Cell
from node.domains.invoices.importing.tables import csv_line

SHEET_ROWS_MAX = 1_048_576
CELL_CHARACTERS_MAX = 32_767
"""Of a workbook: both are Excel's."""
_DIGITS_MAX = 15
"""Excel keeps numbers as binary fractions: one of more digits is written as text."""


class TableWriter(Protocol):
    """Takes rows in order; nothing is complete before `close`."""

    def row(self, cells: Sequence[Cell], *, strong: bool = False) -> None:
        """Write a row; `strong` ones are headings and totals."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class CsvWriter:
    """CSV on an open text stream, which stays open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def row(self, cells: Sequence[Cell], *, strong: bool = False) -> None:
        """Write a row."""
        del strong
        self._stream.write(csv_line([_text(cell) for cell in cells]))

    def close(self) -> None:
        """Flush."""
        self._stream.flush()


class XlsxWriter:
    """A workbook; amounts are numbers with the decimals of their currency."""

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title
        self._book = Workbook(write_only=True)
        self._strong = Font(bold=True)
        self._header: Sequence[Cell] | None = None
        self._rows = 0
        self._sheets = 0
        self._sheet = self._add_sheet()

    def row(self, cells: Sequence[Cell], *, strong: bool = False) -> None:
        """Write a row; the first one is repeated on each further sheet."""
        if self._rows == SHEET_ROWS_MAX:
            self._sheet = self._add_sheet()
            if self._header is not None:
                self._append(self._header, strong=True)
        if self._header is None:
            self._header = list(cells)
        self._append(cells, strong=strong)

    def close(self) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        self._book.save(self._path)

    def _add_sheet(self) -> WriteOnlyWorksheet:
        self._sheets += 1
        self._rows = 0
        title = self._title if self._sheets == 1 else f"{self._title} {self._sheets}"
        sheet = self._book.create_sheet(title)
        assert isinstance(sheet, WriteOnlyWorksheet), "the book is write-only"
        sheet.freeze_panes = "A2"
        return sheet

    def _append(self, cells: Sequence[Cell], *, strong: bool) -> None:
        self._sheet.append([self._cell(cell, strong=strong) for cell in cells])
        self._rows += 1

    def _cell(self, value: Cell, *, strong: bool) -> SheetCell | int | None:
        if value is None or (isinstance(value, int) and not strong):
            return value
        cell = WriteOnlyCell(self._sheet)
        if isinstance(value, Decimal) and len(value.as_tuple().digits) <= _DIGITS_MAX:
            cell.value = value
            cell.number_format = _number_format(value)
        elif isinstance(value, int):
            cell.value = value
        else:
            cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", _text(value))[:CELL_CHARACTERS_MAX]
            cell.data_type = "s"  # also what begins with =
        if strong:
            cell.font = self._strong
        return cell


def _number_format(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return "0" if decimals == 0 else f"0.{'0' * decimals}"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)
