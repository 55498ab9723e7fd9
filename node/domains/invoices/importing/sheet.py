"""The rows of one worksheet, as they stand in it. Owns what a cell means; trusts no dimension.

The sheet is read as a stream, cell by cell. A number becomes the decimal that was typed: its file
holds a binary fraction, whose shortest decimal form is taken. What was not typed so (a formula that
nobody has worked out, an error, more digits than a spreadsheet keeps) is told, never guessed.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO
from xml.etree.ElementTree import Element, fromstring  # of `safe_chunks` only

from node.domains.invoices.importing.cell_text import OddCell
from node.domains.invoices.importing.number_formats import GENERAL, NumberFormat
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.plain_rows import PlainRow, plain_rows
from node.domains.invoices.importing.workbook import Workbook, safe_chunks, string_text

SHEET_BYTES_MAX = 384 << 20
MERGED_MAX = 20_000
_ROW_BYTES_MAX = 4 << 20
"""Excel's 16,384 cells with a style and nothing else need a sixth of it."""
_TREE_BYTES = 16 << 10
"""Rows of about so many bytes are parsed at a time."""
_ROOT_START = re.compile(rb"<[A-Za-z_][^\s/<>]*(?:\s[^<>]*)?>")
_DATA_START = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?sheetData(?:\s[^<>]*+)?/?>")
_ROW_END = re.compile(rb"</(?:[A-Za-z_][\w.-]*:)?row\s*>")
_CLOSING_BYTES = 256
_NUMBER_MAX = 1e300
_DIGITS_MAX = 15
"""A spreadsheet keeps no more significant digits of a number."""
_ROWS_MAX = 1_048_576
_CACHED_MAX = 50_000
_PLAIN = re.compile(r"[1-9][0-9]{0,14}|0")
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|-?INF")
_RANGE = re.compile(r"([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})")
_CELL = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
_TEXTS = frozenset({"str", "inlineStr"})
_NO_VALUE = "holds a formula without a stored value: open the file in a spreadsheet and save it"
_UNKNOWN = "#UNKNOWN!"
"""Stands for such a cell in the file of refused rows; it is refused there too."""
_BEFORE_1900 = "is a date before March 1900, or none"
_DAYS_MAX = 2_958_465
"""31 December 9999."""

SheetRow = tuple[int, list[str]]


class Merged(tuple[int, int, str]):
    """First row, last row and range of cells that are merged over several rows."""

    __slots__ = ()


