"""From a checked tree to the invoice that our API issues. Owns what fits our fields, and how.

What fits is put into lines, allowances and details; everything else goes into
`extensions["ubl"]` (see `residue`), so that nothing of the document is lost.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext

import msgspec

from node.domains.invoices.importing.ubl.amounts import (
    decimal,
    detail_decimal,
    plain_decimal,
    to_date,
    to_minor,
)
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.categories import check_categories
from node.domains.invoices.importing.ubl.codes import check_codes
from node.domains.invoices.importing.ubl.files import HeldFile, lift_files
from node.domains.invoices.importing.ubl.fit import Amounts, Item, fit_amounts
from node.domains.invoices.importing.ubl.residue import residue_of
from node.domains.invoices.importing.ubl.structure import check_structure
from node.domains.invoices.importing.ubl.sums import check_sums
from node.domains.invoices.importing.ubl.syntax import check_syntax
from node.domains.invoices.importing.ubl.terms import check_terms, vat_ids
from node.domains.invoices.importing.ubl.tree import CREDIT_NOTE, Node
from node.domains.invoices.importing.ubl.values import Document

EXTENSION = "ubl"
_ORDER_ID_MAX = 128
_SUPPLIER = "cac:AccountingSupplierParty/cac:Party"
_CUSTOMER = "cac:AccountingCustomerParty/cac:Party"
Body = dict[str, object]
CHECKS = (check_structure, check_terms, check_syntax, check_sums, check_categories, check_codes)
"""Everything that a document is checked for, before our ledger's own rules."""


class UblDocument(msgspec.Struct, frozen=True):
    """A document that breaks no rule, as our API takes it. Amounts are magnitudes."""

    order_id: str
    credit_note: bool
    original: str | None
    """Order id of the invoice that a credit note takes back, if it names one."""
    number: str
    """The issuer's own."""
    line: int
    """Of the file, from 1."""
    currency: str
    net: int
    tax: int
    gross: int
    body: Body
    """Of `InvoiceBody`, without the buyer; a red letter takes its amounts and details."""
    buyer_ids: tuple[str, ...]
    """Identifiers by which the document names the buyer."""
    files: tuple[HeldFile, ...]
    """What the body names as attachments."""
    notes: tuple[str, ...]
    """What was taken otherwise than one would think."""


def order_id_of(kind: str, seller: str, number: str) -> str:
    """The stable key of a document: what it is, who sells, and the seller's number."""
    key = f"{kind}/{seller}/{number}"
    if len(key) <= _ORDER_ID_MAX:
        return key
    return f"{kind}/{hashlib.sha256(key.encode()).hexdigest()}"


def map_ubl(root: Node) -> UblDocument | Report:
    """The invoice that a document is, or all the rules that it breaks."""
    report = Report()
    for check in CHECKS:
        check(root, report)
    if report.breaches:
        return report
    amounts = fit_amounts(root, report)
    files = lift_files(root, report)
    if report.breaches:
        return report
    groups: list[Body] = [
        {"rate": each.rate, "net": each.net, "tax": each.tax, "lines": each.lines}
        for each in amounts.groups
    ]
    lines = [_line(item, amounts) for item in amounts.lines]
    allowances = [_allowance(item) for item in amounts.allowances]
    head = _head(root)
    if files:
        head["attachments"] = [file.attachment for file in files]
    document = Document(
        root.name,
        amounts.currency,
        amounts.units,
        amounts.net,
        amounts.tax,
        amounts.gross,
        head,
        lines,
        allowances,
    )
    head = head | {"extensions": {EXTENSION: residue_of(root, document)}}
    seller, number = _seller_id(root), root.value("cbc:ID")
    credit_note = root.name == CREDIT_NOTE
    original = root.value("cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID")
    order_id = order_id_of("credit-note" if credit_note else "invoice", seller, number)
    body: Body = {
        "order_id": order_id,
        "currency": amounts.currency,
        "groups": groups,
        "lines": lines,
        "details": head,
    }
    if allowances:
        body["allowances"] = allowances
    return UblDocument(
        order_id,
        credit_note,
        order_id_of("invoice", seller, original) if credit_note and original else None,
        number,
        root.line,
        amounts.currency,
        amounts.net,
        amounts.tax,
        amounts.gross,
        body,
        _identifiers(root.first(_CUSTOMER)),
        tuple(files),
        _notes(root),
    )


def _notes(root: Node) -> tuple[str, ...]:
    issued = root.value("cbc:IssueDate")
    if to_date(issued) is not None:
        return ()
    return (f"/{root.name}/cbc:IssueDate: {issued[:40]!r} is no date; it is kept as it is written",)


# --- Lines -----------------------------------------------------------------------------------


def _line(item: Item, amounts: Amounts) -> Body:
    node = item.node
    name = node.first("cac:Item/cbc:Name")
    assert name is not None, "BR-25 was checked"
    line: Body = {"description": name.text[:500], "net": item.net, "rate": item.rate}
    code = node.value("cac:Item/cac:SellersItemIdentification/cbc:ID") or node.value(
        "cac:Item/cac:StandardItemIdentification/cbc:ID"
    )
    if 0 < len(code) <= 32:
        line["code"] = code
    quantity_node = node.first("cbc:InvoicedQuantity") or node.first("cbc:CreditedQuantity")
    assert quantity_node is not None, "BR-22 was checked"
    unit = quantity_node.attributes["unitCode"]
    if len(unit) <= 32:
        line["unit"] = unit
    quantity = detail_decimal(quantity_node.text)
    if quantity is None:
        return line
    line["quantity"] = quantity
    allowance = _line_allowance(node, amounts.units)
    price = _unit_price(node)
    if price is None:
        return line
    with localcontext(prec=80):
        product = Decimal(quantity) * Decimal(price) * amounts.units
        # The norm does not bind a line's amount to its price; our details do.
        if abs(product - allowance - item.net) > 1:
            return line
    line["unit_price"] = price
    if allowance:
        line["allowance"] = allowance
    return line


