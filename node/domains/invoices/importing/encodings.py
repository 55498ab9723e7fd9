"""Which encoding a text file has, so that none is read as another. Owns the signs of each.

A file is read in the encoding that was said, or not at all: bytes of another one that happen to
decode would put characters into an invoice that nobody wrote.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from node.domains.invoices.importing.online_retail import FileFormatError

ENCODINGS = ("utf-8", "gb18030")
_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 16 << 20
_PAIRS = re.compile(rb"[\x80-\xff][\x00-\xff]", re.DOTALL)
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_AS_UTF_8 = "save it as CSV UTF-8"


def check_encoding(path: Path, encoding: str) -> None:
    """Refuse a file that is not of this encoding, saying which one it has.

    Raises:
        FileFormatError: naming the likely encoding, and what to do.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        begin = stream.read(4_096)
    if not begin:
        raise FileFormatError(f"{path}: the file is empty")
    _check_begin(path, begin)
    utf_8 = _decodes(path, "utf-8")
    if encoding == "utf-8":
        if not utf_8:
            raise FileFormatError(f"{path}: is no UTF-8; {_likely(path)}")
        return
    if utf_8 and _reads_as_utf_8(path):
        raise FileFormatError(f"{path}: is UTF-8: leave --encoding {encoding} out")
    if not _decodes(path, encoding):
        raise FileFormatError(f"{path}: is no {encoding.upper()}; {_likely(path)}")
    if _is_western(path):
        raise FileFormatError(f"{path}: is no {encoding.upper()}; {_likely(path)}")


def _check_begin(path: Path, begin: bytes) -> None:
    named = next((name for mark, name in _MARKS if begin.startswith(mark)), None)
    # A file without a mark: every other byte of Latin letters is 0.
    halves = begin[:64]
    if named is None and len(halves) >= 4 and (not any(halves[1::2]) or not any(halves[::2])):
        named = "UTF-16 without a mark"
    if named is not None:
        raise FileFormatError(f'{path}: is {named} ("Unicode text"): {_AS_UTF_8}')
    if begin.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileFormatError(f"{path}: is a workbook, no CSV: say --format xlsx")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                decoder.decode(chunk)
        decoder.decode(b"", True)
    except UnicodeError:
        return False
    return True


def _reads_as_utf_8(path: Path) -> bool:
    """Whether valid UTF-8 is a text of it, and not Chinese that decodes by chance.

    Pairs of Chinese bytes may well be letters of two bytes in UTF-8, but then of any script; a text
    of Latin letters, or of characters of three bytes, is no accident.
    """
    with path.open("rb") as stream:
        begin = stream.read(_CHUNK_BYTES).decode("utf-8", "ignore")
    foreign = [each for each in begin.removeprefix("\ufeff") if each > "\x7f"]
    return bool(foreign) and all(each <= "\u024f" or each >= "\u0800" for each in foreign)


def _likely(path: Path) -> str:
    """What a file that is no UTF-8 probably is."""
    if _decodes(path, "gb18030") and not _is_western(path):
        return "it may be GB18030 (GBK): say --encoding gb18030 if it is"
    return f"it may be Windows-1252 or Latin-1: {_AS_UTF_8}"


def _is_western(path: Path) -> bool:
    """Whether high bytes stand alone among Latin letters, as `ü` of Latin-1 does.

    The common Chinese characters have two high bytes (GB 2312); a high byte before an ASCII letter
    is a rare one, and a text of nothing but rare ones is none.
    """
    with path.open("rb") as stream:
        begin = stream.read(_SAMPLE_BYTES)
    pairs = _PAIRS.findall(begin)
    rare = sum(pair[1] < 0x80 for pair in pairs)
    return bool(2 * rare > len(pairs))
