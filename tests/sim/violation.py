"""The one failure that a simulated run reports, with the name of what did not hold."""

from __future__ import annotations

from collections.abc import Collection

from consensus.membership import Membership
from consensus.types import NodeId


class Violation(AssertionError):  # noqa: N818 - not every one is an error of the program
    """Something that must always hold did not. Failures of one `kind` are taken for one bug."""

    def __init__(self, kind: str, details: str) -> None:
        super().__init__(f"{kind}: {details}")
        self.kind = kind


def is_quorum(membership: Membership, nodes: Collection[NodeId]) -> bool:
    """Whether `nodes` are a majority of each half: counted here, not by the code under test."""
    for half in (membership.voters, membership.outgoing):
        if half and 2 * len(set(half).intersection(nodes)) <= len(half):
            return False
    return True


def ensure(holds: bool, kind: str, details: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Violation(kind, details)