def _line_allowance(line: Node, units: int) -> int:
    """Allowances − charges of a line."""
    total = 0
    for node in line.all("cac:AllowanceCharge"):
        amount = to_minor(node.value("cbc:Amount"), units) or 0
        total += -amount if node.indicator else amount
    return total


def _unit_price(line: Node) -> str | None:
    """The net price of one unit; None where our details cannot say it exactly."""
    text = line.value("cac:Price/cbc:PriceAmount")
    base = line.value("cac:Price/cbc:BaseQuantity")
    price, count = decimal(text), decimal(base or "1")
    if price is None or count is None or count <= 0:
        return None
    if count == 1:
        return detail_decimal(text)
    with localcontext(prec=60):
        each = price / count
        return plain_decimal(each) if each * count == price else None


def _allowance(item: Item) -> Body:
    """An allowance or charge; a negative one is the other."""
    charge = item.charge == (item.net >= 0)
    found: Body = {
        "kind": "charge" if charge else "allowance",
        "net": abs(item.net),
        "rate": item.rate,
    }
    if reason := item.node.value("cbc:AllowanceChargeReason")[:200]:
        found["reason"] = reason
    return found


# --- Head and parties ------------------------------------------------------------------------


def _head(root: Node) -> Body:
    notes = [node.text.strip() for node in root.all("cbc:Note") if node.text.strip()]
    due = root.value("cbc:DueDate")
    if root.name == CREDIT_NOTE:
        due = root.value("cac:PaymentMeans/cbc:PaymentDueDate")
    account = "cac:PaymentMeans/cac:PayeeFinancialAccount"
    seller = _party(root.first(_SUPPLIER))
    for field, path, limit in (
        ("account", f"{account}/cbc:ID", 64),
        ("bank", f"{account}/cac:FinancialInstitutionBranch/cbc:ID", 200),
    ):
        if 0 < len(value := root.value(path)) <= limit:
            seller[field] = value
    head: Body = {"seller": seller, "buyer": _party(root.first(_CUSTOMER))}
    fields = {
        "remarks": "\n".join(notes)[:2_000],
        "external_number": _within(root.value("cbc:ID"), 64),
        "external_date": to_date(root.value("cbc:IssueDate")),
        "due_date": to_date(due),
        "payment_terms": root.value("cac:PaymentTerms/cbc:Note")[:500],
        "order_reference": _within(root.value("cac:OrderReference/cbc:ID"), 200),
        "contract_reference": _within(root.value("cac:ContractDocumentReference/cbc:ID"), 200),
    }
    head |= {name: value for name, value in fields.items() if value}
    return {name: value for name, value in head.items() if value}


def _party(party: Node | None) -> Body:
    if party is None:
        return {}
    address = [
        party.value(f"cac:PostalAddress/{path}")
        for path in (
            "cbc:StreetName",
            "cbc:AdditionalStreetName",
            "cac:AddressLine/cbc:Line",
            "cbc:PostalZone",
            "cbc:CityName",
            "cbc:CountrySubentity",
        )
    ]
    fields = {
        "name": party.value("cac:PartyLegalEntity/cbc:RegistrationName")[:200],
        "tax_id": _within(_vat_id(party) or party.value("cac:PartyLegalEntity/cbc:CompanyID"), 64),
        "address": ", ".join(part for part in address if part)[:500],
        "country": _within(party.value("cac:PostalAddress/cac:Country/cbc:IdentificationCode"), 64),
        "phone": _within(party.value("cac:Contact/cbc:Telephone"), 64),
        "email": _within(party.value("cac:Contact/cbc:ElectronicMail"), 200),
        "contact": party.value("cac:Contact/cbc:Name")[:200],
    }
    return {name: value for name, value in fields.items() if value}


def _vat_id(party: Node) -> str:
    """The VAT identifier of a party; empty if it has none."""
    return next((number.text.strip() for number in vat_ids(party)), "")


def _within(text: str, limit: int) -> str:
    """The text, or nothing: half an identifier is another one."""
    return text if len(text) <= limit else ""


def _seller_id(root: Node) -> str:
    return (_identifiers(root.first(_SUPPLIER)) or ("",))[0]


def _identifiers(party: Node | None) -> tuple[str, ...]:
    """Identifiers of a party, the VAT identifier first."""
    if party is None:
        return ()
    found = [
        _vat_id(party),
        *(
            node.text.strip()
            for path in (
                "cac:PartyLegalEntity/cbc:CompanyID",
                "cac:PartyTaxScheme/cbc:CompanyID",
                "cac:PartyIdentification/cbc:ID",
                "cbc:EndpointID",
            )
            for node in party.all(path)
        ),
    ]
    return tuple(dict.fromkeys(each for each in found if each))
