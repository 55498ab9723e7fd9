"""From bytes to the tree of a UBL document. Owns what XML is refused; knows no business term.

Document types, entities and external references are refused by defusedxml; size, number and depth
of elements are bounded, so hostile XML costs no more than its bytes.
"""

from __future__ import annotations

from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesNSImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser
from typing_extensions import override

from node.domains.invoices.importing.ubl.tree import (
    BYTES_MAX,
    DEPTH_MAX,
    NODES_MAX,
    PREFIXES,
    ROOT_NAMESPACES,
    XML_NAMESPACE,
    Node,
    UblError,
    is_name,
)


def read_ubl(content: bytes) -> Node:
    """The root of a UBL invoice or credit note; its structure only is checked.

    Raises:
        UblError: no XML, XML that may not be read, or another document.
    """
    if len(content) > BYTES_MAX:
        raise UblError(f"larger than {BYTES_MAX} bytes")
    parser = DefusedExpatParser(namespaceHandling=1, forbid_dtd=True)
    handler = _Handler(parser)
    parser.setContentHandler(handler)
    try:
        parser.feed(content)
        parser.close()
    except SAXParseException as error:
        where = f"line {error.getLineNumber()}: " if error.getLineNumber() else ""
        raise UblError(f"{where}no well-formed XML: {error.getMessage()}") from error
    except DefusedXmlException as error:
        raise UblError("document types and entities are not read") from error
    except (SAXException, LookupError, ValueError) as error:  # an encoding that is none
        raise UblError(f"no well-formed XML: {error}") from error
    assert handler.root is not None, "expat has seen an element"
    return handler.root


class _Handler(ContentHandler):
    """Builds the tree."""

    def __init__(self, parser: DefusedExpatParser) -> None:
        super().__init__()
        self._parser = parser
        self.root: Node | None = None
        self._open: list[Node] = []
        self._text: list[str] = []
        self._count = 0

    @override
    def startElementNS(
        self, name: tuple[str | None, str], qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        self._take_text()
        self._count += 1
        line = self._parser.getLineNumber() or 1
        if self._count > NODES_MAX:
            raise UblError(f"line {line}: more than {NODES_MAX} elements")
        if len(self._open) == DEPTH_MAX:
            raise UblError(f"{self._open[-1].path}: nested more than {DEPTH_MAX} deep")
        attributes = {_name_of(*key): value for key, value in attrs.items()}
        node = Node(_name_of(*name), attributes=attributes, line=line)
        if self._open:
            self._open[-1].append(node)
        else:
            root = ROOT_NAMESPACES.get(name[0] or "")
            if root != name[1]:
                raise UblError(f"a UBL 2.1 Invoice or CreditNote is expected, not {node.name}")
            node.name = root
            self.root = node
        if self.root is not node and ":" not in node.name:
            raise UblError(f"{node.path}: belongs to no namespace")
        for each in (node.name, *attributes):
            if not is_name(each):
                raise UblError(f"{node.path}: the name {each!r} is not supported")
        self._open.append(node)

    @override
    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:
        self._take_text()
        self._open.pop()

    @override
    def characters(self, content: str) -> None:
        self._text.append(content)

    def _take_text(self) -> None:
        """Give the text since the last tag to the open element."""
        text = "".join(self._text)
        self._text.clear()
        if not self._open:
            return
        node = self._open[-1]
        node.text += text
        if node.children:
            if node.text.strip():
                raise UblError(f"{node.path}: text beside elements")
            node.text = ""


def _name_of(uri: str | None, local: str) -> str:
    if uri == XML_NAMESPACE:
        return f"xml:{local}"
    prefix = PREFIXES.get(uri or "")
    if prefix is not None:
        return f"{prefix}:{local}"
    return f"{{{uri}}}{local}" if uri else local
