"""Rows read without a tree mean what they mean as XML, or are read as XML."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast
from xml.etree.ElementTree import ParseError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from node.domains.invoices.importing import sheet
from node.domains.invoices.importing.number_formats import GENERAL, built_in
from node.domains.invoices.importing.online_retail import FileFormatError
from node.domains.invoices.importing.plain_rows import plain_rows
from node.domains.invoices.importing.workbook import Workbook

HEAD = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    b' xmlns:x14ac="urn:ac"><sheetData>'
)
TAIL = b"</sheetData></worksheet>"
BOOK = cast(
    "Workbook",
    SimpleNamespace(
        strings=["order", "茶 & 水", "_x0041_"], formats=[GENERAL, built_in(10)], date1904=False
    ),
)


class Pieces(io.BytesIO):
    """Gives the head of a sheet first: rows that come with it are read with the sheet's end."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(len(HEAD) if self.tell() == 0 else size)


def read(content: bytes) -> object:
    """The rows, and how many are hidden; or that they are refused."""
    reader = sheet.SheetReader(BOOK)
    try:
        return list(reader.rows(Pieces(content))), reader.hidden
    except (FileFormatError, ParseError) as error:
        return str(error) if isinstance(error, FileFormatError) else "no XML"


def read_both(rows: bytes) -> tuple[object, object]:
    """As rows are read where they are plain, and as XML."""
    # The last rows, which end with the sheet, are always read as XML.
    content = HEAD + rows + b'<row r="9000"><c r="A9000"><v>1</v></c></row>' + TAIL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet, "_TREE_BYTES", 0)
        quick = read(content)
        patch.setattr(sheet, "plain_rows", lambda _: None)
        return quick, read(content)


VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "2", "7", "8.0500000000000007", "1e3", "-0", "abc", " 5 ", "_x000D_", "]]>"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
TEXTS = ("{}", "<v>{}</v>", "<is><t>{}</t></is>", '<is><t xml:space="preserve">{}</t></is>')
ODD = ("<f>1+1</f><v>{}</v>", "<is><r><t>{}</t></r></is>", "<v>{}</v><v>2</v>", "<!-- {} -->")


@st.composite
def cells(draw: st.DrawFn, row: int) -> str:
    """One cell, mostly as programs write it."""
    column = draw(st.sampled_from(["A", "B", "C", "D", "AA"]))
    number = draw(st.sampled_from([row] * 9 + [row + 1]))
    style = draw(st.sampled_from(["", "", "", ' s="0"', ' s="1"', ' s="77"', ' s="x"']))
    kind = draw(st.sampled_from(["", "n", "s", "str", "inlineStr", "b", "e", "d", "?"]))
    kind = kind and f' t="{kind}"'
    inner = draw(st.sampled_from(TEXTS * 3 + ODD)).format(draw(VALUES))
    return (
        f'<c r="{column}{number}"{style}{kind}>{inner}</c>'
        if inner
        else f'<c r="{column}{number}"/>'
    )


@st.composite
def sheets(draw: st.DrawFn) -> bytes:
    """A few rows."""
    text = ""
    for row in draw(st.lists(st.integers(1, 30), unique=True, max_size=4).map(sorted)):
        more = draw(
            st.sampled_from(
                ["", ' spans="1:5"', ' ht="15.0"', ' hidden="1"', ' hidden="0"', ' x="<"', ' r="3"']
            )
        )
        found = draw(st.lists(cells(row), max_size=4))
        text += (
            draw(st.sampled_from(["", "", "\n "])) + f'<row r="{row}"{more}>{"".join(found)}</row>'
        )
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=600, deadline=None)
@given(sheets())
def test_they_mean_the_same(rows: bytes) -> None:
    quick, as_xml = read_both(rows)
    assert quick == as_xml


def test_what_programs_write_is_plain() -> None:
    rows = (
        b'<row r="2" spans="1:3" x14ac:dyDescent="0.25"><c r="A2" t="s"><v>0</v></c>'
        b'<c r="B2" s="1"><v>0.13</v></c><c r="C2" s="1"/></row>'
        b'<row r="3"><c r="B3" t="inlineStr"><is><t>\xe8\x8c\xb6</t></is></c></row>'
    )
    found = plain_rows(rows)
    assert found is not None
    assert [(row.number, len(row.cells)) for row in found] == [("2", 3), ("3", 1)]
    assert read_both(rows)[0] == ([(2, ["order", "13%"]), (3, ["", "茶"]), (9000, ["1"])], 0)


@pytest.mark.parametrize(
    "rows",
    [
        b'<row r="1" hidden="1"><c r="A1"><v>1</v></c></row>',
        b'<row r="1"><c r="A1"><v>&lt;</v></c></row>',
        b'<row r="1"><c r="A1"><f>1</f></c></row>',
        b'<row r="1"><c r="A1"><v>1</v></c><row r="2"></row>',
        b'<c r="A1"><v>1</v></c>',
        b'<row r="1"><c r="A1"><v>1</v></c>',
        b'<row r="1" xmlns="urn:other"><c r="A1"><v>1</v></c></row>',
        b'<row r="1"><c r="A1"><v>\xff</v></c></row>',
        b'<row r="1"><c r="A1"><v>\x00</v></c></row>',
        b'<row r="1"><c r="A1"><v>]]></v></c></row>',
    ],
)
def test_anything_else_is_left_to_the_reader_of_xml(rows: bytes) -> None:
    assert plain_rows(rows) is None


def test_a_prefixed_sheet_is_read_as_xml() -> None:
    """Elements without the prefix are none of the sheet's."""
    content = (
        b'<x:worksheet xmlns:x="urn:a"><x:sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
        b'<x:row r="2"><x:c r="A2"><x:v>2</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    )
    assert read(content) == ([(2, ["2"])], 0)


@pytest.mark.parametrize("kind", ["<v>1</v>", "<v>1</v><!-- as XML -->"])
def test_a_cell_that_names_another_row_is_refused(kind: str) -> None:
    rows = f'<row r="4"><c r="A7">{kind}</c></row>'.encode()
    assert read_both(rows) == ("row 4 has a cell that is named A7",) * 2
