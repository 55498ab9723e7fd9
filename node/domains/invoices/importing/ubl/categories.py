"""The rules of each VAT category of EN 16931-1: BR-S-01 to -10, BR-Z-…, BR-E-…, and so on.

Ten categories have the same ten rules with small differences, which a row of a table says. Rules of
one category only stand below.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec

from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.sums import MISMATCH, is_tax_of, number
from node.domains.invoices.importing.ubl.terms import (
    ALLOWANCE,
    CUSTOMER,
    LINES,
    SUPPLIER,
    TAX_REPRESENTATIVE,
    is_vat,
    vat_ids,
)
from node.domains.invoices.importing.ubl.tree import Node

_RATE = "RATE_NOT_ALLOWED"
_FORM = "MALFORMED"


class Category(msgspec.Struct, frozen=True):
    """What the rules ask where a VAT category is used."""

    name: str
    """In the ids of its rules."""
    taxed: bool = False
    """Each rate has a breakdown of its own, with a tax; else there is one, of no tax."""
    rate_min: int | None = 0
    """Of a taxed one: the rate is at least this, or, below 0 here, more than nothing. None: there
    is no rate."""
    seller: str = "any"
    """Which tax identifier the seller needs: `any`, `vat`; or `none` may be there."""
    buyer: str = ""
    """Which identifier the buyer needs: `any`, `vat`, or nothing."""
    reasoned: bool | None = None
    """Whether a reason of exemption must stand in the breakdown, or must not; None: may not."""


CATEGORIES = {
    "S": Category("S", taxed=True, rate_min=-1, reasoned=False),
    "Z": Category("Z", reasoned=False),
    "E": Category("E", reasoned=True),
    "AE": Category("AE", buyer="any", reasoned=True),
    "K": Category("IC", seller="vat", buyer="vat", reasoned=True),
    "G": Category("G", seller="vat", reasoned=True),
    "O": Category("O", rate_min=None, seller="none", reasoned=True),
    "L": Category("AF", taxed=True, reasoned=False),
    "M": Category("AG", taxed=True, reasoned=False),
}
"""By code (UNTDID 5305). `B`, Italy's split payment, has rules of its own only."""


class _Uses(msgspec.Struct, frozen=True):
    """Where a document uses VAT categories."""

    lines: list[Node]
    """`cac:ClassifiedTaxCategory` of every line."""
    allowances: list[Node]
    """`cac:TaxCategory` of every allowance, of the document or of a line."""
    charges: list[Node]
    breakdown: list[Node]
    """`cac:TaxCategory` of every subtotal."""


def check_categories(root: Node, report: Report) -> None:
    """Report every breach of a rule on VAT categories."""
    reductions = list(root.descendants(ALLOWANCE))
    uses = _Uses(
        list(root.descendants("cac:ClassifiedTaxCategory")),
        [c for each in reductions if each.indicator is False for c in each.all("cac:TaxCategory")],
        [c for each in reductions if each.indicator is True for c in each.all("cac:TaxCategory")],
        list(root.all("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory")),
    )
    with localcontext(prec=100):
        nets = _nets(root)
    for code, category in CATEGORIES.items():
        _check_breakdown_is_there(root, code, category, uses, report)
        _check_parties(root, code, category, uses, report)
        _check_rates(root, code, category, uses, report)
        for node in _of(uses.breakdown, code):
            _check_breakdown(node, code, category, nets, report)
    _check_delivery(root, uses, report)
    _check_untaxed_alone(root, uses, report)
    _check_split_payment(root, uses, report)


def code_of(node: Node) -> str:
    """The code of a tax category."""
    return node.value("cbc:ID")


def _of(nodes: list[Node], code: str) -> list[Node]:
    """Those of a VAT category."""
    return [node for node in nodes if code_of(node) == code and is_vat(node)]


