"""Rules of the UBL binding of EN 16931: UBL-SR-… (what stands once), UBL-DT-… and BR-DEC-… (forms).

Source: CEN/TS 16931-3-2. What UBL 2.1 itself allows is in `structure`.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.terms import (
    ALLOWANCE,
    CUSTOMER,
    LINES,
    SUPPLIER,
    TAX_REPRESENTATIVE,
    Holds,
    Rule,
    at_most_one,
    check_rules,
    is_vat,
)
from node.domains.invoices.importing.ubl.tree import CREDIT_NOTE, Node

_FORM = "MALFORMED"
_MANY = "stands more than once"
_SELLER = f"{SUPPLIER}/cac:Party"
_BUYER = f"{CUSTOMER}/cac:Party"


def check_syntax(root: Node, report: Report) -> None:
    """Report what the binding forbids."""
    check_rules(root, _DOCUMENT, report, _FORM)
    for path, rules in _BELOW_ROOT:
        for node in root.all(path):
            check_rules(node, rules, report, _FORM)
    for name, rules in _ANYWHERE:
        for node in root.descendants(name):
            check_rules(node, rules, report, _FORM)
    for line in (child for child in root.children if child.name in LINES):
        check_rules(line, _LINE, report, _FORM)
    for node in root.descendants(ALLOWANCE):
        check_rules(node, _REASONS.get(node.indicator, ()), report, _FORM)
    _check_decimals(root, report)


# --- What the rows of the tables ask ------------------------------------------------------------


def _registrations(party: str, *, vat: bool, rule: str, what: str) -> Rule:
    """A party has one VAT identifier, and one other tax registration."""

    def holds(root: Node) -> bool:
        found = [
            number
            for scheme in root.all(f"{party}/cac:PartyTaxScheme")
            if scheme.has("cac:TaxScheme/cbc:ID") and is_vat(scheme) is vat
            for number in scheme.all("cbc:CompanyID")
        ]
        return len(found) <= 1

    return Rule(rule, holds, f"{what} {_MANY}")


def _creditors(root: Node) -> bool:
    identifiers = (
        node
        for party in root.descendants("cac:PartyIdentification")
        for node in party.all("cbc:ID")
    )
    return sum(1 for node in identifiers if _scheme(node) == "SEPA") <= 1


def _scheme(node: Node) -> str:
    return node.attributes.get("schemeID", "").upper()


def _one_value(name: str) -> Rule:
    def holds(root: Node) -> bool:
        return len({node.text for node in root.descendants(name)}) <= 1

    rule = {"cbc:PaymentID": "UBL-SR-44", "cbc:PaymentMeansCode": "UBL-SR-47"}[name]
    return Rule(rule, holds, f"{name} says different things")


def _object_id(root: Node) -> bool:
    objects = [
        each
        for each in root.all("cac:AdditionalDocumentReference")
        if each.value("cbc:DocumentTypeCode") == "130"
    ]
    return sum(1 for each in objects for _ in each.all("cbc:ID")) <= 1


def _typed(reference: Node) -> bool:
    """A scheme belongs to an invoiced object only, whose type says that it is one."""
    code = reference.value("cbc:DocumentTypeCode")
    root = [reference, *reference.ancestors()][-1]
    if code == "130" or (code == "50" and root.name == CREDIT_NOTE):
        return True
    schemes = any("schemeID" in node.attributes for node in reference.all("cbc:ID"))
    return not schemes and not reference.has("cbc:DocumentTypeCode")


def _object_without(path: str) -> Holds:
    """An invoiced object has nothing beside its identifier."""
    return lambda node: not (node.has(path) and node.value("cbc:DocumentTypeCode") == "130")


def _payee_is_another(payee: Node) -> bool:
    assert payee.parent is not None, "below the root"
    legal = f"{_SELLER}/cac:PartyLegalEntity/cbc:RegistrationName"
    sellers = [node.text for node in payee.parent.all(legal)]
    names = [node.text for node in payee.all("cac:PartyName/cbc:Name")]
    return any(name != seller for name in names for seller in sellers)


def _payee_once(path: str, *, but_sepa: bool = False) -> Rule:
    rules = {
        "cac:PartyName/cbc:Name": "UBL-SR-19",
        "cac:PartyIdentification/cbc:ID": "UBL-SR-20",
        "cac:PartyLegalEntity/cbc:CompanyID": "UBL-SR-21",
    }

    def holds(payee: Node) -> bool:
        found = [n for n in payee.all(path) if not but_sepa or _scheme(n) not in {"SEPA", ""}]
        return len(found) <= 1 and _payee_is_another(payee)

    return Rule(rules[path], holds, f"the payee is the seller, or {path} {_MANY}")


def _once(rule: str, path: str) -> Rule:
    return Rule(rule, at_most_one(path), f"{path} {_MANY}")


# --- The tables ---------------------------------------------------------------------------------

_DOCUMENT = (
    _once("UBL-SR-01", "cac:ContractDocumentReference/cbc:ID"),
    _once("UBL-SR-02", "cac:ReceiptDocumentReference/cbc:ID"),
    _once("UBL-SR-03", "cac:DespatchDocumentReference/cbc:ID"),
    Rule("UBL-SR-04", _object_id, f"the invoiced object {_MANY}"),
    _once("UBL-SR-05", "cac:PaymentTerms/cbc:Note"),
    _once("UBL-SR-08", "cac:InvoicePeriod"),
    _once("UBL-SR-09", f"{_SELLER}/cac:PartyLegalEntity/cbc:RegistrationName"),
    _once("UBL-SR-10", f"{_SELLER}/cac:PartyName/cbc:Name"),
    _once("UBL-SR-11", f"{_SELLER}/cac:PartyLegalEntity/cbc:CompanyID"),
    _registrations(_SELLER, vat=True, rule="UBL-SR-12", what="the seller's VAT identifier"),
    _registrations(_SELLER, vat=False, rule="UBL-SR-13", what="the seller's tax registration"),
    _once("UBL-SR-14", f"{_SELLER}/cac:PartyLegalEntity/cbc:CompanyLegalForm"),
    _once("UBL-SR-15", f"{_BUYER}/cac:PartyLegalEntity/cbc:RegistrationName"),
    _once("UBL-SR-16", f"{_BUYER}/cac:PartyIdentification/cbc:ID"),
    _once("UBL-SR-17", f"{_BUYER}/cac:PartyLegalEntity/cbc:CompanyID"),
    _registrations(_BUYER, vat=True, rule="UBL-SR-18", what="the buyer's VAT identifier"),
    _once("UBL-SR-24", "cac:Delivery"),
    Rule("UBL-SR-29", _creditors, f"the creditor's identifier {_MANY}"),
    _once("UBL-SR-39", "cac:ProjectReference/cbc:ID"),
    _once("UBL-SR-40", f"{_BUYER}/cac:PartyName/cbc:Name"),
    _one_value("cbc:PaymentID"),
    _once("UBL-SR-45", "cac:PaymentMeans/cbc:PaymentDueDate"),
    Rule(
        "UBL-SR-46",
        lambda root: (
            sum("name" in n.attributes for n in root.all("cac:PaymentMeans/cbc:PaymentMeansCode"))
            <= 1
        ),
        f"the name of the payment means {_MANY}",
    ),
    _one_value("cbc:PaymentMeansCode"),
    _once("UBL-SR-49", "cac:InvoicePeriod/cbc:DescriptionCode"),
)
_BELOW_ROOT: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    (_SELLER, (
        Rule(
            "UBL-SR-42",
            lambda party: sum(1 for _ in party.all("cac:PartyTaxScheme")) <= 2,
            "more than two tax registrations",
        ),
    )),
    ("cac:BillingReference", (
        _once("UBL-SR-06", "cac:InvoiceDocumentReference"),
        Rule(
            "UBL-SR-07",
            lambda node: node.has("cac:InvoiceDocumentReference/cbc:ID"),
            "the invoice's number is missing",
        ),
    )),
    ("cac:PayeeParty", (
        _payee_once("cac:PartyName/cbc:Name"),
        _payee_once("cac:PartyIdentification/cbc:ID", but_sepa=True),
        _payee_once("cac:PartyLegalEntity/cbc:CompanyID"),
    )),
    (TAX_REPRESENTATIVE, (
        _once("UBL-SR-22", "cac:PartyName/cbc:Name"),
        _once("UBL-SR-23", "cac:PartyTaxScheme/cbc:CompanyID"),
    )),
    ("cac:Delivery", (_once("UBL-SR-25", "cac:DeliveryParty/cac:PartyName/cbc:Name"),)),
    ("cac:PaymentMeans", (
        _once("UBL-SR-26", "cbc:PaymentID"),
        _once("UBL-SR-27", "cbc:PaymentMeansCode"),
        _once("UBL-SR-28", "cac:PaymentMandate/cbc:ID"),
    )),
    ("cac:TaxTotal/cac:TaxSubtotal", (
        _once("UBL-SR-32", "cac:TaxCategory/cbc:TaxExemptionReason"),
    )),
    ("cac:AdditionalDocumentReference", (
        _once("UBL-SR-33", "cbc:DocumentDescription"),
        Rule("UBL-SR-43", _typed, "a scheme or a type code belongs to an invoiced object (130)"),
        Rule("UBL-CR-666", _object_without("cac:Attachment"), "an invoiced object has no file"),
        Rule(
            "UBL-CR-673",
            _object_without("cbc:DocumentDescription"),
            "an invoiced object has no description",
        ),
    )),
)  # fmt: skip
_ANYWHERE: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("cac:PartyTaxScheme", (
        Rule(
            "UBL-SR-53",
            lambda node: node.has("cac:TaxScheme/cbc:ID") and node.has("cbc:CompanyID"),
            "a tax registration needs its scheme (cac:TaxScheme/cbc:ID) and cbc:CompanyID",
        ),
    )),
    ("cac:PostalAddress", (_once("UBL-SR-51", "cac:AddressLine"),)),
    ("cac:Address", (_once("UBL-SR-51", "cac:AddressLine"),)),
)  # fmt: skip
_REASONS: dict[bool | None, tuple[Rule, ...]] = {
    False: (_once("UBL-SR-30", "cbc:AllowanceChargeReason"),),
    True: (_once("UBL-SR-31", "cbc:AllowanceChargeReason"),),
}
_LINE = (
    _once("UBL-SR-34", "cbc:Note"),
    _once("UBL-SR-35", "cac:OrderLineReference/cbc:LineID"),
    _once("UBL-SR-36", "cac:InvoicePeriod"),
    _once("UBL-SR-37", "cac:Price/cac:AllowanceCharge/cbc:Amount"),
    Rule(
        "UBL-SR-48",
        lambda line: sum(1 for _ in line.all("cac:Item/cac:ClassifiedTaxCategory")) == 1,
        "a line has one VAT category",
    ),
    _once("UBL-SR-50", "cac:Item/cbc:Description"),
    _once("UBL-SR-52", "cac:DocumentReference"),
)


# --- Decimals and attachments -------------------------------------------------------------------

_TOTALS = (
    ("BR-DEC-09", "cbc:LineExtensionAmount"),
    ("BR-DEC-10", "cbc:AllowanceTotalAmount"),
    ("BR-DEC-11", "cbc:ChargeTotalAmount"),
    ("BR-DEC-12", "cbc:TaxExclusiveAmount"),
    ("BR-DEC-14", "cbc:TaxInclusiveAmount"),
    ("BR-DEC-16", "cbc:PrepaidAmount"),
    ("BR-DEC-17", "cbc:PayableRoundingAmount"),
    ("BR-DEC-18", "cbc:PayableAmount"),
)
_SUBTOTAL = (("BR-DEC-19", "cbc:TaxableAmount"), ("BR-DEC-20", "cbc:TaxAmount"))
_REDUCTIONS = {
    (True, False): (("BR-DEC-01", "cbc:Amount"), ("BR-DEC-02", "cbc:BaseAmount")),
    (True, True): (("BR-DEC-05", "cbc:Amount"), ("BR-DEC-06", "cbc:BaseAmount")),
    (False, False): (("BR-DEC-24", "cbc:Amount"), ("BR-DEC-25", "cbc:BaseAmount")),
    (False, True): (("BR-DEC-27", "cbc:Amount"), ("BR-DEC-28", "cbc:BaseAmount")),
}
"""By whether it is the document's, and whether it is a charge."""


