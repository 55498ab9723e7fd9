"""An EN 16931 document of an invoice that never was UBL. Owns which term says which of our fields.

What the norm wants and an invoice does not say is said plainly, never invented: an invoice without
lines has one line for each tax rate, one without a term of payment says that it states none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from node.domains.invoices.importing.ubl.amounts import amount_text, decimal, percent_text, to_date
from node.domains.invoices.importing.ubl.codes import country_code, is_code, is_vat_prefix
from node.domains.invoices.importing.ubl.tree import CREDIT_NOTE, INVOICE, Node, UblError
from node.domains.invoices.importing.ubl.units import MUTUALLY_DEFINED, unit_code
from node.domains.invoices.importing.ubl.values import Fields

_SPECIFICATION = "urn:cen.eu:en16931:2017"
_PROCESSES = {INVOICE: "P1", CREDIT_NOTE: "P10"}
"""BT-23, business processes of EN 16931-1: invoicing of supplies; corrective invoicing."""
_CODE_18 = re.compile("[0-9A-Z]{18}")
_VAT_NUMBER = re.compile("[A-Z]{2}[0-9A-Z]{2,15}")
_UNIT = "Unit"
"""Names the attribute of an item whose unit has no code."""
_HOME = "CN"
"""Where a participant's unified social credit code is issued."""


class Group(msgspec.Struct, frozen=True):
    """Totals of a tax rate, as the ledger shows them. Minor units."""

    rate: int
    net: int
    tax: int


class Public(msgspec.Struct, frozen=True):
    """What the ledger shows of an invoice, as far as a document says it."""

    number: str
    original: str | None
    """Of a red invoice: the number by which the reader knows the blue one."""
    issuer: str
    issuer_name: str
    buyer: str
    buyer_name: str
    """Name in the register, or the bare key."""
    currency: str
    units: int
    issue_date: str
    groups: tuple[Group, ...]
    net: int
    tax: int
    gross: int


def native_tree(public: Public, details: Fields) -> Node:
    """The document of an invoice; a red invoice is a credit note.

    Raises:
        UblError: the country of a party is not known.
    """
    root = Node(INVOICE if public.original is None else CREDIT_NOTE)
    lines = _list(details.get("lines")) or [_line_of_group(group) for group in public.groups]
    allowances = _list(details.get("allowances"))
    due = to_date(_text(details, "due_date"))
    _put(root, "cbc:CustomizationID", _SPECIFICATION)
    _put(root, "cbc:ProfileID", _PROCESSES[root.name])
    _put(root, "cbc:ID", public.number)
    _put(root, "cbc:IssueDate", public.issue_date)
    if root.name == INVOICE:
        _put(root, "cbc:DueDate", due or "")
    _put(root, f"cbc:{root.name}TypeCode", "380" if root.name == INVOICE else "381")
    _put(root, "cbc:Note", _note(_text(details, "remarks")))
    _put(root, "cbc:DocumentCurrencyCode", public.currency)
    _put(root, "cac:OrderReference/cbc:ID", _text(details, "order_reference"))
    _put(root, "cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID", public.original or "")
    _put(root, "cac:ContractDocumentReference/cbc:ID", _text(details, "contract_reference"))
    seller, buyer = _fields(details, "seller"), _fields(details, "buyer")
    _seller(_add(root, "cac:AccountingSupplierParty"), public, seller)
    _buyer(_add(root, "cac:AccountingCustomerParty"), public, buyer)
    if account := _text(seller, "account"):
        means = _add(root, "cac:PaymentMeans")
        _put(means, "cbc:PaymentMeansCode", "30")
        if root.name == CREDIT_NOTE:
            _put(means, "cbc:PaymentDueDate", due or "")
        held = _add(means, "cac:PayeeFinancialAccount")
        _put(held, "cbc:ID", account)
        _put(held, "cac:FinancialInstitutionBranch/cbc:ID", _text(seller, "bank"))
    terms = _text(details, "payment_terms")
    if not terms and due is None and root.name == INVOICE:
        terms = "No term of payment is stated."
    _put(root, "cac:PaymentTerms/cbc:Note", terms)
    for item in allowances:
        _allowance(root, item, public)
    _totals(root, public, lines, allowances)
    for position, line in enumerate(lines, 1):
        _line(root, position, line, public)
    return root


def _note(text: str) -> str:
    """Remarks; what looks like a subject code in them is none: a general one stands before it."""
    subject, closed, _ = text.partition("#")[2].partition("#")
    mistaken = closed and len(subject) == 3 and not is_code("note_subject", subject)
    return f"#GEN#{text}" if mistaken else text


