"""The parts of a workbook (Office Open XML) that a table needs. Owns the archive and its bounds.

A workbook is a stranger's archive: every part is bounded by what the archive's directory declares
before it is unpacked, and by the parser while it is read. Document types and entities are refused.
What a cell means is in `sheet`.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO
from xml.parsers import expat

import msgspec

from node.domains.invoices.importing.cell_text import OddCell, bounded
from node.domains.invoices.importing.number_formats import GENERAL, NumberFormat, built_in, parsed
from node.domains.invoices.importing.online_retail import FileFormatError

FILE_BYTES_MAX = 64 << 20
UNPACKED_BYTES_MAX = 512 << 20
"""Of all parts together, as the archive's directory declares them."""
ZIP_PARTS_MAX = 1_000
RATIO_MAX = 200
"""Sheets of numbers pack to a tenth, blank rows to a fiftieth; a bomb packs to a thousandth."""
_RATIO_FROM_BYTES = 4 << 20
_PART_BYTES_MAX = 1 << 20
STYLES_BYTES_MAX = 8 << 20
STYLES_MAX = 65_536
"""Excel's own limit."""
STRINGS_BYTES_MAX = 128 << 20
STRINGS_MAX = 2_000_000
STRING_CHARACTERS_MAX = 32_767
"""Excel's own limit of a cell."""
DEPTH_MAX = 64
_CHUNK_BYTES = 256 << 10
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*\sencoding\s*=\s*[\"']([^\"']*)")
_PACKINGS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What Office Open XML allows (ECMA-376, part 2); other ones fail in ways and take memory of their
own."""
_NOT_UTF_8 = {b"\xff\xfe", b"\xfe\xff"}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAIN = "xl/workbook.xml"
_WORKSHEET = "/worksheet"
_STYLES, _STRINGS = "/styles", "/sharedStrings"

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


class SheetPart(msgspec.Struct, frozen=True):
    """A worksheet of a book."""

    name: str
    part: str
    hidden: bool


class Workbook:
    """An opened archive; closed by `close`."""

    def __init__(self, path: Path) -> None:
        """Open a file and read what is the book's: sheets, styles.

        Raises:
            FileFormatError: no workbook, or one out of bounds.
        """
        self.path = path
        self._archive = _opened(path)
        self._main = _MAIN
        self._folder = ""
        self._targets: dict[str, tuple[str, str]] = {}
        """Relationship id → its type's last word, and the part."""
        self.sheets: list[SheetPart] = []
        self.date1904 = False
        self.formats: list[NumberFormat] = []
        """By the index that a cell's `s` gives."""
        self.strings: list[str] = []

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def read_book(self) -> None:
        """Read the list of sheets, and the styles.

        Raises:
            FileFormatError: damaged, or out of bounds.
        """
        self._parse("_rels/.rels", _PART_BYTES_MAX, self._find_main)
        self._folder, name = posixpath.split(self._main)
        rels = posixpath.join(self._folder, "_rels", f"{name}.rels")
        self._parse(rels, _PART_BYTES_MAX, self._relationship)
        self._parse(self._main, _PART_BYTES_MAX, self._book)
        styles = self._part_of(_STYLES)
        if styles is not None:
            reader = _Styles()
            self._parse(styles, STYLES_BYTES_MAX, reader.start)
            self.formats = reader.formats

    def read_strings(self) -> None:
        """Read the strings that cells share."""
        part = self._part_of(_STRINGS)
        if part is not None:
            reader = _Strings()
            self._parse(part, STRINGS_BYTES_MAX, reader.start, reader.end, reader.text)
            self.strings = reader.strings

    def _part_of(self, kind: str) -> str | None:
        parts = (part for each, part in self._targets.values() if each == kind)
        return next((part for part in parts if part in self._archive.NameToInfo), None)

    def _find_main(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            self._main = attributes.get("Target", _MAIN).lstrip("/")

    def _relationship(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            near = posixpath.normpath(posixpath.join(self._folder, target))
            part = target[1:] if target.startswith("/") else near
            kind = "/" + attributes.get("Type", "").rpartition("/")[2]
            self._targets[attributes.get("Id", "")] = (kind, part)

    def _book(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "workbookPr":
            self.date1904 = attributes.get("date1904") in {"1", "true"}
        elif name == "sheet":
            ids = (value for key, value in attributes.items() if key.endswith("id"))
            target = next((self._targets[each] for each in ids if each in self._targets), None)
            if target is not None and target[0] == _WORKSHEET:
                hidden = attributes.get("state", "visible") != "visible"
                self.sheets.append(SheetPart(attributes.get("name", ""), target[1], hidden))

    # --- Parts ------------------------------------------------------------------------------

    def _parse(
        self,
        part: str,
        bytes_max: int,
        start: Start,
        end: End | None = None,
        text: Text | None = None,
    ) -> None:
        with self.open_part(part, bytes_max) as stream:
            parser = make_parser(start, end, text)
            while chunk := stream.read(_CHUNK_BYTES):
                parser.Parse(chunk)
            parser.Parse(b"", True)

    def open_part(self, part: str, bytes_max: int) -> IO[bytes]:
        """A part's bytes; never more than the directory declares.

        Raises:
            FileFormatError: it is missing, or declared larger than `bytes_max`.
        """
        try:
            info = self._archive.getinfo(part)
        except KeyError as error:
            raise FileFormatError(f"{self.path}: no workbook: {part} is missing") from error
        if info.file_size > bytes_max:
            message = f"unpacks to {info.file_size} bytes; at most {bytes_max} are read"
            raise FileFormatError(f"{self.path}: {part} {message}")
        return self._archive.open(info)


def _opened(path: Path) -> zipfile.ZipFile:
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise FileFormatError(f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB")
    with path.open("rb") as stream:
        begin = stream.read(8)
    if not begin:
        raise FileFormatError(f"{path}: the file is empty")
    if begin == _OLE:
        message = "is encrypted, or of the old format (.xls): save it as .xlsx without a password"
        raise FileFormatError(f"{path}: {message}")
    if not begin.startswith(b"PK"):
        raise FileFormatError(f"{path}: no .xlsx workbook; is it CSV? Then say --format csv")
    archive = zipfile.ZipFile(path)
    try:
        _check_directory(path, archive)
    except FileFormatError:
        archive.close()
        raise
    return archive


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    if len(parts) > ZIP_PARTS_MAX:
        raise FileFormatError(f"{path}: more than {ZIP_PARTS_MAX} parts")
    if len({part.filename for part in parts}) < len(parts):
        raise FileFormatError(f"{path}: a part stands twice")
    if sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
        raise FileFormatError(f"{path}: unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB")
    for part in parts:
        packed = max(1, part.compress_size)
        if part.file_size > _RATIO_FROM_BYTES and part.file_size // packed > RATIO_MAX:
            message = f"{part.filename} unpacks to more than {RATIO_MAX} times its size"
            raise FileFormatError(f"{path}: {message}")
        if part.flag_bits & 1:
            raise FileFormatError(f"{path}: is encrypted")
        if part.compress_type not in _PACKINGS:
            message = f"{part.filename} is packed in a way that workbooks are not"
            raise FileFormatError(f"{path}: {message}: open it in a spreadsheet and save it")
    if "mimetype" in archive.NameToInfo and _MAIN not in archive.NameToInfo:
        raise FileFormatError(f"{path}: an OpenDocument file: save it as .xlsx")
    if "xl/workbook.bin" in archive.NameToInfo:
        raise FileFormatError(f"{path}: a binary workbook (.xlsb): save it as .xlsx")


def make_parser(
    start: Start, end: End | None = None, text: Text | None = None
) -> expat.XMLParserType:
    """A parser that hands out names without their namespaces, and refuses document types."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.buffer_size = 1 << 16
    parser.ordered_attributes = False
    depth = 0

    def opened(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise FileFormatError(f"nested more than {DEPTH_MAX} deep")
        start(name.rpartition(" ")[2], attributes)

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end is not None:
            end(name.rpartition(" ")[2])

    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.StartDoctypeDeclHandler = refuse_doctype
    if text is not None:
        parser.CharacterDataHandler = text
    return parser


def safe_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """A part in pieces, refused where a document type begins; in UTF-8, so that none can hide.

    Raises:
        FileFormatError: it declares entities, or is in another encoding.
    """
    before = b""
    first = True
    while chunk := stream.read(_CHUNK_BYTES):
        if first:
            declared = _DECLARED.match(chunk)
            if chunk[:2] in _NOT_UTF_8 or b"\x00" in chunk[:4]:
                raise FileFormatError("a part is in UTF-16")
            if declared is not None and declared[1].lower() not in {b"utf-8", b"us-ascii"}:
                raise FileFormatError("a part is in another encoding than UTF-8")
            first = False
        if b"<!DOCTYPE" in before + chunk:
            refuse_doctype()
        before = chunk[-16:]
        yield chunk


def string_text(text: str) -> str:
    """A text as it was typed: characters that XML cannot hold are written `_x000D_`."""
    if len(text) > STRING_CHARACTERS_MAX:
        return OddCell(text[:100], f"has more than {STRING_CHARACTERS_MAX} characters")
    if "_x" in text:
        # The escapes are of UTF-16, where a character may have two halves. A half alone is none.
        halves = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
        try:
            text = halves.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return OddCell(text[:100], "holds half a character (_xD800_ to _xDFFF_)")
    return bounded(text)


def refuse_doctype(*_: object) -> None:
    """Document types declare entities, which may be bombs.

    Raises:
        FileFormatError: always.
    """
    raise FileFormatError("document types and entities are not read")


# --- Styles and strings -------------------------------------------------------------------------


class _Styles:
    """Reads which number format each cell style has; everything else of a style is passed over."""

    def __init__(self) -> None:
        self.formats: list[NumberFormat] = []
        self._codes: dict[str, str] = {}
        self._in_cells = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if name == "numFmt":
            if len(self._codes) < STYLES_MAX:
                self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:255]
        elif name == "cellXfs":
            self._in_cells = True
        elif name in {"cellStyles", "dxfs"}:
            self._in_cells = False
        elif name == "xf" and self._in_cells:
            if len(self.formats) == STYLES_MAX:
                raise FileFormatError(f"more than {STYLES_MAX} cell styles")
            number = attributes.get("numFmtId", "0")
            code = self._codes.get(number)
            if code is not None:
                self.formats.append(parsed(code))
            else:
                known = number.isascii() and number.isdecimal() and len(number) < 4
                self.formats.append(built_in(int(number)) if known else GENERAL)


class _Strings:
    """Reads shared strings: runs are joined, phonetic readings are left out."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._parts: list[str] = []
        self._in_text = False
        self._phonetic = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        del attributes
        if name == "si":
            self._parts.clear()
        elif name == "rPh":
            self._phonetic = True
        elif name == "t":
            self._in_text = not self._phonetic

    def text(self, content: str) -> None:
        """Characters."""
        if self._in_text:
            self._parts.append(content)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "t":
            self._in_text = False
        elif name == "rPh":
            self._phonetic = False
        elif name == "si":
            if len(self.strings) == STRINGS_MAX:
                raise FileFormatError(f"more than {STRINGS_MAX} strings")
            self.strings.append(string_text("".join(self._parts)))
