"""Elements that may stand only once. Owns which; knows no meaning.

Where UBL 2.1 or the norm allows one element and a document has two, one reader takes the first and
another the last: such a document is refused. Other parts of the XML schema are not checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from node.importing.ubl.breaches import Report
from node.importing.ubl.tree import Node

RULE = "UBL-2.1"
_PARTY = "cac:Party"
_MANY: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {
            "cbc:Note",
            "cac:BillingReference",
            "cac:DespatchDocumentReference",
            "cac:ReceiptDocumentReference",
            "cac:OriginatorDocumentReference",
            "cac:AdditionalDocumentReference",
            "cac:StatementDocumentReference",
            "cac:ProjectReference",
            "cac:PaymentMeans",
            "cac:AllowanceCharge",
            "cac:TaxTotal",
            "cac:InvoiceLine",
            "cac:CreditNoteLine",
            "cac:PrepaidPayment",
            "cac:Signature",
        }
    ),
    _PARTY: frozenset({"cac:PartyIdentification", "cac:PartyTaxScheme"}),
    "cac:TaxRepresentativeParty": frozenset({"cac:PartyTaxScheme"}),
    "cac:PostalAddress": frozenset({"cac:AddressLine"}),
    "cac:TaxTotal": frozenset({"cac:TaxSubtotal"}),
    "cac:InvoiceLine": frozenset({"cbc:Note", "cac:AllowanceCharge", "cac:OrderLineReference"}),
    "cac:CreditNoteLine": frozenset({"cbc:Note", "cac:AllowanceCharge", "cac:OrderLineReference"}),
    "cac:Item": frozenset({"cac:CommodityClassification", "cac:AdditionalItemProperty"}),
    "cac:TaxCategory": frozenset({"cbc:TaxExemptionReason"}),
}
"""What may stand often, in the elements whose terms we read; `""` is the root."""
_SINGLE_ONLY = frozenset(
    {
        "cac:LegalMonetaryTotal",
        "cac:TaxSubtotal",
        "cac:AllowanceCharge",
        "cac:ClassifiedTaxCategory",
        "cac:Price",
        "cac:PartyLegalEntity",
        "cac:Country",
        "cac:PartyTaxScheme",
        "cac:TaxScheme",
        "cac:AccountingSupplierParty",
        "cac:AccountingCustomerParty",
        "cac:InvoiceDocumentReference",
    }
)
"""Elements of which nothing may stand twice."""
_REASONS = frozenset({"cbc:AllowanceChargeReason"})


def check_structure(root: Node, report: Report) -> None:
    """Report elements that stand more than once where one is allowed."""
    _check(root, "", report)


def _check(node: Node, name: str, report: Report) -> None:
    if name in _MANY or name in _SINGLE_ONLY:
        many = _MANY.get(name, _REASONS)
        counts = Counter(child.name for child in node.children)
        for child in node.children:
            if counts[child.name] > 1 and child.name not in many and child.name[:4] != "ext:":
                report.add("MALFORMED", RULE, child, "stands more than once")
                counts[child.name] = 0
    for child in node.children:
        if child.children:
            _check(child, child.name, report)
