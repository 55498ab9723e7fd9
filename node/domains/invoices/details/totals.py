"""The arithmetic of lines and rate groups, and the canonical form of details. Pure.

Amounts are minor units; a line's quantity and unit price are decimal strings, never floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache

import msgspec
from pydantic import TypeAdapter

from node.chain.disclosure import INTEGER_MAX, NESTING_MAX
from node.chain.item_paths import reads_as_place
from node.domains.invoices.details.details import (
    DETAILS_BYTES_MAX,
    AllowanceBody,
    DetailsBody,
    LineBody,
)
from node.ledger.invoices.operations import RATE_GROUPS_MAX, RateGroup
from node.ledger.invoices.tax import BASIS_POINTS, signed_tax, tax_half_up
from node.ledger.types import AMOUNT_MAX

_EXACT = Context(prec=80)
"""More digits than a product of two of our decimals can have."""
_LINES = TypeAdapter(list[LineBody])
_ALLOWANCES = TypeAdapter(list[AllowanceBody])
_canonical = msgspec.json.Encoder(order="sorted").encode
DECIMALS_MAX = 13
"""Decimals of a quantity or unit price (DOMAIN §2)."""


class DraftError(ValueError):
    """The business data does not make an invoice."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        """JSON pointer of the field at fault, below the draft."""
        self.message = message


class Totals(msgspec.Struct, frozen=True):
    """Rate groups in ascending order of rate, and their sums."""

    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int


class RateSum(msgspec.Struct, frozen=True):
    """What the lines, allowances and charges of one rate add up to."""

    net: int
    tax: int
    """The sum of each one's tax, stated or rounded half up."""
    count: int
    """How many they are: each may be rounded."""


def sums_by_rate(
    lines: Sequence[LineBody], allowances: Sequence[AllowanceBody] = ()
) -> dict[int, RateSum]:
    """Lines − allowances + charges by tax rate, in ascending order of rate; may be negative."""
    sums: dict[int, RateSum] = {}
    amounts = [(line.rate, line.net, line.tax) for line in lines]
    for item in allowances:
        sign = -1 if item.kind == "allowance" else 1
        tax = None if item.tax is None else sign * item.tax
        amounts.append((item.rate, sign * item.net, tax))
    for rate, net, stated in amounts:
        tax = signed_tax(net, rate) if stated is None else stated
        before = sums.get(rate, RateSum(0, 0, 0))
        sums[rate] = RateSum(before.net + net, before.tax + tax, before.count + 1)
    return dict(sorted(sums.items()))


def totals_of_lines(lines: Sequence[LineBody], allowances: Sequence[AllowanceBody] = ()) -> Totals:
    """Add lines up by rate. The tax of a group is the sum of its lines' taxes, each rounded.

    Raises:
        DraftError: together they are negative, or there are too many rates.
    """
    sums = sums_by_rate(lines, allowances)
    for rate, item in sums.items():
        # Discount lines are negative, and may be rounded past the tax they discount.
        if item.tax * (1 if item.net >= 0 else -1) < 0:
            raise DraftError("/lines", f"net and tax of rate {rate} have different signs")
    return totals_of_groups(
        [RateGroup(rate, item.net, item.tax, item.count) for rate, item in sums.items()], "/lines"
    )


def totals_of_groups(groups: Sequence[RateGroup], path: str = "/groups") -> Totals:
    """Sum groups, in ascending order of rate.

    Raises:
        DraftError: none, too many, a rate twice, or sums beyond the ledger's amounts or below 0.
    """
    if not 1 <= len(groups) <= RATE_GROUPS_MAX:
        raise DraftError(path, f"between 1 and {RATE_GROUPS_MAX} tax rates are needed")
    if len({group.rate for group in groups}) != len(groups):
        raise DraftError(path, "a tax rate stands twice")
    ordered = tuple(sorted(groups, key=lambda group: group.rate))
    net = sum(group.net for group in ordered)
    tax = sum(group.tax for group in ordered)
    if net < 0 or tax < 0:
        raise DraftError(path, "add up to less than nothing")
    if net + tax > AMOUNT_MAX or any(group.lines > 10_000 for group in ordered):
        raise DraftError(path, "the sum is too large")
    return Totals(ordered, net, tax, net + tax)