# --- Parties ---------------------------------------------------------------------------------


def _seller(side: Node, public: Public, seller: Fields) -> None:
    party = _add(side, "cac:Party")
    _address(party, seller, public.issuer)
    tax_id = _text(seller, "tax_id")
    scheme = _add(party, "cac:PartyTaxScheme")
    is_vat = _is_vat_number(tax_id)
    _put(scheme, "cbc:CompanyID", tax_id if is_vat else public.issuer)
    _put(scheme, "cac:TaxScheme/cbc:ID", "VAT" if is_vat else "TAX")
    legal = _add(party, "cac:PartyLegalEntity")
    _put(legal, "cbc:RegistrationName", _text(seller, "name") or public.issuer_name)
    _put(legal, "cbc:CompanyID", public.issuer)
    _contact(party, seller)


def _buyer(side: Node, public: Public, buyer: Fields) -> None:
    party = _add(side, "cac:Party")
    _address(party, buyer, public.buyer)
    tax_id = _text(buyer, "tax_id")
    registered = bool(_CODE_18.fullmatch(public.buyer))
    if _is_vat_number(tax_id):
        scheme = _add(party, "cac:PartyTaxScheme")
        _put(scheme, "cbc:CompanyID", tax_id)
        _put(scheme, "cac:TaxScheme/cbc:ID", "VAT")
    legal = _add(party, "cac:PartyLegalEntity")
    _put(legal, "cbc:RegistrationName", _text(buyer, "name") or public.buyer_name)
    _put(legal, "cbc:CompanyID", public.buyer if registered else tax_id)
    _contact(party, buyer)


def _is_vat_number(tax_id: str) -> bool:
    """Whether this is a VAT number, by its form: a country's letters first (BR-CO-09)."""
    formed = _VAT_NUMBER.fullmatch(tax_id) is not None and not _CODE_18.fullmatch(tax_id)
    return formed and is_vat_prefix(tax_id[:2])


def _address(party: Node, fields: Fields, reference: str) -> None:
    country = _text(fields, "country")
    address = _add(party, "cac:PostalAddress")
    _put(address, "cbc:StreetName", _text(fields, "address"))
    if not country and _CODE_18.fullmatch(reference):
        country = _HOME
    code = country_code(country)
    if code is None:
        side = "seller" if "Supplier" in party.path else "buyer"
        said = f"no country: {country!r}" if country else "not stated"
        raise UblError(f"the {side}'s country, which EN 16931 requires, is {said}")
    _put(address, "cac:Country/cbc:IdentificationCode", code)


def _contact(party: Node, fields: Fields) -> None:
    contact = [_text(fields, name) for name in ("contact", "phone", "email")]
    if any(contact):
        node = _add(party, "cac:Contact")
        for name, value in zip(
            ("cbc:Name", "cbc:Telephone", "cbc:ElectronicMail"), contact, strict=True
        ):
            _put(node, name, value)


# --- Amounts ---------------------------------------------------------------------------------


def _allowance(root: Node, item: Fields, public: Public) -> None:
    node = _add(root, "cac:AllowanceCharge")
    charge = item.get("kind") == "charge"
    _put(node, "cbc:ChargeIndicator", "true" if charge else "false")
    reason = _text(item, "reason") or ("Charge" if charge else "Allowance")
    _put(node, "cbc:AllowanceChargeReason", reason)
    _money(node, "cbc:Amount", _int(item, "net"), public)
    _category(node, "cac:TaxCategory", _int(item, "rate"))


def _totals(
    root: Node, public: Public, lines: Sequence[Fields], allowances: Sequence[Fields]
) -> None:
    total = _add(root, "cac:TaxTotal")
    _money(total, "cbc:TaxAmount", public.tax, public)
    for group in public.groups:
        part = _add(total, "cac:TaxSubtotal")
        _money(part, "cbc:TaxableAmount", group.net, public)
        _money(part, "cbc:TaxAmount", group.tax, public)
        _category(part, "cac:TaxCategory", group.rate)
    sums = {
        kind: sum(_int(item, "net") for item in allowances if item.get("kind") == kind)
        for kind in ("allowance", "charge")
        if any(item.get("kind") == kind for item in allowances)
    }
    node = _add(root, "cac:LegalMonetaryTotal")
    _money(node, "cbc:LineExtensionAmount", sum(_int(line, "net") for line in lines), public)
    _money(node, "cbc:TaxExclusiveAmount", public.net, public)
    _money(node, "cbc:TaxInclusiveAmount", public.gross, public)
    # Also a total of 0, where there are allowances of 0 (BR-CO-11, -12).
    for kind, name in (("allowance", "Allowance"), ("charge", "Charge")):
        if kind in sums:
            _money(node, f"cbc:{name}TotalAmount", sums[kind], public)
    _money(node, "cbc:PayableAmount", public.gross, public)


