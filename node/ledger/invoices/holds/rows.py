"""Rows of issuing holds: shapes, keys, encoding. Owns no rule, knows no store."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from node.ledger.codes import Table
from node.ledger.row_codec import TableKind


class HoldRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.HOLD`, key `hold_key(issuer)`: the issuer's newest hold, live or not."""

    issuer: str
    reference: str
    bureau: str
    cause: bytes
    """Commitment to the sealed cause."""
    blobs: tuple[bytes, ...]
    until: int
    """Last block time at which it counts."""
    put_at: int
    height: int
    """Of the block in which the sealed blobs travelled."""
    txid: bytes
    upheld_at: int = 0
    reason: str = ""
    """Why it was upheld."""
    lifted_at: int = 0
    appealed_at: int = 0
    appeal: bytes = b""
    """Commitment to the firm's sealed grounds."""
    appeal_blobs: tuple[bytes, ...] = ()
    appeal_height: int = 0

    def live(self, now_ms: int) -> bool:
        """Whether it counts at a block time. It ends by that alone: nobody need say so."""
        return not self.lifted_at and now_ms <= self.until


class HoldCauseRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.HOLD`, key `cause_key(issuer, …)`: that there was a hold for it. Never removed."""

    issuer: str
    reference: str


@lru_cache(maxsize=4_096)  # asked for with every invoice
def hold_key(issuer: str) -> bytes:
    """Key in `Table.HOLD` of an issuer's hold."""
    return b"i" + issuer.encode()


def cause_key(issuer: str, cause: bytes) -> bytes:
    """Key in `Table.HOLD` of a cause's commitment, or of a bureau's reference."""
    return b"c" + hashlib.sha256(issuer.encode() + cause).digest()


decode_hold = msgspec.msgpack.Decoder(HoldRow).decode
decode_hold_cause = msgspec.msgpack.Decoder(HoldCauseRow).decode

HOLDS = TableKind(Table.HOLD, decode_hold)
HOLD_CAUSES = TableKind(Table.HOLD, decode_hold_cause, once=True)
