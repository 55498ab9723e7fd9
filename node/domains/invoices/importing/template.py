"""The empty table for users to fill: CSV with comments, or a workbook with choices and a guide."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from node.domains.invoices.importing.columns import CHOICES, COLUMNS, Column, Level
from node.domains.invoices.importing.tables import ROWS_MAX, csv_line

Language = Literal["en", "zh"]
_TEXT_COLUMNS = {"order_id", "buyer", "buyer_tax_id", "buyer_account", "external_number", "code"}
_TEXT_COLUMNS |= {
    "external_date",
    "due_date",
    "original",
    "original_number",
    "quantity",
    "buyer_phone",
}
_TEXT_COLUMNS |= {"unit_price", "rate"}
"""Kept as typed: a spreadsheet would cut a long code's digits and turn dates about."""
_HEAD = PatternFill("solid", fgColor="DDE7F3")


def write_template(path: Path, language: Language) -> None:
    """Write a template; the file's suffix says which kind.

    Raises:
        ValueError: neither .csv nor .xlsx.
        OSError: it cannot be written.
    """
    match path.suffix.lower():
        case ".csv":
            path.write_text(csv_template(language), encoding="utf-8-sig", newline="")
        case ".xlsx":
            _workbook(language).save(path)
        case _:
            raise ValueError(f"{path}: the template's name must end with .csv or .xlsx")


def csv_template(language: Language) -> str:
    """Comments that explain the columns in both languages, then the header."""
    comments = [
        csv_line([f"# {column.name} {column.chinese}: {column.meaning} {column.chinese_meaning}"])
        for column in COLUMNS
    ]
    return "".join(comments) + csv_line([_heading(column, language) for column in COLUMNS])


def _heading(column: Column, language: Language) -> str:
    return column.name if language == "en" else column.chinese


def _workbook(language: Language) -> Workbook:
    book = Workbook()
    table = book.active
    assert isinstance(table, Worksheet), "a new workbook has a sheet"
    table.title = "Invoices 发票"
    for place, column in enumerate(COLUMNS, start=1):
        cell = table.cell(1, place, _heading(column, language))
        cell.font, cell.fill = Font(bold=True), _HEAD
        cell.comment = Comment(f"{column.meaning}\n{column.chinese_meaning}", "Piaolian")
        letter = get_column_letter(place)
        table.column_dimensions[letter].width = max(12, 2 * len(column.chinese) + 2)
        if column.name in _TEXT_COLUMNS:
            table.column_dimensions[letter].number_format = "@"
        _restrict(table, column, f"{letter}2:{letter}{ROWS_MAX}")
    table.freeze_panes = "A2"
    _guide(book.create_sheet("Fields 说明"))
    return book


def _restrict(table: Worksheet, column: Column, cells: str) -> None:
    rule: DataValidation | None = None
    if column.name in CHOICES:
        listed = ",".join(CHOICES[column.name])
        rule = DataValidation(type="list", formula1=f'"{listed}"', allow_blank=True)
    elif column.name == "line":
        rule = DataValidation(type="whole", operator="greaterThan", formula1="0", allow_blank=True)
    elif column.name == "currency":
        rule = DataValidation(type="textLength", operator="equal", formula1="3", allow_blank=True)
    if rule is not None:
        rule.error = f"{column.meaning} {column.chinese_meaning}"[:250]
        # Chinese words are read as well: a warning that can be passed, not a stop.
        rule.errorStyle = "warning"
        table.add_data_validation(rule)
        rule.add(cells)


def _guide(sheet: Worksheet) -> None:
    headings = ["column", "列名", "for", "meaning", "说明", "example", "red letter 红字示例"]
    sheet.append(headings)
    for cell in sheet[1]:
        cell.font, cell.fill = Font(bold=True), _HEAD
    for column in COLUMNS:
        scope = "document 整张" if column.level is Level.DOCUMENT else "row 每行"
        sheet.append(
            [
                column.name,
                column.chinese,
                scope,
                column.meaning,
                column.chinese_meaning,
                column.example,
                column.red_example,
            ]
        )
    for letter, width in zip("ABCDEFG", (18, 16, 14, 70, 60, 24, 18), strict=True):
        sheet.column_dimensions[letter].width = width
        for cell in sheet[letter]:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "A2"
