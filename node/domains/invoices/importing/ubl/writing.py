"""From a tree to the bytes of a UBL document. Owns the XML syntax and the prefixes."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from node.domains.invoices.importing.ubl.tree import (
    NAMESPACES,
    ROOT_NAMESPACES,
    Node,
    UblError,
    is_name,
)

_ROOT_URIS = {name: uri for uri, name in ROOT_NAMESPACES.items()}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_ubl(root: Node) -> bytes:
    """The document as UTF-8, indented; characters that XML cannot say become U+FFFD.

    Raises:
        UblError: a name is none.
    """
    if root.name not in _ROOT_URIS:
        raise UblError(f"{root.name} is no UBL document")
    foreign: dict[str, str] = {}
    used: set[str] = {"cac", "cbc"}
    lines: list[str] = []
    _write(root, 0, lines, foreign, used)
    declared = {"xmlns": _ROOT_URIS[root.name]}
    declared |= {f"xmlns:{prefix}": NAMESPACES[prefix] for prefix in sorted(used)}
    declared |= {f"xmlns:{prefix}": uri for uri, prefix in foreign.items()}
    spaces = "".join(f" {name}={quoteattr(uri)}" for name, uri in declared.items())
    # The root's own tag comes first; its namespaces are known only after the last element.
    lines[0] = lines[0].replace(f"<{root.name}", f"<{root.name}{spaces}", 1)
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(lines) + "\n").encode()


def _write(
    node: Node, depth: int, lines: list[str], foreign: dict[str, str], used: set[str]
) -> None:
    name = _qualified(node.name, foreign, used)
    tag = "  " * depth + f"<{name}"
    for key, value in node.attributes.items():
        tag += f" {_qualified(key, foreign, used)}={quoteattr(_clean(value))}"
    if node.children:
        lines.append(f"{tag}>")
        for child in node.children:
            _write(child, depth + 1, lines, foreign, used)
        lines.append("  " * depth + f"</{name}>")
    elif node.text:
        lines.append(f"{tag}>{escape(_clean(node.text), {chr(13): '&#13;'})}</{name}>")
    else:
        lines.append(f"{tag}/>")


def _qualified(name: str, foreign: dict[str, str], used: set[str]) -> str:
    """The name with its prefix, which the root will declare."""
    if not is_name(name):
        raise UblError(f"{name!r} is no name")
    if name.startswith("{"):
        uri, _, local = name[1:].partition("}")
        return f"{foreign.setdefault(uri, f'n{len(foreign) + 1}')}:{local}"
    prefix, colon, _ = name.partition(":")
    if colon and prefix != "xml":
        used.add(prefix)
    return name


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
