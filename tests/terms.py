"""Terms for tests: of a network with every domain, each as given or left out in the file."""

from __future__ import annotations

from node.ledger.genesis import Terms
from node.ledger.genesis_file import read_terms
from node.ledger.operations import LAWS

EVERY_DOMAIN = tuple(law.name for law in LAWS)


def make_terms(domains: tuple[str, ...] = EVERY_DOMAIN, **given: object) -> Terms:
    """The terms of these domains; `given` is as the table `[terms]`."""
    return read_terms(given, domains)
