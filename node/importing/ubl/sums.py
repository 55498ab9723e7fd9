"""The sums and taxes of EN 16931-1: BR-CO-10 to BR-CO-18 and the rules of each VAT category.

Reads the amounts once, exactly, in minor units, and keeps them for the mapping. Tolerances are the
norm's own: the tax of a category within one unit of the currency (BR-CO-17); every sum is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from node.importing.ubl.amounts import amount_text, minor_units, to_basis_points, to_minor
from node.importing.ubl.breaches import Report
from node.importing.ubl.rules import check_category, line_name, vat_id
from node.importing.ubl.tree import Node

MISMATCH = "TOTALS_MISMATCH"
_TOTALS = "cac:LegalMonetaryTotal"
_ALLOWANCE = "cac:AllowanceCharge"
_CATEGORIES: Mapping[str, str] = {
    "S": "S",
    "Z": "Z",
    "E": "E",
    "AE": "AE",
    "K": "IC",
    "G": "G",
    "O": "O",
    "L": "AF",
    "M": "AG",
    "B": "B",
}
"""VAT category code to the name of its rules (BR-CL-17)."""
_TAXED = {"S", "L", "M", "B"}
_REASONED = {"E", "AE", "K", "G", "O"}
_BUYER_KNOWN = {"AE", "K"}
Rated = tuple[str, int]
"""VAT category and rate in basis points."""


class Item(msgspec.Struct, frozen=True):
    """A line, allowance or charge: what it adds to which category. Net in minor units."""

    node: Node
    net: int
    charge: bool
    """Of an allowance or charge of the document."""
    category: str
    rate: int


class Subtotal(msgspec.Struct, frozen=True):
    """The document's own word on a VAT category (BG-23)."""

    node: Node
    category: str
    rate: int
    net: int
    tax: int


class Amounts(msgspec.Struct, frozen=True):
    """Every amount of a document that our ledger uses, in minor units."""

    currency: str
    units: int
    lines: tuple[Item, ...]
    allowances: tuple[Item, ...]
    subtotals: tuple[Subtotal, ...]
    net: int
    tax: int
    gross: int


def check_sums(root: Node, report: Report) -> Amounts:
    """Report every sum that is not right; the amounts are of use only if nothing was reported."""
    reading = _Reading(root, report)
    lines = tuple(
        reading.item(
            node, "cbc:LineExtensionAmount", "cac:Item/cac:ClassifiedTaxCategory", "BT-131"
        )
        for node in root.all(line_name(root))
    )
    allowances = tuple(
        reading.item(node, "cbc:Amount", "cac:TaxCategory", "BT-92/BT-99")
        for node in root.all(_ALLOWANCE)
    )
    subtotals, tax = reading.taxes()
    net, gross = _check_totals(reading, lines, allowances, tax)
    _check_subtotals(reading, subtotals)
    _check_categories(reading, (*lines, *allowances), subtotals)
    _check_conditions(root, report, {item.category for item in (*lines, *allowances)})
    reading.read_others()
    return Amounts(reading.currency, reading.units, lines, allowances, subtotals, net, tax, gross)


