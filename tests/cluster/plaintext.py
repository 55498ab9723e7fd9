"""Looking for planted text in bytes, in every form in which a program might have written it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path


def spellings(text: str) -> set[bytes]:
    """UTF-8, UTF-16, GB 18030, escaped JSON, hex, and base64 at all three alignments of it."""
    plain = {text.encode(), text.encode("utf-16-le"), text.encode("gb18030")}
    escaped = json.dumps(text)[1:-1].encode()
    found = {*plain, escaped, text.encode("utf-16-be")}
    for data in (*plain, escaped):
        found |= {data.hex().encode(), data.hex().upper().encode()}
        for shift in range(3):
            # Characters that depend on a neighbour's bits are cut off at both ends.
            code = base64.b64encode(bytes(shift) + data)
            inner = code[-(-shift * 4 // 3) :].rstrip(b"=")[:-1]
            found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def find_planted(data: bytes, planted: Iterable[str]) -> list[str]:
    """Which of the planted texts stand in `data`, in any spelling."""
    return [text for text in planted if any(form in data for form in spellings(text))]


def search_folder(folder: Path, planted: Iterable[str]) -> dict[str, list[str]]:
    """The files below `folder` that hold planted text, and which."""
    texts = list(planted)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files, f"nothing to search in {folder}"
    found = {
        str(path.relative_to(folder)): find_planted(path.read_bytes(), texts) for path in files
    }
    return {name: texts for name, texts in found.items() if texts}
