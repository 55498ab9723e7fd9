r"""How text that is signed, hashed or made a key is spelled: each thing in one way only.

Owns the two ways to declare it. `whole` is for codes: a pattern that the whole text must match
(`$` would also match before a line feed at the end). `line` is for words of people: one line
without what nobody sees, beginning and ending with a visible character, in normal form C by every
version of Unicode (`unassigned`); a shape that has such a field inherits `Worded`. Every text of a
signed shape is declared by one of them. Knows no field and no rule.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from node.ledger.unassigned import VERSION, is_assigned

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""They make a text read otherwise than its characters stand (UAX 9, section 2)."""
_NO_TEXT = r"\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
"""Halves of a pair, which have no UTF-8 form, and noncharacters."""
_INVISIBLE = r"\xad\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
_INVISIBLE += r"\ufff0-\ufffc\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
"""Two texts that differ by one of these look the same. The joiners U+200C and U+200D are not among
them, which some scripts need; nor are selectors of a character's form, which names have."""

_LINE = rf"(?!\s)[^{_CONTROLS}{_DIRECTIONS}{_NO_TEXT}{_INVISIBLE}]*(?<!\s)"
_line = re.compile(_LINE)
_PATTERN = re.compile("matching regex '.*'")
_unsafe = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_NO_TEXT}]")
_unsafe_in_lines = re.compile(f"(?!\n)[{_CONTROLS}{_DIRECTIONS}{_NO_TEXT}]")


def whole(pattern: str, *, max_length: int | None = None) -> msgspec.Meta:
    """The constraint of a code: the whole text matches `pattern`."""
    return msgspec.Meta(pattern=rf"\A(?:{pattern})\Z", max_length=max_length)


def line(*, least: int = 1, most: int) -> msgspec.Meta:
    """The constraint of one line of words; normal form C is for `Worded` to check."""
    return msgspec.Meta(pattern=rf"\A(?:{_LINE})\Z", min_length=least, max_length=most)


def plain_reason(error: Exception) -> str:
    """What a decoder says is wrong, without the pattern that a text does not match."""
    return _PATTERN.sub("in its one spelling", str(error))


class Worded(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of shapes with words of people in them."""

    def __post_init__(self) -> None:
        """Refuse words that have another spelling."""
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if type(value) is str and not value.isascii():
                try:
                    check_form(value)
                except ValueError as error:
                    raise ValueError(f"{field} {error}") from error


def check_form(text: str) -> None:
    """Refuse a text that is not in normal form C, or is so by some versions of Unicode only.

    Raises:
        ValueError: saying what is wrong.
    """
    if text.isascii():
        return
    if not is_assigned(text):
        raise ValueError(f"holds a character that Unicode {VERSION} does not know")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("is not in Unicode's normal form C")


def check_line(text: str) -> str:
    """A line of words as it will be signed.

    Raises:
        ValueError: saying what is wrong, never with the text itself.
    """
    if _line.fullmatch(text) is None:
        if text[:1].isspace() or text[-1:].isspace():
            raise ValueError("begins or ends with a blank")
        raise ValueError("holds a control, directional or invisible character")
    check_form(text)
    return text


def check_safe(text: str) -> str:
    """A text that is sealed, not signed: nothing that changes what a reader sees on one line.

    Raises:
        ValueError: saying what is wrong.
    """
    # What Python calls printable has no control, directional character, half or noncharacter,
    # whatever its Unicode; most texts are so, and a search is ten times as dear.
    if not text.isprintable() and _unsafe.search(text) is not None:
        raise ValueError("holds a control or directional character")
    return text


def check_safe_lines(text: str) -> str:
    """As `check_safe`; line feeds are meant.

    Raises:
        ValueError: saying what is wrong.
    """
    if not text.isprintable() and _unsafe_in_lines.search(text) is not None:
        raise ValueError("holds a control character other than a line feed, or a directional one")
    return text