def _line_of_group(group: Group) -> Fields:
    name = f"Goods and services taxed at {percent_text(group.rate)} %"
    return {"description": name, "net": group.net, "rate": group.rate}


def _line(root: Node, position: int, line: Fields, public: Public) -> None:
    node = _add(root, "cac:InvoiceLine" if root.name == INVOICE else "cac:CreditNoteLine")
    net, allowance = _int(line, "net"), _int(line, "allowance")
    quantity, price, base = _priced(line, net + allowance, public.units)
    _put(node, "cbc:ID", str(position))
    name = "cbc:InvoicedQuantity" if root.name == INVOICE else "cbc:CreditedQuantity"
    unit = _text(line, "unit")
    code = unit_code(unit)
    _put(node, name, quantity, {"unitCode": code})
    _money(node, "cbc:LineExtensionAmount", net, public)
    if allowance:
        each = _add(node, "cac:AllowanceCharge")
        _put(each, "cbc:ChargeIndicator", "false" if allowance > 0 else "true")
        _put(each, "cbc:AllowanceChargeReason", "Allowance" if allowance > 0 else "Charge")
        _money(each, "cbc:Amount", abs(allowance), public)
    item = _add(node, "cac:Item")
    _put(item, "cbc:Description", _text(line, "model"))
    _put(item, "cbc:Name", _text(line, "description") or "-")
    _put(item, "cac:SellersItemIdentification/cbc:ID", _text(line, "code"))
    _category(item, "cac:ClassifiedTaxCategory", _int(line, "rate"))
    if code == MUTUALLY_DEFINED and unit != code:
        written = _add(item, "cac:AdditionalItemProperty")
        _put(written, "cbc:Name", _UNIT)
        _put(written, "cbc:Value", unit)
    cost = _add(node, "cac:Price")
    _put(cost, "cbc:PriceAmount", price, {"currencyID": public.currency})
    _put(cost, "cbc:BaseQuantity", base)


def _priced(line: Fields, amount: int, units: int) -> tuple[str, str, str]:
    """Quantity, price ≥ 0 and base quantity of a line whose price × quantity is `amount`."""
    quantity = decimal(_text(line, "quantity"))
    price = decimal(_text(line, "unit_price"))
    if quantity is None or quantity == 0:
        return ("-1" if amount < 0 else "1"), amount_text(abs(amount), units), ""
    if price is not None:
        # The norm has no negative price (BR-27): what is taken back has a negative quantity.
        return _plain(-quantity if price < 0 else quantity), _plain(abs(price)), ""
    sign = -1 if amount < 0 else 1
    count = _plain(abs(quantity))
    return ("-" if sign < 0 else "") + count, amount_text(abs(amount), units), count


def _category(parent: Node, name: str, rate: int) -> None:
    node = _add(parent, name)
    _put(node, "cbc:ID", "S" if rate else "Z")
    _put(node, "cbc:Percent", percent_text(rate))
    _put(node, "cac:TaxScheme/cbc:ID", "VAT")


# --- Building --------------------------------------------------------------------------------


def _add(parent: Node, name: str) -> Node:
    node = Node(name)
    parent.append(node)
    return node


def _put(parent: Node, path: str, text: str, attributes: Mapping[str, str] | None = None) -> None:
    """A leaf at a path of new elements; nothing when there is no text."""
    if not text:
        return
    *outer, name = path.split("/")
    for each in outer:
        parent = _add(parent, each)
    parent.append(Node(name, text, attributes))


def _money(parent: Node, name: str, amount: int, public: Public) -> None:
    _put(parent, name, _two_decimals(amount, public.units), {"currencyID": public.currency})


def _two_decimals(amount: int, units: int) -> str:
    """The norm has two decimals at most (UBL-DT-01): a third that is 0 is left out."""
    text = amount_text(amount, units)
    whole, point, decimals = text.partition(".")
    return f"{whole}{point}{decimals[:2]}" if not decimals[2:].strip("0") else text


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _int(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) else 0


def _fields(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Fields]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, Mapping)]
