"""Reading a table of text cells from a CSV file or a spreadsheet. Owns bounds and encodings.

A table is numbered rows of text; what the columns mean is not known here. Numbers of a spreadsheet
become the decimal text that was typed: Excel keeps binary fractions, whose shortest decimal form is
taken, so that a computed 0.30000000000000004 shows itself instead of passing as 0.3.
"""

from __future__ import annotations

import csv
import datetime
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl

from node.importing.online_retail import FileFormatError

FILE_BYTES_MAX = 64 << 20
UNPACKED_BYTES_MAX = 192 << 20
"""Of all parts of a spreadsheet, as its directory declares them; no part is read beyond that."""
ZIP_PARTS_MAX = 1_000
ROWS_MAX = 200_000
EMPTY_ROWS_MAX = 20_000
"""In a row, in a spreadsheet: a cell at the end of a sheet makes its reader walk a million rows."""
COLUMNS_MAX = 64
CELL_CHARACTERS_MAX = 2_000
"""The longest field of an invoice: its remarks."""
ENCODINGS = ("utf-8", "gb18030")
_DELIMITERS = (",", ";", "\t")
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")
"""How our own exports begin a text that a spreadsheet would take for a formula."""

Row = tuple[int, list[str]]
"""Number of the row in the file, from 1, and its cells."""


def read_csv(path: Path, encoding: str = "utf-8") -> Iterator[Row]:
    """Rows of a CSV file, empty ones left out; commas, semicolons or tabs separate.

    Args:
        path: The file.
        encoding: One of `ENCODINGS`; a UTF-8 mark at the beginning is skipped.

    Raises:
        FileFormatError: missing, too large, another encoding, or a row out of bounds.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FileFormatError(f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB")
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        with path.open(encoding=codec, newline="") as stream:
            first = stream.readline(COLUMNS_MAX * 100)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=_delimiter(first), strict=True)
            for number, record in enumerate(reader, start=1):
                yield from _bounded(path, number, [_unguarded(cell) for cell in record])
    except (OSError, UnicodeError, csv.Error) as error:
        hint = "; say --encoding gb18030 if it is" if isinstance(error, UnicodeError) else ""
        raise FileFormatError(f"{path}: {error}{hint}") from error


def _delimiter(header: str) -> str:
    """What separates the headings most often; a comma when nothing does."""
    return max(_DELIMITERS, key=header.count)


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith(_GUARDED) else cell


def _bounded(path: Path, number: int, cells: list[str]) -> Iterator[Row]:
    while cells and not cells[-1].strip():
        cells.pop()
    if number > ROWS_MAX:
        raise FileFormatError(f"{path}: more than {ROWS_MAX} rows")
    if len(cells) > COLUMNS_MAX:
        raise FileFormatError(f"{path}: row {number} has more than {COLUMNS_MAX} columns")
    if any(len(cell) > CELL_CHARACTERS_MAX for cell in cells):
        raise FileFormatError(
            f"{path}: row {number} has a cell of more than {CELL_CHARACTERS_MAX} characters"
        )
    if cells:
        yield number, cells


# --- Spreadsheets ------------------------------------------------------------------------------


def read_xlsx(path: Path, sheet: str | None = None) -> Iterator[Row]:
    """Rows of the first sheet of a workbook, or of the named one; empty rows are left out.

    Formulas give the values that were stored with them.

    Raises:
        FileFormatError: missing, too large, no workbook, or a row out of bounds.
    """
    # Opened here: openpyxl leaves a file that it cannot read open.
    with path_errors(path), path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl tells of features that it does not keep
        _check_archive(path)
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        try:
            names = [each.title for each in book.worksheets]
            if not names or (sheet is not None and sheet not in names):
                raise FileFormatError(f"{path}: no sheet {sheet or ''}; there are {names}")
            table = book[sheet or names[0]]
            last = 0
            for number, cells in enumerate(table.iter_rows(max_col=COLUMNS_MAX + 1), start=1):
                for row in _bounded(path, number, [_cell_text(cell) for cell in cells]):
                    last = number
                    yield row
                if number - last > EMPTY_ROWS_MAX:
                    raise FileFormatError(f"{path}: {EMPTY_ROWS_MAX} empty rows after row {last}")
        finally:
            book.close()


@contextmanager
def path_errors(path: Path) -> Iterator[None]:
    """Whatever a damaged workbook makes its reader raise, as one error.

    Raises:
        FileFormatError: naming the file.
    """
    try:
        yield
    except (FileFormatError, GeneratorExit):
        raise
    except Exception as error:
        raise FileFormatError(f"{path}: not a readable workbook: {error}") from error


def _check_archive(path: Path) -> None:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise FileFormatError(f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB")
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if len(parts) > ZIP_PARTS_MAX:
            raise FileFormatError(f"{path}: more than {ZIP_PARTS_MAX} parts")
        # zipfile gives no more of a part than its declared size, whatever is packed in it.
        if sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
            raise FileFormatError(f"{path}: unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB")


def _cell_text(cell: Any) -> str:  # noqa: ANN401 - openpyxl's cells share no type
    value = cell.value
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            number = Decimal(repr(value))
            if "%" in (cell.number_format or ""):
                return f"{_plain(number * 100)}%"
            return _plain(number)
        case datetime.datetime():
            whole_day = value.time() == datetime.time()
            return value.date().isoformat() if whole_day else value.isoformat(timespec="seconds")
        case _:
            return str(value)


def _plain(number: Decimal) -> str:
    if not number.is_finite() or abs(number.adjusted()) > 40:
        return str(number)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


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
