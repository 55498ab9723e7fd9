"""What a red letter takes of an invoice's lines, and its totals by tax rate. Pure.

Owns the arithmetic of partial red letters. An original comes from the same file or from the
ledger; either way it is a currency, rate groups with what was taken of them, and lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

import msgspec

from node.domains.invoices.importing.plan import LateRed, PlannedRed, RedLine, encode_json
from node.ledger.invoices.tax import tax_half_up

_COPIED = ("code", "description", "model", "unit", "unit_price")


class RedLineError(ValueError):
    """A line cannot be taken back."""

    def __init__(self, row: int, code: str, message: str) -> None:
        super().__init__(message)
        self.row = row
        self.code = code


class OriginalGroup(msgspec.Struct):
    """A rate of the original, and what red letters took of it."""

    net: int
    tax: int
    net_credited: int = 0
    tax_credited: int = 0


class Original(msgspec.Struct):
    """An invoice that red letters take from; each letter worked out here takes its part."""

    currency: str
    groups: dict[int, OriginalGroup]
    """By tax rate in basis points."""
    lines: Sequence[Mapping[str, Any]]
    """As in the invoice's details."""
    net_taken: dict[int, int] = {}
    """By position of the line, as far as it is known here."""

    @classmethod
    def of_view(cls, view: Mapping[str, Any]) -> Original:
        """From an invoice as the API shows it, with its details.

        Raises:
            LookupError: the node cannot read its lines.
        """
        details = view.get("details")
        lines = details.get("lines") if isinstance(details, dict) else None
        if lines is None:
            raise LookupError("this node cannot read the lines of the original")
        groups = {
            int(g["rate"]): OriginalGroup(g["net"], g["tax"], g["credited_net"], g["credited_tax"])
            for g in view["groups"]
        }
        return cls(str(view["currency"]), groups, lines)

    def work_out(self, letter: LateRed) -> PlannedRed:
        """The red letter, with what it takes counted as taken.

        Raises:
            RedLineError: a line is not there, or does not hold so much; nothing is taken.
        """
        if letter.currency != self.currency and any(line.net is not None for line in letter.lines):
            message = f"the original is in {self.currency}, not in {letter.currency}"
            raise RedLineError(letter.row, "CURRENCY_MISMATCH", message)
        positions = [line.line for line in letter.lines]
        if len(set(positions)) < len(positions):
            raise RedLineError(letter.row, "CONFLICT", "a line of the original stands twice")
        made = [self._line(line) for line in letter.lines]
        nets: dict[int, list[int]] = {}
        for line in made:
            nets.setdefault(int(line["rate"]), []).append(int(line["net"]))
        groups = []
        for rate, parts in sorted(nets.items()):
            net, tax = sum(parts), self._tax(rate, sum(parts), letter.row)
            count = max(len(parts), abs(tax - tax_half_up(net, rate)))
            groups.append({"rate": rate, "net": net, "tax": tax, "lines": count})
        self._take(made, groups)
        net, tax = (sum(int(group[name]) for group in groups) for name in ("net", "tax"))
        details = msgspec.json.decode(letter.head)
        body = {"order_id": letter.order_id, "groups": groups, "lines": made}
        return PlannedRed(
            order_id=letter.order_id,
            row=letter.row,
            original=letter.original,
            by_number=letter.by_number,
            reason=letter.reason,
            currency=self.currency,
            net=net,
            tax=tax,
            body=encode_json(body | ({"details": details} if details else {})),
        )

    def _line(self, red: RedLine) -> dict[str, Any]:
        if red.line >= len(self.lines):
            message = f"the original has {len(self.lines)} lines"
            raise RedLineError(red.row, "UNKNOWN_LINE", message)
        source = self.lines[red.line]
        held = int(source["net"]) - self.net_taken.get(red.line, 0)
        net = red.net
        if net is None:
            net = held if red.quantity is None else _share(source, red)
        if not 0 < net <= held:
            message = f"line {red.line + 1} of the original has {held} left, not {net}"
            raise RedLineError(red.row, "LINE_OVER_CREDIT", message)
        line = {name: source[name] for name in _COPIED if source.get(name) is not None}
        line |= {"net": net, "rate": int(source["rate"]), "original": red.line}
        if red.quantity is not None:
            line["quantity"] = red.quantity
        elif net == int(source["net"]) and source.get("quantity") is not None:
            line["quantity"] = source["quantity"]
        if "quantity" not in line or red.net is not None:
            line.pop("unit_price", None)  # an amount of its own is not quantity × price
        if source.get("allowance") is not None and "unit_price" in line:
            line["allowance"] = _allowance(line, source)
        if red.description is not None:
            line["description"] = red.description
        return line

    def _tax(self, rate: int, net: int, row: int) -> int:
        """Tax of the running sum, so that the parts of a group add up to exactly its tax."""
        group = self.groups.get(rate)
        if group is None or group.net_credited + net > group.net:
            held = 0 if group is None else group.net - group.net_credited
            message = f"the original has {held} left at this tax rate, not {net}"
            raise RedLineError(row, "OVER_CREDIT", message)
        left = group.tax - group.tax_credited
        if group.net_credited + net == group.net:
            return left
        return min(left, max(0, tax_half_up(group.net_credited + net, rate) - group.tax_credited))

    def _take(
        self, lines: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, int]]
    ) -> None:
        for line in lines:
            position = int(line["original"])
            self.net_taken[position] = self.net_taken.get(position, 0) + int(line["net"])
        for part in groups:
            group = self.groups[part["rate"]]
            group.net_credited += part["net"]
            group.tax_credited += part["tax"]


def _share(source: Mapping[str, Any], red: RedLine) -> int:
    """The part of a line's net that a quantity is worth, rounded half up."""
    try:
        with localcontext(prec=80):
            whole, part = Decimal(str(source.get("quantity"))), Decimal(str(red.quantity))
            if not 0 < part <= whole:
                message = f"line {red.line + 1} of the original is over {whole}, not {part}"
                raise RedLineError(red.row, "LINE_OVER_CREDIT", message)
            return int((source["net"] * part / whole).to_integral_value(ROUND_HALF_UP))
    except InvalidOperation as error:
        message = f"line {red.line + 1} of the original has no quantity: give the net amount"
        raise RedLineError(red.row, "QUANTITY_UNKNOWN", message) from error


def _allowance(line: Mapping[str, Any], source: Mapping[str, Any]) -> int:
    with localcontext(prec=80):
        share = Decimal(str(line["quantity"])) / Decimal(str(source["quantity"]))
        return int((source["allowance"] * share).to_integral_value(ROUND_HALF_UP))
