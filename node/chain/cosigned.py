"""What a voter says of one height: the size and root that it signed. Owns the shape only."""

from __future__ import annotations

import msgspec


class Cosigned(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One voter's statement about one height, as it travels."""

    height: int
    size: int
    root: bytes
    cosignature: bytes
