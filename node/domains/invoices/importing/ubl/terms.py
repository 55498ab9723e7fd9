"""The rules of EN 16931 that say which terms a document must have: BR-01 to BR-67, BR-CO-03 to -26.

Source: EN 16931-1:2017 with its corrigenda, in the syntax binding of UBL 2.1 (CEN/TS 16931-3-2). A
rule is a row of a table: its id, what must hold of an element, and what is said when it does not.
Sums are in `sums`, VAT categories in `categories`, codes in `codes`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from node.domains.invoices.importing.ubl.amounts import decimal, to_date
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.codes import is_vat_prefix
from node.domains.invoices.importing.ubl.tree import Node

SUPPLIER = "cac:AccountingSupplierParty"
CUSTOMER = "cac:AccountingCustomerParty"
TAX_REPRESENTATIVE = "cac:TaxRepresentativeParty"
LINES = ("cac:InvoiceLine", "cac:CreditNoteLine")
ALLOWANCE = "cac:AllowanceCharge"
_NAME = "cac:Party/cac:PartyLegalEntity/cbc:RegistrationName"
_ADDRESS = "cac:Party/cac:PostalAddress"
_COUNTRY = "cac:Country/cbc:IdentificationCode"
Holds = Callable[[Node], bool]


class Rule(msgspec.Struct, frozen=True):
    """One rule on elements of one kind."""

    id: str
    holds: Holds
    message: str
    """What is wrong when it does not hold."""


def has(path: str) -> Holds:
    """An element stands at a path."""
    return lambda node: node.has(path)


def says(path: str) -> Holds:
    """An element at a path is not empty."""
    return lambda node: node.value(path) != ""


def carries(attribute: str) -> Holds:
    """The element has an attribute."""
    return lambda node: attribute in node.attributes


def either(*parts: Holds) -> Holds:
    """One of several holds."""
    return lambda node: any(part(node) for part in parts)


def at_most_one(path: str) -> Holds:
    """No path stands twice."""
    return lambda node: sum(1 for _ in node.all(path)) <= 1


def is_vat(node: Node) -> bool:
    """Whether a tax category, or a party's tax registration, is of VAT."""
    return node.value("cac:TaxScheme/cbc:ID").upper() == "VAT"


def vat_ids(party: Node | None) -> list[Node]:
    """The VAT identifiers (BT-31, BT-48, BT-63) of a party."""
    schemes = [] if party is None else list(party.all("cac:PartyTaxScheme"))
    return [number for each in schemes if is_vat(each) for number in each.all("cbc:CompanyID")]


def check_rules(node: Node, rules: tuple[Rule, ...], report: Report, code: str) -> None:
    """Report the rules that do not hold of an element."""
    for rule in rules:
        if not rule.holds(node):
            report.add(code, rule.id, node, rule.message)


