"""The face of an invoice as a PDF. Owns its layout and how it flows over pages.

The same order as on paper: code, title and number; parties; lines; totals in words and figures;
remarks; and what the ledger says. Equal faces give equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from node.domains.invoices.documents.capitals import capital_amount
from node.domains.invoices.documents.face import GRAVE_MARKS, Face, PartyBlock, Row
from node.domains.invoices.documents.figures import (
    currency_name,
    date_text,
    figure,
    moment_text,
    money,
    rate_text,
)
from node.domains.invoices.documents.sheet import (
    BAD,
    BOTTOM,
    FADED,
    HAIR,
    INK,
    LABEL,
    MARGIN,
    RULE,
    WIDTH,
    Color,
    Sheet,
    Side,
)
from node.domains.invoices.documents.wording import Language, parts, words

_PAD = 1.4
_BAR = 7.0
"""Width of the bar that names a box."""
_HALF = WIDTH / 2
_GOOD = (29, 107, 58)
_WARN = (138, 83, 0)
_MARK_COLORS: dict[str, Color] = {
    "issued": _GOOD,
    "partly_credited": _WARN,
    "red_reserved": _WARN,
    "locked": _WARN,
    "reimbursed": _WARN,
    "refund_due": _WARN,
    "rejected": _WARN,
    "disputed": _WARN,
    "not_final": FADED,
}


@dataclass(frozen=True, slots=True)
class _Column:
    key: str
    width: float
    side: Side = "L"


_LINE_COLUMNS = (
    _Column("item", 53),
    _Column("model", 18),
    _Column("unit", 11),
    _Column("quantity", 18, "R"),
    _Column("unit_price", 28, "R"),
    _Column("net", 24, "R"),
    _Column("rate", 12, "R"),
    _Column("tax", 22, "R"),
)
_GROUP_COLUMNS = (
    _Column("rate_groups", 74),
    _Column("net", 40, "R"),
    _Column("rate", 32, "R"),
    _Column("tax", 40, "R"),
)


@dataclass(frozen=True, slots=True)
class _Cell:
    lines: list[str]
    color: Color = INK
    small: list[str] = field(default_factory=list)
    """Smaller lines below."""


def render_pdf(face: Face, language: Language) -> bytes:
    """The face as a PDF file with its fonts embedded."""
    document = _FacePdf(face, language)
    document.draw()
    return bytes(document.output())


class _FacePdf(Sheet):
    """One face; `y` is where the next thing goes."""

    def __init__(self, face: Face, language: Language) -> None:
        super().__init__(
            f"{words(face.title_key, language)} {face.number}", language.tag, face.seen_ms
        )
        self._face = face
        self._language = language
        self._columns = _LINE_COLUMNS if face.rows else _GROUP_COLUMNS
        self._x = [MARGIN]
        for column in self._columns:
            self._x.append(self._x[-1] + column.width)
        self._top = 0.0
        """Where the table on this page begins."""

    def draw(self) -> None:
        """Everything, from the first page to the last."""
        self.add_page()
        self._draw_head()
        self._draw_marks()
        if self._face.details != "opened":
            self._draw_note(f"details_{self._face.details}")
        self._draw_parties()
        self._draw_table()
        self._draw_totals()
        self._draw_remarks()
        if self._face.claim_key is not None:
            self._draw_claim_key(self._face.claim_key)
        self._draw_ledger()

    # --- Pages -------------------------------------------------------------------------------

    @override
    def header(self) -> None:
        """On every page but the first: which invoice this is."""
        if self.page == 1:
            return
        face, language = self._face, self._language
        self.use(8.5, LABEL)
        self.put(MARGIN, MARGIN, _HALF, words(face.title_key, language))
        continued = words("continued", language)
        self.put(
            MARGIN + _HALF,
            MARGIN,
            _HALF,
            f"{words('number', language)} {face.number} ({continued})",
            "R",
        )
        self.set_y(MARGIN + self.line_height + 1.5)

    @override
    def footer(self) -> None:
        """The page number."""
        self.use(7.5, FADED)
        text = words("page", self._language).format(page=self.page, pages="{nb}")
        # The count is put in at the end; centring by a wide guess would look askew.
        self.put(MARGIN, 297.0 - 10.5, WIDTH, text)
        self.put(MARGIN, 297.0 - 10.5, WIDTH, self._face.number, "R")

    def _room(self, height: float) -> bool:
        """Whether so much fits on this page."""
        return self.get_y() + height <= BOTTOM

    def _make_room(self, height: float) -> None:
        if not self._room(height):
            self.add_page()

    # --- Head --------------------------------------------------------------------------------

    def _draw_head(self) -> None:
        face, language = self._face, self._language
        side = 24.0
        self.qr_code(MARGIN, MARGIN, side, face.qr)
        self.use(6.5, FADED)
        self.put(MARGIN, MARGIN + side + 0.8, side, words("scan", language), "C")
        self._draw_title(MARGIN + side + 3, WIDTH - side - 3 - 54)
        y = MARGIN + (1.0 if face.red else 4.0)
        x = MARGIN + WIDTH - 51
        facts = [("number", face.number), ("issue_date", date_text(face.issue_date, language))]
        if face.original is not None:
            facts.append(("original", face.original))
        for key, text in facts:
            self.use(7, LABEL)
            self.put(x, y, 51, words(key, language))
            y += self.line_height
            self.use(9.5)
            self.put(x, y, 51, text)
            y += self.line_height + 0.8
        self.set_y(MARGIN + side + 5)

    def _draw_title(self, x: float, width: float) -> None:
        y = MARGIN + 5.5
        for code, text in zip(
            self._language.codes, parts(self._face.title_key, self._language), strict=True
        ):
            size = 17.0 if code == "zh" else 12.0 if self._language is Language.BOTH else 16.0
            self.use(size, LABEL, "serif")
            needed = self.text_width(text)
            if needed > width:
                self.use(size * width / needed, LABEL, "serif")
            self.put(x, y, width, text, "C")
            y += self.line_height
        for offset in (1.2, 2.2):
            self.rule(x + 6, y + offset, x + width - 6, y + offset)

    def _draw_marks(self) -> None:
        face = self._face
        texts = []
        for mark in face.marks:
            amount = "" if mark.amount is None else f" {self._money(mark.amount)}"
            texts.append((mark.kind, words(mark.kind, self._language) + amount))
        self.use(8.5)
        rows: list[list[tuple[str, str, float]]] = [[]]
        room = 0.0
        for key, text in texts:
            width = self.text_width(text) + 8
            if rows[-1] and room + width + 3 > WIDTH:
                rows.append([])
                room = 0.0
            rows[-1].append((key, text, width))
            room += width + 3
        y = self.get_y() + 0.5
        for row in rows:
            x = MARGIN + (WIDTH - sum(width + 3 for _, _, width in row) + 3) / 2
            for kind, text, width in row:
                color = _MARK_COLORS.get(kind, BAD)
                self.use(8.5, color)
                self.set_draw_color(*color)
                self.set_line_width(0.3)
                self.rect(x, y, width, 5.6, round_corners=True, corner_radius=2.8)
                self.put(x, y + (5.6 - self.line_height) / 2, width, text, "C")
                x += width + 3
            y += 7.2
        self.set_y(y)

    def _draw_note(self, key: str) -> None:
        self.use(8.5)
        for text in parts(key, self._language):
            height = self.put_lines(MARGIN, self.get_y(), WIDTH, self.wrap(text, WIDTH))
            self.set_y(self.get_y() + height)
        self.set_y(self.get_y() + 1.5)

    # --- Parties -----------------------------------------------------------------------------

    def _draw_parties(self) -> None:
        y = self.get_y()
        blocks = [("buyer", self._face.buyer), ("seller", self._face.seller)]
        heights = [
            self._draw_party(block, MARGIN + place * _HALF + _BAR + _PAD, y + _PAD)
            for place, (_, block) in enumerate(blocks)
        ]
        height = max(25.0, *(h + 2 * _PAD for h in heights))
        for place, (key, _) in enumerate(blocks):
            x = MARGIN + place * _HALF
            self.frame(x, y, _HALF, height)
            self._draw_bar(key, x, y, height)
        self.set_y(y + height)

    def _draw_party(self, party: PartyBlock, x: float, y: float) -> float:
        width = _HALF - _BAR - 2 * _PAD
        start = y
        name = party.name or words("private_party", self._language)
        y += self._draw_fact("name", name, x, y, width, strong=party.name is not None)
        for key, text in party.facts:
            y += self._draw_fact(key, text, x, y, width)
        return y - start

    def _draw_fact(
        self, key: str, text: str, x: float, y: float, width: float, *, strong: bool = False
    ) -> float:
        """A label and its text; returns the height."""
        self.use(7, LABEL)
        label = words(key, self._language) + self._language.colon
        offset = self.text_width(label) + 0.8
        self.put(x, y + 0.5, offset, label)
        self.use(9.5 if strong else 8.5)
        lines = self.wrap(text, width - offset)[:_FACT_LINES_MAX]
        return self.put_lines(x + offset, y, width - offset, lines) + 0.5

    def _draw_bar(self, key: str, x: float, y: float, height: float) -> None:
        """The name of a box, written downwards, with a line right of it."""
        self.rule(x + _BAR, y, x + _BAR, y + height)
        self.use(8, LABEL)
        labels = dict(zip(self._language.codes, parts(key, self._language), strict=True))
        chinese, english = labels.get("zh", ""), labels.get("en", "")
        advance = self.line_height * 0.86
        long = self.text_width(english) * 0.88 if english else 0.0
        total = advance * len(chinese) + long + (1.0 if chinese and english else 0.0)
        top = y + max(0.5, (height - total) / 2)
        for letter in chinese:
            self.put(x, top, _BAR, letter, "C")
            top += advance
        if english:
            self.use(7, LABEL)
            top += 1.0 if chinese else 0.0
            with self.rotation(-90, x + _BAR / 2, top):
                self.put(x + _BAR / 2, top - self.line_height / 2, long + 2, english)

    # --- Lines -------------------------------------------------------------------------------

    def _draw_table(self) -> None:
        self._open_table()
        face = self._face
        for row in face.rows:
            self._draw_row(self._cells(row))
        if not face.rows or len(face.groups) > 1:
            for group in face.groups:
                texts = ("", figure(group.net, face.decimals), rate_text(group.rate))
                self._draw_row(self._summary(*texts, figure(group.tax, face.decimals), FADED))
        self.use(8)
        if not self._room(self.line_height + 2 * _PAD):
            self._close_table()
            self.add_page()
            self._open_table()
        self.rule(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y())
        total = words("sum", self._language)
        self._draw_row(self._summary(total, self._money(face.net), "", self._money(face.tax)))
        self._close_table()

    def _open_table(self) -> None:
        """The names of the columns."""
        y = self._top = self.get_y()
        heads = [parts(column.key, self._language) for column in self._columns]
        for column, x, head in zip(self._columns, self._x[:-1], heads, strict=True):
            top = y + 0.8
            for text in head:
                self.use(7 if text is head[0] else 6.3, LABEL)
                side: Side = "C" if column.side == "L" else "R"
                self.put(x + 0.8, top, column.width - 1.6, text, side)
                top += self.line_height
        self.use(7)
        bottom = y + 1.8 + self.line_height * len(self._language.codes)
        self.rule(MARGIN, bottom, MARGIN + WIDTH, bottom)
        self.set_y(bottom)

    def _close_table(self) -> None:
        """The frame and the lines between columns, down to here."""
        y = self.get_y()
        for x in self._x[1:-1]:
            self.rule(x, self._top, x, y, HAIR, 0.2)
        self.frame(MARGIN, self._top, WIDTH, y - self._top)

    def _draw_row(self, cells: Sequence[_Cell]) -> None:
        """One row; one that is taller than a page goes on on the next."""
        self.use(8)
        full = self.line_height
        self.use(6.5)
        small = full * 0.82
        height = max(len(c.lines) * full + len(c.small) * small for c in cells) + 1.6
        if not self._room(height) and self.get_y() > self._top + 30:
            self._close_table()
            self.add_page()
            self._open_table()
        pending = [(list(c.lines), list(c.small)) for c in cells]
        while True:
            y = self.get_y()
            reach = max(
                self._draw_cell(column, x, y + 0.8, cell.color, rest, (full, small))
                for column, x, cell, rest in zip(
                    self._columns, self._x[:-1], cells, pending, strict=True
                )
            )
            self.set_y(reach + 0.8)
            if not any(lines or smaller for lines, smaller in pending):
                break
            self._close_table()
            self.add_page()
            self._open_table()
        self.rule(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y(), HAIR, 0.2)

    def _draw_cell(
        self,
        column: _Column,
        x: float,
        y: float,
        color: Color,
        rest: tuple[list[str], list[str]],
        heights: tuple[float, float],
    ) -> float:
        """As much of a cell as fits; what is drawn leaves `rest`. Returns where it ends."""
        for lines, height, size, shade in (
            (rest[0], heights[0], 8, color),
            (rest[1], heights[1], 6.5, FADED),
        ):
            self.use(size, shade)
            while lines and y + height <= BOTTOM:
                self.put(x + 0.8, y, column.width - 1.6, lines.pop(0), column.side)
                y += height
            if lines:
                break
        return y

    def _cells(self, row: Row) -> list[_Cell]:
        face, language = self._face, self._language
        name = row.name
        if row.kind in {"allowance", "charge", "discount"}:
            name = f"[{words(row.kind, language)}] {name}"
        notes = [] if row.code is None else [row.code]
        if row.original_line is not None:
            notes.append(f"{words('original_line', language)} {row.original_line}")
        if row.allowance is not None:
            amount = figure(row.allowance, face.decimals)
            notes.append(f"{words('allowance_line', language)} {amount}")
        texts = (
            name,
            row.model or "",
            row.unit or "",
            row.quantity or "",
            row.unit_price or "",
            figure(row.net, face.decimals),
            rate_text(row.rate),
            figure(row.tax, face.decimals),
        )
        self.use(6.5)
        small = [line for note in notes for line in self.wrap(note, _LINE_COLUMNS[0].width - 1.6)]
        cells = self._texts(texts, INK)
        return [_Cell(cells[0].lines, INK, small), *cells[1:]]

    def _summary(
        self, label: str, net: str, rate: str, tax: str, color: Color = INK
    ) -> list[_Cell]:
        between = [""] * (len(self._columns) - 4)
        return self._texts((label, *between, net, rate, tax), color)

    def _texts(self, texts: Sequence[str], color: Color) -> list[_Cell]:
        self.use(8)
        return [
            _Cell(self.wrap(text, column.width - 1.6) if text else [], color)
            for text, column in zip(texts, self._columns, strict=True)
        ]

    # --- Below the lines ---------------------------------------------------------------------

    def _draw_totals(self) -> None:
        face, language = self._face, self._language
        color = BAD if face.gross < 0 else INK
        left = 30.0
        self.use(7, LABEL)
        labels = {key: words(key, language) for key in ("capitals", "figures")}
        widths = {key: self.text_width(label) + 1.5 for key, label in labels.items()}
        amount = self._money(face.gross)
        self.use(13, color, "strong")
        right = self.text_width(amount)
        room = WIDTH - left - widths["capitals"] - widths["figures"] - right - 4 * _PAD
        self.use(11, color)
        lines = self.wrap(capital_amount(face.gross, face.currency, face.decimals), room)
        height = max(11.0, len(lines) * self.line_height + 2 * _PAD)
        self._make_room(height)
        y = self.get_y()
        middle = y + height / 2
        self.put_lines(
            MARGIN + left + _PAD + widths["capitals"],
            middle - len(lines) * self.line_height / 2,
            room,
            lines,
        )
        self.use(13, color, "strong")
        self.put(MARGIN + WIDTH - _PAD - right, middle - self.line_height / 2, right, amount, "R")
        self.use(7, LABEL)
        top = middle - self.line_height / 2
        self.put(MARGIN + left + _PAD, top, widths["capitals"], labels["capitals"])
        self.put(
            MARGIN + WIDTH - _PAD - right - widths["figures"],
            top,
            widths["figures"],
            labels["figures"],
        )
        self.use(8.5, LABEL)
        names = parts("gross", language)
        top = middle - len(names) * self.line_height / 2
        for number, name in enumerate(names):
            self.put(MARGIN, top + number * self.line_height, left, name, "C")
        self.rule(MARGIN + left, y, MARGIN + left, y + height)
        self.frame(MARGIN, y, WIDTH, height)
        self.set_y(y + height)

    def _draw_remarks(self) -> None:
        """Remarks and references in a box that may go on on the next page."""
        face, language = self._face, self._language
        self._make_room(24.0)
        top = self.get_y()
        self.set_y(top + _PAD)
        x, width = MARGIN + _BAR + _PAD, WIDTH - _BAR - 2 * _PAD
        currency = f"{face.currency} {currency_name(face.currency, language)}"
        self.use(8.5)
        for line in self.wrap(face.remarks, width) if face.remarks else ():
            top = self._remarks_room(top, 5.0)
            self.use(8.5)
            self.put(x, self.get_y(), width, line)
            self.set_y(self.get_y() + self.line_height)
        for key, text in (*face.references, ("currency", currency)):
            top = self._remarks_room(top, 14.0 if len(text) > 120 else 5.0)
            self.set_y(self.get_y() + self._draw_fact(key, text, x, self.get_y(), width))
        stamps = [mark.kind for mark in face.marks if mark.kind in GRAVE_MARKS][:1]
        least = 25.0 if stamps else 17.0
        bottom = min(BOTTOM, max(self.get_y() + _PAD, top + least))
        self._close_remarks(top, bottom)
        for kind in stamps:
            self._draw_stamp(kind, MARGIN + WIDTH - 56, max(top, bottom - 22))
        self.set_y(bottom + 1)
        if face.drawer is not None:
            self._make_room(6)
            self.set_y(
                self.get_y() + self._draw_fact("drawer", face.drawer, MARGIN, self.get_y(), WIDTH)
            )

    def _remarks_room(self, top: float, height: float) -> float:
        """Where the box on this page begins, once there is room for `height` in it."""
        if self._room(height + _PAD):
            return top
        self._close_remarks(top, self.get_y() + _PAD)
        self.add_page()
        top = self.get_y()
        self.set_y(top + _PAD)
        return top

    def _close_remarks(self, top: float, bottom: float) -> None:
        self.frame(MARGIN, top, WIDTH, bottom - top)
        self._draw_bar("remarks", MARGIN, top, bottom - top)

    def _draw_stamp(self, kind: str, x: float, y: float) -> None:
        width, texts = 46.0, parts(kind, self._language)
        with (
            self.local_context(fill_opacity=0.75, stroke_opacity=0.75),
            self.rotation(12, x + width / 2, y + 10),
        ):
            self.set_draw_color(*BAD)
            for inset, thick in ((0.0, 0.7), (1.1, 0.25)):
                self.set_line_width(thick)
                self.rect(
                    x + inset,
                    y + inset,
                    width - 2 * inset,
                    19 - 2 * inset,
                    round_corners=True,
                    corner_radius=2.5,
                )
            top = y + (3.0 if len(texts) > 1 else 5.5)
            for number, text in enumerate(texts):
                size = 20.0 if number == 0 else 9.0
                self.use(size, BAD, "serif")
                needed = self.text_width(text)
                if needed > width - 5:
                    self.use(size * (width - 5) / needed, BAD, "serif")
                self.put(x, top, width, text, "C")
                top += self.line_height * 0.95

    def _draw_claim_key(self, key: str) -> None:
        language = self._language
        self.use(8)
        lines = self.wrap(key, WIDTH - 2 * _PAD)
        notes = [
            line for text in parts("claim_key_note", language) for line in self.wrap(text, 180)
        ]
        height = (len(lines) + len(notes) + 1) * self.line_height + 2 * _PAD
        self._make_room(height + 2)
        y = self.get_y() + 1
        with self.local_context(dash_pattern={"dash": 1.0, "gap": 0.8, "phase": 0.0}):
            self.frame(MARGIN, y, WIDTH, height, BAD)
        top = y + _PAD
        for text in (words("claim_key", language), *lines, *notes):
            self.use(8, BAD if text in notes else INK)
            self.put(MARGIN + _PAD, top, WIDTH - 2 * _PAD, text)
            top += self.line_height
        self.set_y(y + height)

    def _draw_ledger(self) -> None:
        face, language = self._face, self._language
        block = words("height", language)
        facts = (
            ("as_of", f"{moment_text(face.seen_ms)} · {block} {face.seen_height}"),
            ("issued_at", f"{moment_text(face.issued_ms)} · {block} {face.height}"),
            ("transaction", face.transaction),
            ("network", face.network),
        )
        self._make_room(24)
        y = self.get_y() + 3
        with self.local_context(dash_pattern={"dash": 1.2, "gap": 1.0, "phase": 0.0}):
            self.rule(MARGIN, y, MARGIN + WIDTH, y, RULE, 0.2)
        y += 1.5
        self.use(7, FADED)
        wide = max(self.text_width(words(key, language)) for key, _ in facts) + 3
        for key, text in facts:
            self.put(MARGIN, y, wide, words(key, language))
            self.put(MARGIN + wide, y, WIDTH - wide, text)
            y += self.line_height
        y += 0.8
        notes = ["later", *(["missing_glyph"] if self.unknown_characters else [])]
        for key in notes:
            self.put(MARGIN, y, WIDTH, words(key, language))
            y += self.line_height
        self.set_y(y)

    def _money(self, minor: int) -> str:
        return money(minor, self._face.currency, self._face.decimals)


_FACT_LINES_MAX = 40
"""Lines of one fact: the longest text a party may write, 2,000 characters, fits."""
