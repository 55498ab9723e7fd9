"""Our own tables, CSV and XLSX: read exactly, planned row by row, refused rows given back."""

import csv
import datetime
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.command import main
from node.domains.invoices.cli.upload import Upload
from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.importing import tables
from node.domains.invoices.importing import workbook as workbook_module
from node.domains.invoices.importing.cells import CellError, amount, decimal_text, rate
from node.domains.invoices.importing.columns import COLUMNS
from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.plan import LateRed, Plan, PlannedRed, encode_json
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.tables import csv_line, guarded, read_csv, read_xlsx
from node.system.config import NodeConfig
from tests.cli.fake_node import FakeNode
from tests.cli.test_upload import config, fake

__all__ = ["config", "fake"]  # fixtures

HEADER = ["kind", "order_id", "description", "quantity", "unit_price", "net", "rate"]
RED = [*HEADER, "original", "original_number", "line", "reason"]
SALE = ["", "A", "Paper", "4", "2.5", "", "13%"]


def plan(*rows: list[str], header: list[str] = HEADER) -> Plan:
    return plan_table(read_documents(enumerate([header, *rows], start=1)))


def refused(made: Plan) -> list[tuple[int, str, str | None]]:
    return [(refusal.row, refusal.code, refusal.column) for refusal in made.refused]


def body(planned: Any) -> dict[str, Any]:
    decoded = json.loads(planned.body)
    assert isinstance(decoded, dict)
    return decoded


# --- Cells -----------------------------------------------------------------------------------


@given(st.integers(-(10**15), 10**15), st.sampled_from([1, 100, 1_000]))
def test_every_amount_is_read_as_it_is_written(minor: int, units: int) -> None:
    text = format(Decimal(minor) / units, "f")
    assert amount(text, units) == minor


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0.001", 100),
        ("1.5", 1),
        ("1,000.00", 100),
        ("1e3", 100),
        ("", 100),
        ("10000000000001", 100),
        ("٣", 100),
        ("0.30000000000000004", 100),
        ("--1", 100),
        ("NaN", 100),
    ],
)
def test_an_amount_that_is_none_is_refused(text: str, units: int) -> None:
    with pytest.raises(CellError):
        amount(text, units)


@pytest.mark.parametrize(
    ("text", "points"),
    [("13", 1_300), ("13%", 1_300), ("13.00%", 1_300), ("0", 0), ("0.5%", 50), ("6.25", 625)],
)
def test_rates_are_per_cent(text: str, points: int) -> None:
    assert rate(text) == points


@pytest.mark.parametrize("text", ["0.13", "-1", "101", "13.001", "%", "13 %%", "thirteen"])
def test_a_rate_that_may_mean_two_things_or_nothing_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        rate(text)


def test_quantities_keep_thirteen_decimals_and_no_more() -> None:
    assert decimal_text("0.1234567890123") == "0.1234567890123"
    assert decimal_text("1.50000000000000000") == "1.5"
    with pytest.raises(CellError):
        decimal_text("0.12345678901234")


# --- Documents -------------------------------------------------------------------------------


def test_rows_of_one_order_are_one_invoice_with_lines_and_rates() -> None:
    made = plan(
        SALE, ["", "B", "Pen", "", "", "1.00", "6"], ["", "A", "Ink", "1", "0.125", "", "6"]
    )

    assert [(each.order_id, each.row, each.net, each.tax) for each in made.invoices] == [
        ("A", 2, 1_013, 131),
        ("B", 3, 100, 6),
    ]
    assert [line["rate"] for line in body(made.invoices[0])["lines"]] == [1_300, 600]


