"""The top of the face: code, title and number; marks of its state; the two parties."""

from __future__ import annotations

from node.domains.invoices.documents.face import PartyBlock
from node.domains.invoices.documents.figures import date_text
from node.domains.invoices.documents.pdf_page import BAR, HALF, PAD, Page
from node.domains.invoices.documents.sheet import BAD, FADED, LABEL, MARGIN, WIDTH, Color
from node.domains.invoices.documents.wording import Language, parts, words

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


def draw_head(page: Page) -> None:
    """Code, title, number and dates."""
    face, language = page.face, page.language
    side = 24.0
    page.qr_code(MARGIN, MARGIN, side, face.qr)
    page.use(6.5, FADED)
    page.put(MARGIN, MARGIN + side + 0.8, side, words("scan", language), "C")
    _draw_title(page, MARGIN + side + 3, WIDTH - side - 3 - 54)
    y = MARGIN + (1.0 if face.red else 4.0)
    x = MARGIN + WIDTH - 51
    facts = [("number", face.number), ("issue_date", date_text(face.issue_date, language))]
    if face.original is not None:
        facts.append(("original", face.original))
    for key, text in facts:
        page.use(7, LABEL)
        page.put(x, y, 51, words(key, language))
        y += page.line_height
        page.use(9.5)
        page.put(x, y, 51, text)
        y += page.line_height + 0.8
    page.set_y(MARGIN + side + 5)


def _draw_title(page: Page, x: float, width: float) -> None:
    y = MARGIN + 5.5
    for code, text in zip(
        page.language.codes, parts(page.face.title_key, page.language), strict=True
    ):
        size = 17.0 if code == "zh" else 12.0 if page.language is Language.BOTH else 16.0
        page.use(size, LABEL, "serif")
        needed = page.text_width(text)
        if needed > width:
            page.use(size * width / needed, LABEL, "serif")
        page.put(x, y, width, text, "C")
        y += page.line_height
    for offset in (1.2, 2.2):
        page.rule(x + 6, y + offset, x + width - 6, y + offset)


def draw_marks(page: Page) -> None:
    """What state the invoice is in, in a row of marks."""
    face = page.face
    texts = []
    for mark in face.marks:
        amount = "" if mark.amount is None else f" {page.money(mark.amount)}"
        texts.append((mark.kind, words(mark.kind, page.language) + amount))
    page.use(8.5)
    rows: list[list[tuple[str, str, float]]] = [[]]
    room = 0.0
    for key, text in texts:
        width = page.text_width(text) + 8
        if rows[-1] and room + width + 3 > WIDTH:
            rows.append([])
            room = 0.0
        rows[-1].append((key, text, width))
        room += width + 3
    y = page.get_y() + 0.5
    for row in rows:
        x = MARGIN + (WIDTH - sum(width + 3 for _, _, width in row) + 3) / 2
        for kind, text, width in row:
            color = _MARK_COLORS.get(kind, BAD)
            page.use(8.5, color)
            page.set_draw_color(*color)
            page.set_line_width(0.3)
            page.rect(x, y, width, 5.6, round_corners=True, corner_radius=2.8)
            page.put(x, y + (5.6 - page.line_height) / 2, width, text, "C")
            x += width + 3
        y += 7.2
    page.set_y(y)


def draw_note(page: Page, key: str) -> None:
    """A sentence over the whole width."""
    page.use(8.5)
    for text in parts(key, page.language):
        height = page.put_lines(MARGIN, page.get_y(), WIDTH, page.wrap(text, WIDTH))
        page.set_y(page.get_y() + height)
    page.set_y(page.get_y() + 1.5)


def draw_parties(page: Page) -> None:
    """Buyer and seller, side by side."""
    y = page.get_y()
    blocks = [("buyer", page.face.buyer), ("seller", page.face.seller)]
    heights = [
        _draw_party(page, block, MARGIN + place * HALF + BAR + PAD, y + PAD)
        for place, (_, block) in enumerate(blocks)
    ]
    height = max(25.0, *(h + 2 * PAD for h in heights))
    for place, (key, _) in enumerate(blocks):
        x = MARGIN + place * HALF
        page.frame(x, y, HALF, height)
        page.draw_bar(key, x, y, height)
    page.set_y(y + height)


def _draw_party(page: Page, party: PartyBlock, x: float, y: float) -> float:
    width = HALF - BAR - 2 * PAD
    start = y
    name = party.name or words("private_party", page.language)
    y += page.draw_fact("name", name, x, y, width, strong=party.name is not None)
    for key, text in party.facts:
        y += page.draw_fact(key, text, x, y, width)
    return y - start
