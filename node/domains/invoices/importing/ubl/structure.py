"""What UBL 2.1 lets stand in a document, and how its texts are written. Knows no meaning.

Where UBL allows one element and a document has two, one reader takes the first and another the
last; a name that UBL does not know is read by nobody. Either way something is lost: such a document
is refused. Elements may stand in any order.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from node.domains.invoices.importing.ubl.amounts import decimal, to_date
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.tree import ROOT_NAMESPACES, Node

RULE = "UBL-2.1"
_OFTEN = "*"
_DECIMALS = re.compile(r"cbc:\w*(?:Amount|Quantity|Measure|Percent|Numeric|Rate)")
_DATES = re.compile(r"cbc:\w*Date")
_INDICATORS = re.compile(r"cbc:\w*Indicator")
_KEPT_AS_WRITTEN = frozenset({"cbc:IssueDate"})
"""The ledger dates an invoice itself: the document's own date (BT-2) is kept as it is written."""
Holds = Mapping[str, bool]
"""What an element may hold, and whether it may hold several."""


@lru_cache(1)
def _tables() -> Mapping[str, Holds]:
    """By name of the element; a root's has no prefix."""
    text = files(__package__).joinpath("ubl21.toml").read_text("utf-8")
    tables: dict[str, Holds] = {}
    for each in tomllib.loads(text)["element"]:
        holds = _holds("cbc", each.get("texts", "")) | _holds("cac", each.get("parts", ""))
        for name in each["names"].split():
            tables[name if name in ROOT_NAMESPACES.values() else f"cac:{name}"] = holds
    return tables


def _holds(prefix: str, names: str) -> dict[str, bool]:
    return {f"{prefix}:{name.rstrip(_OFTEN)}": name.endswith(_OFTEN) for name in names.split()}


def check_structure(root: Node, report: Report) -> None:
    """Report unknown elements, those that stand twice where one may, and texts of another form."""
    tables = _tables()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        holds = tables.get(node.name)
        if holds is not None:
            _check_children(node, holds, report)
        elif node.name.startswith("cbc:"):
            _check_text(node, report)
        waiting += [child for child in reversed(node.children) if child.name[:4] != "ext:"]


def _check_children(node: Node, holds: Holds, report: Report) -> None:
    counts = Counter(child.name for child in node.children)
    for child in node.children:
        if child.name[:4] == "ext:":
            continue
        often = holds.get(child.name)
        if often is None:
            report.add("MALFORMED", RULE, child, f"UBL 2.1 has no such element in {node.name}")
        elif counts[child.name] > 1 and not often:
            report.add("MALFORMED", RULE, child, "stands more than once")
            counts[child.name] = 0


def _check_text(node: Node, report: Report) -> None:
    if node.children:
        report.add("MALFORMED", RULE, node, "holds elements, where a text is expected")
        return
    text = node.text.strip(" \t\r\n")  # the white space of XML, no other
    if _DECIMALS.fullmatch(node.name) and decimal(text) is None:
        report.add("MALFORMED", RULE, node, f"{text[:40]!r} is no number of at most 40 digits")
    elif _INDICATORS.fullmatch(node.name) and text not in {"true", "false", "1", "0"}:
        report.add("MALFORMED", RULE, node, f"{text[:40]!r} is neither true nor false")
    elif (
        _DATES.fullmatch(node.name) and node.name not in _KEPT_AS_WRITTEN and to_date(text) is None
    ):
        report.add("DATE_INVALID", RULE, node, f"{text[:40]!r} is no date (YYYY-MM-DD)")