def check_line_amount(line: LineBody, minor_units: int, path: str) -> None:
    """Check that quantity × unit price is the line's net, to one minor unit.

    Args:
        line: The line; it passes when it names no quantity or no unit price.
        minor_units: Minor units in one major unit: 100 for most currencies.
        path: JSON pointer of the line.

    Raises:
        DraftError: a number is malformed, or the product is another amount.
    """
    if line.quantity is None or line.unit_price is None:
        return
    quantity = _line_decimal(line.quantity, path, "quantity")
    unit_price = _line_decimal(line.unit_price, path, "unit_price")
    product = _EXACT.multiply(_EXACT.multiply(quantity, unit_price), minor_units)
    # One operation each: in Python's default context they would round to 28 digits.
    difference = _EXACT.subtract(product, (line.allowance or 0) + line.net)
    if not -1 <= difference <= 1:
        raise DraftError(f"{path}/net", "is not quantity × unit price less the allowance")


def _line_decimal(text: str, path: str, name: str) -> Decimal:
    try:
        return _decimal(text)
    except ValueError as error:
        raise DraftError(f"{path}/{name}", str(error)) from error


@lru_cache(10_000)  # prices and quantities repeat themselves
def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("is not a decimal number") from error
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > DECIMALS_MAX or value.copy_abs() > AMOUNT_MAX:
        raise ValueError(f"is out of range or has more than {DECIMALS_MAX} decimals")
    return value


def red_totals(groups: Sequence[RateGroup], gross: int, amount: int) -> Totals:
    """Totals of a red letter over `amount` gross of an invoice with these groups.

    The whole invoice takes its own groups; a part of an invoice of one rate is split at that rate.

    Raises:
        DraftError: a part of an invoice with several rates: which of them must be said.
    """
    if amount == gross:
        return totals_of_groups(tuple(groups))
    if len(groups) != 1:
        raise DraftError("/groups", "say which tax rates a part of this invoice takes back")
    whole = groups[0]
    rate = whole.rate
    net = (2 * amount * BASIS_POINTS + BASIS_POINTS + rate) // (2 * (BASIS_POINTS + rate))
    # Neither part may pass what the invoice has left of it; `lines` allows for the rounding.
    net = max(min(net, whole.net), amount - whole.tax)
    tax = amount - net
    lines = max(1, abs(tax - tax_half_up(net, rate)))
    return totals_of_groups([RateGroup(rate, net, tax, lines)])


def canonical_details(
    details: DetailsBody | None,
    lines: Sequence[LineBody] = (),
    allowances: Sequence[AllowanceBody] = (),
) -> bytes | None:
    """Details, with `lines` and `allowances`, as JSON with sorted keys and no spaces.

    None when there is nothing to seal.

    Raises:
        DraftError: too large, too deep, a name that no path can tell from a place in an array, or
            a number that is not an integer below 2^53: decimals are written as strings, so that
            every program reads the same value.
    """
    document: dict[str, object] = {}
    if details is not None:
        document |= details.model_dump(exclude_none=True)
    if lines:
        document["lines"] = _LINES.dump_python(list(lines), exclude_none=True)
    if allowances:
        document["allowances"] = _ALLOWANCES.dump_python(list(allowances), exclude_none=True)
    if not document:
        return None
    if details is not None and any(map(reads_as_place, details.extensions or ())):
        raise DraftError("/details/extensions", "have a name that reads as a place in an array")
    # Every other field is typed: no float and no larger number can be in it.
    _check_numbers(document.get("extensions"), 1)
    encoded = _canonical(document)
    if len(encoded) > DETAILS_BYTES_MAX:
        raise DraftError("/details", f"are larger than {DETAILS_BYTES_MAX} bytes")
    return encoded


def _check_numbers(value: object, depth: int) -> None:
    if depth > NESTING_MAX:
        raise DraftError("/details", f"are nested more than {NESTING_MAX} deep")
    if isinstance(value, float) or (
        isinstance(value, int) and not -INTEGER_MAX <= value <= INTEGER_MAX
    ):
        raise DraftError("/details", "hold a number that is no integer: write it as a string")
    if isinstance(value, Mapping):
        for item in value.values():
            _check_numbers(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_numbers(item, depth + 1)
