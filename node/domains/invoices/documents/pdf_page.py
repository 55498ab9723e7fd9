"""A page of the face: what stands on every one, and the marks that several boxes are made of.

Owns the flow to the next page. What the boxes say is `head`, `lines` and `below` beside this.
"""

from __future__ import annotations

from typing_extensions import override

from node.domains.invoices.documents.face import Face
from node.domains.invoices.documents.figures import money
from node.domains.invoices.documents.sheet import BOTTOM, FADED, LABEL, MARGIN, WIDTH, Sheet
from node.domains.invoices.documents.wording import Language, parts, words

PAD = 1.4
BAR = 7.0
"""Width of the bar that names a box."""
HALF = WIDTH / 2
FACT_LINES_MAX = 40
"""Lines of one fact: the longest text a party may write, 2,000 characters, fits."""


class Page(Sheet):
    """The paper of one face; `y` is where the next thing goes."""

    def __init__(self, face: Face, language: Language) -> None:
        super().__init__(
            f"{words(face.title_key, language)} {face.number}", language.tag, face.seen_ms
        )
        self.face = face
        self.language = language

    @override
    def header(self) -> None:
        """On every page but the first: which invoice this is."""
        if self.page == 1:
            return
        face, language = self.face, self.language
        self.use(8.5, LABEL)
        self.put(MARGIN, MARGIN, HALF, words(face.title_key, language))
        continued = words("continued", language)
        self.put(
            MARGIN + HALF,
            MARGIN,
            HALF,
            f"{words('number', language)} {face.number} ({continued})",
            "R",
        )
        self.set_y(MARGIN + self.line_height + 1.5)

    @override
    def footer(self) -> None:
        """The page number."""
        self.use(7.5, FADED)
        text = words("page", self.language).format(page=self.page, pages="{nb}")
        # The count is put in at the end; centring by a wide guess would look askew.
        self.put(MARGIN, 297.0 - 10.5, WIDTH, text)
        self.put(MARGIN, 297.0 - 10.5, WIDTH, self.face.number, "R")

    def has_room(self, height: float) -> bool:
        """Whether so much fits on this page."""
        return self.get_y() + height <= BOTTOM

    def make_room(self, height: float) -> None:
        """Go on on the next page unless so much fits on this one."""
        if not self.has_room(height):
            self.add_page()

    def draw_fact(
        self, key: str, text: str, x: float, y: float, width: float, *, strong: bool = False
    ) -> float:
        """A label and its text; returns the height."""
        self.use(7, LABEL)
        label = words(key, self.language) + self.language.colon
        offset = self.text_width(label) + 0.8
        self.put(x, y + 0.5, offset, label)
        self.use(9.5 if strong else 8.5)
        lines = self.wrap(text, width - offset)[:FACT_LINES_MAX]
        return self.put_lines(x + offset, y, width - offset, lines) + 0.5

    def draw_bar(self, key: str, x: float, y: float, height: float) -> None:
        """The name of a box, written downwards, with a line right of it."""
        self.rule(x + BAR, y, x + BAR, y + height)
        self.use(8, LABEL)
        labels = dict(zip(self.language.codes, parts(key, self.language), strict=True))
        chinese, english = labels.get("zh", ""), labels.get("en", "")
        advance = self.line_height * 0.86
        long = self.text_width(english) * 0.88 if english else 0.0
        total = advance * len(chinese) + long + (1.0 if chinese and english else 0.0)
        top = y + max(0.5, (height - total) / 2)
        for letter in chinese:
            self.put(x, top, BAR, letter, "C")
            top += advance
        if english:
            self.use(7, LABEL)
            top += 1.0 if chinese else 0.0
            with self.rotation(-90, x + BAR / 2, top):
                self.put(x + BAR / 2, top - self.line_height / 2, long + 2, english)

    def money(self, minor: int) -> str:
        """An amount with its currency."""
        return money(minor, self.face.currency, self.face.decimals)
