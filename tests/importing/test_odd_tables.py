"""Tables of other programs: no cell is lost, guessed or cut; no half of an order is imported."""

import gc
import io
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.command import main
from node.domains.invoices.importing.collector import seldom_collecting
from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.number_formats import may_mean, parsed
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.plan import Plan
from node.domains.invoices.importing.sheet import number_text
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.tables import read_csv, read_xlsx

CASES = Path(__file__).parents[3] / "shared" / "cases" / "import"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEADER = ["order_id", "description", "net", "rate"]
ROW = ["A-1", "Wheel", "10.00", "13%"]


def csv_plan(tmp_path: Path, content: bytes | str, encoding: str = "utf-8") -> Plan:
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return plan_table(read_documents(read_csv(path, encoding)))


def xlsx_plan(path: Path) -> Plan:
    return plan_table(read_documents(read_xlsx(path)))


def orders(plan: Plan) -> list[str]:
    return [each.order_id for each in plan.invoices]


def told(plan: Plan) -> list[tuple[int, str | None]]:
    return [(each.row, each.column) for each in plan.refused]


def dry_run(path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = main(["invoice", "import", str(path), "--format", kind, "--dry-run", "--json"])
    out, err = capsys.readouterr()
    return {"code": code, "err": err} | (json.loads(out) if out else {})


# --- The files beside the project ----------------------------------------------------------------

ANSWERS: Mapping[str, tuple[int, int, str]] = {
    "table-dimension-a1.xlsx": (2, 2_200, ""),
    "table-one-cell-too-many.csv": (1, 100, "has 5 cells"),
    "table-order-id-blank.csv": (0, 0, "which order"),
    "table-order-ids-20-digits.xlsx": (0, 0, "more than 15 digits"),
    "table-formula-net.xlsx": (0, 0, "formula without a stored value"),
    "table-tax-5-off.csv": (0, 0, "TOTALS_MISMATCH"),
    "table-invisible-order-id.csv": (1, 1_000, "invisible or full-width"),
    "table-nul.csv": (0, 0, "control"),
    "retail-odd-numbers.csv": (0, 0, "no whole number"),
    "table-date-dmy.csv": (0, 0, "write YYYY-MM-DD"),
    "table-long-cell.csv": (1, 1_000, "more than 2000 characters"),
    "ubl-dup-breakdown-S.xml": (0, 0, "BR-S-08"),
    "ubl-intra-community-without-buyer-vat.xml": (0, 0, "BR-IC-02"),
    "ubl-second-taxtotal-with-wrong-breakdown.xml": (0, 0, "BR-CO-14"),
    "ubl-zero-allowance-without-total.xml": (0, 0, "BR-CO-11"),
    "ubl-taxscheme-id-missing.xml": (0, 0, "UBL-SR-53"),
    "ubl-unit-code-unknown.xml": (0, 0, "BR-CL-23"),
    "ubl-embedded-pdf-200k.xml": (1, 10_000, ""),
    "ubl-no-due-date.xml": (1, 10_000, ""),
    "ubl-two-sub-lines.xml": (1, 10_000, ""),
    "ubl-vat-prefix-1A.xml": (1, 10_000, ""),
}
"""File → how many are accepted, over which net, and what the refusals say."""
UNREADABLE = {"table-utf16.csv": "UTF-16", "table-many-styles.xlsx": "styles.xml unpacks to"}


@pytest.mark.skipif(not CASES.exists(), reason="the files lie beside the project")
@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_of_another_program_has_its_right_answer(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted, net, said = ANSWERS[name]
    kind = {"csv": "csv", "xlsx": "xlsx", "xml": "ubl"}[name.rpartition(".")[2]]
    kind = "online-retail" if name.startswith("retail") else kind
    answer = dry_run(CASES / name, kind, capsys)
    assert (answer["code"], answer["accepted"], answer["net"]) == (0, accepted, net)
    assert said in json.dumps(answer["refused"])


@pytest.mark.skipif(not CASES.exists(), reason="the files lie beside the project")
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_is_refused_as_a_whole_is_refused_at_once(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.process_time()
    answer = dry_run(CASES / name, name.rpartition(".")[2], capsys)
    assert time.process_time() - begun < 2
    assert answer["code"] == 1
    assert UNREADABLE[name] in answer["err"]


# --- Orders are taken whole ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        (["A-1,Wheel,10.00,13%", "A-1,Bell, big,5.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1,Wheel,10.00,13%", ",Tyre,5.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1,Wheel,10.00,13%", "#N/A,Tyre,5.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1,Wheel,10.00,13%", "A-2,ok,1.00,13%", "A-1,x,#REF!,13%"], ["A-2"]),
        (["A-1,Wheel,10.00,13%", "A-2,ok,1.00,13%", "A-1\u200b,x,1.00,13%"], ["A-2"]),
        (["A-1,Wheel,10.00,13%", "A-2,ok,1.00,13%", "\uff21-1,x,1.00,13%"], ["A-2"]),
        (["A-1,a,1.00,13%", "A-2,b,2.00,13%", "A-1,c,3.00,13%", "A-2,d,4.00,13%"], ["A-1", "A-2"]),
        (["A-1,Whe\x00el,10.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1,Whe\u202eel,10.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1," + "x" * 300_000 + ",10.00,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (["A-1,Wheel,\uff11\uff10,13%", "A-2,ok,1.00,13%"], ["A-2"]),
        (['A-1,Wheel,"1,000.00",13%', "A-2,ok,1.00,13%"], ["A-2"]),
    ],
)
def test_an_order_of_which_a_row_cannot_be_placed_or_read_is_refused_whole(
    tmp_path: Path, rows: list[str], taken: list[str]
) -> None:
    plan = csv_plan(tmp_path, "\n".join([",".join(HEADER), *rows]))
    assert orders(plan) == taken
    assert bool(plan.refused) is (len(taken) == 1)


def test_a_row_with_a_cell_too_many_keeps_all_its_cells_among_the_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, rest = tmp_path / "a.csv", tmp_path / "rest.csv"
    source.write_text("order_id,description,net,rate\nA,x,1.00,13%\nA,Bell, big,5.00,LAST\n")
    arguments = ["invoice", "import", str(source), "--format", "csv", "--dry-run", "-o", str(rest)]
    assert main(arguments) == 0
    capsys.readouterr()
    assert "LAST" in rest.read_text("utf-8-sig")


# --- Encodings and line ends ---------------------------------------------------------------------

TEXT = "order_id,description,net,rate\nA-1,\u7eb8\u5f20\u548c\u7b14,10.00,13%\n"


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (TEXT.encode("utf-16"), "utf-8", "UTF-16"),
        (TEXT.encode("utf-16-le"), "utf-8", "UTF-16|UTF-8"),
        ("order_id,a\n".encode("utf-16-be"), "utf-8", "UTF-16"),
        (TEXT.encode("utf-32"), "utf-8", "UTF-32"),
        (TEXT.encode("gb18030"), "utf-8", "--encoding gb18030"),
        (TEXT.encode(), "gb18030", "is UTF-8"),
        (
            "order_id,description\nA,M\u00fcller und S\u00f6hne".encode("latin-1"),
            "utf-8",
            "Latin-1",
        ),
        ("order_id,description\nA,M\u00fcller".encode("latin-1"), "gb18030", "Latin-1"),
        ("order_id,description\nA,M\u00fcller".encode(), "gb18030", "is UTF-8"),
        (b"", "utf-8", "empty"),
        (b"PK\x03\x04" + bytes(40), "utf-8", "--format xlsx"),
    ],
)
def test_a_file_in_another_encoding_is_named_and_never_guessed(
    tmp_path: Path, content: bytes, encoding: str, said: str
) -> None:
    with pytest.raises(FileFormatError, match=said):
        csv_plan(tmp_path, content, encoding)


def test_chinese_that_is_valid_utf_8_by_chance_is_read_as_it_was_said(tmp_path: Path) -> None:
    content = "order_id,description,net,rate\nA-1,\u7eb8,10.00,13%".encode("gb18030")
    content.decode()  # no error: this character is a Hebrew point in UTF-8
    (invoice,) = csv_plan(tmp_path, content, "gb18030").invoices
    assert json.loads(invoice.body)["lines"][0]["description"] == "\u7eb8"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_line_ends_marks_and_separators_change_nothing(
    tmp_path: Path, end: str, mark: str, separator: str
) -> None:
    rows = [HEADER, ROW, ["A-1", '"two\nlines"', "5.00", "13%"], ["", "", "", "", "", ""]]
    content = mark + end.join(separator.join(row) for row in rows)
    plan = csv_plan(tmp_path, content)
    assert [(each.order_id, each.net) for each in plan.invoices] == [("A-1", 1_500)]


def test_a_comment_says_nothing_about_the_separator(tmp_path: Path) -> None:
    plan = csv_plan(tmp_path, "# a, b, c, d, e, f\norder_id;description;net;rate\nA;x;1.00;13%")
    assert orders(plan) == ["A"]


# --- Workbooks -----------------------------------------------------------------------------------


def book(path: Path, sheet: str, *, more: Mapping[str, str] | None = None) -> Path:
    """A workbook made by hand, as other programs make them."""
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{relations}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="s"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">'
        f'<Relationship Id="s" Type="{relations}/worksheet" Target="worksheets/s.xml"/>'
        f'<Relationship Id="t" Type="{relations}/styles" Target="styles.xml"/></Relationships>',
        "xl/worksheets/s.xml": sheet,
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts><numFmt numFmtId="164" '
        'formatCode="0000"/><numFmt numFmtId="165" formatCode="[$€-407] #,##0.00"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="9"/><xf numFmtId="164"/>'
        '<xf numFmtId="165"/></cellXfs></styleSheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (parts | dict(more or {})).items():
            archive.writestr(name, content)
    return path


def text_cell(column: str, row: int, text: str) -> str:
    return f'<c r="{column}{row}" t="inlineStr"><is><t>{text}</t></is></c>'


def sheet_of(cells: str, *, after: str = "", dimension: str = "A1") -> str:
    header = "".join(text_cell(c, 1, name) for c, name in zip("ABCD", HEADER, strict=True))
    return (
        f'<worksheet xmlns="{MAIN}"><dimension ref="{dimension}"/><sheetData>'
        f'<row r="1">{header}</row>{cells}</sheetData>{after}</worksheet>'
    )


def one_row(net: str, order: str = text_cell("A", 2, "A-1")) -> str:
    rest = text_cell("B", 2, "Wheel") + net + text_cell("D", 2, "13%")
    return f'<row r="2">{order}{rest}</row>'


@pytest.mark.parametrize("prefix", ["", "x:"])
@pytest.mark.parametrize("blank", [20, 20_000, 300_000], ids="blanks={}".format)
def test_every_row_of_a_long_sheet_is_read_wherever_it_is_cut(
    tmp_path: Path, prefix: str, blank: int
) -> None:
    rows = "".join(
        f'<{prefix}row r="{number}"><{prefix}c r="B{number}"><{prefix}v>{number}</{prefix}v>'
        f"</{prefix}c>{' ' * (blank if number % 500 == 0 else number % 7)}</{prefix}row \n>"
        for number in range(1, 3_001)
    )
    name = f"xmlns{':x' if prefix else ''}"
    sheet = f"{prefix}worksheet"
    content = f'<{sheet} {name}="{MAIN}"><{prefix}sheetData>{rows}</{prefix}sheetData></{sheet}>'

    read = list(read_xlsx(book(tmp_path / "a.xlsx", content)))

    assert read == [(number, ["", str(number)]) for number in range(1, 3_001)]


def test_runs_of_a_text_are_one_and_readings_beside_it_none(tmp_path: Path) -> None:
    runs = "<t>Wh</t><r><rPr/><t>e</t><t>e</t></r><rPh><t>no</t></rPh><r><t>l</t></r>"
    cell = f'<c r="A1" t="inlineStr"><is>{runs}</is></c>'
    content = f'<worksheet xmlns="{MAIN}"><sheetData><row>{cell}</row></sheetData></worksheet>'
    assert list(read_xlsx(book(tmp_path / "a.xlsx", content))) == [(1, ["Wheel"])]


@pytest.mark.parametrize("dimension", ["A1", "A1:B1", "A1:D2", "A1:XFD1048576", "nonsense"])
def test_the_dimension_of_a_sheet_is_not_trusted(tmp_path: Path, dimension: str) -> None:
    content = sheet_of(one_row('<c r="C2"><v>10</v></c>'), dimension=dimension)
    assert orders(xlsx_plan(book(tmp_path / "a.xlsx", content))) == ["A-1"]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ('<c r="C2"><f>1+1</f></c>', "formula without a stored value"),
        ('<c r="C2"><f>1+1</f><v></v></c>', "formula without a stored value"),
        ('<c r="C2" t="str"><f>A1</f></c>', "formula without a stored value"),
        ('<c r="C2" t="e"><v>#DIV/0!</v></c>', "error #DIV/0!"),
        ('<c r="C2" t="b"><v>1</v></c>', "truth value"),
        ('<c r="C2"><v>1234567890123456</v></c>', "more than 15 digits"),
        ('<c r="C2"><v>0.30000000000000004</v></c>', "more than 15 digits"),
        ('<c r="C2"><v>1e308</v></c>', "import"),
        ('<c r="C2"><v>NaN</v></c>', "import"),
        ('<c r="C2"><v>ten</v></c>', "no number"),
        ('<c r="C2"><v>1_0</v></c>', "no number"),
        ('<c r="C2"><v>\u0661\u0660</v></c>', "no number"),
        ('<c r="C2" t="str"><v>1_xD800_0</v></c>', "half a character"),
        ('<c r="C2" s="1"><v>46000</v></c>', "holds a date"),
        ('<c r="C2" s="1"><v>60</v></c>', "before March 1900"),
        ('<c r="C2" s="2"><v>0.1</v></c>', "no number like"),
        ('<c r="C2" s="4"><v>10</v></c>', "shown in €"),
        ('<c r="C2" t="z"><v>10</v></c>', "unknown type"),
    ],
)
def test_a_cell_that_is_not_what_was_typed_is_told_by_row_and_column(
    tmp_path: Path, net: str, said: str
) -> None:
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(one_row(net))))
    assert orders(plan) == []
    assert told(plan)[0] == (2, "net")
    assert said in plan.refused[0].message


