"""The one list of domains, and what they bring to a node together. Owns no part of them.

Who adds a domain adds it here, and its law to `node.ledger.operations`; nothing else names it.
The command line loads this: it is light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.domains.description import Domain
from node.domains.invoices.domain import DOMAIN as INVOICES
from node.domains.membership.domain import DOMAIN as MEMBERSHIP

if TYPE_CHECKING:
    from node.ledger.genesis import Genesis
    from node.storage.index_part import IndexPart

DOMAINS: tuple[Domain, ...] = (MEMBERSHIP, INVOICES)
"""In the order in which their pieces are put together."""


def domains_of(genesis: Genesis) -> tuple[Domain, ...]:
    """Those that a network has."""
    return tuple(domain for domain in DOMAINS if domain.name in genesis.domains)


def absent_from(domains: Sequence[Domain]) -> tuple[Domain, ...]:
    """Those that this program knows and the network does not have."""
    return tuple(domain for domain in DOMAINS if domain not in domains)


def index_parts(genesis: Genesis) -> tuple[IndexPart, ...]:
    """Of the query index of a network: the one of all transactions, and those of its domains."""
    from node.storage.transactions_part import TransactionsPart

    parts = [part for domain in domains_of(genesis) for part in domain.index_parts(genesis)]
    return (TransactionsPart(), *parts)


def position_files() -> tuple[str, ...]:
    """Files in the data folder that say how far domains' listeners came."""
    return tuple(name for domain in DOMAINS for name in domain.position_files)
