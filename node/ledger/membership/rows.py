"""Rows of governance and of regional bureaus: shapes, keys, encoding. Owns no rule, knows no store.

As in `rows`: canonical MessagePack arrays, mutable rows that one transaction owns, tuples inside.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from node.ledger.codes import Table
from node.ledger.membership.operations import Action
from node.ledger.row_codec import TableKind

GOVERNANCE_KEY = b"governance"
"""Key in `Table.META` of who governs."""
PROPOSALS_OPEN_MAX = 128
"""Open proposals of a network: they stand in one row, which every vote reads."""
PROPOSALS_OF_ONE_MAX = 16
"""Open proposals of one governor: none can use up the others' room."""


class ProposalState(IntEnum):
    """What became of a proposal. One that is open past its term has expired."""

    OPEN = 0
    CARRIED = 1
    REJECTED = 2
    WITHDRAWN = 3


class GovernorRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A governor, and whether the participant is active: what its votes depend on."""

    id: str
    active: bool


class OpenRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open proposal, as far as the bounds need it."""

    proposal: bytes
    proposer: str
    expires: int


class GovernanceRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.META`, key `GOVERNANCE_KEY`."""

    governors: tuple[GovernorRow, ...]
    threshold: int
    open: tuple[OpenRow, ...] = ()

    @property
    def voters(self) -> frozenset[str]:
        """The governors whose votes count."""
        return frozenset(governor.id for governor in self.governors if governor.active)


class ProposalRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.PROPOSAL`, key: the id. Never removed."""

    id: bytes
    proposer: str
    action: Action
    reason: str
    proposed_at: int
    """Block time, milliseconds."""
    expires: int
    """Last block time at which a vote counts."""
    approvals: tuple[str, ...]
    """Governors, in the order of their votes; the proposer is the first."""
    rejections: tuple[str, ...] = ()
    state: ProposalState = ProposalState.OPEN
    decided_height: int = 0


decode_governance = msgspec.msgpack.Decoder(GovernanceRow).decode
decode_proposal = msgspec.msgpack.Decoder(ProposalRow).decode

GOVERNANCE = TableKind(Table.META, decode_governance)
PROPOSALS = TableKind(Table.PROPOSAL, decode_proposal)