@pytest.mark.parametrize(
    ("cell", "net"),
    [
        ('<c r="C2"><v>8.0500000000000007</v></c>', 805),
        ('<c r="C2"><f>1</f><v>8.05</v></c>', 805),
        ('<c r="C2"><v>1E1</v></c>', 1_000),
        ('<c r="C2" s="99"><v>7</v></c>', 700),
        ("<c><v>7</v></c>", 700),
        ('<c r="C2" t="inlineStr"><is><r><t>1</t></r><r><t>0</t></r></is></c>', 1_000),
        ("<!-- --><c r='C2' t='n'><v>7</v></c>", 700),
    ],
)
def test_a_number_is_what_was_typed(tmp_path: Path, cell: str, net: int) -> None:
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(one_row(cell))))
    assert [each.net for each in plan.invoices] == [net], plan.refused


def test_the_two_halves_of_an_escaped_character_are_one(tmp_path: Path) -> None:
    rest = text_cell("B", 2, "A _xD83D__xDE00_") + text_cell("C", 2, "1") + text_cell("D", 2, "13%")
    row = f'<row r="2">{text_cell("A", 2, "A-1")}{rest}</row>'
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(row)))
    assert "A \U0001f600" in plan.invoices[0].body.decode()


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_part_packed_as_no_workbook_is_packed_is_refused(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("_rels/.rels", "<Relationships/>")
    content = bytearray(path.read_bytes())
    content[50:60] = bytes(each ^ 0x55 for each in content[50:60])
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"_rels/\.rels is packed"):
        xlsx_plan(path)


