"""What our fields say in UBL's words. Owns the table from UBL's paths to the details' fields.

Reading and writing share it: a leaf that this table yields is not kept in the residue, and is
written from the details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from node.domains.invoices.importing.ubl.amounts import amount_text, percent_text
from node.domains.invoices.importing.ubl.tree import CREDIT_NOTE

Fields = Mapping[str, object]
Attributes = Mapping[str, str]
Leaf = tuple[str, Attributes]
"""Text and attributes of an element."""

LINE_NAMES = ("cac:InvoiceLine", "cac:CreditNoteLine")
ALLOWANCE_NAME = "cac:AllowanceCharge"


class Document(msgspec.Struct, frozen=True):
    """An invoice as the ledger and its details say it. Amounts are magnitudes in minor units."""

    root: str
    """`Invoice` or `CreditNote`."""
    currency: str
    units: int
    """Minor units in a major one."""
    net: int
    tax: int
    gross: int
    head: Fields
    """As `DetailsBody`."""
    lines: Sequence[Fields]
    """As `LineBody`."""
    allowances: Sequence[Fields]
    """As `AllowanceBody`."""
    files: Mapping[str, bytes] = {}
    """Attachments that are at hand, by hash."""


class Place(msgspec.Struct, frozen=True):
    """Where in a document an element stands."""

    path: str
    """Names below the root, or below the line or the document's allowance that it belongs to."""
    line: int | None = None
    """Position of the line, from 0."""
    allowance: int | None = None
    """Position of the document's allowance or charge, from 0."""


def place_of(parent: Place | None, name: str, lines: int, allowances: int) -> Place:
    """The place of a child.

    Args:
        parent: The parent's place; None below the root.
        name: The child's name.
        lines: How many lines stand before it.
        allowances: How many allowances and charges of the document stand before it.
    """
    if parent is None:
        if name in LINE_NAMES:
            return Place("", line=lines)
        if name == ALLOWANCE_NAME:
            return Place("", allowance=allowances)
        return Place(name)
    path = f"{parent.path}/{name}" if parent.path else name
    return Place(path, parent.line, parent.allowance)


def leaf_at(document: Document, place: Place) -> Leaf | None:
    """What our fields say at a place; None where they say nothing."""
    if place.line is not None:
        line = _LINE_LEAVES.get(place.path)
        if line is None or place.line >= len(document.lines):
            return None
        return line(document, place.line)
    if place.allowance is not None:
        allowance = _ALLOWANCE_LEAVES.get(place.path)
        if allowance is None or place.allowance >= len(document.allowances):
            return None
        return allowance(document, document.allowances[place.allowance])
    head = _HEAD_LEAVES.get(place.path)
    return None if head is None else head(document)


def _text(fields: object, name: str) -> Leaf | None:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return (value, {}) if isinstance(value, str) and value else None


def _amount(document: Document, value: object) -> Leaf | None:
    if not isinstance(value, int):
        return None
    return amount_text(value, document.units), {"currencyID": document.currency}


def _percent(fields: Fields) -> Leaf | None:
    rate = fields.get("rate")
    return (percent_text(rate), {}) if isinstance(rate, int) else None


def _sum(items: Sequence[Fields], kind: str | None = None) -> int:
    nets = [item.get("net") for item in items if kind is None or item.get("kind") == kind]
    return sum(net for net in nets if isinstance(net, int))


def _of_head(name: str) -> Callable[[Document], Leaf | None]:
    return lambda document: _text(document.head, name)


def _of_party(party: str, name: str) -> Callable[[Document], Leaf | None]:
    return lambda document: _text(document.head.get(party), name)


