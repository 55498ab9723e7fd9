"""The pages in a real browser: their own policy lets their style in, and nothing overflows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from node.domains.invoices.documents.check import CheckForm, CheckView, render_check
from node.domains.invoices.documents.html import HtmlPage, render_face
from node.domains.invoices.documents.wording import Language
from tests.documents import faces

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the browser is Debian's"),
]
DESK = (0xF2, 0xF0, 0xEC)
PAPER = (0xFF, 0xFF, 0xFF)
SHOTS_MAX = 6
"""A busy machine's browser may draw before all of the page is painted: two must be equal."""
GOOD_GROUND = (0xE6, 0xF4, 0xEA)


def screenshot(page: HtmlPage, folder: Path, width: int, height: int) -> Image.Image:
    """The page in headless Chromium. Without it the test is skipped; in CI it fails."""
    browser = shutil.which("chromium")
    if browser is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is missing: make browser-tools")
        pytest.skip("chromium is missing: make browser-tools")
    source, picture = folder / "page.html", folder / "page.png"
    source.write_text(page.text)
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--run-all-compositor-stages-before-draw", "--virtual-time-budget=2000"),
        *("--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"),
        *(f"--screenshot={picture}", f"--window-size={width},{height}", source.as_uri()),
    ]
    shots: list[Image.Image] = []
    for _ in range(SHOTS_MAX):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        shots.append(Image.open(picture).convert("RGB"))
        if len(shots) > 1 and shots[-1].tobytes() == shots[-2].tobytes():
            break
    return shots[-1]


def test_the_face_lies_on_a_desk_on_a_wide_screen(tmp_path: Path) -> None:
    picture = screenshot(render_face(faces.ordinary(), Language.BOTH), tmp_path, 1280, 1600)
    assert picture.size == (1280, 1600)
    assert picture.getpixel((5, 5)) == DESK
    assert picture.getpixel((640, 40)) == PAPER
    assert picture.getpixel((1275, 800)) == DESK, "the sheet is centred and nothing sticks out"


def test_what_a_party_writes_does_not_stretch_the_sheet(tmp_path: Path) -> None:
    picture = screenshot(render_face(faces.hostile(), Language.BOTH), tmp_path, 1280, 1600)
    edge = {picture.getpixel((x, y)) for x in (60, 1220) for y in range(0, 1600, 7)}
    assert edge == {DESK}


def test_the_face_fills_a_narrow_screen(tmp_path: Path) -> None:
    picture = screenshot(render_face(faces.ordinary(), Language.BOTH), tmp_path, 500, 844)
    assert picture.getpixel((3, 3)) == PAPER
    assert picture.getpixel((496, 840)) == PAPER


def test_the_check_page_is_coloured(tmp_path: Path) -> None:
    view = CheckView("valid", number=faces.NUMBER, currency="CNY", issue_date="2026-11-26")
    page = render_check(view, CheckForm(), Language.BOTH)
    picture = screenshot(page, tmp_path, 1000, 1100)
    assert picture.getpixel((3, 3)) == DESK
    assert GOOD_GROUND in {picture.getpixel((700, y)) for y in range(60, 250)}