def test_an_order_id_that_is_shown_with_zeros_before_it_is_refused(tmp_path: Path) -> None:
    cells = one_row('<c r="C2"><v>10</v></c>', '<c r="A2" s="3"><v>12</v></c>')
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(cells)))
    assert "shown with zeros before it (0012)" in plan.refused[0].message


def test_merged_cells_refuse_the_rows_that_lack_their_text(tmp_path: Path) -> None:
    second = "".join(text_cell(c, 3, t) for c, t in (("A", "A-1"), ("B", "Bell"), ("C", "1")))
    cells = one_row('<c r="C2"><v>10</v></c>') + f'<row r="3">{second}</row>'
    merged = '<mergeCells count="1"><mergeCell ref="D2:D3"/></mergeCells>'
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(cells, after=merged)))
    assert orders(plan) == []
    assert any("merged" in each.message for each in plan.refused)


@pytest.mark.parametrize("reference", ["A:A", "D2:3", "", "d2:d3", "D2:D99999999", "D2:D3:D4"])
def test_merged_cells_that_cannot_be_read_refuse_the_file(tmp_path: Path, reference: str) -> None:
    """Which rows lack their text then, nobody knows."""
    merged = f'<mergeCells count="1"><mergeCell ref="{reference}"/></mergeCells>'
    cells = one_row('<c r="C2"><v>10</v></c>')
    with pytest.raises(FileFormatError, match="merged cells cannot be read"):
        xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(cells, after=merged)))