def test_headings_may_be_chinese_and_what_is_the_documents_stands_once_or_on_all() -> None:
    header = ["订单号", "项目名称", "金额", "税率", "票种", "购买方名称", "外部日期", "备注"]
    made = plan(
        ["A", "纸", "1.00", "13", "专票", "福州公司", "2026-11-20 10:00:00", ""],
        ["A", "笔", "1.00", "13", "", "福州公司", "", "急"],
        header=header,
    )

    (invoice,) = made.invoices
    assert body(invoice)["kind"] == "special"
    assert body(invoice)["details"] == {
        "buyer": {"name": "福州公司"},
        "external_date": "2026-11-20T10:00:00",
        "remarks": "急",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"quantity": "four"}, (2, "MALFORMED", "quantity")),
        ({"unit_price": "2.5o"}, (2, "MALFORMED", "unit_price")),
        ({"net": "9.999"}, (2, "MALFORMED", "net")),
        ({"net": "11.00"}, (2, "INVALID_FIELDS", "net")),
        ({"rate": "0.13"}, (2, "MALFORMED", "rate")),
        ({"rate": ""}, (2, "MISSING", "rate")),
        ({"description": ""}, (2, "MISSING", "description")),
        ({"description": "x" * 501}, (2, "INVALID_FIELDS", "description")),
        ({"quantity": ""}, (2, "MISSING", "net")),
        ({"quantity": "0"}, (2, "NOTHING_TO_INVOICE", None)),
        ({"quantity": "-1"}, (2, "INVALID_FIELDS", "lines")),
        ({"kind": "gift"}, (2, "MALFORMED", "kind")),
        ({"kind": "red"}, (2, "MISSING", "original")),
        ({"order_id": ""}, (2, "MALFORMED", "order_id")),
        ({"order_id": "x" * 129}, (2, "MALFORMED", "order_id")),
    ],
)
def test_each_bad_cell_is_named_and_refuses_its_document_only(
    change: dict[str, str], expected: tuple[int, str, str | None]
) -> None:
    row = [change.get(name, text) for name, text in zip(HEADER, SALE, strict=True)]
    made = plan(row, ["", "B", *SALE[2:]])

    assert refused(made) == [expected]
    assert [invoice.order_id for invoice in made.invoices] == ["B"]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("currency", "cny", "INVALID_FIELDS"),
        ("currency", "XQQ", "NO_EXCHANGE_RATE"),
        ("buyer", "nobody", "INVALID_FIELDS"),
        ("external_date", "20.11.2026", "MALFORMED"),
        ("external_date", "2026-02-30", "MALFORMED"),
        ("due_date", "x", "MALFORMED"),
    ],
)
def test_a_bad_head_is_told_at_the_row_that_says_it(column: str, value: str, code: str) -> None:
    made = plan([*SALE, ""], [*SALE, value], header=[*HEADER, column])

    assert refused(made) == [(3, code, column)]
    if code == "MALFORMED":
        assert "write YYYY-MM-DD" in made.refused[0].message


def test_a_head_that_differs_between_rows_is_a_conflict() -> None:
    made = plan([*SALE, "one"], [*SALE, "two"], header=[*HEADER, "remarks"])

    assert refused(made) == [(3, "CONFLICT", "remarks")]
    assert "row 2" in made.refused[0].message


def test_the_errors_of_one_document_are_bounded() -> None:
    made = plan(*[["", "A", "", "x", "x", "x", "x"]] * 50)

    assert len(made.refused) == 20
    assert made.invoices == ()


@pytest.mark.parametrize(
    "header", [[], ["kind"], ["order_id", "colour"], ["order_id", "订单号"], ["order_id", ""]]
)
def test_a_header_that_is_not_ours_refuses_the_file(header: list[str]) -> None:
    with pytest.raises(FileFormatError):
        plan(SALE, header=header)


# --- Red letters -----------------------------------------------------------------------------


def red(order_id: str, original: str, line: str, quantity: str = "", net: str = "") -> list[str]:
    number = original if len(original) == 20 else ""
    return [
        "red",
        order_id,
        "",
        quantity,
        "",
        net,
        "",
        "" if number else original,
        number,
        line,
        "",
    ]


def sale(order_id: str, quantity: str, price: str) -> list[str]:
    return ["", order_id, "Paper", quantity, price, "", "13%", "", "", "", ""]