class _Reading:
    """Reads amounts of one document; what cannot be read is reported once and counts as 0."""

    def __init__(self, root: Node, report: Report) -> None:
        self.root = root
        self.report = report
        self.currency = root.value("cbc:DocumentCurrencyCode")
        self.units = minor_units(self.currency)
        self._read: set[int] = set()

    def amount(self, node: Node | None, term: str) -> int:
        """Minor units of an amount in the document's currency."""
        if node is None or not node.text.strip():
            return 0
        first = id(node) not in self._read
        self._read.add(id(node))
        value = to_minor(node.text, self.units)
        if value is None and first:
            digits = len(str(self.units)) - 1
            message = f"{node.text.strip()[:40]!r} is no amount with {digits} decimals"
            self.report.add("MALFORMED", term, node, message)
        currency = node.attributes.get("currencyID")
        if currency != self.currency and first:
            self.report.add("MALFORMED", term, node, f"is not in {self.currency}")
        return 0 if value is None else value

    def text(self, amount: int) -> str:
        """An amount, for a message."""
        return amount_text(amount, self.units)

    def item(self, node: Node, amount: str, category: str, term: str) -> Item:
        """A line, allowance or charge."""
        net = self.amount(node.first(amount), term)
        charge = node.value("cbc:ChargeIndicator") in {"true", "1"}
        rule = "05" if node.name != _ALLOWANCE else "07" if charge else "06"
        code, rate = self.category(node.first(category), rule)
        return Item(node, net, charge, code, rate)

    def category(self, node: Node | None, number: str) -> Rated:
        """Category and rate; a rate that the category or the ledger forbids is reported.

        Args:
            node: The tax category; another rule reports a missing one.
            number: Of the rule on rates, in each category's rules; 48: of the breakdown.
        """
        if node is None:
            return "", 0
        code, text = node.value("cbc:ID"), node.value("cbc:Percent")
        name = _CATEGORIES.get(code)
        if name is None:
            if code:
                self.report.add("MALFORMED", "BR-CL-18", node, f"{code[:20]!r} is no VAT category")
            return code, 0
        if not text:
            if code != "O":
                rule = "BR-48" if number == "48" else f"BR-{name}-{number}"
                self.report.add("RATE_NOT_ALLOWED", rule, node, "the VAT rate is missing")
            return code, 0
        rate = to_basis_points(text)
        if rate is None:
            self.report.add(
                "RATE_NOT_ALLOWED", "BT-119", node, "the VAT rate is not 0 to 100 with 2 decimals"
            )
            return code, 0
        wrong = (code == "S" and rate == 0) or (code not in _TAXED and rate != 0) or code == "O"
        if wrong and number != "48":
            self.report.add(
                "RATE_NOT_ALLOWED", f"BR-{name}-{number}", node, f"not the VAT rate of {code}"
            )
        return code, rate

    def taxes(self) -> tuple[tuple[Subtotal, ...], int]:
        """The breakdown and the total tax, of the TaxTotal in the document's currency."""
        totals = list(self.root.all("cac:TaxTotal"))
        own = [
            total
            for total in totals
            if (amount := total.first("cbc:TaxAmount")) is not None
            and amount.attributes.get("currencyID") == self.currency
        ]
        with_breakdown = [total for total in totals if total.first("cac:TaxSubtotal") is not None]
        if not with_breakdown:
            self.report.add("MALFORMED", "BR-CO-18", self.root, "there is no VAT breakdown")
        if len(own) != 1:
            self.report.add(
                "MALFORMED", "BR-CO-14", self.root, f"{len(own)} VAT totals in {self.currency}"
            )
            return (), 0
        accounting = self.root.value("cbc:TaxCurrencyCode")
        if accounting and accounting != self.currency:
            second = [
                node
                for node in self.root.all("cac:TaxTotal/cbc:TaxAmount")
                if node.attributes.get("currencyID") == accounting
            ]
            if not second:
                self.report.add("MALFORMED", "BR-53", self.root, f"no VAT total in {accounting}")
        return tuple(map(self._subtotal, own[0].all("cac:TaxSubtotal"))), self.amount(
            own[0].first("cbc:TaxAmount"), "BT-110"
        )

    def _subtotal(self, node: Node) -> Subtotal:
        self.report.missing("BR-45", node, "cbc:TaxableAmount", "the taxable amount")
        self.report.missing("BR-46", node, "cbc:TaxAmount", "the tax")
        check_category(node, "cac:TaxCategory", self.report, "BR-47")
        code, rate = self.category(node.first("cac:TaxCategory"), "48")
        return Subtotal(
            node,
            code,
            rate,
            self.amount(node.first("cbc:TaxableAmount"), "BT-116"),
            self.amount(node.first("cbc:TaxAmount"), "BT-117"),
        )

    def read_others(self) -> None:
        """Amounts that no rule needs must be amounts too."""
        for line in self.root.all(line_name(self.root)):
            for path, term in (
                ("cbc:Amount", "BT-136/BT-141"),
                ("cbc:BaseAmount", "BT-137/BT-142"),
            ):
                for node in line.all(f"cac:AllowanceCharge/{path}"):
                    self.amount(node, term)
        for node in self.root.all("cac:AllowanceCharge/cbc:BaseAmount"):
            self.amount(node, "BT-93/BT-100")