def check_terms(root: Node, report: Report) -> None:
    """Report every mandatory term that is missing, and every pair that may not stand together."""

    def check(path: str, rules: tuple[Rule, ...]) -> None:
        for node in root.all(path):
            check_rules(node, rules, report, "MALFORMED")

    check_rules(root, _DOCUMENT, report, "MALFORMED")
    check(SUPPLIER, _SELLER)
    for side, rule in ((SUPPLIER, "BR-09"), (CUSTOMER, "BR-11")):
        check(f"{side}/{_ADDRESS}", (Rule(rule, says(_COUNTRY), "the country is missing"),))
    for side, rule in ((SUPPLIER, "BR-62"), (CUSTOMER, "BR-63")):
        endpoint = Rule(rule, carries("schemeID"), "schemeID is missing")
        check(f"{side}/cac:Party/cbc:EndpointID", (endpoint,))
    check("cac:PayeeParty", _PAYEE)
    check(TAX_REPRESENTATIVE, _REPRESENTATIVE)
    check(
        f"{TAX_REPRESENTATIVE}/cac:PostalAddress",
        (Rule("BR-20", says(_COUNTRY), "the country is missing"),),
    )
    for scheme in root.descendants("cac:PartyTaxScheme"):
        if is_vat(scheme):
            check_rules(scheme, _VAT_IDENTIFIER, report, "MALFORMED")
    check(
        "cac:Delivery/cac:DeliveryLocation/cac:Address",
        (Rule("BR-57", has(_COUNTRY), "the country is missing"),),
    )
    check("cac:LegalMonetaryTotal", _TOTALS)
    check("cac:TaxTotal/cac:TaxSubtotal", _BREAKDOWN)
    check("cac:BillingReference", _PRECEDING)
    check("cac:AdditionalDocumentReference", _SUPPORTING)
    check("cac:InvoicePeriod", _periods("BR-29", "BR-CO-19", with_code=True))
    check("cac:PaymentMeans", _PAYMENT)
    for means in root.all("cac:PaymentMeans"):
        if means.value("cbc:PaymentMeansCode") in {"30", "58"}:
            for account in means.all("cac:PayeeFinancialAccount"):
                check_rules(account, _ACCOUNT, report, "MALFORMED")
        for card in means.all("cac:CardAccount/cbc:PrimaryAccountNumberID"):
            check_rules(card, _CARD, report, "MALFORMED")
    for node in root.all(ALLOWANCE):
        check_rules(node, _DOCUMENT_ALLOWANCES.get(node.indicator, ()), report, "MALFORMED")
    for line in _lines(root):
        _check_line(line, report)
    for attribute in root.descendants("cac:AdditionalItemProperty"):
        check_rules(attribute, _ATTRIBUTE, report, "MALFORMED")


def _check_line(line: Node, report: Report) -> None:
    check_rules(line, _LINE, report, "MALFORMED")
    for node in line.all("cac:InvoicePeriod"):
        check_rules(node, _periods("BR-30", "BR-CO-20", with_code=False), report, "MALFORMED")
    for node in line.all(ALLOWANCE):
        check_rules(node, _LINE_ALLOWANCES.get(node.indicator, ()), report, "MALFORMED")
    for rule, path, attribute in (
        ("BR-64", "cac:Item/cac:StandardItemIdentification/cbc:ID", "schemeID"),
        ("BR-65", "cac:Item/cac:CommodityClassification/cbc:ItemClassificationCode", "listID"),
    ):
        for node in line.all(path):
            scheme = Rule(rule, carries(attribute), f"{attribute} is missing")
            check_rules(node, (scheme,), report, "MALFORMED")


def _lines(root: Node) -> list[Node]:
    return [child for child in root.children if child.name in LINES]


# --- What the rows of the tables ask ------------------------------------------------------------


def _one_tax_point(root: Node) -> bool:
    return not (root.has("cbc:TaxPointDate") and root.has("cac:InvoicePeriod/cbc:DescriptionCode"))


def _accounting_total(root: Node) -> bool:
    stated = {
        amount.attributes.get("currencyID")
        for total in root.descendants("cac:TaxTotal")
        for amount in total.all("cbc:TaxAmount")
    }
    return all(code.text.strip() in stated for code in root.all("cbc:TaxCurrencyCode"))


def _another_payee(payee: Node) -> bool:
    """A payee is named only where another than the seller is paid."""
    assert payee.parent is not None, "below the root"
    for path in ("cac:PartyName/cbc:Name", "cac:PartyIdentification/cbc:ID"):
        own = {node.text.strip() for node in payee.all(path)}
        if own & {n.text.strip() for n in payee.parent.all(f"{SUPPLIER}/cac:Party/{path}")}:
            return False
    return payee.has("cac:PartyName/cbc:Name")


def _vat_category(path: str) -> Holds:
    return lambda node: any(is_vat(each) and each.has("cbc:ID") for each in node.all(path))


def _vat_rate(subtotal: Node) -> bool:
    return any(
        is_vat(each) and (each.has("cbc:Percent") or each.value("cbc:ID") == "O")
        for each in subtotal.all("cac:TaxCategory")
    )