def test_red_letters_take_lines_by_quantity_by_amount_and_whole() -> None:
    made = plan(
        red("R0", "A", "3"),
        sale("A", "3", "3.33"),
        sale("A", "1", "5.00"),
        sale("A", "1", "7.00"),
        red("R1", "A", "1", quantity="1"),
        red("R2", "A", "1", quantity="2"),
        red("R3", "A", "2", net="4.99"),
        header=RED,
    )

    assert refused(made) == []
    letters = [letter for letter in made.letters if isinstance(letter, PlannedRed)]
    lines = {letter.order_id: body(letter)["lines"][0] for letter in letters}
    assert {name: line["net"] for name, line in lines.items()} == {
        "R0": 700,
        "R1": 333,
        "R2": 666,
        "R3": 499,
    }
    assert [line["original"] for line in lines.values()] == [2, 0, 0, 1]
    assert "unit_price" not in lines["R3"]
    # 21.99 net bears 2.86; what the letters leave of the tax is what a penny bears: nothing.
    assert made.invoices[0].tax == sum(letter.tax for letter in letters) == 286


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (red("R", "A", "9"), (3, "UNKNOWN_LINE", "line")),
        (red("R", "A", "0"), (3, "MALFORMED", "line")),
        (red("R", "A", ""), (3, "MISSING", "line")),
        (red("R", "A", "1", quantity="4"), (3, "LINE_OVER_CREDIT", "line")),
        (red("R", "A", "1", net="10.00"), (3, "LINE_OVER_CREDIT", "line")),
        (red("R", "A", "1", net="-1.00"), (3, "MALFORMED", "net")),
        (red("R", "", "1"), (3, "MISSING", "original")),
        (red("R", "A" * 129, "1"), (3, "MALFORMED", "original")),
        (red("R", "A\u200bB", "1"), (3, "MALFORMED", "original")),
        (red("R", "A\tB", "1"), (3, "MALFORMED", "original")),
        ([*red("R", "A", "1")[:-1], "boredom"], (3, "MALFORMED", "reason")),
    ],
)
def test_a_red_letter_beyond_its_original_is_refused(
    row: list[str], expected: tuple[int, str, str]
) -> None:
    assert refused(plan(sale("A", "3", "3.33"), row, header=RED)) == [expected]


def test_what_one_red_letter_took_the_next_cannot_take() -> None:
    made = plan(sale("A", "3", "3.33"), red("R", "A", "1"), red("S", "A", "1", "1"), header=RED)

    assert refused(made) == [(4, "LINE_OVER_CREDIT", "line")]


def test_the_red_letter_of_a_refused_invoice_is_refused() -> None:
    made = plan(sale("A", "x", "3.33"), red("R", "A", "1"), header=RED)

    assert refused(made) == [(2, "MALFORMED", "quantity"), (3, "NO_ORIGINAL", "original")]


def test_one_red_document_may_touch_several_invoices() -> None:
    made = plan(
        sale("A", "1", "1.00"),
        sale("B", "1", "1.00"),
        red("R", "A", "1"),
        red("R", "2" * 20, "1"),
        header=RED,
    )

    first, second = made.letters
    assert (first.order_id, first.original) == ("R/1", "A")
    assert isinstance(second, LateRed)
    assert (second.order_id, second.original, second.by_number) == ("R/2", "2" * 20, True)


def test_red_letters_of_invoices_on_the_ledger_are_worked_out_from_their_details(
    fake: FakeNode, config: NodeConfig
) -> None:
    Upload(config, plan(sale("A", "3", "3.33"), sale("A", "2", "1.00"), header=RED)).run()
    number = fake.found["A"]
    later = plan(
        red("R", "A", "1", quantity="1"),
        red("S", number, "2", net="1.50"),
        red("T", "A", "7"),
        red("U", "Z", "1"),
        header=RED,
    )

    summary = Upload(config, later).run()

    assert summary.totals["CNY"].net == -333 - 150
    assert {(r.row, r.code) for r in summary.refused} == {(4, "UNKNOWN_LINE"), (5, "NO_ORIGINAL")}
    assert (Upload(config, later).run().accepted, len(fake.invoices)) == (0, 3)


# --- CSV -------------------------------------------------------------------------------------