def _check_totals(
    reading: _Reading, lines: tuple[Item, ...], allowances: tuple[Item, ...], tax: int
) -> tuple[int, int]:
    """Check the document's totals; net and gross."""
    totals = reading.root.first(_TOTALS) or reading.root

    def stated(name: str, term: str) -> int:
        return reading.amount(totals.first(f"cbc:{name}"), term)

    line_sum = stated("LineExtensionAmount", "BT-106")
    allowance_sum = stated("AllowanceTotalAmount", "BT-107")
    charge_sum = stated("ChargeTotalAmount", "BT-108")
    net, gross = stated("TaxExclusiveAmount", "BT-109"), stated("TaxInclusiveAmount", "BT-112")
    prepaid, rounding = stated("PrepaidAmount", "BT-113"), stated("PayableRoundingAmount", "BT-114")
    payable = stated("PayableAmount", "BT-115")
    taxes = sum(
        reading.amount(node, "BT-117")
        for total in reading.root.all("cac:TaxTotal")
        for node in total.all("cac:TaxSubtotal/cbc:TaxAmount")
        if node.attributes.get("currencyID") == reading.currency
    )
    for rule, name, value, expected, formula in (
        ("BR-CO-10", "LineExtensionAmount", line_sum, sum(i.net for i in lines), "the lines"),
        (
            "BR-CO-11",
            "AllowanceTotalAmount",
            allowance_sum,
            sum(item.net for item in allowances if not item.charge),
            "the allowances",
        ),
        (
            "BR-CO-12",
            "ChargeTotalAmount",
            charge_sum,
            sum(item.net for item in allowances if item.charge),
            "the charges",
        ),
        (
            "BR-CO-13",
            "TaxExclusiveAmount",
            net,
            line_sum - allowance_sum + charge_sum,
            "lines − allowances + charges",
        ),
        ("BR-CO-14", "TaxAmount", tax, taxes, "the taxes of the breakdown"),
        ("BR-CO-15", "TaxInclusiveAmount", gross, net + tax, "net + tax"),
        (
            "BR-CO-16",
            "PayableAmount",
            payable,
            gross - prepaid + rounding,
            "gross − prepaid + rounding",
        ),
    ):
        if value != expected:
            node = totals.first(f"cbc:{name}") or totals
            if rule == "BR-CO-14":
                node = reading.root.first("cac:TaxTotal") or totals
            message = f"{reading.text(value)} is not {formula}: {reading.text(expected)}"
            reading.report.add(MISMATCH, rule, node, message)
    return net, gross


def _check_subtotals(reading: _Reading, subtotals: tuple[Subtotal, ...]) -> None:
    """Check the tax of each category (BR-CO-17), and what else its rules ask for."""
    for each in subtotals:
        name = _CATEGORIES.get(each.category)
        if name is None:
            continue
        # Half away from zero below zero, as the norm rounds.
        expected = int((Decimal(each.net) * each.rate / 10_000).to_integral_value(ROUND_HALF_UP))
        if abs(each.tax - expected) >= reading.units or (each.rate == 0 and each.tax != 0):
            rule = "BR-CO-17" if each.category in _TAXED else f"BR-{name}-09"
            message = f"{reading.text(each.tax)} is not net × rate: {reading.text(expected)}"
            reading.report.add(MISMATCH, rule, each.node, message)
        reason = each.node.value("cac:TaxCategory/cbc:TaxExemptionReason") or each.node.value(
            "cac:TaxCategory/cbc:TaxExemptionReasonCode"
        )
        if each.category in _REASONED and not reason:
            reading.report.add(
                "MALFORMED", f"BR-{name}-10", each.node, "the reason of exemption is missing"
            )
        if each.category in {"S", "Z"} and reason:
            reading.report.add(
                "MALFORMED", f"BR-{name}-10", each.node, "what is taxed has no reason of exemption"
            )


