"""Acknowledgements that their maker recognises. Owns how they are sealed; pure.

A follower seals what it acknowledges with a secret of its own, and the leader shows the newest seal
with each heartbeat. A member that was put back to an older copy of its files, or lost them, so
learns of promises that it has forgotten. No leader can make one up, so none can put an honest
voter out of action; and one of an earlier term is no receipt, because entries that were
acknowledged then may have been replaced since.
"""

from __future__ import annotations

import struct
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import Annotated, TypeAlias

import msgspec

from consensus.snapshot import AnyIndex, Hash
from consensus.types import LogIndex, Term

SEAL_BYTES = 16
Seal: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=SEAL_BYTES)]
_PLACE = struct.Struct(">QQQ32s")


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """That a life of a follower acknowledged the entry at `index` to the leader of this term."""

    life: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    index: AnyIndex
    hash: Hash
    seal: Seal


class Sealer:
    """Makes and recognises the seals of one member."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = blake2b(digest_size=SEAL_BYTES, key=sha256(secret).digest())

    def seal(self, life: int, term: Term, index: LogIndex, entry_hash: bytes) -> bytes:
        """The seal of an acknowledgement."""
        sealing = self._keyed.copy()
        sealing.update(_PLACE.pack(life, term, index, entry_hash))
        return sealing.digest()

    def made(self, receipt: Receipt, term: Term) -> bool:
        """Whether this member sealed that in `term`."""
        seal = self.seal(receipt.life, term, receipt.index, receipt.hash)
        return compare_digest(seal, receipt.seal)
