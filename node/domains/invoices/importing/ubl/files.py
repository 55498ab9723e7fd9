"""Files that a UBL document holds: they travel as attachments, each sealed for itself.

Owns which elements hold one, the limits of the ledger that they meet, and their base64 text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

import msgspec

from node.domains.invoices.details.details import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.tree import Node

_BINARY = "BinaryObject"
_TERM = "BT-125"
_NAME_CHARACTERS_MAX = 200


class HeldFile(msgspec.Struct, frozen=True):
    """A file that a document holds."""

    hash: str
    """SHA-256, in hex."""
    content: bytes
    name: str
    media_type: str

    @property
    def attachment(self) -> dict[str, object]:
        """As `AttachmentBody`."""
        return {
            "hash": self.hash,
            "name": self.name,
            "media_type": self.media_type,
            "size": len(self.content),
        }


def lift_files(root: Node, report: Report) -> list[HeldFile]:
    """The files of a document; the elements that hold them are marked with their hashes.

    What no attachment can be is reported with its place and the limit.
    """
    found: dict[str, HeldFile] = {}
    for node in root.descendants():
        if not node.name.endswith(_BINARY) or not node.text.strip():
            continue
        try:
            content = base64.b64decode("".join(node.text.split()), validate=True)
        except (binascii.Error, ValueError):
            report.add("MALFORMED", _TERM, node, "is no base64")
            continue
        if len(content) > ATTACHMENT_BYTES_MAX:
            message = f"the file has {len(content)} bytes; an attachment has at most "
            report.add("BODY_TOO_LARGE", _TERM, node, f"{message}{ATTACHMENT_BYTES_MAX}")
            continue
        file_hash = hashlib.sha256(content).hexdigest()
        if file_hash not in found and len(found) == ATTACHMENTS_MAX:
            message = f"an invoice has at most {ATTACHMENTS_MAX} attachments"
            report.add("BODY_TOO_LARGE", _TERM, node, message)
            return []
        node.file = file_hash
        name = node.attributes.get("filename", "").strip() or file_hash[:16]
        found.setdefault(
            file_hash,
            HeldFile(
                file_hash,
                content,
                name[:_NAME_CHARACTERS_MAX],
                node.attributes.get("mimeCode", "").strip() or "application/octet-stream",
            ),
        )
    return list(found.values())


def binary_text(files: Mapping[str, bytes], file_hash: str) -> str | None:
    """The text of an element that holds a file; None if the file is not at hand."""
    content = files.get(file_hash)
    return None if content is None else base64.b64encode(content).decode()
