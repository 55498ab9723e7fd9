"""The vocabulary of the ledger: identifiers, tables, party references. Owns no rule."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NewType

import msgspec

from node.ledger.text import line, whole

ParticipantId = NewType("ParticipantId", str)
"""A participant's unified social credit code (18 characters, GB 32100)."""

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Code18 = Annotated[str, whole("[0-9A-Z]{18}")]
InvoiceNumber = Annotated[str, whole("[0-9]{20}")]
"""20 digits (2 year, 2 province, 1 channel, 15 serial), or the older 12-digit code with an
8-digit number, written together."""
WrappedKey = Annotated[bytes, msgspec.Meta(min_length=48, max_length=48)]
"""A 32-byte content key, encrypted for one reader (`node.sealing.format`)."""
WrapNonce = Annotated[bytes, msgspec.Meta(min_length=24, max_length=24)]
Currency = Annotated[str, whole("[A-Z]{3}")]
Text64 = Annotated[str, line(most=64)]
"""A reference or the id of a case, as people write it."""
ParticipantName = Annotated[str, line(most=200)]
Reason = Annotated[str, line(least=0, most=256)]

AMOUNT_MAX = 10**15
"""Amounts are integers of a currency's minor unit and stay far below 2^53."""
Amount = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]
SignedAmount = Annotated[int, msgspec.Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
PositiveAmount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
RateBasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""UTC milliseconds since 1970."""
Month = Annotated[int, msgspec.Meta(ge=190_001, le=999_912)]
"""yyyymm, UTC."""
Date = Annotated[str, whole("[0-9]{4}-[0-9]{2}-[0-9]{2}")]

PartyRef = Annotated[str, whole("[0-9A-Z]{18}|[0-9a-f]{64}")]
"""A participant's id, or a bare Ed25519 public key made for one invoice, in lower-case hex."""


class Role(IntEnum):
    """What a participant may be. One may hold several roles."""

    TAX_BUREAU = 1
    ISSUER = 2
    PAYER = 3
    REIMBURSER = 4
    CUSTOMS = 5
    POLICE = 6
    CENTRAL_BANK = 7
    BANK = 8
    FOREX = 9
    PROCURATORATE = 10
    COURT = 11
    MARKET_REGULATOR = 12
    AUDITOR = 13


ROLE_NAMES: dict[str, Role] = {role.name.lower(): role for role in Role}
