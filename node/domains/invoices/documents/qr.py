"""The QR code of a face: its text, and the code as vector modules.

Owns the form of the text. It names three facts, the number, the gross amount and the hash of the
transaction, and a stranger must hold all three to be told anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import segno

SCHEME = "piaolian:"
QR_TEXT_MAX = 512
"""Longest text that is read; the longest that is made has a public address of 200 characters."""
QUIET_ZONE = 4
"""Light modules around the code (ISO/IEC 18004)."""
_NUMBER = re.compile(r"[0-9]{20}")
_GROSS = re.compile(r"-?[0-9]{1,16}")
_HASH = re.compile(r"(?:0[01])?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a stranger must hold."""

    number: str
    gross: int
    """Minor units; negative on a red invoice."""
    transaction: str
    """64 hex digits."""


def qr_text(facts: Facts, public_url: str | None) -> str:
    """The text: a link to the check page of a node that has an address, else a bare reference."""
    query = urlencode({"number": facts.number, "gross": facts.gross, "hash": facts.transaction})
    base = SCHEME if public_url is None else f"{public_url.rstrip('/')}/"
    return f"{base}verify?{query}"


def read_qr_text(text: str) -> Facts | None:
    """The facts in the text of a code of whatever address, or None."""
    text = text.strip()
    if len(text) > QR_TEXT_MAX:
        return None
    try:
        fields = parse_qs(urlsplit(text).query, max_num_fields=8)
    except ValueError:
        return None
    found = [fields.get(name, []) for name in ("number", "gross", "hash")]
    if any(len(values) != 1 for values in found):
        return None
    return read_facts(*(values[0] for values in found))


def read_facts(number: str, gross: str, transaction: str) -> Facts | None:
    """The facts as texts, or None when one has not its form.

    Args:
        number: 20 digits.
        gross: Minor units.
        transaction: 64 hex digits, or 66 that begin with 00 or 01 as on Shenzhen's invoices.
    """
    hash_match = _HASH.fullmatch(transaction.lower())
    if hash_match is None or not _NUMBER.fullmatch(number) or not _GROSS.fullmatch(gross):
        return None
    return Facts(number, int(gross), hash_match[1])


def qr_svg(text: str) -> str:
    """The code as an inline SVG element, without any style or size: its container gives them."""
    return segno.make_qr(text, error="m").svg_inline(
        border=QUIET_ZONE, omitsize=True, svgclass="qr", lineclass=None
    )


def qr_runs(text: str) -> tuple[int, Iterator[tuple[int, int, int]]]:
    """The code as runs of dark modules.

    Returns:
        Modules in a side without the quiet zone; (row, first column, length) of each run.
    """
    matrix = segno.make_qr(text, error="m").matrix
    return len(matrix), _runs(matrix)


def _runs(matrix: tuple[bytearray, ...]) -> Iterator[tuple[int, int, int]]:
    for row, modules in enumerate(matrix):
        column = 0
        while column < len(modules):
            length = 0
            while column + length < len(modules) and modules[column + length]:
                length += 1
            if length:
                yield row, column, length
            column += length + 1
