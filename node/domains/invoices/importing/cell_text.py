"""A cell as text, and what about it must be told: it is not what was typed, or how it is shown.

Most cells are plain `str`. One that a reader cannot vouch for is an `OddCell`: still its text, for
the file of refused rows, but with a problem that refuses the order it belongs to.
"""

from __future__ import annotations

import unicodedata

CELL_CHARACTERS_MAX = 2_000
"""The longest field of an invoice: its remarks."""


class OddCell(str):
    """A cell's text with something to tell. Equal to its bare text."""

    __slots__ = ("currency", "is_date", "problem")

    problem: str
    """Why it cannot be taken; empty: it can, where `currency` and `is_date` allow it."""
    currency: str
    """The sign or code of a currency that the cell is shown with."""
    is_date: bool
    """Whether a spreadsheet holds it as a date, however it was typed."""

    def __new__(
        cls, text: str, problem: str = "", *, currency: str = "", is_date: bool = False
    ) -> OddCell:
        """A cell's text with what is odd about it."""
        made = super().__new__(cls, text)
        made.problem, made.currency, made.is_date = problem, currency, is_date
        return made


def bounded(cell: str) -> str:
    """The cell, odd if it is longer than any field."""
    if len(cell) > CELL_CHARACTERS_MAX and not (isinstance(cell, OddCell) and cell.problem):
        return OddCell(cell, f"has more than {CELL_CHARACTERS_MAX} characters")
    return cell


def folded(identifier: str) -> str:
    """An identifier as it looks: without what is invisible, in the usual width."""
    usual = unicodedata.normalize("NFKC", identifier)
    return "".join(each for each in usual if unicodedata.category(each) not in {"Cf", "Cc"})
