"""The tree of a UBL document. Owns its shape, its names and its limits; knows no meaning.

A name is `cbc:ID`, `cac:Party`, `ext:…`, `xsi:…`; `Invoice` or `CreditNote` at the root; and
`{namespace}local` for anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from node.domains.invoices.importing.online_retail import FileFormatError

INVOICE = "Invoice"
CREDIT_NOTE = "CreditNote"
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
ROOT_NAMESPACES: Mapping[str, str] = {
    f"{_UBL}Invoice-2": INVOICE,
    f"{_UBL}CreditNote-2": CREDIT_NOTE,
}
PREFIXES: Mapping[str, str] = {
    f"{_UBL}CommonAggregateComponents-2": "cac",
    f"{_UBL}CommonBasicComponents-2": "cbc",
    f"{_UBL}CommonExtensionComponents-2": "ext",
    "http://www.w3.org/2001/XMLSchema-instance": "xsi",
}
NAMESPACES: Mapping[str, str] = {prefix: uri for uri, prefix in PREFIXES.items()}
XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"

BYTES_MAX = 2 << 20
"""An invoice of 5,000 lines is smaller."""
NODES_MAX = 20_000
DEPTH_MAX = 24
"""The details nest 32 deep at most; EN 16931 needs 7, a signature in an extension 15."""

_LOCAL = r"[A-Za-z_\u00b7-\uffff][\w.\-\u00b7]*"
_NAME = re.compile(rf"(?:(?:cac|cbc|ext|xsi|xml):|\{{[^{{}}<>\"\s]+\}})?{_LOCAL}")


class UblError(FileFormatError):
    """The bytes are no UBL document that can be read, or a kept document cannot be written."""


class Node:
    """An element: text or children, never both."""

    __slots__ = ("attributes", "children", "file", "line", "name", "parent", "text")

    def __init__(
        self,
        name: str,
        text: str = "",
        attributes: Mapping[str, str] | None = None,
        line: int = 0,
    ) -> None:
        """A leaf; `append` gives it children. `line` is where it begins in the file, from 1."""
        self.name = name
        self.text = text
        self.attributes = dict(attributes or {})
        self.children: list[Node] = []
        self.parent: Node | None = None
        self.line = line
        self.file = ""
        """Hash of the file that the text is, when it travels as an attachment."""

    def append(self, child: Node) -> None:
        """Add a child at the end."""
        child.parent = self
        self.children.append(child)

    def all(self, path: str) -> Iterator[Node]:
        """Elements at a path of names below this one, as `cac:Party/cac:Contact`, in order."""
        head, _, rest = path.partition("/")
        for child in self.children:
            if child.name == head:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def first(self, path: str) -> Node | None:
        """The first element at a path."""
        return next(self.all(path), None)

    def has(self, path: str) -> bool:
        """Whether an element stands at a path, empty or not."""
        return self.first(path) is not None

    def descendants(self, name: str | None = None) -> Iterator[Node]:
        """This element and all below it, in order; only those of a name, if one is given."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if name is None or node.name == name:
                yield node
            waiting += reversed(node.children)

    def ancestors(self) -> Iterator[Node]:
        """The elements around this one, inmost first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    @property
    def indicator(self) -> bool | None:
        """Of an allowance or charge: whether it is a charge; None if it does not say."""
        return {"true": True, "1": True, "false": False, "0": False}.get(
            self.value("cbc:ChargeIndicator")
        )

    def value(self, path: str) -> str:
        """The text of the first element at a path, without outer space; empty if there is none."""
        node = self.first(path)
        return "" if node is None else node.text.strip()

    @property
    def path(self) -> str:
        """XPath of this element: `/Invoice/cac:InvoiceLine[2]/cbc:ID`."""
        if self.parent is None:
            return f"/{self.name}"
        same = [child for child in self.parent.children if child.name == self.name]
        position = next(number for number, child in enumerate(same, 1) if child is self)
        return f"{self.parent.path}/{self.name}" + (f"[{position}]" if len(same) > 1 else "")


def is_name(text: str) -> bool:
    """Whether this may name an element or attribute."""
    return _NAME.fullmatch(text) is not None
