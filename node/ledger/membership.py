"""Operations on who takes part: keys, proposals, regions, suspended issuing. Owns shapes, no rule.

The tag is the first element of the encoded array, as in `operations`, whose union these join.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated

import msgspec

from node.ledger.text import Worded
from node.ledger.types import (
    Code18,
    InvoiceNumber,
    ParticipantName,
    PublicKey,
    Reason,
    Role,
    Text64,
)

SIGNING_KEYS_MAX = 16
"""Keys of one kind in a participant's row: departments and overlapping rotations; the row is read
with every transaction of its author. The same for sealing keys, as each reader costs a wrap."""
NO_END = 2**53
"""Not-after height of a key that has no end."""
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


class Scope(IntFlag):
    """What a signing key may be used for. An operation names the scopes that permit it."""

    ISSUE = 1
    """Issue, cancel, red letters."""
    HOLD = 2
    """Respond, offer, sign, submit, book, share."""
    REIMBURSE = 4
    """Claim, release, reimburse, consent."""
    REGISTER = 8
    """The tax bureau's registers, rulings and freezes."""
    GOVERN = 16
    """Proposals and votes."""
    KEYS = 32
    """The participant's own keys."""


ALL_SCOPES = int(Scope.ISSUE | Scope.HOLD | Scope.REIMBURSE | Scope.REGISTER)
ALL_SCOPES |= int(Scope.GOVERN | Scope.KEYS)
SCOPE_NAMES: dict[str, Scope] = {scope.name.lower(): scope for scope in Scope if scope.name}

ScopeBits = Annotated[int, msgspec.Meta(ge=0, le=ALL_SCOPES)]
Proof = Annotated[bytes, msgspec.Meta(max_length=64)]


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every shape here."""


# --- Keys ------------------------------------------------------------------------------------


class AddKey(_Shape, frozen=True, tag=70):
    """Add a key of the author. `scope` is 0 for a sealing key."""

    kind: KeyKind
    key: PublicKey
    scope: ScopeBits
    not_after: Height
    """Last height at which it counts; `NO_END`: no end."""
    proof: Proof
    """The new signing key's own signature (`keys.possession_message`); empty for a sealing key."""


class RevokeKey(_Shape, frozen=True, tag=71):
    """End a key of the author at once."""

    kind: KeyKind
    key: PublicKey


class RotateKey(_Shape, frozen=True, tag=72):
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


class Suspend(_Shape, frozen=True, tag=2):
    """Suspend a participant: it cannot act until it is reinstated."""

    participant: Code18


class Reinstate(_Shape, frozen=True, tag=3):
    """Make a suspended participant active again."""

    participant: Code18


class Retire(_Shape, frozen=True, tag=4):
    """Retire a participant for good. Its invoices stay."""

    participant: Code18


class ChangeRoles(_Shape, frozen=True, tag=5):
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


class Vote(_Shape, frozen=True, tag=61):
    """A governor's word on a proposal, once."""

    proposal: ProposalId
    participant: Code18
    """Whom the proposal is about: the voter says so, and the block knows which row may change."""
    approve: bool


class WithdrawProposal(_Shape, frozen=True, tag=62):
    """The proposer takes an open proposal back."""

    proposal: ProposalId


# --- The tax bureau --------------------------------------------------------------------------


class AllotRegion(_Shape, frozen=True, tag=5):
    """Allot `count` consecutive numbers to a regional bureau, which allots them to issuers."""

    bureau: Code18
    first: InvoiceNumber
    count: Annotated[int, msgspec.Meta(ge=1, le=10**15)]


class SuspendIssuing(Worded, frozen=True, tag=6):
    """Stop an issuer's blue invoices. Red letters stay possible."""

    issuer: Code18
    case: Text64


class ResumeIssuing(Worded, frozen=True, tag=7):
    """Let a stopped issuer issue again."""

    issuer: Code18
    case: Text64


MembershipOperation = (
    AddKey
    | RevokeKey
    | RotateKey
    | Propose
    | Vote
    | WithdrawProposal
    | AllotRegion
    | SuspendIssuing
    | ResumeIssuing
)
