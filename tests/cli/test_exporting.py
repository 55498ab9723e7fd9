"""Invoices as tables: rows, signs, totals, and files that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from node.cli.errors import CliError, UsageError
from node.command import main
from node.domains.invoices.cli.export_table import _writer, export_table
from node.domains.invoices.cli.statements import csv_lines
from node.domains.invoices.exporting import writers
from node.domains.invoices.exporting.rows import (
    INVOICE_COLUMNS,
    LINE_COLUMNS,
    Cell,
    Totals,
    invoice_rows,
    line_rows,
)
from node.domains.invoices.exporting.writers import CsvWriter, XlsxWriter


def view(**changes: Any) -> dict[str, Any]:
    """An invoice as the API shows it."""
    return {
        "number": "26110000000000000001",
        "kind": "ordinary",
        "issuer": "91350100M000100Y43",
        "buyer": "91110000600037341L",
        "holder": "91110000600037341L",
        "currency": "CNY",
        "issue_date": "2026-11-20",
        "time": "2026-11-20T00:00:00.000Z",
        "groups": [{"rate": 1_300, "net": 10_000, "tax": 1_300}],
        "net": 10_000,
        "tax": 1_300,
        "gross": 11_300,
        "state": "issued",
        "response": {"state": "none"},
        "frozen": None,
        "available": 11_300,
        "credited": 0,
        "locked": 0,
        "reimbursed": 0,
        "refund_due": 0,
        "bookings": [],
        "original": None,
        "details_commitment": "ab",
        "details": None,
        "transaction": "cd",
        **changes,
    }


def row(invoice: dict[str, Any]) -> dict[str, Cell]:
    (cells,) = invoice_rows(invoice)
    return dict(zip(INVOICE_COLUMNS, cells, strict=True))


def lines(invoice: dict[str, Any]) -> list[dict[str, Cell]]:
    return [dict(zip(LINE_COLUMNS, cells, strict=True)) for cells in line_rows(invoice)]


# --- Rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "gross"),
    [
        ({}, "113.00"),
        ({"original": "2" * 20}, "-113.00"),
        ({"state": "cancelled"}, "0.00"),
        ({"currency": "JPY"}, "11300"),
        ({"currency": "KWD"}, "11.300"),
    ],
)
def test_a_document_counts_with_its_sign_and_its_currencys_decimals(
    changes: dict[str, Any], gross: str
) -> None:
    assert f"{row(view(**changes))['gross']:f}" == gross


def test_details_stand_where_they_can_be_read() -> None:
    details = {"external_number": "D-7", "buyer": {"name": "福州"}, "remarks": "=1+1"}

    assert row(view())["details"] == "sealed"
    assert row(view(details_commitment=None))["details"] == "none"
    shown = row(view(details=details))
    assert (shown["details"], shown["external_number"], shown["buyer_name"]) == (
        "read",
        "D-7",
        "福州",
    )


def test_lines_allowances_and_charges_add_up_to_the_net() -> None:
    details = {
        "lines": [
            {"description": "Paper", "quantity": "4", "unit_price": "26.00", "net": 10_400}
            | {"rate": 1_300, "code": "P"},
            {"description": "Off", "net": -100, "rate": 1_300, "tax": -12},
        ],
        "allowances": [
            {"kind": "allowance", "net": 500, "rate": 1_300, "reason": "late"},
            {"kind": "charge", "net": 200, "rate": 1_300},
        ],
    }

    found = lines(view(details=details))

    assert [(item["what"], item["net"]) for item in found] == [
        ("line", Decimal("104.00")),
        ("line", Decimal("-1.00")),
        ("allowance", Decimal("-5.00")),
        ("charge", Decimal("2.00")),
    ]
    assert [f"{item['tax']}" for item in found] == ["13.52", "-0.12", "-0.65", "0.26"]
    assert {item["rate"] for item in found} == {"13%"}
    red = lines(view(details=details, original="2" * 20))
    assert sum(Decimal(str(item["net"])) for item in red) == -100


def test_lines_that_cannot_be_read_are_replaced_by_the_public_rates() -> None:
    (only,) = lines(view())
    assert (only["what"], only["description"], only["net"]) == ("rate group", None, 100)


def test_totals_are_by_currency_and_exact() -> None:
    totals = Totals(INVOICE_COLUMNS)
    for invoice in (view(), view(original="2" * 20), view(gross=1), view(currency="JPY")):
        for cells in invoice_rows(invoice):
            totals.add(cells)

    assert {name: sums["gross"] for name, sums in totals.document.items()} == {
        "CNY": "0.01",
        "JPY": "11300",
    }
    assert [str(cells[0]) for cells in totals.rows()] == [
        "total of 3 rows 合计",
        "total of 1 rows 合计",
    ]


# --- Files -----------------------------------------------------------------------------------


ROWS: Sequence[list[Cell]] = (
    ["name", "amount"],
    ["=cmd|' /C calc'!A0", Decimal("-12.50")],
    ["@SUM(A1)", 7],
    ["a\x00b", Decimal("1234567890123456.78")],
    [None, Decimal(5)],
)


def test_csv_guards_text_and_leaves_numbers() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream)
    for cells in ROWS:
        writer.row(cells)

    assert list(csv.reader(io.StringIO(stream.getvalue())))[1:3] == [
        ["'=cmd|' /C calc'!A0", "-12.50"],
        ["'@SUM(A1)", "7"],
    ]


def test_a_workbook_has_text_as_text_and_amounts_as_numbers(tmp_path: Path) -> None:
    writer = XlsxWriter(tmp_path / "a.xlsx", "T")
    for place, cells in enumerate(ROWS):
        writer.row(cells, strong=place == 0)
    writer.close()

    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets[0]
    assert [cell.data_type for cell in sheet["A"]] == ["s", "s", "s", "s", "n"]
    assert sheet["A2"].value == "=cmd|' /C calc'!A0"
    assert (sheet["B2"].value, sheet["B2"].number_format) == (-12.5, "0.00")
    assert sheet["B4"].value == "1234567890123456.78"  # a number would lose its last digits


def test_a_workbook_goes_on_in_another_sheet_with_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "SHEET_ROWS_MAX", 3)
    writer = XlsxWriter(tmp_path / "a.xlsx", "T")
    for number in range(6):
        writer.row(["head" if number == 0 else number])
    writer.close()

    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    found = [[cell.value for cell in sheet["A"]] for sheet in book.worksheets]
    assert found == [["head", 1, 2], ["head", 3, 4], ["head", 5]]


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("before")
    with pytest.raises(ZeroDivisionError), _writer(target, workbook=False) as writer:
        writer.row(["x", 1 // 0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_text() == "before"
    with pytest.raises(CliError), _writer(tmp_path / "no" / "a.csv", workbook=False):
        pass


def test_what_cannot_be_exported_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output"):
        export_table(None, None, [], {}, workbook=True, lines=False, as_json=False)
    with pytest.raises(UsageError, match="not both"):
        export_table(
            *(None, tmp_path / "a", ["1"], {"party": "X"}),
            workbook=False,
            lines=False,
            as_json=False,
        )
    assert main(["invoice", "export", "--format", "ubl"]) == 2


def test_a_statement_as_csv_has_its_rates_and_totals() -> None:
    sums = {"documents": 1, "net": 100, "tax": 13, "gross": 113}
    rate = dict.fromkeys(("issued_net", "cancelled_net", "red_net", "net"), 100)
    rate |= dict.fromkeys(("issued_tax", "cancelled_tax", "red_tax", "tax"), 13)
    part = {"currency": "CNY", "issued": sums, "cancelled": sums, "red": sums, "net": -100}
    part |= {"tax": -13, "gross": -113, "rates": [{"rate": 1_300, **rate}]}
    value = {"issuer": "X", "month": "2026-11", "currencies": [part]}

    rows = list(csv.reader(csv_lines(value)))

    assert rows[1][3:6] == ["13.00%", "1.00", "0.13"]
    assert rows[2][3] == "total"
    assert rows[2][-2:] == ["-1.00", "-0.13"]
