"""The rules of EN 16931-1 that say which terms a document must have. Owns rule ids and terms.

Source: EN 16931-1:2017, business rules BR-01 to BR-65 and BR-CO-03 to BR-CO-26, in the syntax
binding of UBL 2.1 (CEN/TS 16931-3-2). Sums and taxes are in `sums`.
"""

from __future__ import annotations

import re

from node.importing.ubl.amounts import decimal, to_date
from node.importing.ubl.breaches import Report
from node.importing.ubl.countries import is_country_code, is_currency_code
from node.importing.ubl.tree import INVOICE, Node

_INVOICE_TYPES = (
    "71 80 82 84 102 130 202 203 204 211 218 219 295 325 326 331 380 382 383 384 385 386 387 388 "
    "389 390 393 394 395 456 457 527 553 575 623 633 751 780 817 870 875 876 877 935"
)
_CREDIT_NOTE_TYPES = "81 83 261 296 308 381 396 420 458 532"
"""BR-CL-01: UNTDID 1001, by the document that carries them."""
_SUPPLIER = "cac:AccountingSupplierParty/cac:Party"
_CUSTOMER = "cac:AccountingCustomerParty/cac:Party"
_TOTALS = "cac:LegalMonetaryTotal"


def line_name(root: Node) -> str:
    """How the lines of this document are called."""
    return "cac:InvoiceLine" if root.name == INVOICE else "cac:CreditNoteLine"


def check_terms(root: Node, report: Report) -> None:
    """Report every mandatory term that is missing and every date, code or number that is none."""
    _head(root, report)
    _parties(root, report)
    _references(root, report)
    _payment(root, report)
    _currencies(root, report)
    for node in root.all("cac:AllowanceCharge"):
        _allowance(node, report, document=True)
    _period(root, report, "BR-29", "BR-CO-19")
    lines = list(root.all(line_name(root)))
    if not lines:
        report.add("MALFORMED", "BR-16", root, "there is no line")
    for line in lines:
        _line(line, report)


def _head(root: Node, report: Report) -> None:
    for rule, path, what in (
        ("BR-01", "cbc:CustomizationID", "the specification identifier"),
        ("BR-02", "cbc:ID", "the invoice number"),
        ("BR-03", "cbc:IssueDate", "the issue date"),
        ("BR-04", f"cbc:{root.name}TypeCode", "the type code"),
        ("BR-05", "cbc:DocumentCurrencyCode", "the currency"),
        ("BR-12", f"{_TOTALS}/cbc:LineExtensionAmount", "the sum of the lines"),
        ("BR-13", f"{_TOTALS}/cbc:TaxExclusiveAmount", "the total without VAT"),
        ("BR-14", f"{_TOTALS}/cbc:TaxInclusiveAmount", "the total with VAT"),
        ("BR-15", f"{_TOTALS}/cbc:PayableAmount", "the amount due"),
    ):
        report.missing(rule, root, path, what)
    for rule, path in (
        ("BR-03", "cbc:IssueDate"),
        ("BT-9", "cbc:DueDate"),
        ("BT-9", "cac:PaymentMeans/cbc:PaymentDueDate"),
        ("BT-7", "cbc:TaxPointDate"),
        ("BT-72", "cac:Delivery/cbc:ActualDeliveryDate"),
        ("BT-26", "cac:BillingReference/cac:InvoiceDocumentReference/cbc:IssueDate"),
    ):
        for node in root.all(path):
            if node.text.strip() and to_date(node.text) is None:
                report.add("DATE_INVALID", rule, node, "is no date")
    types = (_INVOICE_TYPES if root.name == INVOICE else _CREDIT_NOTE_TYPES).split()
    kind = root.first(f"cbc:{root.name}TypeCode")
    if kind is not None and kind.text.strip() not in [*types, ""]:
        report.add("MALFORMED", "BR-CL-01", kind, f"{kind.text.strip()!r} is no type of this")
    currency = root.first("cbc:DocumentCurrencyCode")
    if currency is not None and currency.text.strip():
        _code(currency, report, "BR-CL-04", is_currency_code(currency.text.strip()))
    accounting = root.first("cbc:TaxCurrencyCode")
    if accounting is not None:
        _code(accounting, report, "BR-CL-05", is_currency_code(accounting.text.strip()))
    if root.value("cbc:TaxPointDate") and root.value("cac:InvoicePeriod/cbc:DescriptionCode"):
        report.add("MALFORMED", "BR-CO-03", root, "a tax point date and a tax point code")


