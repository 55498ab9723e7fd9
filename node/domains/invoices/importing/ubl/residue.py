"""What a document says beyond our fields, as compact JSON, and the document made whole again.

The residue is the document's skeleton in its own order:

    element  ["cac:Party", item, …]
    item     {…} attributes · "=…" text · [ … ] an element · number: one of `shared`
             · "cbc:ID": a leaf whose text and attributes the details say (`values`)
             · "#…" a text that is the attachment of this hash, as base64

An element that stands in several places is kept once, in `shared`; it refers to earlier ones only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from node.domains.invoices.importing.ubl.files import binary_text
from node.domains.invoices.importing.ubl.tree import DEPTH_MAX, NODES_MAX, Node, UblError
from node.domains.invoices.importing.ubl.values import (
    ALLOWANCE_NAME,
    LINE_NAMES,
    Document,
    Place,
    leaf_at,
    place_of,
)

_SHARED_LENGTH_MIN = 16
"""Characters; a shorter element costs as much as a reference and its place in the table."""


def residue_of(root: Node, document: Document) -> dict[str, object]:
    """The residue of a tree whose fields are those of `document`."""
    skeleton = [root.name, *_attributes(root), *_items(root, None, document)]
    seen: Counter[str] = Counter()
    _count(skeleton, seen)
    shared: list[object] = []
    places: dict[str, int] = {}
    kept = _share(skeleton, seen, shared, places)
    return {"root": kept, "shared": shared} if shared else {"root": kept}


def _items(node: Node, place: Place | None, document: Document) -> list[object]:
    lines = allowances = 0
    items: list[object] = []
    for child in node.children:
        where = place_of(place, child.name, lines, allowances)
        if place is None:
            lines += child.name in LINE_NAMES
            allowances += child.name == ALLOWANCE_NAME
        if child.children:
            items.append([child.name, *_attributes(child), *_items(child, where, document)])
        elif leaf_at(document, where) == (child.text, child.attributes):
            items.append(child.name)
        else:
            text = [f"={child.text}"] if child.text else []
            if child.file:
                text = [f"#{child.file}"]
            items.append([child.name, *_attributes(child), *text])
    return items


def _attributes(node: Node) -> list[object]:
    return [dict(node.attributes)] if node.attributes else []


def _key(element: object) -> str:
    return json.dumps(element, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _count(element: Sequence[object], seen: Counter[str]) -> None:
    for item in element:
        if isinstance(item, list):
            seen[_key(item)] += 1
            _count(item, seen)


def _share(
    element: Sequence[object], seen: Counter[str], shared: list[object], places: dict[str, int]
) -> list[object]:
    kept: list[object] = []
    for item in element:
        if not isinstance(item, list):
            kept.append(item)
            continue
        key = _key(item)
        if key in places:
            kept.append(places[key])
            continue
        inner = _share(item, seen, shared, places)
        if seen[key] > 1 and len(key) >= _SHARED_LENGTH_MIN:
            places[key] = len(shared)
            shared.append(inner)
            kept.append(places[key])
        else:
            kept.append(inner)
    return kept


def tree_of(residue: object, document: Document) -> Node:
    """The whole tree again, from a residue and the fields.

    Raises:
        UblError: this is no residue, or one of a tree beyond the limits.
    """
    if not isinstance(residue, Mapping):
        raise UblError("the kept document is damaged")
    shared = residue.get("shared", [])
    if not isinstance(shared, list):
        raise UblError("the kept document is damaged")
    return _Rebuilding(document, shared).element(residue.get("root"), None, len(shared), root=True)


class _Rebuilding:
    """One tree being rebuilt. A residue comes from whoever issued the invoice: trust nothing."""

    def __init__(self, document: Document, shared: Sequence[object]) -> None:
        self._document = document
        self._shared = shared
        self._count = 0
        self._depth = 0

    def element(
        self, value: object, place: Place | None, bound: int, *, root: bool = False
    ) -> Node:
        """An element; it may use the first `bound` shared ones."""
        if not isinstance(value, list) or not value or not isinstance(value[0], str):
            raise UblError("the kept document is damaged")
        node = self._node(value[0])
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise UblError(f"the kept document is nested more than {DEPTH_MAX} deep")
        lines = allowances = 0
        for item in cast("list[object]", value[1:]):
            inner, limit = item, bound
            if isinstance(item, Mapping):
                if not all(isinstance(part, str) for pair in item.items() for part in pair):
                    raise UblError("the kept document is damaged")
                node.attributes |= item
                continue
            if isinstance(item, str) and item.startswith("="):
                node.text = item[1:]
                continue
            if isinstance(item, str) and item.startswith("#"):
                node.text = self._file(item[1:])
                continue
            if isinstance(item, int):
                if not 0 <= item < bound:
                    raise UblError("the kept document refers to nothing")
                inner, limit = self._shared[item], item
            name = inner[0] if isinstance(inner, list) and inner else inner
            if not isinstance(name, str):
                raise UblError("the kept document is damaged")
            where = place_of(None if root else place, name, lines, allowances)
            if root:
                lines += name in LINE_NAMES
                allowances += name == ALLOWANCE_NAME
            if isinstance(inner, str):
                node.append(self._leaf(inner, where))
            else:
                node.append(self.element(inner, where, limit))
        self._depth -= 1
        if node.text and node.children:
            raise UblError("the kept document is damaged")
        return node

    def _file(self, file_hash: str) -> str:
        text = binary_text(self._document.files, file_hash)
        if text is None:
            raise UblError(f"the attachment {file_hash[:16]} cannot be read")
        return text

    def _leaf(self, name: str, place: Place) -> Node:
        leaf = leaf_at(self._document, place)
        if leaf is None:
            raise UblError(f"the details do not say {name}")
        node = self._node(name)
        node.text, node.attributes = leaf[0], dict(leaf[1])
        return node

    def _node(self, name: str) -> Node:
        self._count += 1
        if self._count > NODES_MAX:
            raise UblError(f"the kept document has more than {NODES_MAX} elements")
        return Node(name)