@pytest.mark.parametrize(
    "both",
    ["<v>10</v><v>99</v>", "<v>10</v><is><t>99</t></is>", "<is><t>99</t></is><v>10</v>"],
)
def test_a_cell_of_two_values_is_none_of_them(tmp_path: Path, both: str) -> None:
    plan = xlsx_plan(book(tmp_path / "a.xlsx", sheet_of(one_row(f'<c r="C2">{both}</c>'))))
    assert orders(plan) == []
    assert "holds two values" in plan.refused[0].message


def test_what_of_a_workbook_is_not_read_or_not_seen_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    made = openpyxl.Workbook()
    first = made.worksheets[0]
    first.title = "hidden"
    first.sheet_state = "hidden"
    shown = made.create_sheet("May")
    for row in (HEADER, ROW, ["A-2", *ROW[1:]]):
        shown.append(row)
    shown.row_dimensions[3].hidden = True
    made.create_sheet("June").append(HEADER)
    made.save(path)
    plan = xlsx_plan(path)
    assert orders(plan) == ["A-1", "A-2"]
    assert plan.notes == (
        "only the sheet 'May' is read, not hidden, June; "
        "`piaolian invoice import --sheet` reads another",
        "1 hidden rows of 'May' are read",
    )


def test_dates_of_the_system_from_1904_are_other_days() -> None:
    shown = parsed("yyyy-mm-dd")
    assert number_text("46000", shown) == "2025-12-09"
    assert number_text("46000", shown, date1904=True) == "2029-12-10"


