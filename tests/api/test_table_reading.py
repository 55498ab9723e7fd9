"""A table over the API: read in another process, as the command line reads it."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import openpyxl
import pytest

from node.api.security import Scope
from node.domains.invoices.api.table_reading import CSV_TYPE, TABLE_BYTES_MAX, XLSX_TYPE
from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.plan import LateRed, PlannedRed, RedLine, Refusal
from node.domains.invoices.importing.red_lines import Original, OriginalGroup
from node.domains.invoices.importing.refused_rows import refused_text
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.table_worker import (
    UnreadableTableError,
    read_table,
    table_plan,
)
from node.domains.invoices.importing.tables import read_csv
from tests.api.client import Answer, ApiClient

PAYER = "91310115358051750H"
ROWS = [
    "kind,order_id,buyer,description,quantity,unit_price,net,rate,original,original_number,line",
    f",A,{PAYER},纸,4,25.00,,13,,,",
    ",A,,Ink,,,3.00,13,,,",
    ",B,,Tea,1,x,,13,,,",
    "red,R1,,,1,,,,A,,1",
    "red,R2,,,,,1.50,,,26110000000000000001,2",
]
TEXT = "\n".join(ROWS)


async def read(api: ApiClient, content: bytes, kind: str = CSV_TYPE, query: str = "") -> Answer:
    headers = {"Content-Type": kind}
    path = f"/v1/tables:read{query}"
    return await api.call(
        "POST", path, data=io.BytesIO(content), headers=headers, scope=Scope.OPERATE
    )


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in ROWS:
        book.worksheets[0].append(row.split(","))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "query"),
    [
        (TEXT.encode(), CSV_TYPE, ""),
        (TEXT.encode("gb18030"), CSV_TYPE, "?encoding=gb18030"),
        (workbook(), XLSX_TYPE, ""),
    ],
)
async def test_what_a_table_asks_for_comes_back(
    api: ApiClient, content: bytes, kind: str, query: str
) -> None:
    answer = await read(api, content, kind, query)

    assert answer.status == 200, answer.json
    (invoice,) = answer.json["invoices"]
    assert (invoice["row"], invoice["order_id"], invoice["buyer"]) == (2, "A", PAYER)
    assert [line["description"] for line in invoice["body"]["lines"]] == ["纸", "Ink"]
    assert "buyer" not in invoice["body"]
    assert [letter["lines"] for letter in answer.json["letters"]] == [
        [{"line": 0, "quantity": "1"}],
        [{"line": 1, "net": 150}],
    ]
    assert [letter["by_number"] for letter in answer.json["letters"]] == [False, True]
    assert [(r["row"], r["column"]) for r in answer.json["refused"]] == [(4, "unit_price")]
    assert (invoice["currency"], invoice["net"], invoice["tax"]) == ("CNY", 10_300, 1_339)
    header, refused, *more = answer.json["refused_rows"].splitlines()
    assert header == f"{ROWS[0]},error_code,error"
    assert refused.startswith(f"{ROWS[3]},MALFORMED,")
    assert not more


async def test_a_table_without_refusals_has_no_refused_rows(api: ApiClient) -> None:
    answer = await read(api, "\n".join(ROWS[:3]).encode())
    assert (answer.json["refused"], answer.json["refused_rows"]) == ([], None)


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(200 << 20))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"a,b\n1,2\n", CSV_TYPE, 422, "no column 'a'"),
        (b"", CSV_TYPE, 422, "the file is empty"),
        (b"\xff\xfe", CSV_TYPE, 422, "UTF-16"),
        (b"# nothing", CSV_TYPE, 422, "order_id"),
        (TEXT.encode(), XLSX_TYPE, 422, "no .xlsx workbook"),
        (bomb(), XLSX_TYPE, 422, "unpacks to more than"),
        (TEXT.encode(), "application/json", 415, "text/csv"),
        (bytes(TABLE_BYTES_MAX + 1), CSV_TYPE, 413, "bytes"),
    ],
)
async def test_what_is_no_table_is_told_and_bounded(
    api: ApiClient, content: bytes, kind: str, status: int, said: str
) -> None:
    answer = await read(api, content, kind)
    assert answer.status == status, answer.json
    assert said in answer.json["detail"]
    assert "/tmp" not in answer.json["detail"]


async def test_more_documents_than_a_page_should_send_are_refused(api: ApiClient) -> None:
    rows = [f"{n},{PAYER},x,1,13" for n in range(20_001)]
    content = "\n".join(["order_id,buyer,description,net,rate", *rows]).encode()
    answer = await read(api, content)
    assert (answer.status, answer.json["detail"]) == (422, "more than 20000 documents")


async def test_too_many_documents_are_refused_before_they_are_planned() -> None:
    rows = [f"{n},{PAYER},x,1,13" for n in range(30_000)]
    content = "\n".join(["order_id,buyer,description,net,rate", *rows]).encode()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(UnreadableTableError, match="more than 20000 documents"):
        await read_table(content, "csv", "utf-8")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Planning them took ten seconds; starting Python and reading the rows takes one.
    assert after.ru_utime - before.ru_utime < 4


def long_texts() -> bytes:
    """A small workbook that names one long text 200,000 times in refused rows."""
    book = openpyxl.Workbook()
    book.worksheets[0].append(["order_id", "description", "net", "rate"])
    stream, made = io.BytesIO(), io.BytesIO()
    book.save(stream)
    cells = "".join(f'<c r="{column}{{0}}" t="s"><v>0</v></c>' for column in "ABCD")
    rows = "".join(f'<row r="{n}">{cells.format(n)}</row>' for n in range(2, 50_002))
    strings = '<Relationship Id="long" Type="x/sharedStrings" Target="/xl/long.xml"/>'
    added = {
        "xl/worksheets/sheet1.xml": ("</sheetData>", rows),
        "xl/_rels/workbook.xml.rels": ("</Relationships>", strings),
    }
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            end, more = added.get(part, ("", ""))
            text = old.read(part).decode()
            new.writestr(part, text.replace(end, more + end) if end else text)
        new.writestr("xl/long.xml", f"<sst><si><t>{'x' * 32_000}</t></si></sst>")
    return made.getvalue()


async def test_one_text_in_very_many_cells_is_refused(api: ApiClient) -> None:
    content = long_texts()
    assert len(content) < 1 << 20
    answer = await read(api, content, XLSX_TYPE)
    assert (answer.status, answer.json["code"]) == (422, "INVALID_FIELDS")
    assert "characters" in answer.json["detail"]


def test_refused_rows_are_written_no_further_than_they_are_kept() -> None:
    told = iter(range(10))

    def rows() -> Iterator[tuple[int, list[str]]]:
        yield 1, ["order_id", "net"]
        for number in told:
            yield number + 2, ["A", "x" * 1_000]

    refused = [Refusal(number, "MALFORMED", "is wrong") for number in range(2, 12)]
    assert refused_text(rows(), refused, 3_000) is None
    assert len(list(told)) > 5
    assert refused_text(iter([(1, ["order_id"]), (2, ["纸"])]), refused, 100) == (
        "order_id,error_code,error\r\n纸,MALFORMED,is wrong\r\n"
    )


def test_a_reader_that_is_killed_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    rows = [f"{n},{PAYER},x,1,13" for n in range(20_000)]
    content = "\n".join(["order_id,buyer,description,net,rate", *rows]).encode()
    command = [sys.executable, "-m", "node.domains.invoices.importing.table_worker"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "csv", "utf-8"], stdin=subprocess.PIPE, env=environment
    ) as worker:
        assert worker.stdin is not None
        worker.stdin.write(content)
        worker.stdin.close()
        time.sleep(1.5)
        worker.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "asked",
    [
        "R,,,1,,,,A,,1",
        "R,,,4,,,,A,,1",
        "R,,,,,,,A,,1",
        "R,,,1,,20.00,,A,,1",
        "R,,,,,7.77,,A,,1",
        "R,,,,,,,A,,2",
        "R,,,,,1.01,,A,,2",
    ],
)
def test_a_letter_by_lines_comes_to_what_the_file_comes_to(tmp_path: Path, asked: str) -> None:
    (tmp_path / "t.csv").write_text("\n".join([*ROWS[:3], f"red,{asked}"]))
    plan = plan_table(read_documents(read_csv(tmp_path / "t.csv")))
    (letter,) = plan.letters
    assert isinstance(letter, PlannedRed), plan.refused
    (told,) = table_plan(plan).letters
    body = msgspec.json.decode(plan.invoices[0].body)

    original = Original("CNY", {1_300: OriginalGroup(10_300, 1_339)}, body["lines"])
    lines = tuple(RedLine(row=4, **line) for line in told.lines)
    again = original.work_out(
        LateRed("R", 4, "A", False, letter.reason, "CNY", lines, bytes(told.details))
    )

    assert msgspec.json.decode(again.body) == msgspec.json.decode(letter.body)