def _check_decimals(root: Node, report: Report) -> None:
    for rule, node in _amounts(root):
        if _decimals(node) > 2:
            report.add(_FORM, rule, node, "more than two decimals")
    for node in root.descendants():
        if node.name.endswith("Amount") and not _is_price(node) and _decimals(node) > 2:
            report.add(_FORM, "UBL-DT-01", node, "more than two decimals")
        if node.name.endswith("BinaryObject"):
            for rule, attribute in (("UBL-DT-06", "mimeCode"), ("UBL-DT-07", "filename")):
                if attribute not in node.attributes:
                    report.add(_FORM, rule, node, f"{attribute} is missing")


def _amounts(root: Node) -> Iterator[tuple[str, Node]]:
    """The amounts that a rule of their own bounds."""
    for totals in root.all("cac:LegalMonetaryTotal"):
        yield from _named(totals, _TOTALS)
    for subtotal in root.all("cac:TaxTotal/cac:TaxSubtotal"):
        yield from _named(subtotal, _SUBTOTAL)
    for each in root.all(ALLOWANCE):
        if each.indicator is not None:
            yield from _named(each, _REDUCTIONS[True, each.indicator])
    for line in (child for child in root.children if child.name in LINES):
        yield from _named(line, (("BR-DEC-23", "cbc:LineExtensionAmount"),))
        for each in line.all(ALLOWANCE):
            if each.indicator is not None:
                yield from _named(each, _REDUCTIONS[False, each.indicator])


def _named(node: Node, names: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, Node]]:
    for rule, name in names:
        for amount in node.all(name):
            yield rule, amount


def _is_price(node: Node) -> bool:
    if node.name.endswith("PriceAmount"):
        return True
    around = [each.name for each in node.ancestors()]
    return around[:2] == [ALLOWANCE, "cac:Price"]


def _decimals(node: Node) -> int:
    return len(node.text.partition(".")[2])
