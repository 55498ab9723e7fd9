"""The operations of an issuing hold (DOMAIN §3 row 16). Owns shapes, and what a second key signs.

The public part names the bureau's own reference only. The cause, with its proof file, and the
firm's grounds are sealed to firm and bureau: blobs beside the transaction, commitments in it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.text import Worded
from node.ledger.types import Code18, Hash, PublicKey, Reason, Signature, Text64, TimeMs

Blobs = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]
_UPHOLD_TAG = b"piaolian/uphold/v1\n"


class HoldIssuing(Worded, frozen=True, tag=80):
    """Hold an issuer's blue invoices until a time."""

    issuer: Code18
    reference: Text64
    """The bureau's own; says nothing of the cause."""
    cause: Hash
    """Commitment to the cause."""
    until: TimeMs
    """Last block time at which it counts."""
    blobs: Blobs


class UpholdHold(Worded, frozen=True, tag=81):
    """Lengthen a live hold, by two keys of the bureau and for a reason."""

    issuer: Code18
    reference: Text64
    until: TimeMs
    reason: Reason
    second_key: PublicKey
    second_signature: Signature
    """Of `uphold_message`."""


class LiftHold(Worded, frozen=True, tag=82):
    """End a live hold."""

    issuer: Code18
    reference: Text64


class AppealHold(Worded, frozen=True, tag=83):
    """The held firm's appeal."""

    reference: Text64
    grounds: Hash
    """Commitment to what the firm says."""
    blobs: Blobs


HoldOperation = HoldIssuing | UpholdHold | LiftHold | AppealHold


def uphold_message(network: bytes, bureau: str, op: UpholdHold) -> bytes:
    """What the second key signs: all of the operation but itself and its signature."""
    fields = (op.issuer, op.reference, op.until, op.reason)
    return b"".join((_UPHOLD_TAG, network, bureau.encode(), msgspec.msgpack.encode(fields)))