@pytest.mark.parametrize(
    ("code", "percent", "date", "currency"),
    [
        ("0.00%", True, False, ""),
        ('0"%"', False, False, ""),
        ("0\\%", False, False, ""),
        ("[Red]0.0%;-0", True, False, ""),
        ("General", False, False, ""),
        ("d/m/yyyy", False, True, ""),
        ("[h]:mm", False, True, ""),
        ('"day" 0', False, False, ""),
        ("[$$-409]#,##0.00", False, False, "$"),
        ('"¥"#,##0.00', False, False, "¥"),
        ("[$USD] 0", False, False, "USD"),
    ],
)
def test_formats_say_what_they_do_to_a_number(
    code: str, percent: bool, date: bool, currency: str
) -> None:
    found = parsed(code)
    assert (found.percent, found.date, found.currency) == (percent, date, currency)


def test_a_sign_may_mean_several_currencies_but_not_any() -> None:
    assert may_mean("¥", "CNY")
    assert may_mean("$", "HKD")
    assert not may_mean("$", "CNY")
    assert not may_mean("USD", "CNY")


@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False))
def test_every_typed_decimal_survives_the_binary_fraction(value: Any) -> None:
    stored = repr(float(value))
    text = number_text(stored, parsed("General"))
    assert float(text) == float(value)
    assert len(text.lstrip("-").partition(".")[2]) <= 4


