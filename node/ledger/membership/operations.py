"""Operations on who takes part: keys, proposals, votes. Owns shapes, no rule."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec

from node.ledger.operation import Shape
from node.ledger.participants import ALL_SCOPES, NO_END
from node.ledger.text import Worded
from node.ledger.types import Code18, ParticipantName, PublicKey, Reason, Role

SIGNING_KEYS_MAX = 16
"""Keys of one kind in a participant's row: departments and overlapping rotations; the row is read
with every transaction of its author. The same for sealing keys, as each reader costs a wrap."""
PROPOSAL_ID_BYTES = 16

Height = Annotated[int, msgspec.Meta(ge=1, le=NO_END)]
ProposalId = Annotated[
    bytes, msgspec.Meta(min_length=PROPOSAL_ID_BYTES, max_length=PROPOSAL_ID_BYTES)
]
Roles = Annotated[tuple[Role, ...], msgspec.Meta(min_length=1, max_length=len(Role))]
"""Ascending, distinct: a rule, so that a set has one encoding."""


class KeyKind(IntEnum):
    """What a key is for."""

    SIGNING = 1
    """Ed25519."""
    SEALING = 2
    """X25519."""


ScopeBits = Annotated[int, msgspec.Meta(ge=0, le=ALL_SCOPES)]
Proof = Annotated[bytes, msgspec.Meta(max_length=64)]


# --- Keys ------------------------------------------------------------------------------------


class AddKey(Shape, frozen=True, tag=70):
    """Add a key of the author. `scope` is 0 for a sealing key."""

    kind: KeyKind
    key: PublicKey
    scope: ScopeBits
    not_after: Height
    """Last height at which it counts; `NO_END`: no end."""
    proof: Proof
    """The new signing key's own signature (`keys.possession_message`); empty for a sealing key."""


class RevokeKey(Shape, frozen=True, tag=71):
    """End a key of the author at once."""

    kind: KeyKind
    key: PublicKey


class RotateKey(Shape, frozen=True, tag=72):
    """Put a new key in the place of an old one, with its scope and its end."""

    kind: KeyKind
    old: PublicKey
    new: PublicKey
    old_not_after: Height
    """Last height at which the old one still counts, for what it has signed already."""
    proof: Proof


# --- Proposals -------------------------------------------------------------------------------


class Admit(Worded, frozen=True, tag=1):
    """Admit a participant."""

    participant: Code18
    name: ParticipantName
    roles: Roles
    signing_key: PublicKey
    sealing_key: PublicKey


class Suspend(Shape, frozen=True, tag=2):
    """Suspend a participant: it cannot act until it is reinstated."""

    participant: Code18


class Reinstate(Shape, frozen=True, tag=3):
    """Make a suspended participant active again."""

    participant: Code18


class Retire(Shape, frozen=True, tag=4):
    """Retire a participant for good. Its invoices stay."""

    participant: Code18


class ChangeRoles(Shape, frozen=True, tag=5):
    """Give a participant other roles."""

    participant: Code18
    roles: Roles


Action = Admit | Suspend | Reinstate | Retire | ChangeRoles
"""What a proposal does: each has a field `participant`, whose row is all that it changes."""


class Propose(Worded, frozen=True, tag=60):
    """Propose an action; counts as the proposer's vote for it. Its id is `proposal_id`."""

    action: Action
    reason: Reason
    nonce: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    """Tells a proposal from an earlier one of the same words."""


class Vote(Shape, frozen=True, tag=61):
    """A governor's word on a proposal, once."""

    proposal: ProposalId
    participant: Code18
    """Whom the proposal is about: the voter says so, and the block knows which row may change."""
    approve: bool


class WithdrawProposal(Shape, frozen=True, tag=62):
    """The proposer takes an open proposal back."""

    proposal: ProposalId


MembershipOperation = AddKey | RevokeKey | RotateKey | Propose | Vote | WithdrawProposal
