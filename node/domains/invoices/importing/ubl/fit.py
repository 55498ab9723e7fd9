"""From a document that breaks no rule to the ledger's amounts. Owns what the ledger cannot hold.

The norm's decimals become whole minor units, and its VAT categories rate groups. What does not fit
is reported by its business term (BT-…, BG-…): the norm allows it, our ledger does not.
"""

from __future__ import annotations

import msgspec

from node.domains.invoices.importing.ubl.amounts import amount_text, to_basis_points, to_minor
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.sums import MISMATCH
from node.domains.invoices.importing.ubl.terms import ALLOWANCE, LINES
from node.domains.invoices.importing.ubl.tree import Node
from node.ledger.currency import minor_units
from node.ledger.invoices.issuing import refuse_totals
from node.ledger.invoices.operations import RATE_GROUPS_MAX, RateGroup

_TOTALS = "cac:LegalMonetaryTotal"


class Item(msgspec.Struct, frozen=True):
    """A line, allowance or charge: what it adds to which rate. Net in minor units."""

    node: Node
    net: int
    charge: bool
    """Of an allowance or charge of the document."""
    rate: int


class Amounts(msgspec.Struct, frozen=True):
    """Every amount of a document that our ledger uses, in minor units."""

    currency: str
    units: int
    lines: tuple[Item, ...]
    allowances: tuple[Item, ...]
    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int


def fit_amounts(root: Node, report: Report) -> Amounts:
    """The ledger's amounts; of use only if nothing was reported."""
    reading = _Reading(root, report)
    lines = tuple(
        reading.item(node, "cbc:LineExtensionAmount", "cac:Item/cac:ClassifiedTaxCategory")
        for node in root.children
        if node.name in LINES
    )
    allowances = tuple(
        reading.item(node, "cbc:Amount", "cac:TaxCategory") for node in root.all(ALLOWANCE)
    )
    reading.read_others()
    totals = root.first(_TOTALS) or root
    net = reading.amount(totals.first("cbc:TaxExclusiveAmount"), "BT-109")
    gross = reading.amount(totals.first("cbc:TaxInclusiveAmount"), "BT-112")
    tax, groups = reading.breakdown(lines, allowances)
    amounts = Amounts(reading.currency, reading.units, lines, allowances, groups, net, tax, gross)
    if not report.breaches:
        _check_ledger(root, amounts, report)
    return amounts


