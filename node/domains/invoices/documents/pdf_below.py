"""Below the lines: totals in words and figures, remarks, the claim key, what the ledger says."""

from __future__ import annotations

from node.domains.invoices.documents.capitals import capital_amount
from node.domains.invoices.documents.face import GRAVE_MARKS
from node.domains.invoices.documents.figures import currency_name, moment_text
from node.domains.invoices.documents.pdf_page import BAR, PAD, Page
from node.domains.invoices.documents.sheet import (
    BAD,
    BOTTOM,
    FADED,
    INK,
    LABEL,
    MARGIN,
    RULE,
    WIDTH,
)
from node.domains.invoices.documents.wording import parts, words


def draw_totals(page: Page) -> None:
    """The gross, in words and in figures."""
    face, language = page.face, page.language
    color = BAD if face.gross < 0 else INK
    left = 30.0
    page.use(7, LABEL)
    labels = {key: words(key, language) for key in ("capitals", "figures")}
    widths = {key: page.text_width(label) + 1.5 for key, label in labels.items()}
    amount = page.money(face.gross)
    page.use(13, color, "strong")
    right = page.text_width(amount)
    room = WIDTH - left - widths["capitals"] - widths["figures"] - right - 4 * PAD
    page.use(11, color)
    lines = page.wrap(capital_amount(face.gross, face.currency, face.decimals), room)
    height = max(11.0, len(lines) * page.line_height + 2 * PAD)
    page.make_room(height)
    y = page.get_y()
    middle = y + height / 2
    page.put_lines(
        MARGIN + left + PAD + widths["capitals"],
        middle - len(lines) * page.line_height / 2,
        room,
        lines,
    )
    page.use(13, color, "strong")
    page.put(MARGIN + WIDTH - PAD - right, middle - page.line_height / 2, right, amount, "R")
    page.use(7, LABEL)
    top = middle - page.line_height / 2
    page.put(MARGIN + left + PAD, top, widths["capitals"], labels["capitals"])
    page.put(
        MARGIN + WIDTH - PAD - right - widths["figures"],
        top,
        widths["figures"],
        labels["figures"],
    )
    page.use(8.5, LABEL)
    names = parts("gross", language)
    top = middle - len(names) * page.line_height / 2
    for number, name in enumerate(names):
        page.put(MARGIN, top + number * page.line_height, left, name, "C")
    page.rule(MARGIN + left, y, MARGIN + left, y + height)
    page.frame(MARGIN, y, WIDTH, height)
    page.set_y(y + height)


def draw_remarks(page: Page) -> None:
    """Remarks and references in a box that may go on on the next page."""
    face, language = page.face, page.language
    page.make_room(24.0)
    top = page.get_y()
    page.set_y(top + PAD)
    x, width = MARGIN + BAR + PAD, WIDTH - BAR - 2 * PAD
    currency = f"{face.currency} {currency_name(face.currency, language)}"
    page.use(8.5)
    for line in page.wrap(face.remarks, width) if face.remarks else ():
        top = _remarks_room(page, top, 5.0)
        page.use(8.5)
        page.put(x, page.get_y(), width, line)
        page.set_y(page.get_y() + page.line_height)
    for key, text in (*face.references, ("currency", currency)):
        top = _remarks_room(page, top, 14.0 if len(text) > 120 else 5.0)
        page.set_y(page.get_y() + page.draw_fact(key, text, x, page.get_y(), width))
    stamps = [mark.kind for mark in face.marks if mark.kind in GRAVE_MARKS][:1]
    least = 25.0 if stamps else 17.0
    bottom = min(BOTTOM, max(page.get_y() + PAD, top + least))
    _close_remarks(page, top, bottom)
    for kind in stamps:
        _draw_stamp(page, kind, MARGIN + WIDTH - 56, max(top, bottom - 22))
    page.set_y(bottom + 1)
    if face.drawer is not None:
        page.make_room(6)
        page.set_y(
            page.get_y() + page.draw_fact("drawer", face.drawer, MARGIN, page.get_y(), WIDTH)
        )


def _remarks_room(page: Page, top: float, height: float) -> float:
    """Where the box on this page begins, once there is room for `height` in it."""
    if page.has_room(height + PAD):
        return top
    _close_remarks(page, top, page.get_y() + PAD)
    page.add_page()
    top = page.get_y()
    page.set_y(top + PAD)
    return top


def _close_remarks(page: Page, top: float, bottom: float) -> None:
    page.frame(MARGIN, top, WIDTH, bottom - top)
    page.draw_bar("remarks", MARGIN, top, bottom - top)


def _draw_stamp(page: Page, kind: str, x: float, y: float) -> None:
    width, texts = 46.0, parts(kind, page.language)
    with (
        page.local_context(fill_opacity=0.75, stroke_opacity=0.75),
        page.rotation(12, x + width / 2, y + 10),
    ):
        page.set_draw_color(*BAD)
        for inset, thick in ((0.0, 0.7), (1.1, 0.25)):
            page.set_line_width(thick)
            page.rect(
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
            page.use(size, BAD, "serif")
            needed = page.text_width(text)
            if needed > width - 5:
                page.use(size * (width - 5) / needed, BAD, "serif")
            page.put(x, top, width, text, "C")
            top += page.line_height * 0.95


def draw_claim_key(page: Page, key: str) -> None:
    """The key by which its holder claims the invoice."""
    language = page.language
    page.use(8)
    lines = page.wrap(key, WIDTH - 2 * PAD)
    notes = [line for text in parts("claim_key_note", language) for line in page.wrap(text, 180)]
    height = (len(lines) + len(notes) + 1) * page.line_height + 2 * PAD
    page.make_room(height + 2)
    y = page.get_y() + 1
    with page.local_context(dash_pattern={"dash": 1.0, "gap": 0.8, "phase": 0.0}):
        page.frame(MARGIN, y, WIDTH, height, BAD)
    top = y + PAD
    for text in (words("claim_key", language), *lines, *notes):
        page.use(8, BAD if text in notes else INK)
        page.put(MARGIN + PAD, top, WIDTH - 2 * PAD, text)
        top += page.line_height
    page.set_y(y + height)


def draw_ledger(page: Page) -> None:
    """Where and when this was read."""
    face, language = page.face, page.language
    block = words("height", language)
    facts = (
        ("as_of", f"{moment_text(face.seen_ms)} · {block} {face.seen_height}"),
        ("issued_at", f"{moment_text(face.issued_ms)} · {block} {face.height}"),
        ("transaction", face.transaction),
        ("network", face.network),
    )
    page.make_room(24)
    y = page.get_y() + 3
    with page.local_context(dash_pattern={"dash": 1.2, "gap": 1.0, "phase": 0.0}):
        page.rule(MARGIN, y, MARGIN + WIDTH, y, RULE, 0.2)
    y += 1.5
    page.use(7, FADED)
    wide = max(page.text_width(words(key, language)) for key, _ in facts) + 3
    for key, text in facts:
        page.put(MARGIN, y, wide, words(key, language))
        page.put(MARGIN + wide, y, WIDTH - wide, text)
        y += page.line_height
    y += 0.8
    notes = ["later", *(["missing_glyph"] if page.unknown_characters else [])]
    for key in notes:
        page.put(MARGIN, y, WIDTH, words(key, language))
        y += page.line_height
    page.set_y(y)
