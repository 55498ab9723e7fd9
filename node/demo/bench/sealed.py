"""Sealed details for the load of a benchmark: real ones, as an invoice of one line has them.

Owns what they say. Sealing is `node.sealing.format`, to issuer, buyer and tax bureau as a node does
it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import msgspec

from node.sealing.format import (
    RANDOM_BYTES,
    BlobSealer,
    Sealed,
    SealingKey,
    details_salt,
    sealing_key,
)


class Sealer(msgspec.Struct, frozen=True):
    """Who seals, and to whom."""

    key: SealingKey
    readers: tuple[bytes, ...]

    @classmethod
    def of(cls, secret: bytes, readers: tuple[bytes, ...]) -> Sealer:
        """Seals with an X25519 secret to public keys, 32 bytes each."""
        return cls(sealing_key(secret), readers)

    def seal(self, orders: Sequence[tuple[str, bytes]]) -> tuple[list[bytes], Sealed]:
        """The details of a transaction's invoices, by number and order: commitments and blob."""
        sealer = BlobSealer(self.key, os.urandom(RANDOM_BYTES))
        commitments = []
        for number, order in orders:
            salt = details_salt(self.key.secret, order)
            commitment, _ = sealer.add(_details(number), self.readers, salt)
            commitments.append(commitment)
        return commitments, sealer.seal()


def _details(number: str) -> bytes:
    document = {
        "buyer": {"name": "深圳市样品贸易有限公司", "tax_id": "91440300MA5DD7AE0D"},
        "external_number": number[-8:],
        "lines": [
            {
                "code": "1060201010000000000",
                "description": "办公用纸 A4 80 g",
                "nature": "normal",
                "net": 10_000,
                "quantity": "4",
                "rate": 600,
                "unit": "箱",
                "unit_price": "25.00",
            }
        ],
        "seller": {"address": "深圳市福田区深南大道 1 号", "name": "样品纸业有限公司"},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
