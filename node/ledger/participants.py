"""Who may act: participants, their keys, and what a key may sign. Owns that row; knows no rule.

Every network has participants, and the machine asks of each transaction who its author is: so this
stands below the domains. What changes them are the operations of `membership`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import msgspec

from node.ledger.codes import Table
from node.ledger.row_codec import TableKind
from node.ledger.types import Role

NO_END = 2**53
"""Not-after height of a key that has no end."""


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


class ParticipantState(IntEnum):
    """Whether a participant may act."""

    ACTIVE = 0
    SUSPENDED = 1
    RETIRED = 2


class KeyRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One key of a participant."""

    key: bytes
    scope: int = ALL_SCOPES
    """Bits of `Scope`; 0 for a sealing key."""
    not_after: int = NO_END
    """Last height at which it counts."""
    revoked: int = 0
    """Height at which it was revoked; 0: it was not."""

    def lives(self, height: int) -> bool:
        """Whether it counts at `height`, as far as the row knows by now."""
        return not self.revoked and height <= self.not_after


class ParticipantRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.PARTICIPANT`, key: the id in ASCII."""

    id: str
    name: str
    roles: tuple[Role, ...]
    """Ascending, distinct."""
    signing_keys: tuple[KeyRow, ...]
    """Ed25519."""
    sealing_keys: tuple[KeyRow, ...]
    """X25519."""
    state: ParticipantState = ParticipantState.ACTIVE
    issuing_suspended: bool = False
    """Set by the tax bureau: no blue invoices; red letters stay possible."""
    issuing_case: str = ""
    """The case for which issuing was suspended or resumed last."""
    head_bureau: bool = False
    """A tax bureau that may allot any numbers, and ranges to regional bureaus."""


def find_key(keys: tuple[KeyRow, ...], key: bytes, height: int) -> KeyRow | None:
    """The entry of `key` if it counts at `height`."""
    for row in keys:
        if row.key == key:
            return row if row.lives(height) else None
    return None


decode_participant = msgspec.msgpack.Decoder(ParticipantRow).decode

PARTICIPANTS = TableKind(Table.PARTICIPANT, decode_participant)