def _check_breakdown_is_there(
    root: Node, code: str, category: Category, uses: _Uses, report: Report
) -> None:
    """BR-x-01: what is used is in the breakdown: once, or, where it is taxed, once for a rate."""
    used = any(_of(part, code) for part in (uses.lines, uses.allowances, uses.charges))
    stated = len(_of(uses.breakdown, code))
    if category.taxed:
        wrong = used != (stated > 0)
        message = f"{code} is used or broken down, but not both"
    else:
        wrong = (used or stated > 0) and stated != 1
        message = f"{code} stands {stated} times in the VAT breakdown"
    if wrong:
        report.add(MISMATCH, f"BR-{category.name}-01", root, message)


def _check_parties(root: Node, code: str, category: Category, uses: _Uses, report: Report) -> None:
    """BR-x-02, -03, -04: who must have which tax identifier, by where the category is used."""
    missing = _missing_identifier(root, category)
    if not missing:
        return
    allowances, charges = uses.allowances, uses.charges
    if category.seller == "none":  # only those of the document are meant
        allowances = [node for node in allowances if _depth(node) == 2]
        charges = [node for node in charges if _depth(node) == 2]
    for number_, part in (("02", uses.lines), ("03", allowances), ("04", charges)):
        if _of(part, code):
            report.add(_FORM, f"BR-{category.name}-{number_}", root, missing)


def _depth(node: Node) -> int:
    return sum(1 for _ in node.ancestors())


def _missing_identifier(root: Node, category: Category) -> str:
    """What is wrong with the parties' identifiers; empty if nothing is."""
    sellers = list(root.all(f"{SUPPLIER}/cac:Party"))
    buyers = list(root.all(f"{CUSTOMER}/cac:Party"))
    represented = any(vat_ids(each) for each in root.all(TAX_REPRESENTATIVE))
    registered = represented or any(vat_ids(seller) for seller in sellers)
    bought = any(vat_ids(buyer) for buyer in buyers)
    if category.seller == "none":
        known = registered or bought
        return "what is not subject to VAT names VAT identifiers" if known else ""
    if category.seller == "any":
        registered |= any(seller.has("cac:PartyTaxScheme/cbc:CompanyID") for seller in sellers)
    if not registered:
        return "the seller has no tax identifier"
    if category.buyer == "any":
        bought |= any(buyer.has("cac:PartyLegalEntity/cbc:CompanyID") for buyer in buyers)
    return "the buyer has no identifier" if category.buyer and not bought else ""


def _check_rates(root: Node, code: str, category: Category, uses: _Uses, report: Report) -> None:
    """BR-x-05, -06, -07: the rates that a category may have."""
    lines = [
        node
        for name in LINES
        for line in root.descendants(name)
        for node in line.all("cac:Item/cac:ClassifiedTaxCategory")
    ]
    for number_, part in (("05", lines), ("06", uses.allowances), ("07", uses.charges)):
        for node in _of(part, code):
            if not _rate_allowed(node, category):
                message = f"{node.value('cbc:Percent') or 'no rate'} is not a VAT rate of {code}"
                report.add(_RATE, f"BR-{category.name}-{number_}", node, message)


def _rate_allowed(node: Node, category: Category) -> bool:
    if category.rate_min is None:
        return not node.has("cbc:Percent")
    rate = number(node, "cbc:Percent")
    if rate is None:
        return False
    if category.taxed:
        return rate > 0 or (rate == 0 and category.rate_min == 0)
    return rate == 0


def _check_breakdown(
    node: Node, code: str, category: Category, nets: _Nets, report: Report
) -> None:
    """BR-x-08, -09, -10: taxable amount, tax and reason of one subtotal."""
    subtotal = node.parent
    assert subtotal is not None, "a category of a subtotal"
    name = f"BR-{category.name}"
    net, tax = number(subtotal, "cbc:TaxableAmount"), number(subtotal, "cbc:TaxAmount")
    if category.taxed:
        rate = number(node, "cbc:Percent")
        expected = None if rate is None else nets.by_rate.get((code, rate))
        if node.has("cbc:Percent") and not _within_one(net, expected):
            message = f"the taxable amount at {rate} % is not what its lines come to"
            report.add(MISMATCH, f"{name}-08", subtotal, message)
        if not is_tax_of(tax, net, rate):
            report.add(MISMATCH, f"{name}-09", subtotal, "the tax is not net × rate")
    else:
        if net is None or net != nets.by_code.get(code, 0):
            message = f"the taxable amount of {code} is not what its lines come to"
            report.add(MISMATCH, f"{name}-08", subtotal, message)
        if tax != 0:
            report.add(MISMATCH, f"{name}-09", subtotal, f"there is no tax on {code}")
    given = node.has("cbc:TaxExemptionReason") or node.has("cbc:TaxExemptionReasonCode")
    if category.reasoned is not given:
        what = "is missing" if category.reasoned else "stands on what is taxed"
        report.add(_FORM, f"{name}-10", node, f"a reason of exemption {what}")


