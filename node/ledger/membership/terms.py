"""Terms of membership, which the genesis fixes. Owns no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from node.ledger.genesis import DomainTerms, Term


class MembershipTerms(DomainTerms, frozen=True):
    """In milliseconds, counted in block time."""

    domain: ClassVar[str] = "membership"
    meanings: ClassVar[Mapping[str, str]] = {
        "proposal_ms": "a proposal can be voted on for 30 days",
    }

    proposal_ms: Term = 30 * 86_400_000