def test_only_the_pace_of_the_collector_changes_and_only_for_a_while() -> None:
    before = gc.get_threshold()
    with seldom_collecting():
        assert gc.isenabled()
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


# --- What is no workbook, or a bomb --------------------------------------------------------------


def zipped(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "encrypted, or of the old format"),
        (b"order_id,net\n", "--format csv"),
        (zipped(mimetype=b"application/vnd.oasis.opendocument.spreadsheet"), "OpenDocument"),
        (zipped(**{"xl__workbook.bin": b""}), "xlsb"),
        (zipped(**{"xl__styles.xml": b" " * (40 << 20)}), "times its size"),
        (zipped(a=b"x"), "missing"),
    ],
)
def test_what_is_no_workbook_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=said):
        list(read_xlsx(path))


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
DEEP = f'<worksheet xmlns="{MAIN}"><sheetData>' + "<row>" * 100_000
HOSTILE = {
    "entities in a sheet": {"xl/worksheets/s.xml": LAUGHS + sheet_of("")},
    "entities in the book": {"xl/workbook.xml": LAUGHS + "<workbook/>"},
    "entities in styles": {"xl/styles.xml": LAUGHS + "<styleSheet/>"},
    "a sheet in UTF-16": {"xl/worksheets/s.xml": "\ufeff" + sheet_of("")},
    "a row of cells without an end": {
        "xl/worksheets/s.xml": f'<worksheet xmlns="{MAIN}"><sheetData><row>'
        + "".join(f'<c s="{place * 7_919 % 9_999}"></c>' for place in range(1_000_000))
    },
    "rows without an end": {"xl/worksheets/s.xml": DEEP},
    "tags without an end": {"xl/worksheets/s.xml": "<a" * 2_000_000},
    "attributes without an end": {"xl/worksheets/s.xml": "<a b='" * 700_000},
    "names of rows without an end": {"xl/worksheets/s.xml": f"<w><{'sheetData ' * 400_000}"},
    "rows backwards": {"xl/worksheets/s.xml": sheet_of('<row r="5"/><row r="4"/>')},
    "cells backwards": {
        "xl/worksheets/s.xml": sheet_of(f'<row r="2">{text_cell("B", 2, "x")}'
                                        f'{text_cell("A", 2, "x")}</row>')
    },
    "a string that is not there": {
        "xl/worksheets/s.xml": sheet_of(one_row('<c r="C2" t="s"><v>9</v></c>'))
    },
    "too many styles": {
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs>' + "<xf/>" * 70_000
        + "</cellXfs></styleSheet>"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workbook_is_refused_at_once(tmp_path: Path, name: str) -> None:
    more: dict[str, Any] = dict(HOSTILE[name])
    if "UTF-16" in name:
        more = {part: text.encode("utf-16") for part, text in more.items()}
    path = book(tmp_path / "a.xlsx", sheet_of(""), more=more)
    begun = time.process_time()
    with pytest.raises(FileFormatError):
        list(read_xlsx(path))
    assert time.process_time() - begun < 2