def _account_given(means: Node) -> bool:
    transfer = means.value("cbc:PaymentMeansCode") in {"30", "58"}
    return not transfer or means.has("cac:PayeeFinancialAccount/cbc:ID")


def _prefixed(scheme: Node) -> bool:
    return not scheme.has("cbc:CompanyID") or is_vat_prefix(scheme.value("cbc:CompanyID")[:2])


def _not_negative(path: str, *, needed: bool) -> Holds:
    def holds(node: Node) -> bool:
        values = [decimal(each.text) for each in node.all(path)]
        return (not needed and not values) or any(v is not None and v >= 0 for v in values)

    return holds


def _in_order(period: Node) -> bool:
    start, end = to_date(period.value("cbc:StartDate")), to_date(period.value("cbc:EndDate"))
    return start is None or end is None or start <= end


def _periods(order: str, empty: str, *, with_code: bool) -> tuple[Rule, ...]:
    bounds = ["cbc:StartDate", "cbc:EndDate"] + (["cbc:DescriptionCode"] if with_code else [])
    return (
        Rule(order, _in_order, "ends before it begins"),
        Rule(empty, either(*map(has, bounds)), "neither start nor end"),
    )


def _reasoned(*rules: str) -> tuple[Rule, ...]:
    given = either(has("cbc:AllowanceChargeReason"), has("cbc:AllowanceChargeReasonCode"))
    return tuple(Rule(rule, given, "a reason or its code is needed") for rule in rules)


def _allowances(amount: str, category: str, *reasons: str) -> tuple[Rule, ...]:
    rules = [Rule(amount, has("cbc:Amount"), "the amount (cbc:Amount) is missing")]
    if category:
        rules.append(Rule(category, _vat_category("cac:TaxCategory"), "no VAT category"))
    return (*rules, *_reasoned(*reasons))


# --- The tables ---------------------------------------------------------------------------------