class _Nets(msgspec.Struct, frozen=True):
    """What lines − allowances + charges come to, by category, and by category and rate."""

    by_code: dict[str, Decimal]
    by_rate: dict[tuple[str, Decimal], Decimal]
    """Only of rates that something has."""


def _nets(root: Node) -> _Nets:
    by_code: dict[str, Decimal] = {}
    by_rate: dict[tuple[str, Decimal], Decimal] = {}
    parts = [
        (line, "cac:Item/cac:ClassifiedTaxCategory", "cbc:LineExtensionAmount", 1)
        for line in root.children
        if line.name in LINES
    ]
    parts += [
        (each, "cac:TaxCategory", "cbc:Amount", 1 if each.indicator else -1)
        for each in root.all(ALLOWANCE)
        if each.indicator is not None
    ]
    for node, path, amount, sign in parts:
        net = sign * (number(node, amount) or Decimal(0))
        categories = list(node.all(path))
        for code in {code_of(each) for each in categories}:
            by_code[code] = by_code.get(code, Decimal(0)) + net
        for code, rate in {(code_of(each), number(each, "cbc:Percent")) for each in categories}:
            if rate is not None:
                by_rate[code, rate] = by_rate.get((code, rate), Decimal(0)) + net
    return _Nets(by_code, by_rate)


def _within_one(value: Decimal | None, expected: Decimal | None) -> bool:
    return value is not None and expected is not None and abs(value - expected) < 1


# --- Rules of one category ----------------------------------------------------------------------


def _check_delivery(root: Node, uses: _Uses, report: Report) -> None:
    """Intra-community supplies say when and where they were delivered."""
    if not _of(uses.breakdown, "K"):
        return
    period = any(each.children for each in root.all("cac:InvoicePeriod"))
    if len(root.value("cac:Delivery/cbc:ActualDeliveryDate")) <= 1 and not period:
        report.add(_FORM, "BR-IC-11", root, "a delivery date or a period is needed")
    country = "cac:Delivery/cac:DeliveryLocation/cac:Address/cac:Country/cbc:IdentificationCode"
    if len(root.value(country)) <= 1:
        report.add(_FORM, "BR-IC-12", root, "the country of delivery is needed")


def _check_untaxed_alone(root: Node, uses: _Uses, report: Report) -> None:
    """What is not subject to VAT stands beside nothing that is."""
    if not _of(uses.breakdown, "O"):
        return
    for number_, part in (
        ("11", uses.breakdown),
        ("12", uses.lines),
        ("13", uses.allowances),
        ("14", uses.charges),
    ):
        if any(is_vat(node) and code_of(node) not in {"O", ""} for node in part):
            message = "what is not subject to VAT stands beside what is"
            report.add(_FORM, f"BR-O-{number_}", root, message)


def _check_split_payment(root: Node, uses: _Uses, report: Report) -> None:
    """Split payment is Italian, and stands beside no standard rate."""
    used = [*uses.lines, *uses.allowances, *uses.charges]
    if not any(code_of(node) == "B" for node in (*used, *uses.breakdown)):
        return
    countries = root.descendants("cbc:IdentificationCode")
    if any(node.text.strip() != "IT" for node in countries):
        report.add(_FORM, "BR-B-01", root, "split payment is for domestic Italian invoices")
    if any(code_of(node) == "S" for node in used):
        report.add(_FORM, "BR-B-02", root, "split payment stands beside the standard rate")
