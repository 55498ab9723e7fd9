"""From a checked tree to the invoice that our API issues. Owns what fits our fields, and how.

What fits is put into lines, allowances and details; everything else goes into
`extensions["ubl"]` (see `residue`), so that nothing of the document is lost.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext
from typing import cast

import msgspec

from node.importing.ubl.amounts import decimal, detail_decimal, plain_decimal, to_date, to_minor
from node.importing.ubl.breaches import Report
from node.importing.ubl.residue import residue_of
from node.importing.ubl.rules import check_terms, vat_id
from node.importing.ubl.structure import check_structure
from node.importing.ubl.sums import MISMATCH, Amounts, Item, check_sums
from node.importing.ubl.tree import CREDIT_NOTE, Node
from node.importing.ubl.values import Document
from node.ledger.operations import RATE_GROUPS_MAX

EXTENSION = "ubl"
_ORDER_ID_MAX = 128
_SUPPLIER = "cac:AccountingSupplierParty/cac:Party"
_CUSTOMER = "cac:AccountingCustomerParty/cac:Party"
Body = dict[str, object]


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


def order_id_of(kind: str, seller: str, number: str) -> str:
    """The stable key of a document: what it is, who sells, and the seller's number."""
    key = f"{kind}/{seller}/{number}"
    if len(key) <= _ORDER_ID_MAX:
        return key
    return f"{kind}/{hashlib.sha256(key.encode()).hexdigest()}"


def map_ubl(root: Node) -> UblDocument | Report:
    """The invoice that a document is, or all the rules that it breaks."""
    report = Report()
    check_structure(root, report)
    check_terms(root, report)
    amounts = check_sums(root, report)
    if report.breaches:
        return report
    groups = _groups(amounts)
    _check_ledger(root, amounts, groups, report)
    if report.breaches:
        return report
    lines = [_line(item, amounts) for item in amounts.lines]
    allowances = [_allowance(item) for item in amounts.allowances]
    head = _head(root)
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
    )


def _groups(amounts: Amounts) -> list[Body]:
    """Rate groups: the categories of one rate are one group."""
    nets: dict[int, int] = {}
    taxes: dict[int, int] = {}
    counts: dict[int, int] = {}
    for each in amounts.subtotals:
        nets[each.rate] = nets.get(each.rate, 0) + each.net
        taxes[each.rate] = taxes.get(each.rate, 0) + each.tax
    for item in (*amounts.lines, *amounts.allowances):
        counts[item.rate] = counts.get(item.rate, 0) + 1
    return [
        {"rate": rate, "net": nets[rate], "tax": taxes[rate], "lines": max(1, counts.get(rate, 0))}
        for rate in sorted(nets)
    ]


def _check_ledger(root: Node, amounts: Amounts, groups: list[Body], report: Report) -> None:
    """Report what the norm allows and our ledger does not."""
    totals = root.first("cac:LegalMonetaryTotal") or root
    if amounts.gross <= 0:
        report.add("NOTHING_TO_INVOICE", "BT-112", totals, "the total with VAT is not positive")
    breakdown = root.first("cac:TaxTotal") or root
    if len(groups) > RATE_GROUPS_MAX:
        report.add("MALFORMED", "BG-23", breakdown, f"more than {RATE_GROUPS_MAX} VAT rates")
    for group in groups:
        net, tax, rate, lines = (cast("int", group[key]) for key in ("net", "tax", "rate", "lines"))
        rounded = (2 * abs(net) * rate + 10_000) // 20_000
        if abs(tax - (rounded if net >= 0 else -rounded)) > lines:
            message = f"the VAT at {rate / 100:g} % is off by more than one minor unit a line"
            report.add(MISMATCH, "BT-117", breakdown, message)


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
        total += -amount if node.value("cbc:ChargeIndicator") in {"true", "1"} else amount
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
        "tax_id": _within(vat_id(party) or party.value("cac:PartyLegalEntity/cbc:CompanyID"), 64),
        "address": ", ".join(part for part in address if part)[:500],
        "country": _within(party.value("cac:PostalAddress/cac:Country/cbc:IdentificationCode"), 64),
        "phone": _within(party.value("cac:Contact/cbc:Telephone"), 64),
        "email": _within(party.value("cac:Contact/cbc:ElectronicMail"), 200),
        "contact": party.value("cac:Contact/cbc:Name")[:200],
    }
    return {name: value for name, value in fields.items() if value}


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
        vat_id(party),
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
