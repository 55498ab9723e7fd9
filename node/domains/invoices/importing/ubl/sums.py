"""The sums of EN 16931-1: BR-CO-10 to BR-CO-17, as the document states them.

Amounts are exact decimals, whatever the ledger can hold (see `fit`). Tolerances are the norm's own:
the tax of a category within one unit of the currency (BR-CO-17); every sum is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal, localcontext

from node.domains.invoices.importing.ubl.amounts import decimal
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.terms import ALLOWANCE, LINES, is_vat
from node.domains.invoices.importing.ubl.tree import Node

MISMATCH = "TOTALS_MISMATCH"
_HUNDREDTH = Decimal(100)


def number(node: Node, path: str) -> Decimal | None:
    """The number at a path; None when none stands there, or something else."""
    found = node.first(path)
    return None if found is None else decimal(found.text)


def total(nodes: Iterable[Node], path: str) -> Decimal:
    """What the numbers at a path of several elements add up to; missing ones count nothing."""
    values = (number(node, path) for node in nodes)
    return sum((value for value in values if value is not None), Decimal(0))


def cents(value: Decimal) -> Decimal:
    """Rounded to two decimals, half up also below zero, as the norm's rules round."""
    with localcontext(prec=100):
        return (value * _HUNDREDTH + Decimal("0.5")).to_integral_value(ROUND_FLOOR) / _HUNDREDTH


def check_sums(root: Node, report: Report) -> None:
    """Report every sum that is not what its parts come to."""
    with localcontext(prec=100):
        for totals in root.all("cac:LegalMonetaryTotal"):
            _check_totals(root, totals, report)
        for each in root.all("cac:TaxTotal"):
            _check_tax_total(each, report)
            for subtotal in each.all("cac:TaxSubtotal"):
                _check_tax(subtotal, report)
        _check_gross(root, report)


def _check_totals(root: Node, totals: Node, report: Report) -> None:
    lines = [child for child in root.children if child.name in LINES]
    allowances = [each for each in root.all(ALLOWANCE) if each.indicator is False]
    charges = [each for each in root.all(ALLOWANCE) if each.indicator is True]
    line_sum = number(totals, "cbc:LineExtensionAmount")
    expected = cents(total(lines, "cbc:LineExtensionAmount"))
    _compare("BR-CO-10", totals, "LineExtensionAmount", expected, "the lines come to", report)
    for rule, name, items, what in (
        ("BR-CO-11", "AllowanceTotalAmount", allowances, "the allowances come to"),
        ("BR-CO-12", "ChargeTotalAmount", charges, "the charges come to"),
    ):
        # A total of nothing may be left out; one of allowances that are zero may not.
        if items or totals.has(f"cbc:{name}"):
            _compare(rule, totals, name, cents(total(items, "cbc:Amount")), what, report)
    net: Decimal | None = line_sum
    for name, sign in (("AllowanceTotalAmount", -1), ("ChargeTotalAmount", 1)):
        if net is not None and totals.has(f"cbc:{name}"):
            part = number(totals, f"cbc:{name}")
            net = None if part is None else cents(net + sign * part)
    what = "lines − allowances + charges come to"
    _compare("BR-CO-13", totals, "TaxExclusiveAmount", net, what, report)
    _check_payable(totals, report)


def _check_payable(totals: Node, report: Report) -> None:
    due, gross = number(totals, "cbc:PayableAmount"), number(totals, "cbc:TaxInclusiveAmount")
    prepaid = number(totals, "cbc:PrepaidAmount")
    rounding = number(totals, "cbc:PayableRoundingAmount")
    if gross is not None and prepaid is not None:
        gross = cents(gross - prepaid)
    # The rounding may be finer than the amounts that it joins: what is left without it is compared.
    left = due if due is None or rounding is None else cents(due - rounding)
    unread = any(
        totals.has(f"cbc:{name}") and value is None
        for name, value in (("PrepaidAmount", prepaid), ("PayableRoundingAmount", rounding))
    )
    if left is None or gross is None or unread or left != gross:
        place = totals.first("cbc:PayableAmount") or totals
        message = f"PayableAmount is {_text(due)}, but gross − prepaid comes to {_text(gross)}"
        report.add(MISMATCH, "BR-CO-16", place, message)


def _check_tax_total(tax_total: Node, report: Report) -> None:
    subtotals = list(tax_total.all("cac:TaxSubtotal"))
    if subtotals:
        expected = cents(total(subtotals, "cbc:TaxAmount"))
        what = "the taxes of the breakdown come to"
        _compare("BR-CO-14", tax_total, "TaxAmount", expected, what, report)


def _check_gross(root: Node, report: Report) -> None:
    currency = root.first("cbc:DocumentCurrencyCode")
    if currency is None:
        return
    code = currency.text.strip()
    taxes = [
        decimal(amount.text)
        for amount in root.all("cac:TaxTotal/cbc:TaxAmount")
        if amount.attributes.get("currencyID") == code
    ]
    totals = root.first("cac:LegalMonetaryTotal") or root
    if len(taxes) != 1:
        report.add(MISMATCH, "BR-CO-15", totals, f"{len(taxes)} VAT totals in {code or '?'}")
        return
    net = number(totals, "cbc:TaxExclusiveAmount")
    expected = None if net is None or taxes[0] is None else cents(net + taxes[0])
    _compare("BR-CO-15", totals, "TaxInclusiveAmount", expected, "net + tax come to", report)


def _check_tax(subtotal: Node, report: Report) -> None:
    tax = number(subtotal, "cbc:TaxAmount")
    category = next((each for each in subtotal.all("cac:TaxCategory") if is_vat(each)), None)
    rate = None if category is None else number(category, "cbc:Percent")
    if rate is None or _whole(rate) == 0:
        if tax is None or _whole(tax) != 0:
            message = f"{_text(tax)} is taxed at no rate"
            report.add(MISMATCH, "BR-CO-17", subtotal, message)
    elif not is_tax_of(tax, number(subtotal, "cbc:TaxableAmount"), rate):
        report.add(MISMATCH, "BR-CO-17", subtotal, f"{_text(tax)} is not net × rate")


def is_tax_of(tax: Decimal | None, net: Decimal | None, rate: Decimal | None) -> bool:
    """Whether a tax is net × rate, to less than one unit of the currency."""
    if tax is None or net is None or rate is None:
        return False
    with localcontext(prec=100):
        return abs(abs(tax) - cents(abs(net) * rate / 100)) < 1


def _whole(value: Decimal) -> Decimal:
    return (value + Decimal("0.5")).to_integral_value(ROUND_FLOOR)


def _compare(
    rule: str, node: Node, name: str, expected: Decimal | None, what: str, report: Report
) -> None:
    stated = number(node, f"cbc:{name}")
    if stated is None or expected is None or stated != expected:
        place = node.first(f"cbc:{name}") or node
        message = f"{name} is {_text(stated)}, but {what} {_text(expected)}"
        report.add(MISMATCH, rule, place, message)


def _text(value: Decimal | None) -> str:
    return "not stated" if value is None else f"{value:f}"
