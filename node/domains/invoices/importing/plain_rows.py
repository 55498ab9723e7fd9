"""Rows as nearly every program writes them, taken apart by one expression instead of a tree.

Owns which spelling that is. What is spelt in any other way (entities, comments, formulas, rich
text, prefixes, hidden rows) is not judged here: it is read as XML. Nothing is taken for plain that
a reader of XML would understand otherwise.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = r"[^<&\x00-\x08\x0b-\x1f\ufffe\uffff]*"
_TOKEN = re.compile(
    r'<row r="([0-9]{1,7})"'  # what else is said of a row means nothing here, but for these
    r'(?: (?!r=|hidden=|xml)[A-Za-z][A-Za-z0-9:]*="[^<>&"\x00-\x1f\ufffe\uffff]*")*>'
    r"|</row>"
    r'|<c r="([A-Z]{1,3})([0-9]{1,7})"(?: s="([0-9]{1,5})")?(?: t="(n|s|str|inlineStr)")?'
    rf'(?:/>|>(?:<v>({_TEXT})</v>|<is><t(?: xml:space="preserve")?>({_TEXT})</t></is>)</c>)'
)
_STEP = _TOKEN.groups + 1
_SPACE = " \t\n"


class PlainCell(NamedTuple):
    """What is written of a cell."""

    column: str
    row: str
    style: str | None
    kind: str
    value: str | None


class PlainRow(NamedTuple):
    """What is written of a row."""

    number: str
    cells: list[PlainCell]


def plain_rows(content: bytes) -> list[PlainRow] | None:
    """These whole rows; None: they are to be read as XML."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    # The texts between tokens, and after each of them the groups of the token that follows.
    parts = _TOKEN.split(text)
    if "".join(parts[::_STEP]).strip(_SPACE) or "]]>" in text:
        return None
    rows: list[PlainRow] = []
    open_row: PlainRow | None = None
    groups = (parts[place::_STEP] for place in range(1, _STEP))
    for number, column, row, style, kind, value, inline in zip(*groups, strict=True):
        if column is not None:
            if open_row is None:
                return None
            open_row.cells.append(
                PlainCell(column, row, style, kind or "n", inline if value is None else value)
            )
        elif number is not None:
            if open_row is not None:
                return None
            open_row = PlainRow(number, [])
        else:
            if open_row is None:
                return None
            rows.append(open_row)
            open_row = None
    return None if open_row is not None else rows
