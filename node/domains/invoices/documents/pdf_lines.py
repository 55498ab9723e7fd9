"""The lines of the face: a table that goes on over pages, with its sum. Owns columns and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from node.domains.invoices.documents.face import Row
from node.domains.invoices.documents.figures import figure, rate_text
from node.domains.invoices.documents.pdf_page import PAD, Page
from node.domains.invoices.documents.sheet import (
    BOTTOM,
    FADED,
    HAIR,
    INK,
    LABEL,
    MARGIN,
    WIDTH,
    Color,
    Side,
)
from node.domains.invoices.documents.wording import parts, words


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


class LinesTable:
    """The table on one face."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._columns = _LINE_COLUMNS if page.face.rows else _GROUP_COLUMNS
        self._x = [MARGIN]
        for column in self._columns:
            self._x.append(self._x[-1] + column.width)
        self._top = 0.0
        """Where the table on this page begins."""

    def draw(self) -> None:
        """All lines, the groups by rate where they add something, and the sum."""
        self._open_table()
        face = self._page.face
        for row in face.rows:
            self._draw_row(self._cells(row))
        if not face.rows or len(face.groups) > 1:
            for group in face.groups:
                texts = ("", figure(group.net, face.decimals), rate_text(group.rate))
                self._draw_row(self._summary(*texts, figure(group.tax, face.decimals), FADED))
        self._page.use(8)
        if not self._page.has_room(self._page.line_height + 2 * PAD):
            self._close_table()
            self._page.add_page()
            self._open_table()
        self._page.rule(MARGIN, self._page.get_y(), MARGIN + WIDTH, self._page.get_y())
        total = words("sum", self._page.language)
        self._draw_row(
            self._summary(total, self._page.money(face.net), "", self._page.money(face.tax))
        )
        self._close_table()

    def _open_table(self) -> None:
        """The names of the columns."""
        y = self._top = self._page.get_y()
        heads = [parts(column.key, self._page.language) for column in self._columns]
        for column, x, head in zip(self._columns, self._x[:-1], heads, strict=True):
            top = y + 0.8
            for text in head:
                self._page.use(7 if text is head[0] else 6.3, LABEL)
                side: Side = "C" if column.side == "L" else "R"
                self._page.put(x + 0.8, top, column.width - 1.6, text, side)
                top += self._page.line_height
        self._page.use(7)
        bottom = y + 1.8 + self._page.line_height * len(self._page.language.codes)
        self._page.rule(MARGIN, bottom, MARGIN + WIDTH, bottom)
        self._page.set_y(bottom)

    def _close_table(self) -> None:
        """The frame and the lines between columns, down to here."""
        y = self._page.get_y()
        for x in self._x[1:-1]:
            self._page.rule(x, self._top, x, y, HAIR, 0.2)
        self._page.frame(MARGIN, self._top, WIDTH, y - self._top)

    def _draw_row(self, cells: Sequence[_Cell]) -> None:
        """One row; one that is taller than a page goes on on the next."""
        self._page.use(8)
        full = self._page.line_height
        self._page.use(6.5)
        small = full * 0.82
        height = max(len(c.lines) * full + len(c.small) * small for c in cells) + 1.6
        if not self._page.has_room(height) and self._page.get_y() > self._top + 30:
            self._close_table()
            self._page.add_page()
            self._open_table()
        pending = [(list(c.lines), list(c.small)) for c in cells]
        while True:
            y = self._page.get_y()
            reach = max(
                self._draw_cell(column, x, y + 0.8, cell.color, rest, (full, small))
                for column, x, cell, rest in zip(
                    self._columns, self._x[:-1], cells, pending, strict=True
                )
            )
            self._page.set_y(reach + 0.8)
            if not any(lines or smaller for lines, smaller in pending):
                break
            self._close_table()
            self._page.add_page()
            self._open_table()
        self._page.rule(MARGIN, self._page.get_y(), MARGIN + WIDTH, self._page.get_y(), HAIR, 0.2)

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
            self._page.use(size, shade)
            while lines and y + height <= BOTTOM:
                self._page.put(x + 0.8, y, column.width - 1.6, lines.pop(0), column.side)
                y += height
            if lines:
                break
        return y

    def _cells(self, row: Row) -> list[_Cell]:
        face, language = self._page.face, self._page.language
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
        self._page.use(6.5)
        small = [
            line for note in notes for line in self._page.wrap(note, _LINE_COLUMNS[0].width - 1.6)
        ]
        cells = self._texts(texts, INK)
        return [_Cell(cells[0].lines, INK, small), *cells[1:]]

    def _summary(
        self, label: str, net: str, rate: str, tax: str, color: Color = INK
    ) -> list[_Cell]:
        between = [""] * (len(self._columns) - 4)
        return self._texts((label, *between, net, rate, tax), color)

    def _texts(self, texts: Sequence[str], color: Color) -> list[_Cell]:
        self._page.use(8)
        return [
            _Cell(self._page.wrap(text, column.width - 1.6) if text else [], color)
            for text, column in zip(texts, self._columns, strict=True)
        ]
