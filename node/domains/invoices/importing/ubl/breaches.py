"""A broken rule, and the reporter that collects them. Owns their form; knows no rule."""

from __future__ import annotations

import msgspec

from node.domains.invoices.importing.ubl.tree import Node

BREACHES_MAX = 100
"""A document of 5,000 bad lines is not worth 5,000 messages."""


class Breach(msgspec.Struct, frozen=True):
    """A rule that a document breaks."""

    code: str
    """Of the ledger's refusals, by name."""
    rule: str
    """Of EN 16931, as `BR-CO-10`; or `BT-…`, the term that does not fit our ledger."""
    line: int
    """Of the file, from 1."""
    path: str
    """XPath of the element at fault."""
    message: str

    @property
    def text(self) -> str:
        """Rule, place and reason."""
        return f"{self.rule}: {self.path}: {self.message}"


class Report:
    """Collects breaches, in the order in which they are found."""

    def __init__(self) -> None:
        """Empty."""
        self.breaches: list[Breach] = []

    def add(self, code: str, rule: str, node: Node, message: str) -> None:
        """A breach at an element."""
        if len(self.breaches) < BREACHES_MAX:
            self.breaches.append(Breach(code, rule, node.line, node.path, message))

    def missing(self, rule: str, node: Node, path: str, what: str) -> bool:
        """Whether the text at a path is missing, which is a breach."""
        if node.value(path):
            return False
        self.add("MALFORMED", rule, node, f"{what} ({path}) is missing")
        return True
