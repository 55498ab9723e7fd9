"""A participant's keys: adding, revoking, rotating, and which of them count (DOMAIN §1). Pure.

A transaction names its author, and the signature covers that name, so a key that stands in two
participants' rows signs for whichever one it says: keys need not be unique, and nobody can keep a
key from its owner by registering it first. A new signing key must show that somebody holds it, so
that a slip of the pen is refused and does not lock the participant out.
"""

from __future__ import annotations

from msgspec.structs import replace

from node.ledger.codes import Code
from node.ledger.membership.operations import (
    SIGNING_KEYS_MAX,
    AddKey,
    KeyKind,
    RevokeKey,
    RotateKey,
)
from node.ledger.participants import NO_END, PARTICIPANTS, KeyRow, ParticipantRow, Scope
from node.ledger.signing import verify
from node.ledger.step import Step

_POSSESSION_TAG = b"piaolian/key/v1\n"


def possession_message(network: bytes, participant: str, key: bytes) -> bytes:
    """What a new signing key signs to show that it is held, for one participant."""
    return b"".join((_POSSESSION_TAG, network, participant.encode(), key))


def add_key(step: Step, op: AddKey) -> Code:
    """Add a key. A signing key has a scope, a sealing key none."""
    if (op.kind is KeyKind.SIGNING) != (op.scope != 0):
        return Code.SCOPE_INVALID
    if op.not_after < step.height:
        return Code.PERIOD_INVALID
    row = _own_row(step)
    return _append(step, row, op.kind, KeyRow(op.key, op.scope, op.not_after), op.proof)


def revoke_key(step: Step, op: RevokeKey) -> Code:
    """End a key at once, for whatever comes later in the same block too."""
    row = _own_row(step)
    held = _live(step, row, op.kind, op.key)
    if isinstance(held, Code):
        return held
    _replace(row, op.kind, replace(held, revoked=step.height))
    return _refuse_locked_out(row, step.height)


def rotate_key(step: Step, op: RotateKey) -> Code:
    """Put a new key beside the old one, which ends at a height, or earlier if it was to."""
    if op.old_not_after < step.height:
        return Code.PERIOD_INVALID
    row = _own_row(step)
    held = _live(step, row, op.kind, op.old)
    if isinstance(held, Code):
        return held
    _replace(row, op.kind, replace(held, not_after=min(held.not_after, op.old_not_after)))
    new = KeyRow(op.new, held.scope, held.not_after)
    return _append(step, row, op.kind, new, op.proof) or _refuse_locked_out(row, step.height)


def _own_row(step: Step) -> ParticipantRow:
    row: ParticipantRow | None = step.state[PARTICIPANTS].edit(step.actor.encode())
    assert row is not None, "the author was found"
    return row


def _append(step: Step, row: ParticipantRow, kind: KeyKind, new: KeyRow, proof: bytes) -> Code:
    """KEY_EXISTS also for a key that has ended, as long as it stands in the row."""
    keys = _keys(row, kind)
    if any(key.key == new.key for key in keys):
        return Code.KEY_EXISTS
    if kind is KeyKind.SIGNING:
        message = possession_message(step.context.network_id, row.id, new.key)
        proved = verify(new.key, message, proof)
    else:
        proved = proof == b""
    if not proved:
        return Code.KEY_PROOF_INVALID
    if len(keys) >= SIGNING_KEYS_MAX:  # the oldest that have ended make room
        ended = next((key for key in keys if not key.lives(step.height)), None)
        if ended is None:
            return Code.TOO_MANY_KEYS
        keys = tuple(key for key in keys if key is not ended)
    _set(row, kind, (*keys, new))
    return Code.OK


def _refuse_locked_out(row: ParticipantRow, height: int) -> Code:
    """LAST_KEY unless a key that governs keys, and one to seal to, stay without end."""
    managing = any(
        key.lives(height) and key.not_after == NO_END and key.scope & Scope.KEYS
        for key in row.signing_keys
    )
    reachable = any(key.lives(height) and key.not_after == NO_END for key in row.sealing_keys)
    return Code.OK if managing and reachable else Code.LAST_KEY


def _live(step: Step, row: ParticipantRow, kind: KeyKind, key: bytes) -> KeyRow | Code:
    held = next((found for found in _keys(row, kind) if found.key == key), None)
    if held is None:
        return Code.UNKNOWN_KEY
    return held if held.lives(step.height) else Code.KEY_ENDED


def _keys(row: ParticipantRow, kind: KeyKind) -> tuple[KeyRow, ...]:
    return row.signing_keys if kind is KeyKind.SIGNING else row.sealing_keys


def _set(row: ParticipantRow, kind: KeyKind, keys: tuple[KeyRow, ...]) -> None:
    if kind is KeyKind.SIGNING:
        row.signing_keys = keys
    else:
        row.sealing_keys = keys


def _replace(row: ParticipantRow, kind: KeyKind, changed: KeyRow) -> None:
    keys = _keys(row, kind)
    _set(row, kind, tuple(changed if key.key == changed.key else key for key in keys))
