"""Reader of the "Online Retail" file of the UCI repository: CSV, plain or gzipped.

Owns the file's columns and limits. Turns rows into documents (one InvoiceNo each, in the order of
their first row; the rows of one need not stand together) and judges no amount.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from node.domains.invoices.importing.cell_text import folded
from node.domains.invoices.importing.columns import ERROR_COLUMNS
from node.ledger.text import check_safe
from node.system.input_errors import InputError

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
ROWS_MAX = 2_000_000
"""Six times the whole published file; a document list of it still fits a small machine."""
_NUMBER_MAX = 10**9
_DECIMALS_MAX = 13
"""Decimals of a unit price (DOMAIN §2)."""
_TEXT_MAX = 500
_CODE_MAX = 32
_REPLACED = "\ufffd"
"""Stands for bytes that are no UTF-8."""
_ORDER_ID_MAX = 100
# Python reads more than a file may mean: digits of any script, underscores between them, exponents.
_WHOLE = re.compile("[+-]?[0-9]{1,10}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")


class FileFormatError(InputError):
    """The file as a whole cannot be read; nothing of it was used."""


class RetailLine(msgspec.Struct, frozen=True):
    """One row."""

    row: int
    """Number of the record in the file; the header is record 1."""
    stock: str
    description: str
    quantity: int
    price: Decimal
    """Net, in pounds."""


class RowProblem(msgspec.Struct, frozen=True):
    """A row that cannot be read."""

    row: int
    message: str


class RetailDocument(msgspec.Struct):
    """An invoice, or a cancellation: its number starts with C."""

    number: str
    row: int
    """Of its first line."""
    date: str
    """`YYYY-MM-DD HH:MM:SS` as the file has it; its first line's."""
    customer: str
    """Empty when the file names none."""
    country: str
    lines: list[RetailLine]
    problem: RowProblem | None = None
    """The first unreadable row that names this document."""

    @property
    def cancels(self) -> bool:
        """Whether this is a cancellation."""
        return self.number.startswith("C")


class RetailFile(msgspec.Struct, frozen=True):
    """All documents, and rows that name none."""

    documents: list[RetailDocument]
    strays: list[RowProblem]


def read_retail_file(path: Path) -> RetailFile:
    """Read a file.

    Raises:
        FileFormatError: missing, damaged, or not this format.
    """
    return read_retail_rows(record for _, record in retail_records(path))


def retail_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a file with their numbers, from 1, the header first.

    Raises:
        FileFormatError: missing or damaged.
    """
    try:
        with path.open("rb") as raw, _decompressed(raw) as content:
            text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="")
            yield from enumerate(csv.reader(text), start=1)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise FileFormatError(f"{path}: {error}") from error


def read_retail_rows(records: Iterable[list[str]]) -> RetailFile:
    """Group records, the header first, into documents.

    Raises:
        FileFormatError: another header, or more than `ROWS_MAX` rows.
    """
    iterator = iter(records)
    header = tuple(name.strip() for name in next(iterator, []))
    # What an earlier import refused, corrected: the reasons stand in two more columns.
    if header[: len(COLUMNS)] != COLUMNS or header[len(COLUMNS) :] not in {(), ERROR_COLUMNS}:
        raise FileFormatError(f"the first line must be {','.join(COLUMNS)}")
    documents: dict[str, RetailDocument] = {}
    strays: list[RowProblem] = []
    prices: dict[str, Decimal] = {}
    document: RetailDocument | None = None
    for row, record in _numbered(iterator):
        number = record[0].strip() if record else ""
        if not number or len(number) > _ORDER_ID_MAX or folded(number) != number:
            message = "InvoiceNo is empty, too long, or holds invisible or full-width characters"
            strays.append(RowProblem(row, message))
            owner = documents.get(folded(number), document)
            if owner is not None:
                _note(owner, row, "this row may belong to it, and cannot be placed")
            continue
        document = documents.get(number)
        if document is None:
            document = RetailDocument(number, row, "", "", "", [])
            documents[number] = document
        if len(COLUMNS) < len(record) <= len(header):
            record = record[: len(COLUMNS)]  # noqa: PLW2901 - without the reasons
        _add_row(document, row, record, prices)
    return RetailFile(list(documents.values()), strays)


def _decompressed(raw: BinaryIO) -> BinaryIO:
    magic = raw.read(2)
    raw.seek(0)
    return cast("BinaryIO", gzip.open(raw)) if magic == b"\x1f\x8b" else raw


def _numbered(records: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for row, record in enumerate(records, start=2):
        if row > ROWS_MAX:
            raise FileFormatError(f"more than {ROWS_MAX} rows")
        if record:  # csv reads an empty line as an empty record
            yield row, record


def _add_row(
    document: RetailDocument, row: int, record: list[str], prices: dict[str, Decimal]
) -> None:
    if len(record) != len(COLUMNS):
        _note(document, row, f"has {len(record)} columns, not {len(COLUMNS)}")
        return
    _, stock, description, quantity_text, date, price_text, customer, country = record
    if any(_REPLACED in text for text in record):
        _note(document, row, "holds bytes that are no UTF-8")
        return
    if _WHOLE.fullmatch(quantity_text.strip()) is None:
        _note(document, row, "Quantity is no whole number")
        return
    quantity = int(quantity_text)
    price = prices.get(price_text)
    if price is None:
        try:
            price = _price(price_text)
        except InvalidOperation:
            _note(document, row, "UnitPrice is no amount")
            return
        prices[price_text] = price
    if not stock.strip() or len(stock) > _CODE_MAX or abs(quantity) > _NUMBER_MAX:
        _note(document, row, "StockCode or Quantity is out of range")
        return
    if len(description.strip()) > _TEXT_MAX:
        _note(document, row, f"Description has more than {_TEXT_MAX} characters")
        return
    try:
        check_safe(stock)
        check_safe(description)
    except ValueError as error:
        _note(document, row, f"StockCode or Description {error}")
        return
    customer = customer.strip().removesuffix(".0")
    if not document.lines:
        document.date, document.customer, document.country = date, customer, country.strip()
    elif document.customer != customer:
        _note(document, row, "names another CustomerID than the rows before it")
        return
    document.lines.append(RetailLine(row, stock.strip(), description.strip(), quantity, price))


def _price(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text.strip()) is None:
        raise InvalidOperation
    price = Decimal(text.strip())
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > _DECIMALS_MAX or abs(price) > _NUMBER_MAX:
        raise InvalidOperation
    return price


def _note(document: RetailDocument, row: int, message: str) -> None:
    if document.problem is None:
        document.problem = RowProblem(row, message)