_PARTY = {
    "cac:PartyLegalEntity/cbc:RegistrationName": "name",
    "cac:PartyTaxScheme/cbc:CompanyID": "tax_id",
    "cac:PartyLegalEntity/cbc:CompanyID": "tax_id",
    "cac:PostalAddress/cac:Country/cbc:IdentificationCode": "country",
    "cac:Contact/cbc:Name": "contact",
    "cac:Contact/cbc:Telephone": "phone",
    "cac:Contact/cbc:ElectronicMail": "email",
}
_TOTALS = "cac:LegalMonetaryTotal"
_ACCOUNT = "cac:PaymentMeans/cac:PayeeFinancialAccount"
_HEAD_LEAVES: Mapping[str, Callable[[Document], Leaf | None]] = {
    "cbc:ID": _of_head("external_number"),
    "cbc:IssueDate": _of_head("external_date"),
    "cbc:DueDate": _of_head("due_date"),
    "cac:PaymentMeans/cbc:PaymentDueDate": lambda document: (
        _text(document.head, "due_date") if document.root == CREDIT_NOTE else None
    ),
    "cbc:Note": _of_head("remarks"),
    "cbc:DocumentCurrencyCode": lambda document: (document.currency, {}),
    "cac:PaymentTerms/cbc:Note": _of_head("payment_terms"),
    "cac:OrderReference/cbc:ID": _of_head("order_reference"),
    "cac:ContractDocumentReference/cbc:ID": _of_head("contract_reference"),
    f"{_ACCOUNT}/cbc:ID": _of_party("seller", "account"),
    f"{_ACCOUNT}/cac:FinancialInstitutionBranch/cbc:ID": _of_party("seller", "bank"),
    "cac:TaxTotal/cbc:TaxAmount": lambda document: _amount(document, document.tax),
    f"{_TOTALS}/cbc:LineExtensionAmount": lambda document: _amount(document, _sum(document.lines)),
    f"{_TOTALS}/cbc:TaxExclusiveAmount": lambda document: _amount(document, document.net),
    f"{_TOTALS}/cbc:TaxInclusiveAmount": lambda document: _amount(document, document.gross),
    f"{_TOTALS}/cbc:AllowanceTotalAmount": lambda document: _amount(
        document, _sum(document.allowances, "allowance")
    ),
    f"{_TOTALS}/cbc:ChargeTotalAmount": lambda document: _amount(
        document, _sum(document.allowances, "charge")
    ),
    f"{_TOTALS}/cbc:PayableAmount": lambda document: _amount(document, document.gross),
} | {
    f"cac:{side}/cac:Party/{path}": _of_party(party, name)
    for side, party in (("AccountingSupplierParty", "seller"), ("AccountingCustomerParty", "buyer"))
    for path, name in _PARTY.items()
}


def _quantity(document: Document, position: int) -> Leaf | None:
    line = document.lines[position]
    quantity, unit = line.get("quantity"), line.get("unit")
    if not isinstance(quantity, str) or not isinstance(unit, str):
        return None
    return quantity, {"unitCode": unit}


def _price(document: Document, position: int) -> Leaf | None:
    price = document.lines[position].get("unit_price")
    return (price, {"currencyID": document.currency}) if isinstance(price, str) else None


def _of_line(name: str) -> Callable[[Document, int], Leaf | None]:
    return lambda document, position: _text(document.lines[position], name)


_LINE_LEAVES: Mapping[str, Callable[[Document, int], Leaf | None]] = {
    "cbc:ID": lambda _, position: (str(position + 1), {}),
    "cbc:InvoicedQuantity": _quantity,
    "cbc:CreditedQuantity": _quantity,
    "cbc:LineExtensionAmount": lambda document, position: _amount(
        document, document.lines[position].get("net")
    ),
    "cac:Item/cbc:Name": _of_line("description"),
    "cac:Item/cac:SellersItemIdentification/cbc:ID": _of_line("code"),
    "cac:Item/cac:ClassifiedTaxCategory/cbc:Percent": lambda document, position: _percent(
        document.lines[position]
    ),
    "cac:Price/cbc:PriceAmount": _price,
}
_ALLOWANCE_LEAVES: Mapping[str, Callable[[Document, Fields], Leaf | None]] = {
    "cbc:ChargeIndicator": lambda _, item: (
        "true" if item.get("kind") == "charge" else "false",
        {},
    ),
    "cbc:AllowanceChargeReason": lambda _, item: _text(item, "reason"),
    "cbc:Amount": lambda document, item: _amount(document, item.get("net")),
    "cac:TaxCategory/cbc:Percent": lambda _, item: _percent(item),
}
