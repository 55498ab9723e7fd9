"""The code lists of EN 16931, and the rules BR-CL-… that say which element uses which.

The lists are data (`codes.toml`, which says where they come from). Knows no sum and no party.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files

import pycountry

from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.tree import Node

_COMMON_NAMES = {"UK": "GB", "EIRE": "IE", "RSA": "ZA"}
"""What traders write and no table has."""
_GREECE = "EL"
"""How Greek VAT identifiers begin, in no list of countries (BR-CO-09)."""


@lru_cache(1)
def _lists() -> Mapping[str, frozenset[str]]:
    text = files(__package__).joinpath("codes.toml").read_text("utf-8")
    return {name: frozenset(codes.split()) for name, codes in tomllib.loads(text).items()}


def is_code(name: str, code: str) -> bool:
    """Whether a code is in the list of that name."""
    return code in _lists()[name]


def is_vat_prefix(prefix: str) -> bool:
    """Whether a VAT identifier may begin with these two letters."""
    return prefix == _GREECE or is_code("country", prefix)


@lru_cache(1_000)
def country_code(text: str) -> str | None:
    """The code of a country by its code or English name; None if it is none."""
    text = text.strip()
    if is_code("country", text):
        return text
    known = _COMMON_NAMES.get(text.upper())
    if known is not None or not text:
        return known
    try:
        found = pycountry.countries.lookup(text)
    except LookupError:
        return None
    return str(found.alpha_2)


# --- Where a code may stand ---------------------------------------------------------------------

_Place = Callable[[Node], bool]


def _below(*parents: str) -> _Place:
    """Whether an element's parent is one of these."""
    return lambda node: node.parent is not None and node.parent.name in parents


def _anywhere(_: Node) -> bool:
    return True


def _object_reference(node: Node) -> bool:
    """An identifier of an invoiced object (BT-18, BT-128): its document has the type 130."""
    parent = node.parent
    return (
        parent is not None
        and parent.name in {"cac:AdditionalDocumentReference", "cac:DocumentReference"}
        and any(each.text.strip() == "130" for each in parent.all("cbc:DocumentTypeCode"))
    )


def _reason_of(charge: bool) -> _Place:
    return lambda node: (
        node.parent is not None
        and node.parent.name == "cac:AllowanceCharge"
        and node.parent.indicator is charge
    )


_TEXTS: Mapping[str, tuple[tuple[str, str, _Place], ...]] = {
    "cbc:InvoiceTypeCode": (("BR-CL-01", "invoice_type", _anywhere),),
    "cbc:CreditNoteTypeCode": (("BR-CL-01", "credit_note_type", _anywhere),),
    "cbc:DocumentCurrencyCode": (("BR-CL-04", "currency", _anywhere),),
    "cbc:TaxCurrencyCode": (("BR-CL-05", "currency", _anywhere),),
    "cbc:DescriptionCode": (("BR-CL-06", "tax_point", _below("cac:InvoicePeriod")),),
    "cbc:IdentificationCode": (
        ("BR-CL-14", "country", _below("cac:Country")),
        ("BR-CL-15", "country", _below("cac:OriginCountry")),
    ),
    "cbc:PaymentMeansCode": (("BR-CL-16", "payment_means", _below("cac:PaymentMeans")),),
    "cbc:ID": (
        ("BR-CL-17", "vat_category", _below("cac:TaxCategory")),
        ("BR-CL-18", "vat_category", _below("cac:ClassifiedTaxCategory")),
    ),
    "cbc:AllowanceChargeReasonCode": (
        ("BR-CL-19", "allowance_reason", _reason_of(charge=False)),
        ("BR-CL-20", "charge_reason", _reason_of(charge=True)),
    ),
    "cbc:TaxExemptionReasonCode": (("BR-CL-22", "vatex", _anywhere),),
}
"""Elements whose text is a code: rule, list, and where the rule holds."""
_ATTRIBUTES: Mapping[str, tuple[tuple[str, str, str, _Place], ...]] = {
    "cbc:ID": (
        ("schemeID", "BR-CL-07", "object_scheme", _object_reference),
        ("schemeID", "BR-CL-10", "identifier_scheme", _below("cac:PartyIdentification")),
        ("schemeID", "BR-CL-21", "identifier_scheme", _below("cac:StandardItemIdentification")),
        ("schemeID", "BR-CL-26", "identifier_scheme", _below("cac:DeliveryLocation")),
    ),
    "cbc:CompanyID": (
        ("schemeID", "BR-CL-11", "identifier_scheme", _below("cac:PartyLegalEntity")),
    ),
    "cbc:ItemClassificationCode": (
        ("listID", "BR-CL-13", "item_classification", _below("cac:CommodityClassification")),
    ),
    "cbc:InvoicedQuantity": (("unitCode", "BR-CL-23", "unit", _anywhere),),
    "cbc:CreditedQuantity": (("unitCode", "BR-CL-23", "unit", _anywhere),),
    "cbc:BaseQuantity": (("unitCode", "BR-CL-23", "unit", _anywhere),),
    "cbc:EmbeddedDocumentBinaryObject": (("mimeCode", "BR-CL-24", "mime", _anywhere),),
    "cbc:EndpointID": (("schemeID", "BR-CL-25", "electronic_address", _anywhere),),
}
_AMOUNTS = frozenset(
    f"cbc:{name}Amount"
    for name in (
        *("", "Base", "Price", "Tax", "Taxable", "LineExtension", "TaxExclusive", "TaxInclusive"),
        *("AllowanceTotal", "ChargeTotal", "Prepaid", "PayableRounding", "Payable"),
    )
)
_SUBJECT_CHARACTERS = 3
_SEPA_PARTIES = frozenset({"cac:AccountingSupplierParty", "cac:PayeeParty"})


def check_codes(root: Node, report: Report) -> None:
    """Report every code that is not in its list."""
    for node in root.descendants():
        for rule, code, name in _codes_of(node):
            if not is_code(name, code) and not _is_creditor(rule, code, node):
                report.add("MALFORMED", rule, node, f"{code[:40]!r} is in no code list ({name})")


def _codes_of(node: Node) -> Iterator[tuple[str, str, str]]:
    """The codes that an element gives: rule, code, list."""
    if node.name == "cbc:Note" and node.parent is not None and node.parent.parent is None:
        # A note may begin with its subject, as in `#AAI#Deliver by the back door`.
        subject, closed, _ = node.text.partition("#")[2].partition("#")
        if closed and len(subject) == _SUBJECT_CHARACTERS:
            yield "BR-CL-08", subject, "note_subject"
    for rule, name, holds in _TEXTS.get(node.name, ()):
        if holds(node):
            code = node.text.strip()
            yield rule, code.upper() if name == "vatex" else code, name
    for attribute, rule, name, holds in _ATTRIBUTES.get(node.name, ()):
        if attribute in node.attributes and holds(node):
            yield rule, node.attributes[attribute].strip(), name
    if node.name in _AMOUNTS:
        yield "BR-CL-03", node.attributes.get("currencyID", "").strip(), "currency"


def _is_creditor(rule: str, code: str, node: Node) -> bool:
    """Whether this is a bank's identifier of a creditor (BT-90), which is in no list of schemes."""
    return (
        rule == "BR-CL-10"
        and code == "SEPA"
        and any(each.name in _SEPA_PARTIES for each in node.ancestors())
    )
