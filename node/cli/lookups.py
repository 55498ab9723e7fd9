"""Documents of domains whose number finds the transaction that made them. Owns that look-up.

Each domain names its own (`Domain.numbered`); the command tree hands them to commands as Click's
`obj`. Knows no domain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from node.cli.client import ApiClient


class Numbered(NamedTuple):
    """Documents of one kind."""

    digits: int
    """How long a number is; no two kinds have the same, and a transaction's id has 64."""
    path: str
    """Of the API, without the number; its answer has the field `transaction`."""


def transaction_of(client: ApiClient, identity: str, kinds: Iterable[Numbered]) -> str:
    """The id of a transaction, given that or the number of what it made.

    Raises:
        ProblemError: nothing has this number.
    """
    for kind in kinds:
        if len(identity) == kind.digits:
            return str(client.get(f"{kind.path}/{identity}").fields["transaction"])
    return identity