def _currencies(node: Node, report: Report) -> None:
    code = node.attributes.get("currencyID")
    if code is not None and not is_currency_code(code):
        report.add("MALFORMED", "BR-CL-03", node, f"{code[:20]!r} is no currency code")
    for child in node.children:
        _currencies(child, report)


def _parties(root: Node, report: Report) -> None:
    for path, name_rule, address_rule, country_rule in (
        (_SUPPLIER, "BR-06", "BR-08", "BR-09"),
        (_CUSTOMER, "BR-07", "BR-10", "BR-11"),
    ):
        party = root.first(path)
        if party is None:
            report.add("MALFORMED", name_rule, root, f"{path} is missing")
            report.add("MALFORMED", address_rule, root, f"{path} is missing")
            continue
        report.missing(
            name_rule, party, "cac:PartyLegalEntity/cbc:RegistrationName", "the party's name"
        )
        _address(party, report, address_rule, country_rule)
        endpoint = party.first("cbc:EndpointID")
        if endpoint is not None and not endpoint.attributes.get("schemeID"):
            rule = "BR-62" if path == _SUPPLIER else "BR-63"
            report.add("MALFORMED", rule, endpoint, "schemeID is missing")
    seller = root.first(_SUPPLIER)
    if seller is not None and not any(
        seller.value(path)
        for path in (
            "cac:PartyIdentification/cbc:ID",
            "cac:PartyLegalEntity/cbc:CompanyID",
            "cac:PartyTaxScheme/cbc:CompanyID",
        )
    ):
        report.add("MALFORMED", "BR-CO-26", seller, "the seller has no identifier")
    payee = root.first("cac:PayeeParty")
    if payee is not None:
        report.missing("BR-17", payee, "cac:PartyName/cbc:Name", "the payee's name")
    representative = root.first("cac:TaxRepresentativeParty")
    if representative is not None:
        report.missing("BR-18", representative, "cac:PartyName/cbc:Name", "the name")
        _address(representative, report, "BR-19", "BR-20")
        if not vat_id(representative):
            report.add("MALFORMED", "BR-56", representative, "the VAT identifier is missing")
    for party in (seller, root.first(_CUSTOMER), representative):
        for scheme in () if party is None else party.all("cac:PartyTaxScheme"):
            report.missing("UBL-SR-53", scheme, "cbc:CompanyID", "the tax identifier")
        number = "" if party is None else vat_id(party)
        if party is not None and number and not re.match("[A-Z]{2}", number):
            report.add("MALFORMED", "BR-CO-09", party, "the VAT identifier names no country")
    address = root.first("cac:Delivery/cac:DeliveryLocation/cac:Address")
    if address is not None:
        _country(address, report, "BR-57")


def check_category(node: Node, path: str, report: Report, rule: str) -> None:
    """Report a tax category that is missing, or that is none of VAT."""
    if not report.missing(rule, node, f"{path}/cbc:ID", "the VAT category") and (
        node.value(f"{path}/cac:TaxScheme/cbc:ID").upper() != "VAT"
    ):
        report.add("MALFORMED", rule, node, f"{path} is of another tax than VAT")


def _code(node: Node, report: Report, rule: str, known: bool) -> None:
    if not known:
        report.add("MALFORMED", rule, node, f"{node.text.strip()[:20]!r} is in no code list")


def vat_id(party: Node) -> str:
    """The VAT identifier (BT-31, BT-48, BT-63) of a party; empty if it has none."""
    for scheme in party.all("cac:PartyTaxScheme"):
        if scheme.value("cac:TaxScheme/cbc:ID").upper() == "VAT":
            return scheme.value("cbc:CompanyID")
    return ""


def _address(party: Node, report: Report, address_rule: str, country_rule: str) -> None:
    address = party.first("cac:PostalAddress")
    if address is None:
        report.add("MALFORMED", address_rule, party, "the postal address is missing")
    else:
        _country(address, report, country_rule)


def _country(address: Node, report: Report, rule: str) -> None:
    path = "cac:Country/cbc:IdentificationCode"
    country = address.first(path)
    if not report.missing(rule, address, path, "the country") and country is not None:
        _code(country, report, "BR-CL-14", is_country_code(country.text.strip()))


def _references(root: Node, report: Report) -> None:
    for node in root.all("cac:BillingReference"):
        report.missing("BR-55", node, "cac:InvoiceDocumentReference/cbc:ID", "the invoice's number")
    for node in root.all("cac:AdditionalDocumentReference"):
        report.missing("BR-52", node, "cbc:ID", "the document's reference")


