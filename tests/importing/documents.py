"""The EN 16931 examples, ways to change them, and what tests compare."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from node.domains.invoices.importing.ubl.breaches import Breach, Report
from node.domains.invoices.importing.ubl.mapping import UblDocument, map_ubl
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.tree import NAMESPACES, PREFIXES, Node

FOLDER = Path(__file__).parents[1] / "data" / "en16931"
FILES = sorted(FOLDER.glob("*.xml"))

Edit = Callable[[ET.Element], None]


def canonical(content: bytes) -> str:
    """C14N 2.0 without layout and with prefixes numbered: what two equal documents share."""
    return ET.canonicalize(content.decode(), strip_text=True, rewrite_prefixes=True)


def example(name: str) -> bytes:
    """An example by the end of its file's name."""
    (path,) = (path for path in FILES if path.stem.endswith(name))
    return path.read_bytes()


def edited(name: str, *edits: Edit) -> bytes:
    """An example with changes."""
    root = ET.fromstring(example(name))
    for edit in edits:
        edit(root)
    return ET.tostring(root)


def mapped(content: bytes) -> UblDocument:
    """A document that breaks no rule."""
    outcome = map_ubl(read_ubl(content))
    assert isinstance(outcome, UblDocument), [breach.text for breach in outcome.breaches]
    return outcome


def broken(content: bytes) -> list[Breach]:
    """The rules that a document breaks; at least one."""
    outcome = map_ubl(read_ubl(content))
    assert isinstance(outcome, Report), "the document breaks no rule"
    return outcome.breaches


def plain(node: Node) -> list[object]:
    """A tree as lists, to be compared."""
    return [node.name, node.text, dict(node.attributes), [plain(child) for child in node.children]]


def find(root: ET.Element, path: str) -> ET.Element:
    """The first element at a path of prefixed names."""
    found = root.find(path, dict(NAMESPACES))
    assert found is not None, path
    return found


def text(path: str, value: str) -> Edit:
    """Set the text at a path."""

    def edit(root: ET.Element) -> None:
        find(root, path).text = value

    return edit


def attribute(path: str, name: str, value: str | None) -> Edit:
    """Set or remove an attribute."""

    def edit(root: ET.Element) -> None:
        node = find(root, path)
        if value is None:
            del node.attrib[name]
        else:
            node.set(name, value)

    return edit


def without(path: str) -> Edit:
    """Remove all elements at a path."""

    def edit(root: ET.Element) -> None:
        parent, _, name = path.rpartition("/")
        for node in root.findall(parent or ".", dict(NAMESPACES)):
            for child in node.findall(name, dict(NAMESPACES)):
                node.remove(child)

    return edit


def added(path: str, content: str, position: int | None = None) -> Edit:
    """Add the elements of `content`, in prefixed names, to the first element at a path."""

    def edit(root: ET.Element) -> None:
        declared = " ".join(f'xmlns:{prefix}="{uri}"' for uri, prefix in PREFIXES.items())
        parent = root if path == "." else find(root, path)
        for number, child in enumerate(ET.fromstring(f"<x {declared}>{content}</x>")):
            at = len(parent) if position is None else position + number
            parent.insert(at, child)

    return edit


def credit_note_of(content: bytes, number: str, original: str) -> bytes:
    """The credit note that takes an invoice back whole, and names `original` as it."""
    text_of = content.decode()
    for before, instead in (
        ("Invoice-2", "CreditNote-2"),
        ("UBL-Invoice-", "UBL-CreditNote-"),
        ("<Invoice ", "<CreditNote "),
        ("</Invoice>", "</CreditNote>"),
        ("InvoiceLine>", "CreditNoteLine>"),
        ("InvoicedQuantity", "CreditedQuantity"),
        ("InvoiceTypeCode>380<", "InvoiceTypeCode>381<"),
        ("InvoiceTypeCode", "CreditNoteTypeCode"),
    ):
        text_of = text_of.replace(before, instead)
    reference = (
        f"<cac:BillingReference><cac:InvoiceDocumentReference><cbc:ID>{original}</cbc:ID>"
        "</cac:InvoiceDocumentReference></cac:BillingReference>"
    )
    text_of = re.sub(r"<cbc:ID>[^<]*</cbc:ID>", f"<cbc:ID>{number}</cbc:ID>", text_of, count=1)
    text_of = re.sub(r"<cbc:DueDate>[^<]*</cbc:DueDate>", "", text_of)
    later = ("Despatch", "Receipt", "Originator", "Contract", "Additional")
    after = "|".join([*(f"{each}DocumentReference" for each in later), "AccountingSupplierParty"])
    found = re.search(rf"<cac:(?:{after})>", text_of)
    assert found is not None
    at = found.start()
    return (text_of[:at] + reference + text_of[at:]).encode()
