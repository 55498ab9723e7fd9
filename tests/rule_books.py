"""A domain's rule book, read as its tests do: the cells of its tables, and the codes in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from node.ledger.codes import Code

_DOMAINS = Path(__file__).resolve().parent.parent / "node" / "domains"


@cache
def rule_book(domain: str) -> str:
    """Its text."""
    return (_DOMAINS / domain / "README.md").read_text("utf-8")


def table(domain: str) -> Mapping[str, list[str]]:
    """Every table of a rule book as one: the cells of a line by its first."""
    lines = re.findall(r"^\| (.*) \|$", rule_book(domain), re.MULTILINE)
    return {cells[0].strip("`"): cells for cells in (line.split(" | ") for line in lines)}


def codes(cell: str) -> set[Code]:
    """Those that a cell names."""
    return {Code[name] for name in re.findall(r"[A-Z][A-Z_]{3,}", cell)}
