"""Awkward texts: what looks like a good one and is another, or is no text at all."""

from __future__ import annotations

CONTROLS = ("\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029")
DIRECTIONS = ("\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069")
INVISIBLE = ("\xad", "\u200b", "\u2060", "\ufeff", "\u3164", "\U000e0041")
BLANKS = (" ", "\xa0", "\u3000")
COMBINING = ("\u0301", "\u20dd", "\ufe0f")
NONCHARACTERS = ("\ufffe", "\uffff", "\ufdd0")


def variants(text: str) -> dict[str, str]:
    """Other texts than `text`, by what they are; `text` is a code in ASCII."""
    found: dict[str, str] = {"empty": "", "twice": text * 2, "very long": text * 3_000}
    for mark in (*CONTROLS, *DIRECTIONS, *INVISIBLE, *BLANKS, *COMBINING, *NONCHARACTERS):
        name = f"U+{ord(mark):04X}"
        found[f"{name} after"] = text + mark
        found[f"{name} before"] = mark + text
        found[f"{name} within"] = text[: len(text) // 2] + mark + text[len(text) // 2 :]
        found[f"{name} in place of the last"] = text[:-1] + mark
    found["CR LF after"] = text + "\r\n"
    for name, zero in (("fullwidth", 0xFF10), ("Arabic-Indic", 0x660), ("Devanagari", 0x966)):
        digits = str.maketrans({chr(48 + n): chr(zero + n) for n in range(10)})
        found[f"{name} digits"] = text.translate(digits)
    wide = str.maketrans({chr(n): chr(n + 0xFEE0) for n in range(0x21, 0x7F)})
    found["fullwidth letters"] = text.translate(wide)
    found["other case"] = text.swapcase()
    found["Cyrillic А"] = text.replace("A", "А").replace("a", "а")
    return {name: other for name, other in found.items() if other != text}


UNSIGNABLE = {
    f"U+{ord(mark):04X} {place}": made
    for mark in (*CONTROLS, *DIRECTIONS, *INVISIBLE, *NONCHARACTERS)
    for place, made in (("after", f"a{mark}"), ("before", f"{mark}a"), ("within", f"a{mark}b"))
} | {
    "blank before": " a",
    "blank after": "a ",
    "ideographic blank after": "a\u3000",
    "blank alone": " ",
    "decomposed": "Cafe\u0301",
    "another sign for it": "\u212b",
    "Hangul in pieces": "\u1112\u1161\u11ab",
    # In normal form C by Unicode 14.0, which knows no such mark, and not by 15.0, which does.
    "a mark of a later Unicode": "x\u0301\U00010efd",
    "a character of no Unicode yet": "a\u0378b",
}
"""Words that may not be signed."""

SIGNABLE = (
    "a",
    "Café 7",
    "订单 2026-1 号",
    "甲\u3000乙",
    "葛\U000e0100",  # a variant of a name's character
    "نمی\u200cخواهم",
    "👩\u200d💻",
    "'; DROP TABLE --",
    "x" * 64,
    "\U00031350\U0002ebf0",  # ideographs that came after Unicode 14.0
)
"""Words that may."""