_DOCUMENT = (
    Rule("BR-01", says("cbc:CustomizationID"), "the specification identifier is missing"),
    Rule("BR-02", says("cbc:ID"), "the invoice number (cbc:ID) is missing"),
    Rule("BR-03", says("cbc:IssueDate"), "the issue date (cbc:IssueDate) is missing"),
    Rule(
        "BR-04",
        either(says("cbc:InvoiceTypeCode"), says("cbc:CreditNoteTypeCode")),
        "the type code is missing",
    ),
    Rule("BR-05", says("cbc:DocumentCurrencyCode"), "the currency is missing"),
    Rule("BR-06", says(f"{SUPPLIER}/{_NAME}"), "the seller's name is missing"),
    Rule("BR-07", says(f"{CUSTOMER}/{_NAME}"), "the buyer's name is missing"),
    Rule("BR-08", has(f"{SUPPLIER}/{_ADDRESS}"), "the seller's postal address is missing"),
    Rule("BR-10", has(f"{CUSTOMER}/{_ADDRESS}"), "the buyer's postal address is missing"),
    Rule("BR-16", lambda root: bool(_lines(root)), "there is no line"),
    Rule("BR-53", _accounting_total, "no VAT total in the accounting currency"),
    Rule("BR-66", at_most_one("cac:PaymentMeans/cac:CardAccount"), "two payment cards"),
    Rule("BR-67", at_most_one("cac:PaymentMeans/cac:PaymentMandate"), "two mandates"),
    Rule("BR-CO-03", _one_tax_point, "a tax point date and a tax point code"),
    Rule("BR-CO-18", has("cac:TaxTotal/cac:TaxSubtotal"), "there is no VAT breakdown"),
)
_SELLER = (
    Rule(
        "BR-CO-26",
        lambda seller: (
            any(vat_ids(party) for party in seller.all("cac:Party"))
            or seller.has("cac:Party/cac:PartyIdentification/cbc:ID")
            or seller.has("cac:Party/cac:PartyLegalEntity/cbc:CompanyID")
        ),
        "the seller has no identifier",
    ),
)
_PAYEE = (Rule("BR-17", _another_payee, "the payee has no name, or is the seller"),)
_REPRESENTATIVE = (
    Rule("BR-18", says("cac:PartyName/cbc:Name"), "the tax representative's name is missing"),
    Rule("BR-19", has("cac:PostalAddress"), "the tax representative's address is missing"),
    Rule("BR-56", lambda party: bool(vat_ids(party)), "the VAT identifier is missing"),
)
_VAT_IDENTIFIER = (Rule("BR-CO-09", _prefixed, "the VAT identifier names no country"),)
_TOTALS = (
    Rule("BR-12", has("cbc:LineExtensionAmount"), "the sum of the lines is missing"),
    Rule("BR-13", has("cbc:TaxExclusiveAmount"), "the total without VAT is missing"),
    Rule("BR-14", has("cbc:TaxInclusiveAmount"), "the total with VAT is missing"),
    Rule("BR-15", has("cbc:PayableAmount"), "the amount due is missing"),
)
_BREAKDOWN = (
    Rule("BR-45", has("cbc:TaxableAmount"), "the taxable amount is missing"),
    Rule("BR-46", has("cbc:TaxAmount"), "the tax is missing"),
    Rule("BR-47", _vat_category("cac:TaxCategory"), "no VAT category"),
    Rule("BR-48", _vat_rate, "the VAT rate is missing"),
)
_PRECEDING = (
    Rule("BR-55", has("cac:InvoiceDocumentReference/cbc:ID"), "the invoice's number is missing"),
)
_SUPPORTING = (Rule("BR-52", says("cbc:ID"), "the document's reference is missing"),)
_PAYMENT = (
    Rule("BR-49", has("cbc:PaymentMeansCode"), "the payment means code is missing"),
    Rule("BR-61", _account_given, "a credit transfer needs an account"),
)
_ACCOUNT = (Rule("BR-50", says("cbc:ID"), "the account's number is missing"),)
_CARD = (
    Rule("BR-51", lambda card: len(card.text.strip()) <= 10, "more than the last digits of a card"),
)
_DOCUMENT_ALLOWANCES: dict[bool | None, tuple[Rule, ...]] = {
    False: _allowances("BR-31", "BR-32", "BR-33", "BR-CO-21"),
    True: _allowances("BR-36", "BR-37", "BR-38", "BR-CO-22"),
}
_LINE_ALLOWANCES: dict[bool | None, tuple[Rule, ...]] = {
    False: _allowances("BR-41", "", "BR-42", "BR-CO-23"),
    True: _allowances("BR-43", "", "BR-44", "BR-CO-24"),
}
_QUANTITIES = ("cbc:InvoicedQuantity", "cbc:CreditedQuantity")
_LINE = (
    Rule("BR-21", says("cbc:ID"), "the line's identifier is missing"),
    Rule("BR-22", either(*map(has, _QUANTITIES)), "the quantity is missing"),
    Rule(
        "BR-23",
        lambda line: any(
            "unitCode" in q.attributes for name in _QUANTITIES for q in line.all(name)
        ),
        "the unit of the quantity is missing",
    ),
    Rule("BR-24", has("cbc:LineExtensionAmount"), "the net amount is missing"),
    Rule("BR-25", says("cac:Item/cbc:Name"), "the item's name is missing"),
    Rule("BR-26", has("cac:Price/cbc:PriceAmount"), "the net price is missing"),
    Rule(
        "BR-27", _not_negative("cac:Price/cbc:PriceAmount", needed=True), "no price from 0 upwards"
    ),
    Rule(
        "BR-28",
        _not_negative("cac:Price/cac:AllowanceCharge/cbc:BaseAmount", needed=False),
        "the gross price is negative",
    ),
    Rule("BR-CO-04", _vat_category("cac:Item/cac:ClassifiedTaxCategory"), "no VAT category"),
)
_ATTRIBUTE = (
    Rule(
        "BR-54",
        lambda node: node.has("cbc:Name") and node.has("cbc:Value"),
        "an attribute needs a name and a value",
    ),
)
