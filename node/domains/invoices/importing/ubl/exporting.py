"""From an invoice of the ledger to its UBL document. Owns the choice: the kept one, or our own.

A document is never handed out unless it passes the checks of an import and says the ledger's own
amounts: details are the issuer's word, and may hold a document that says something else.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.mapping import EXTENSION, map_ubl
from node.domains.invoices.importing.ubl.native import Public, native_tree
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.residue import tree_of
from node.domains.invoices.importing.ubl.tree import CREDIT_NOTE, INVOICE, Node, UblError
from node.domains.invoices.importing.ubl.values import Document, Fields
from node.domains.invoices.importing.ubl.writing import write_ubl

NO_FILES: Mapping[str, bytes] = {}


def export_ubl(public: Public, details: Fields, files: Mapping[str, bytes] = NO_FILES) -> bytes:
    """The document of an invoice: the one that it came from, or a new one.

    Args:
        public: What the ledger shows.
        details: What this node could read of the rest.
        files: Attachments by hash, where the document that it came from held files.

    Raises:
        UblError: no valid document can be made; names the rules.
    """
    kept = kept_document(public, details, files)
    if kept is not None:
        try:
            return _checked(tree_of(kept[0], kept[1]), public)
        except UblError:
            pass  # a damaged or contradicting residue: the ledger's own word counts
    return _checked(native_tree(public, details), public)


def kept_document(
    public: Public, details: Fields, files: Mapping[str, bytes] = NO_FILES
) -> tuple[object, Document] | None:
    """The residue in the details and the fields that complete it; None if none is kept."""
    extensions = details.get("extensions")
    if not isinstance(extensions, Mapping) or EXTENSION not in extensions:
        return None
    document = Document(
        root=INVOICE if public.original is None else CREDIT_NOTE,
        currency=public.currency,
        units=public.units,
        net=public.net,
        tax=public.tax,
        gross=public.gross,
        head=details,
        lines=_objects(details.get("lines")),
        allowances=_objects(details.get("allowances")),
        files=files,
    )
    return extensions[EXTENSION], document


def _objects(value: object) -> list[Fields]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _checked(tree: Node, public: Public) -> bytes:
    content = write_ubl(tree)
    document = map_ubl(read_ubl(content))
    if isinstance(document, Report):
        broken = "; ".join(breach.text for breach in document.breaches[:5])
        raise UblError(f"{public.number} makes no valid document: {broken}")
    groups = [{"rate": g.rate, "net": g.net, "tax": g.tax} for g in public.groups]
    said = document.body["groups"]
    assert isinstance(said, list)
    same = (
        document.credit_note == (public.original is not None)
        and document.currency == public.currency
        and document.gross == public.gross
        and [{key: group[key] for key in ("rate", "net", "tax")} for group in said] == groups
    )
    if not same:
        raise UblError(f"{public.number}: the document says other amounts than the ledger")
    return content
