"""Drawing on A4: fonts, wrapped text, rules, the QR code. Owns how marks get onto a PDF page.

Knows nothing of invoices. Lengths are millimetres, sizes points. Text is measured and broken here,
character by character, because a name may be 500 characters without a space.
"""

from __future__ import annotations

import unicodedata
from typing import Literal, TypeGuard

from fpdf import FPDF
from fpdf.enums import Align
from fpdf.fonts import CoreFont, TTFFont

from node.domains.invoices.documents.figures import moment
from node.domains.invoices.documents.fonts import LETTERS, SANS, SERIF, STRONG, font_path
from node.domains.invoices.documents.qr import qr_runs

MARGIN = 12.0
WIDTH = 210.0 - 2 * MARGIN
BOTTOM = 297.0 - 16.0
"""Below it stands the page number."""
LINE_HEIGHT = 1.32
"""Of the size of the letters."""
MM_PER_POINT = 25.4 / 72
INK = (29, 27, 26)
LABEL = (140, 58, 43)
RULE = (168, 84, 63)
HAIR = (227, 213, 207)
FADED = (107, 100, 95)
BAD = (168, 22, 31)
UNKNOWN = "\N{WHITE SQUARE}"

Color = tuple[int, int, int]
Side = Literal["L", "R", "C"]
Family = Literal["sans", "serif", "strong"]


class Sheet(FPDF):
    """A PDF of A4 pages with the document fonts. Equal calls make equal bytes."""

    def __init__(self, title: str, language: str, time_ms: int) -> None:
        super().__init__("portrait", "mm", "A4")
        self.set_auto_page_break(False)
        self.set_margin(MARGIN)
        self.c_margin = 0.0
        self.set_creation_date(moment(time_ms))
        self.set_title(title)
        self.set_lang(language)
        self.set_creator("Piaolian")
        self.add_font("sans", "", font_path(SANS))
        self.add_font("serif", "", font_path(SERIF))
        self.add_font("letters", "", font_path(LETTERS))
        self.add_font("strong", "", font_path(STRONG))
        self.set_fallback_fonts(["sans", "letters"], exact_match=False)
        self.unknown_characters = False
        """Whether a character was replaced because no font holds it."""
        self._widths: dict[tuple[str, str], float] = {}
        """Width of a character by family, in thousandths of the size."""
        self._fonts = {name: font for name, font in self.fonts.items() if _is_file(font)}

    def use(self, size: float, color: Color = INK, family: Family = "sans") -> None:
        """Choose how the next text looks."""
        self.set_font(family, size=size)
        self.set_text_color(*color)

    @property
    def line_height(self) -> float:
        """Height of a line of the present size."""
        return self.font_size_pt * MM_PER_POINT * LINE_HEIGHT

    def printable(self, text: str) -> str:
        """`text` with what no font holds replaced, and without controls."""
        out: list[str] = []
        for letter in unicodedata.normalize("NFC", text):
            if letter == "\n":
                out.append(letter)
            elif unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
                out.append(" " if letter == "\t" else "")
            elif any(ord(letter) in self._fonts[family].cmap for family in ("sans", "letters")):
                out.append(letter)
            else:
                self.unknown_characters = True
                out.append(UNKNOWN)
        return "".join(out)

    def wrap(self, text: str, width: float) -> list[str]:
        """`text` in lines of at most `width`, broken at spaces and between ideographs."""
        lines: list[str] = []
        for paragraph in self.printable(text).split("\n"):
            lines += self._wrap_paragraph(paragraph, width)
        return lines

    def _wrap_paragraph(self, text: str, width: float) -> list[str]:
        limit = width / (self.font_size_pt * MM_PER_POINT) * 1000 + 1e-6
        lines: list[str] = []
        start, used, breakable = 0, 0.0, 0
        position = 0
        while position < len(text):
            letter = text[position]
            if _may_break_before(text, position) and position > start:
                breakable = position
            used += self._width(letter)
            if used > limit and position > start and letter != " ":
                end = breakable if breakable > start else position
                lines.append(text[start:end].rstrip(" "))
                start = position = end
                used = 0.0
                continue
            position += 1
        lines.append(text[start:].rstrip(" "))
        return lines

    def _width(self, letter: str) -> float:
        key = (self.font_family, letter)
        width = self._widths.get(key)
        if width is None:
            code = ord(letter)
            families = (self.font_family, "sans", "letters")
            family = next(name for name in families if code in self._fonts[name].cmap)
            font = self._fonts[family]
            width = float(font.cw[code])
            self._widths[key] = width
        return width

    def text_width(self, text: str) -> float:
        """Width of one line of printable text in the present font."""
        return sum(map(self._width, text)) * self.font_size_pt * MM_PER_POINT / 1000

    def put(self, x: float, y: float, width: float, text: str, side: Side = "L") -> None:
        """One line of printable text."""
        self.set_xy(x, y)
        self.cell(width, self.line_height, text, align=Align[side])

    def put_lines(
        self, x: float, y: float, width: float, lines: list[str], side: Side = "L"
    ) -> float:
        """Lines below each other; returns the height they take."""
        for number, line in enumerate(lines):
            self.put(x, y + number * self.line_height, width, line, side)
        return len(lines) * self.line_height

    def rule(
        self, x1: float, y1: float, x2: float, y2: float, color: Color = RULE, width: float = 0.25
    ) -> None:
        """A straight line."""
        self.set_draw_color(*color)
        self.set_line_width(width)
        self.line(x1, y1, x2, y2)

    def frame(self, x: float, y: float, width: float, height: float, color: Color = RULE) -> None:
        """An empty box."""
        self.set_draw_color(*color)
        self.set_line_width(0.25)
        self.rect(x, y, width, height)

    def qr_code(self, x: float, y: float, side: float, text: str) -> None:
        """A QR code of dark modules; the paper around it is its quiet zone."""
        modules, runs = qr_runs(text)
        size = side / modules
        self.set_fill_color(0, 0, 0)
        for row, column, length in runs:
            # A hair higher than a module, so that no renderer shows a gap between rows.
            self.rect(x + column * size, y + row * size, length * size, size * 1.03, style="F")


def _is_file(font: CoreFont | TTFFont) -> TypeGuard[TTFFont]:
    return isinstance(font, TTFFont)


def _may_break_before(text: str, position: int) -> bool:
    if position == 0:
        return False
    before, letter = text[position - 1], text[position]
    if before == " " or before in "-/":
        return letter != " "
    if letter in "，。、；：！？）》」』】”’%,.;:!?)":
        return False
    if before in "（《「『【“‘(":
        return False
    return _wide(letter) or _wide(before)


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in {"W", "F"}
