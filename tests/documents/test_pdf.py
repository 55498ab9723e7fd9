"""The face as a PDF, looked at with poppler: its text, its fonts, its pages, its code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import segno

from node.domains.invoices.documents.face import Face
from node.domains.invoices.documents.fonts import FontError, font_path
from node.domains.invoices.documents.pdf import render_pdf
from node.domains.invoices.documents.wording import Language
from tests.documents import faces

MAKERS = [faces.ordinary, faces.cancelled, faces.sealed, faces.red, faces.hostile]


def poppler(tool: str, *arguments: str | Path) -> bytes:
    """Run a tool of poppler-utils. Without it the test is skipped; in CI it fails."""
    if shutil.which(tool) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{tool} is missing: make browser-tools")
        pytest.skip(f"{tool} is missing: make browser-tools")
    command = [tool, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def text_of(pdf: bytes, folder: Path) -> str:
    """The text, each run of spaces as one."""
    path = folder / "face.pdf"
    path.write_bytes(pdf)
    text = poppler("pdftotext", "-layout", path, "-").decode()
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_fonts_are_embedded_subsets_whose_text_can_be_copied(
    make: Callable[[], Face], tmp_path: Path
) -> None:
    path = tmp_path / "face.pdf"
    path.write_bytes(render_pdf(make(), Language.BOTH))
    fonts = poppler("pdffonts", path).decode().splitlines()[2:]
    assert any("NotoSansSC" in font for font in fonts)
    for font in fonts:
        assert re.search(r"[A-Z]{6}\+", font)
        assert re.search(r" yes +yes +yes +\d+ +0$", font), font


def test_the_text_is_that_of_the_invoice(tmp_path: Path) -> None:
    text = text_of(render_pdf(faces.ordinary(), Language.BOTH), tmp_path)
    for part in (
        "电子发票（普通发票）",
        "Electronic invoice (ordinary)",
        "26440000000000000123",
        "2026年11月26日 · 26 Nov 2026",
        "有效 In force",
        "名称 Name： 福建海峡贸易有限公司",
        "统一社会信用代码/税号 Tax ID： 91440300MA5EXAMP1X",
        "*纸制品*A4复印纸 80克 500张/包 箱 10 185.8407079646018 1,858.41 13% 241.59",
        "[折扣 Discount] *纸制品*A4复印纸 80克 -185.84 13% -24.16",
        "合计 Total ¥1,766.91 ¥223.09",
        "大写 In words 壹仟玖佰玖拾元整 小写 In figures ¥1,990.00",
        "Please check within seven days of delivery.",
        "开票人 Drawn by： 王小明",
        f"交易哈希 Transaction {faces.TRANSACTION}",
        "第 1 页，共 1 页 Page 1 of 1",
    ):
        assert part in text


def test_letters_of_all_europe_and_what_no_font_holds(tmp_path: Path) -> None:
    red = text_of(render_pdf(faces.red(), Language.EN), tmp_path)
    assert "Zażółć gęślą jaźń" in red.replace("\n", " ")
    hostile = text_of(render_pdf(faces.hostile(), Language.EN), tmp_path)
    assert "□" in hostile
    assert "Characters that the fonts lack are printed as □." in hostile
    assert "<script>alert('x')</script>" in hostile
    assert "\u202e" not in hostile


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_equal_faces_make_equal_bytes_and_small_files(make: Callable[[], Face]) -> None:
    pdf = render_pdf(make(), Language.BOTH)
    assert pdf == render_pdf(make(), Language.BOTH)
    assert len(pdf) < 200_000


def test_many_lines_flow_over_pages_under_repeated_headers(tmp_path: Path) -> None:
    pdf = render_pdf(faces.many_lines(200), Language.BOTH)
    assert len(pdf) < 200_000
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf)
    found = re.search(rb"Pages: +(\d+)", poppler("pdfinfo", path))
    assert found is not None
    pages = int(found[1])
    assert pages > 5
    names: list[str] = []
    for page in range(1, pages + 1):
        numbers = ("-f", str(page), "-l", str(page))
        text = poppler("pdftotext", "-layout", *numbers, path, "-").decode()
        assert f"第 {page} 页，共 {pages} 页" in text
        assert faces.NUMBER in text
        lines = re.findall(r"第(\d+)行 商品名称", text)
        assert ("Unit price" in text) == bool(lines) or page == pages
        names += lines
    assert names == [str(number) for number in range(1, 201)]


def test_a_row_taller_than_a_page_loses_nothing(tmp_path: Path) -> None:
    text = text_of(render_pdf(faces.hostile(), Language.EN), tmp_path)
    assert text.count("W") >= 400
    assert text.count("名") >= 150
    assert text.count("长") == 500


def test_the_code_on_the_page_is_the_code_of_the_text(tmp_path: Path) -> None:
    face = faces.ordinary()
    path = tmp_path / "face.pdf"
    path.write_bytes(render_pdf(face, Language.BOTH))
    poppler("pdftoppm", "-r", "300", "-gray", "-singlefile", path, tmp_path / "page")
    header, pixels = _read_gray(tmp_path / "page.pgm")
    matrix = segno.make_qr(face.qr, error="m").matrix
    per_mm, size = 300 / 25.4, 24.0 / len(matrix)
    for row, modules in enumerate(matrix):
        for column, module in enumerate(modules):
            x = int((12.0 + (column + 0.5) * size) * per_mm)
            y = int((12.0 + (row + 0.5) * size) * per_mm)
            assert (pixels[y * header + x] < 128) == bool(module)


def _read_gray(path: Path) -> tuple[int, bytes]:
    data = path.read_bytes()
    kind, size, most, pixels = data.split(b"\n", 3)
    assert (kind, most) == (b"P5", b"255")
    return int(size.split()[0]), pixels


def test_a_missing_font_is_named() -> None:
    with pytest.raises(FontError, match="no_such_fonts is not installed"):
        font_path(("no_such_fonts", "a.otf"))
    with pytest.raises(FontError, match=r"holds no b\.otf"):
        font_path(("pylopdf_fonts_zh_cn", "b.otf"))