class _Reading:
    """Reads amounts of one document; what cannot be read is reported once and counts as 0."""

    def __init__(self, root: Node, report: Report) -> None:
        self.root = root
        self.report = report
        self.currency = root.value("cbc:DocumentCurrencyCode")
        self.units = minor_units(self.currency)

    def amount(self, node: Node | None, term: str) -> int:
        """Minor units of an amount in the document's currency."""
        if node is None or not node.text.strip():
            return 0
        value = to_minor(node.text, self.units)
        if value is None:
            digits = len(str(self.units)) - 1
            message = f"{node.text.strip()[:40]!r} is no amount of {self.currency} with "
            self.report.add("MALFORMED", term, node, f"{message}{digits} decimals")
        if node.attributes.get("currencyID") != self.currency:
            self.report.add("MALFORMED", term, node, f"is not in {self.currency}")
        return 0 if value is None else value

    def item(self, node: Node, amount: str, category: str) -> Item:
        """A line, allowance or charge."""
        term = "BT-92/BT-99" if node.name == ALLOWANCE else "BT-131"
        net = self.amount(node.first(amount), term)
        return Item(node, net, node.indicator is True, self.rate(node.first(category)))

    def rate(self, node: Node | None) -> int:
        """Basis points; what has no rate has a rate of nothing."""
        text = "" if node is None else node.value("cbc:Percent")
        if node is None or not text:
            return 0
        rate = to_basis_points(text)
        if rate is None:
            message = f"the VAT rate {text[:40]!r} is not 0 to 100 with 2 decimals"
            self.report.add("RATE_NOT_ALLOWED", "BT-119", node, message)
        return rate or 0

    def breakdown(
        self, lines: tuple[Item, ...], allowances: tuple[Item, ...]
    ) -> tuple[int, tuple[RateGroup, ...]]:
        """The tax, and the rate groups: the categories of one rate are one group."""
        own = next(
            (
                total
                for total in self.root.all("cac:TaxTotal")
                if any(
                    amount.attributes.get("currencyID") == self.currency
                    for amount in total.all("cbc:TaxAmount")
                )
            ),
            None,
        )
        if own is None:
            return 0, ()
        nets: dict[int, int] = {}
        taxes: dict[int, int] = {}
        places: dict[int, Node] = {}
        for node in own.all("cac:TaxSubtotal"):
            rate = self.rate(node.first("cac:TaxCategory"))
            net = self.amount(node.first("cbc:TaxableAmount"), "BT-116")
            tax = self.amount(node.first("cbc:TaxAmount"), "BT-117")
            nets[rate], taxes[rate] = nets.get(rate, 0) + net, taxes.get(rate, 0) + tax
            places.setdefault(rate, node)
        counts: dict[int, int] = {}
        sums: dict[int, int] = {}
        for item in (*lines, *allowances):
            sign = -1 if item.node.name == ALLOWANCE and not item.charge else 1
            counts[item.rate] = counts.get(item.rate, 0) + 1
            sums[item.rate] = sums.get(item.rate, 0) + sign * item.net
        for rate in sorted(nets.keys() | sums.keys()):
            if nets.get(rate, 0) != sums.get(rate, 0):
                stated, found = nets.get(rate, 0), sums.get(rate, 0)
                message = f"{amount_text(stated, self.units)} at {rate / 100:g} % is not what its "
                message += f"lines come to: {amount_text(found, self.units)}"
                self.report.add(MISMATCH, "BT-116", places.get(rate, own), message)
        groups = [
            RateGroup(rate, nets[rate], taxes[rate], max(1, counts.get(rate, 0)))
            for rate in sorted(nets)
        ]
        return self.amount(own.first("cbc:TaxAmount"), "BT-110"), tuple(groups)

    def read_others(self) -> None:
        """Amounts that the ledger does not use must be ones all the same."""
        for line in (child for child in self.root.children if child.name in LINES):
            for path, term in (
                ("cbc:Amount", "BT-136/BT-141"),
                ("cbc:BaseAmount", "BT-137/BT-142"),
            ):
                for node in line.all(f"{ALLOWANCE}/{path}"):
                    self.amount(node, term)
        for node in self.root.all(f"{ALLOWANCE}/cbc:BaseAmount"):
            self.amount(node, "BT-93/BT-100")
        totals = self.root.first(_TOTALS) or self.root
        for name, term in (
            ("LineExtensionAmount", "BT-106"),
            ("AllowanceTotalAmount", "BT-107"),
            ("ChargeTotalAmount", "BT-108"),
            ("PrepaidAmount", "BT-113"),
            ("PayableRoundingAmount", "BT-114"),
            ("PayableAmount", "BT-115"),
        ):
            self.amount(totals.first(f"cbc:{name}"), term)


def _check_ledger(root: Node, amounts: Amounts, report: Report) -> None:
    """Report what the norm allows and the ledger's own rules do not."""
    totals = root.first(_TOTALS) or root
    if amounts.gross <= 0:
        report.add("NOTHING_TO_INVOICE", "BT-112", totals, "the total with VAT is not positive")
    elif amounts.net <= 0:
        report.add("NOTHING_TO_INVOICE", "BT-109", totals, "the total without VAT is not positive")
    breakdown = root.first("cac:TaxTotal") or root
    if len(amounts.groups) > RATE_GROUPS_MAX:
        report.add("MALFORMED", "BG-23", breakdown, f"more than {RATE_GROUPS_MAX} VAT rates")
    for group in amounts.groups:
        gross = group.net + group.tax
        if refuse_totals((group,), group.net, group.tax, gross):
            message = f"the VAT at {group.rate / 100:g} % is off by more than one minor unit a line"
            report.add(MISMATCH, "BT-117", breakdown, message)
    if not report.breaches and refuse_totals(
        amounts.groups, amounts.net, amounts.tax, amounts.gross
    ):
        report.add(MISMATCH, "BT-112", totals, "net, tax and gross do not agree")