def text_of(rows: list[list[str]], delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_in_its_encodings_and_delimiters(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    rows = [HEADER, ["", "甲", "纸,大;\n二", "4", "2.50", "", "13%"]]
    path.write_text(text_of(rows, delimiter), encoding=encoding, newline="")

    read = list(read_csv(path, "gb18030" if encoding == "gb18030" else "utf-8"))

    assert read == [(1, rows[0]), (2, rows[1])]


def test_undeclared_gb18030_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("order_id\n纸张发票".encode("gb18030"))
    with pytest.raises(FileFormatError, match="--encoding"):
        list(read_csv(tmp_path / "a.csv"))


def test_bounds_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_MAX", 3)
    path = tmp_path / "a.csv"
    for content in ("a\n" * 4, '"a\n', ""):
        path.write_text(content)
        with pytest.raises(FileFormatError):
            list(read_csv(path))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-x", "'-x"),
        ("-12.50", "-12.50"),
        ("+1", "+1"),
        ("\tx", "'\tx"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_formula_is_written_as_text_and_read_back(
    tmp_path: Path, text: str, written: str
) -> None:
    assert guarded(text) == written
    (tmp_path / "a.csv").write_text(csv_line(["x", text]), newline="")
    ((_, cells),) = read_csv(tmp_path / "a.csv")
    assert cells == (["x", text] if text.strip() else ["x"])


# --- XLSX ------------------------------------------------------------------------------------


def workbook(path: Path, rows: list[list[Any]], formats: dict[str, str] | None = None) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for cell, number_format in (formats or {}).items():
        sheet[cell].number_format = number_format
    book.save(path)
    return path


def test_cells_of_a_workbook_become_the_text_that_was_typed(tmp_path: Path) -> None:
    day = datetime.datetime.fromisoformat("2026-11-20")
    values = ["甲", 4, 2.5, 1e-7, 0.13, 1234567.89, None, day, True]
    values += [day.replace(hour=8, minute=30), "=1+1"]
    path = workbook(tmp_path / "a.xlsx", [values], {"E1": "0%"})

    ((number, cells),) = read_xlsx(path)

    assert number == 1
    assert cells[:9] == [
        "甲",
        "4",
        "2.5",
        "0.0000001",
        "13%",
        "1234567.89",
        "",
        "2026-11-20",
        "TRUE",
    ]
    # A formula that no program has worked out yet has no value.
    assert cells[9:] == ["2026-11-20T08:30:00", "#UNKNOWN!"]
    assert [bool(getattr(cell, "problem", "")) for cell in cells[8:]] == [True, False, True]


def test_a_workbook_is_imported_like_the_same_csv(tmp_path: Path) -> None:
    rows: list[list[Any]] = [HEADER, ["", "A", "Paper", 4, 2.5, None, 0.13]]
    book = workbook(tmp_path / "a.xlsx", rows, {"G2": "0.00%"})

    assert plan_table(read_documents(read_xlsx(book))) == plan(SALE)


def test_another_sheet_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    book.create_sheet("Other").append(["order_id"])
    book.save(path)

    assert list(read_xlsx(path, "Other")) == [(1, ["order_id"])]
    with pytest.raises(FileFormatError, match="no sheet Third"):
        list(read_xlsx(path, "Third"))


def repacked(source: Path, target: Path, part: str, content: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if name == part else old.read(name))
    return target


@pytest.mark.parametrize(
    ("stored", "net"), [("0.30000000000000004", None), ("1.1000000000000001", 110), ("5E-2", 5)]
)
def test_a_stored_fraction_is_what_was_typed_or_is_refused(
    tmp_path: Path, stored: str, net: int | None
) -> None:
    rows: list[list[Any]] = [HEADER, ["", "A", "Paper", None, None, 77, "13%"]]
    good = workbook(tmp_path / "a.xlsx", rows)
    part = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(good) as archive:
        content = archive.read(part).replace(b"<v>77</v>", f"<v>{stored}</v>".encode())

    made = plan_table(read_documents(read_xlsx(repacked(good, tmp_path / "b.xlsx", part, content))))

    if net is None:
        assert refused(made) == [(2, "MALFORMED", "net")]
    else:
        assert [invoice.net for invoice in made.invoices] == [net]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = workbook(tmp_path / "a.xlsx", [["order_id"]])
    bomb = repacked(good, tmp_path / "b.xlsx", "xl/worksheets/sheet1.xml", b" " * (4 << 20))
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(workbook_module, "UNPACKED_BYTES_MAX", 1 << 20)

    with pytest.raises(FileFormatError, match="unpacks to more"):
        list(read_xlsx(bomb))


def test_entities_and_damage_in_a_workbook_are_refused(tmp_path: Path) -> None:
    good = workbook(tmp_path / "a.xlsx", [["order_id"]])
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">]><worksheet><sheetData>&a;</sheetData></worksheet>'
    for name, content in (("e.xlsx", laughs), ("d.xlsx", b"<worksheet><sheetData><row")):
        bad = repacked(good, tmp_path / name, "xl/worksheets/sheet1.xml", content)
        with pytest.raises(FileFormatError):
            list(read_xlsx(bad))
    (tmp_path / "t.xlsx").write_bytes(good.read_bytes()[:-40])
    (tmp_path / "n.xlsx").write_text("no archive")
    for name in ("t.xlsx", "n.xlsx", "missing.xlsx"):
        with pytest.raises(FileFormatError):
            list(read_xlsx(tmp_path / name))


def test_a_row_far_down_is_not_walked_to(tmp_path: Path) -> None:
    good = workbook(tmp_path / "a.xlsx", [["order_id"]])
    far = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="99999999999"><c r="A99999999999"><v>1</v></c></row></sheetData></worksheet>'
    )
    with pytest.raises(FileFormatError):
        list(read_xlsx(repacked(good, tmp_path / "b.xlsx", "xl/worksheets/sheet1.xml", far)))


# --- Commands --------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["invoice", "import", *arguments, "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_the_template_is_an_empty_import_with_every_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, language: str
) -> None:
    path = tmp_path / f"t.{suffix}"
    assert main(["invoice", "template", "-o", str(path), "--lang", language]) == 0
    assert main(["invoice", "template", "-o", str(path)]) == 2

    document = run(capsys, str(path), "--format", suffix)

    assert (document["accepted"], document["refused"]) == (0, [])
    rows = list(read_csv(path) if suffix == "csv" else read_xlsx(path))
    assert len(rows[-1][1]) == len(COLUMNS)


def test_the_guide_of_the_workbook_explains_every_column(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    assert main(["invoice", "template", "-o", str(path)]) == 0

    guide = [cells for _, cells in read_xlsx(path, "Fields 说明")]

    assert [row[0] for row in guide[1:]] == [column.name for column in COLUMNS]
    assert openpyxl.load_workbook(path).worksheets[0].data_validations.count >= 5


def test_the_examples_of_the_guide_are_a_good_import() -> None:
    header = [column.name for column in COLUMNS]
    made = plan(
        [column.example for column in COLUMNS],
        [column.red_example for column in COLUMNS],
        header=header,
    )

    assert made.refused == ()
    assert (len(made.invoices), len(made.letters)) == (1, 1)


def test_refused_rows_come_back_with_reasons_and_import_once_corrected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, rest = tmp_path / "a.csv", tmp_path / "rest.csv"
    rows = [SALE, ["", "B", "=cmd()", "1", "x", "", "13"], ["", "B", "Ink", "1", "1.00", "", "6"]]
    source.write_text(text_of([HEADER, *rows, ["", "", "stray"]]), newline="")

    first = run(capsys, str(source), "--format", "csv", "-o", str(rest))
    # The stray row may belong to B, the order before it.
    assert (first["accepted"], len(first["refused"])) == (1, 3)
    with rest.open(encoding="utf-8-sig", newline="") as file:
        kept = list(csv.reader(file))
    assert kept[0] == [*HEADER, "error_code", "error"]
    assert [row[1] for row in kept[1:]] == ["B", "B", ""]
    assert kept[1][2] == "'=cmd()"
    assert kept[2][-1].startswith("row 3: ")

    corrected = rest.read_text("utf-8-sig").replace(",x,", ",2.00,", 1)
    rest.write_text("\n".join(corrected.splitlines()[:-1]))
    again = run(capsys, str(rest), "--format", "csv")

    assert (again["accepted"], again["net"], again["refused"]) == (1, 300, [])


def test_refused_rows_of_the_retail_file_can_be_imported_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retail = Path(__file__).parents[1] / "data" / "online-retail-slice.csv.gz"
    rest = tmp_path / "rest.csv"
    first = run(capsys, str(retail), "--format", "online-retail", "-o", str(rest))
    again = run(capsys, str(rest), "--format", "online-retail")

    assert len(first["refused"]) == 444
    assert (again["accepted"], len(again["refused"])) == (0, 444)


def test_several_currencies_are_added_up_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.csv"
    rows = [[*SALE, "CNY"], ["", "B", "Tea", "", "", "500", "10", "JPY"]]
    source.write_text(text_of([[*HEADER, "currency"], *rows]), newline="")

    document = run(capsys, str(source), "--format", "csv")

    assert document["net"] is None
    assert document["totals"]["JPY"] == {"net": 500, "tax": 50, "gross": 550}


def test_every_planned_body_is_one_the_node_takes(tmp_path: Path) -> None:
    (invoice,) = plan(SALE).invoices
    sent = json.loads(invoice.body) | {"buyer": "0" * 18}
    InvoiceBody.model_validate_json(encode_json(sent))