def _check_categories(
    reading: _Reading, items: tuple[Item, ...], subtotals: tuple[Subtotal, ...]
) -> None:
    """Check that the breakdown says what lines, allowances and charges add up to (BR-x-08)."""
    used: dict[Rated, int] = {}
    for item in items:
        sign = 1 if item.charge or item.node.name != _ALLOWANCE else -1
        key = (item.category, item.rate)
        used[key] = used.get(key, 0) + sign * item.net
    stated: dict[Rated, int] = {}
    nodes: dict[Rated, Node] = {}
    for each in subtotals:
        key = (each.category, each.rate)
        stated[key] = stated.get(key, 0) + each.net
        nodes.setdefault(key, each.node)
    for key in used:
        name = _CATEGORIES.get(key[0])
        if name is not None and key not in stated:
            rule = "08" if any(category == key[0] for category, _ in stated) else "01"
            message = f"{key[0]} at {key[1] / 100:g} % is not in the VAT breakdown"
            reading.report.add(MISMATCH, f"BR-{name}-{rule}", reading.root, message)
    for key, value in stated.items():
        name, expected = _CATEGORIES.get(key[0]), used.get(key, 0)
        if name is not None and value != expected:
            message = f"{reading.text(value)} is not what its lines come to: "
            message += reading.text(expected)
            reading.report.add(MISMATCH, f"BR-{name}-08", nodes[key], message)


def _check_conditions(root: Node, report: Report, categories: set[str]) -> None:
    """Check what the categories in use ask of the parties and the delivery."""
    seller = root.first("cac:AccountingSupplierParty/cac:Party")
    buyer = root.first("cac:AccountingCustomerParty/cac:Party")
    representative = root.first("cac:TaxRepresentativeParty")
    registered = (
        seller is not None and seller.value("cac:PartyTaxScheme/cbc:CompanyID") != ""
    ) or (representative is not None and vat_id(representative) != "")
    for code in sorted(categories & _CATEGORIES.keys()):
        name = _CATEGORIES[code]
        if code not in {"O", "B"} and not registered:
            report.add("MALFORMED", f"BR-{name}-02", root, "the seller has no tax identifier")
        if code in _BUYER_KNOWN and (
            buyer is None
            or not (vat_id(buyer) or buyer.value("cac:PartyLegalEntity/cbc:CompanyID"))
        ):
            report.add("MALFORMED", f"BR-{name}-02", root, "the buyer has no identifier")
    if "K" in categories:
        delivered = root.value("cac:Delivery/cbc:ActualDeliveryDate")
        if not delivered and root.first("cac:InvoicePeriod") is None:
            report.add("MALFORMED", "BR-IC-11", root, "a delivery date or a period is needed")
        country = "cac:Delivery/cac:DeliveryLocation/cac:Address/cac:Country"
        report.missing("BR-IC-12", root, f"{country}/cbc:IdentificationCode", "the country")
    if "O" in categories:
        if len(categories) > 1:
            report.add("MALFORMED", "BR-O-11", root, "what is not taxed stands beside other VAT")
        if any(party is not None and vat_id(party) for party in (seller, buyer, representative)):
            report.add("MALFORMED", "BR-O-02", root, "what is not taxed names VAT identifiers")