def _payment(root: Node, report: Report) -> None:
    for node in root.all("cac:PaymentMeans"):
        report.missing("BR-49", node, "cbc:PaymentMeansCode", "the payment means code")
        account = node.first("cac:PayeeFinancialAccount")
        if account is not None:
            report.missing("BR-50", account, "cbc:ID", "the account")
        elif node.value("cbc:PaymentMeansCode") in {"30", "58"}:
            report.add("MALFORMED", "BR-61", node, "a credit transfer needs an account")
    due = decimal(root.value(f"{_TOTALS}/cbc:PayableAmount"))
    if (
        root.name == INVOICE
        and due is not None
        and due > 0
        and not root.value("cbc:DueDate")
        and not root.value("cac:PaymentTerms/cbc:Note")
    ):
        report.add("MALFORMED", "BR-CO-25", root, "a due date or payment terms are needed")


def _allowance(node: Node, report: Report, *, document: bool) -> None:
    indicator = node.value("cbc:ChargeIndicator")
    if indicator not in {"true", "false", "1", "0"}:
        report.add("MALFORMED", "UBL-SR-CHARGE", node, "ChargeIndicator is neither true nor false")
        return
    charge = indicator in {"true", "1"}
    if document:
        amount, category, reason = (
            ("BR-36", "BR-37", "BR-38") if charge else ("BR-31", "BR-32", "BR-33")
        )
        check_category(node, "cac:TaxCategory", report, category)
    else:
        amount, reason = ("BR-43", "BR-44") if charge else ("BR-41", "BR-42")
    report.missing(amount, node, "cbc:Amount", "the amount")
    if not node.value("cbc:AllowanceChargeReason") and not node.value(
        "cbc:AllowanceChargeReasonCode"
    ):
        report.add("MALFORMED", reason, node, "a reason or its code is needed")


def _period(node: Node, report: Report, order_rule: str, empty_rule: str) -> None:
    for period in node.all("cac:InvoicePeriod"):
        start, end = period.first("cbc:StartDate"), period.first("cbc:EndDate")
        dates = []
        for each in (start, end):
            date = None if each is None else to_date(each.text)
            if each is not None and date is None:
                report.add("DATE_INVALID", order_rule, each, "is no date")
            dates.append(date)
        if dates[0] is not None and dates[1] is not None and dates[1] < dates[0]:
            report.add("MALFORMED", order_rule, period, "ends before it begins")
        if start is None and end is None and not period.value("cbc:DescriptionCode"):
            report.add("MALFORMED", empty_rule, period, "neither start nor end")


def _line(line: Node, report: Report) -> None:
    quantity = "cbc:InvoicedQuantity" if line.name == "cac:InvoiceLine" else "cbc:CreditedQuantity"
    for rule, path, what in (
        ("BR-21", "cbc:ID", "the line's identifier"),
        ("BR-22", quantity, "the quantity"),
        ("BR-24", "cbc:LineExtensionAmount", "the net amount"),
        ("BR-25", "cac:Item/cbc:Name", "the item's name"),
        ("BR-26", "cac:Price/cbc:PriceAmount", "the net price"),
    ):
        report.missing(rule, line, path, what)
    check_category(line, "cac:Item/cac:ClassifiedTaxCategory", report, "BR-CO-04")
    count = line.first(quantity)
    if count is not None:
        if not count.attributes.get("unitCode"):
            report.add("MALFORMED", "BR-23", count, "unitCode is missing")
        if count.text.strip() and decimal(count.text) is None:
            report.add("MALFORMED", "BR-22", count, "is no number")
    for rule, path in (
        ("BR-27", "cac:Price/cbc:PriceAmount"),
        ("BR-28", "cac:Price/cac:AllowanceCharge/cbc:BaseAmount"),
    ):
        price = line.first(path)
        value = None if price is None else decimal(price.text)
        if price is not None and price.text.strip() and value is None:
            report.add("MALFORMED", rule, price, "is no number")
        elif price is not None and value is not None and value < 0:
            report.add("MALFORMED", rule, price, "is negative")
    for node in line.all("cac:AllowanceCharge"):
        _allowance(node, report, document=False)
    _period(line, report, "BR-30", "BR-CO-20")
    for node in line.all("cac:Item/cac:AdditionalItemProperty"):
        report.missing("BR-54", node, "cbc:Name", "the attribute's name")
        report.missing("BR-54", node, "cbc:Value", "the attribute's value")
    for rule, path, attribute in (
        ("BR-64", "cac:Item/cac:StandardItemIdentification/cbc:ID", "schemeID"),
        ("BR-65", "cac:Item/cac:CommodityClassification/cbc:ItemClassificationCode", "listID"),
    ):
        for node in line.all(path):
            if not node.attributes.get(attribute):
                report.add("MALFORMED", rule, node, f"{attribute} is missing")
