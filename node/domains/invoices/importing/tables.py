"""Reading a table of text cells from a CSV file or a spreadsheet. Owns bounds and what rows are.

A table is numbered rows of text; what the columns mean is not known here. A cell that is not what
was typed, or is too long, says so (`cell_text.OddCell`): it costs its order, not the file.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

from node.domains.invoices.importing.cell_text import bounded
from node.domains.invoices.importing.encodings import ENCODINGS, check_encoding
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.sheet import SHEET_BYTES_MAX, Merged, SheetReader
from node.domains.invoices.importing.workbook import FILE_BYTES_MAX, SheetPart, Workbook

__all__ = ["ENCODINGS", "FILE_BYTES_MAX"]

ROWS_MAX = 200_000
COLUMNS_MAX = 64
SHEET_CHARACTERS_MAX = 256 << 20
"""Of all cells together. They share their texts: a small workbook may name one very often."""
_COMMENT = "#"
_DELIMITERS = (",", ";", "\t")
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")
"""How our own exports begin a text that a spreadsheet would take for a formula."""
_GUIDES = frozenset({"Fields 说明"})
"""Sheets of our own template that hold no rows to import."""

Row = tuple[int, list[str]]
"""Number of the row in the file, from 1, and its cells."""


class Table:
    """Rows of a file, read once and in order. The rest is known when they have been read."""

    def __init__(self, read: Callable[[Table], Iterator[Row]]) -> None:
        """Of rows that `read` yields; it tells this table the rest."""
        self._rows = read(self)
        self.merged: list[Merged] = []
        """Cells that are merged over several rows: only the first row has their text."""
        self.notes: list[str] = []
        """What of the file was read otherwise than one would think."""

    def __iter__(self) -> Iterator[Row]:
        return self._rows


def read_csv(path: Path, encoding: str = "utf-8") -> Table:
    """Rows of a CSV file, empty ones left out; commas, semicolons or tabs separate.

    Args:
        path: The file.
        encoding: One of `ENCODINGS`; a UTF-8 mark at the beginning is skipped.

    Raises:
        FileFormatError: on the way: missing, too large, another encoding, or no such table.
    """
    return Table(lambda _: _csv_rows(path, encoding))


def _csv_rows(path: Path, encoding: str) -> Iterator[Row]:
    number = 0
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FileFormatError(f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB")
        check_encoding(path, encoding)
        csv.field_size_limit(FILE_BYTES_MAX)  # a long cell is told by its row, like any other
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        with path.open(encoding=codec, newline="") as stream:
            delimiter = _delimiter(stream)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for number, record in enumerate(reader, start=1):
                cells = [bounded(_unguarded(cell)) for cell in record]
                yield from _filled(path, number, cells)
    except (OSError, UnicodeError) as error:
        raise FileFormatError(f"{path}: {error}") from error
    except csv.Error as error:
        message = f"after row {number}: {error}; is a quotation mark missing?"
        raise FileFormatError(f"{path}: {message}") from error


def _delimiter(stream: io.TextIOBase) -> str:
    """What separates the headings most often; a comma when nothing does."""
    for line in iter(lambda: stream.readline(COLUMNS_MAX * 200), ""):
        if line.strip() and not line.lstrip('"').startswith(_COMMENT):
            return max(_DELIMITERS, key=line.count)
    return _DELIMITERS[0]


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith(_GUARDED) else cell


def _filled(path: Path, number: int, cells: list[str]) -> Iterator[Row]:
    """The row without blanks at its end, if anything is left."""
    while cells and not cells[-1].strip():
        cells.pop()
    if cells:
        if number > ROWS_MAX:
            raise FileFormatError(f"{path}: more than {ROWS_MAX} rows")
        yield number, cells


# --- Spreadsheets ------------------------------------------------------------------------------


def read_xlsx(path: Path, sheet: str | None = None) -> Table:
    """Rows of the first visible sheet of a workbook, or of the named one; empty ones are left out.

    Formulas give the values that were stored with them.

    Raises:
        FileFormatError: on the way: missing, too large, no workbook, or rows out of bounds.
    """
    return Table(lambda table: _sheet_rows(path, sheet, table))


def _sheet_rows(path: Path, sheet: str | None, table: Table) -> Iterator[Row]:
    with path_errors(path):
        book = Workbook(path)
        try:
            book.read_book()
            chosen = _chosen(book, sheet, table)
            book.read_strings()
            reader = SheetReader(book)
            with book.open_part(chosen.part, SHEET_BYTES_MAX) as stream:
                left = SHEET_CHARACTERS_MAX
                for number, cells in reader.rows(stream):
                    left -= sum(map(len, cells))
                    if left < 0:
                        message = f"cells hold more than {SHEET_CHARACTERS_MAX} characters"
                        raise FileFormatError(f"{path}: {message}")
                    yield from _filled(path, number, cells)
            table.merged = reader.merged
            if reader.hidden:
                table.notes.append(f"{reader.hidden} hidden rows of {chosen.name!r} are read")
        finally:
            book.close()


def _chosen(book: Workbook, wanted: str | None, table: Table) -> SheetPart:
    names = [each.name for each in book.sheets]
    shown = [each for each in book.sheets if not each.hidden] or book.sheets
    found = shown[0] if shown and wanted is None else None
    if wanted is not None:
        found = next((each for each in book.sheets if each.name == wanted), None)
    if found is None:
        raise FileFormatError(f"{book.path}: no sheet {wanted or ''}; there are {names[:50]}")
    others = [each.name for each in book.sheets if each is not found and each.name not in _GUIDES]
    if others and wanted is None:
        listed = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        table.notes.append(
            f"only the sheet {found.name!r} is read, not {listed}; "
            "`piaolian invoice import --sheet` reads another"
        )
    return found


@contextmanager
def path_errors(path: Path) -> Iterator[None]:
    """Whatever a damaged workbook makes its readers raise, as one error.

    Raises:
        FileFormatError: naming the file.
    """
    try:
        yield
    except FileFormatError as error:
        text = str(error)
        raise error if text.startswith(str(path)) else FileFormatError(f"{path}: {text}") from error
    except (OSError, ExpatError, ParseError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path}: not a readable workbook: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError) as error:
        raise FileFormatError(f"{path}: not a readable workbook: {error}") from error


# --- Writing -----------------------------------------------------------------------------------


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula; numbers stay as they are."""
    if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    digits = text[1:].removesuffix("%")
    return text[0] in "+-" and digits.isascii() and digits.replace(".", "", 1).isdigit()


def csv_line(cells: Sequence[str]) -> str:
    """One row of CSV, guarded, with its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([guarded(cell) for cell in cells])
    return text.getvalue()