class SheetReader:
    """Reads one sheet; `merged` and `hidden` are known once the rows are read."""

    def __init__(self, book: Workbook) -> None:
        """Of this book, whose styles and strings are read."""
        self._book = book
        self.merged: list[Merged] = []
        self.hidden = 0
        """Rows that the program does not show."""
        self._row = 0
        self._row_text = "0"
        self._columns: dict[str, int] = {}
        self._numbers: dict[str | None, dict[str, str]] = {}
        """By style and stored text: what was worked out before."""
        self._texts: dict[str, str] = {}

    def rows(self, stream: IO[bytes]) -> Iterator[SheetRow]:
        """Rows with something in them, by ascending number.

        Raises:
            FileFormatError: out of bounds, or rows and cells that stand in no order.
        """
        chunks = safe_chunks(stream)
        root, data, waiting = _begin(chunks)
        closed = b"</%b></%b>" % (_name_of(data), _name_of(root))
        empty = fromstring(root + data + closed)  # noqa: S314 - `safe_chunks` has no entities
        self._tags = _Tags(empty.tag.rpartition("}")[0])
        self._prefixed = b":" in _name_of(data)
        # Some tens of rows at a time make a small tree, which stays in the processor's cache; the
        # parser works in C without calls into Python, which is twice as fast as a stream of events.
        searched = 0
        for chunk in chunks:
            waiting += chunk
            read = 0
            while ended := _ROW_END.search(waiting, max(read + _TREE_BYTES, searched)):
                some = waiting[read : ended.end()]
                plain = None if self._prefixed else plain_rows(some)
                if plain is None:
                    yield from self._read_rows(root + data + some + closed)
                else:
                    yield from self._read_plain(plain)
                read = ended.end()
            waiting = waiting[read:]
            # A closing tag may stand across the border; longer ones only make a larger tree.
            searched = max(0, len(waiting) - _CLOSING_BYTES)
            if len(waiting) > _ROW_BYTES_MAX:
                raise FileFormatError(f"a row has more than {_ROW_BYTES_MAX >> 20} MiB")
        yield from self._read_rows(root + data + waiting)

    def _read_rows(self, document: bytes) -> Iterator[SheetRow]:
        tree = fromstring(document)  # noqa: S314 - `safe_chunks` has no entities
        for part in tree:
            if part.tag == self._tags.data:
                for row in part:
                    if row.tag == self._tags.row and (cells := self._read_row(row)):
                        yield self._row, cells
            else:
                for each in part.iter(self._tags.merge):
                    self._merge(each.get("ref", ""))

    def _read_plain(self, rows: list[PlainRow]) -> Iterator[SheetRow]:
        meaning = self._meaning
        for written, found in rows:
            self._begin_row(written)
            cells: list[str] = []
            for column, row, style, kind, value in found:
                missing = self._missing(cells, column, row)
                text = meaning(kind, style, value)
                if text:
                    if missing:
                        cells += [""] * missing
                    cells.append(text)
            if cells:
                yield self._row, cells

    def _read_row(self, row: Element) -> list[str]:
        self._begin_row(row.get("r"))
        if row.get("hidden") in {"1", "true"}:
            self.hidden += 1
        cells: list[str] = []
        cell_tag, cell_text = self._tags.cell, self._cell_text
        for cell in row:
            if cell.tag != cell_tag:
                continue
            reference = cell.get("r")
            if reference is None:
                cells.append(cell_text(cell))
                continue
            letters = reference.rstrip("0123456789")
            missing = self._missing(cells, letters, reference[len(letters) :])
            text = cell_text(cell)
            if text:
                if missing:
                    cells += [""] * missing
                cells.append(text)
        return cells

    def _begin_row(self, written: str | None) -> None:
        number = self._row + 1 if written is None else _number(written)
        if not self._row < number <= _ROWS_MAX:
            raise FileFormatError(f"row {written} stands after row {self._row}")
        self._row = number
        self._row_text = str(number)

    def _missing(self, cells: list[str], column: str, row: str) -> int:
        """How many cells are left out between those of this row and the one that is named."""
        place = self._columns.get(column, -1)
        if place < 0:
            place = self._columns[column] = _column(f"{column}{row}")
        if row != self._row_text:
            message = f"has a cell that is named {column}{row[:10]}"
            raise FileFormatError(f"row {self._row} {message}")
        missing = place - len(cells)
        if missing < 0:
            raise FileFormatError(f"the cells of row {self._row} stand in no order")
        return missing

    def _merge(self, reference: str) -> None:
        match = _RANGE.fullmatch(reference)
        if match is None:
            if _CELL.fullmatch(reference):  # merged with itself
                return
            raise FileFormatError(f"a range of merged cells cannot be read ({reference[:40]!r})")
        first, last = int(match[2]), int(match[4])
        if last > first:
            if len(self.merged) == MERGED_MAX:
                raise FileFormatError(f"more than {MERGED_MAX} merged ranges")
            self.merged.append(Merged((first, last, reference)))

    # --- Cells --------------------------------------------------------------------------------

    def _cell_text(self, cell: Element) -> str:
        tags = self._tags
        value: str | None = None
        formula = False
        for child in cell:
            tag = child.tag
            if tag in (tags.value, tags.inline):
                if value is not None:  # programs differ in which of them they show
                    return OddCell(_UNKNOWN, "holds two values")
                value = (child.text or "") if tag == tags.value else self._inline(child)
            elif tag == tags.formula:
                formula = True
        return self._meaning(cell.get("t", "n"), cell.get("s"), value, formula=formula)

    def _meaning(
        self, kind: str, style: str | None, value: str | None, *, formula: bool = False
    ) -> str:
        """The text that a cell of this type, style and value stands for."""
        if kind == "n" or (kind == "s" and not value):
            if not value:  # a shared string without an index is empty
                return OddCell(_UNKNOWN, _NO_VALUE) if formula else ""
            return self._number_text(value, style)
        if kind == "s":
            assert value is not None
            return self._shared(value)
        if kind in _TEXTS:
            # A formula may well come to an empty text; without a value it was not worked out.
            if value is None and formula:
                return OddCell(_UNKNOWN, _NO_VALUE)
            return self._text(value or "")
        return _other_kind(kind, value)

    def _text(self, value: str) -> str:
        """The text; equal ones are one object, since columns repeat themselves."""
        known = self._texts.get(value)
        if known is None:
            known = string_text(value)
            if len(self._texts) < _CACHED_MAX:
                self._texts[value] = known
        return known

    def _inline(self, holder: Element) -> str:
        """The runs of a text; phonetic readings beside it are left out."""
        tags = self._tags
        text = ""
        for child in holder:
            if child.tag == tags.text:
                text += child.text or ""
            elif child.tag == tags.run:
                text += "".join(part.text or "" for part in child if part.tag == tags.text)
        return text

    def _shared(self, value: str) -> str:
        place = _number(value)
        if place >= len(self._book.strings):
            raise FileFormatError(f"row {self._row} names a string that is not there")
        return self._book.strings[place]

    def _number_text(self, value: str, style: str | None) -> str:
        known = self._numbers.get(style)
        if known is None:
            known = self._numbers[style] = {}
        found = known.get(value)
        if found is None:
            found = number_text(value, self._format(style), date1904=self._book.date1904)
            if len(known) < _CACHED_MAX:
                known[value] = found
        return found

    def _format(self, style: str | None) -> NumberFormat:
        formats = self._book.formats
        place = _number(style or "0")
        return formats[place] if place < len(formats) else GENERAL


def _other_kind(kind: str, value: str | None) -> str:
    """A cell that holds neither a number nor a text."""
    if kind == "b" and value:
        shown = "TRUE" if value.strip() == "1" else "FALSE"
        return OddCell(shown, "holds a truth value, where a text or a number is expected")
    if kind == "e":
        return OddCell(value or "#VALUE!", f"holds the error {(value or '')[:20]}")
    if kind == "d" and value:
        return OddCell(value.removesuffix("T00:00:00"), is_date=True)
    return OddCell(value, f"is of an unknown type {kind[:20]!r}") if value else ""


class _Tags:
    """Names of the elements that are read, in a sheet's own namespace."""

    __slots__ = (*("cell", "data", "formula", "inline", "merge", "row", "run", "text", "value"),)

    def __init__(self, namespace: str) -> None:
        begin = f"{namespace}}}" if namespace else ""
        self.data, self.row, self.cell = f"{begin}sheetData", f"{begin}row", f"{begin}c"
        self.value, self.formula, self.inline = f"{begin}v", f"{begin}f", f"{begin}is"
        self.text, self.run, self.merge = f"{begin}t", f"{begin}r", f"{begin}mergeCell"


def _begin(chunks: Iterator[bytes]) -> tuple[bytes, bytes, bytes]:
    """The tags that open the sheet and its rows, and what was read beyond them."""
    begin = b""
    for chunk in chunks:
        searched = max(0, begin.rfind(b"<"))  # no tag that ended before is the one
        begin += chunk
        found = _DATA_START.search(begin, searched)
        # The first tag is of interest once the rows begin: hostile ones are many, and never do.
        root = None if found is None else _ROOT_START.search(begin)
        if found is not None and root is not None:
            if found[0].endswith(b"/>"):  # a sheet without rows
                opened = found[0][:-2] + b">"
                return root[0], opened, b"</%b>" % _name_of(opened) + begin[found.end() :]
            return root[0], found[0], begin[found.end() :]
        if len(begin) > _ROW_BYTES_MAX:
            break
    raise FileFormatError("the sheet has no rows (sheetData)")


def _name_of(tag: bytes) -> bytes:
    return tag[1:].split(None, 1)[0].rstrip(b">/")


def number_text(value: str, shown: NumberFormat, *, date1904: bool = False) -> str:
    """A stored number as it was typed, by the format that it is shown with."""
    value = value.strip()
    if shown == GENERAL and _PLAIN.fullmatch(value):
        return value
    if not _DOUBLE.fullmatch(value):  # `float` takes more: 1_0, digits of other scripts
        return OddCell(value, f"{value[:40]!r} is no number")
    number = float(value)
    if shown.date:
        return _date_text(number, date1904=date1904)
    # The shortest decimal that gives this binary fraction: 8.0500000000000007 is 8.05.
    exact = Decimal(repr(number)) if abs(number) < _NUMBER_MAX else Decimal("NaN")
    if not exact.is_finite():
        return OddCell(value, "is no number that can be imported")
    if shown.percent:
        exact *= 100
    text = format(exact, "f")
    text = (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    if exact == 0:
        text = "0"  # and not -0
    digits = text.lstrip("-").replace(".", "").strip("0") if "." in text else text.lstrip("-")
    if len(digits) > _DIGITS_MAX:
        message = (
            f"is a number of more than {_DIGITS_MAX} digits, which a spreadsheet does not keep"
        )
        return OddCell(text, f"{message}: format the cell as text, or round it")
    if shown.digits > len(text.partition(".")[0].lstrip("-")):
        message = f"is shown with zeros before it ({text.zfill(shown.digits)}), but holds {text}"
        return OddCell(text, f"{message}: format the cell as text")
    if shown.percent:
        text += "%"
    return OddCell(text, currency=shown.currency) if shown.currency else text


def _date_text(number: float, *, date1904: bool) -> str:
    """A serial number of a day. Day 60 of the system from 1900 never was (29 February 1900)."""
    if not (61 if not date1904 else 0) <= number < _DAYS_MAX + 1:
        return OddCell(str(number), _BEFORE_1900)
    epoch = datetime.datetime(1904, 1, 1) if date1904 else datetime.datetime(1899, 12, 30)  # noqa: DTZ001 - a wall clock's
    moment = epoch + datetime.timedelta(seconds=round(number * 86_400))
    if moment.time() == datetime.time():
        return OddCell(moment.date().isoformat(), is_date=True)
    return OddCell(moment.isoformat(timespec="seconds"), is_date=True)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FileFormatError(f"{text[:20]!r} is no number of a row, style or string")
    return int(text)


def _column(reference: str) -> int:
    match = _CELL.fullmatch(reference)
    if match is None:
        raise FileFormatError(f"{reference[:20]!r} names no cell")
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1
