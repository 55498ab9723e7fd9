"""The base of an operation's shape. Owns that; knows no operation.

The tag is the first element of the encoded array. Tags are never renumbered and never reused: a
domain's range is its own (`rulebook` refuses one that stands twice).
"""

from __future__ import annotations

import msgspec


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every signed shape without words of people (those: `text.Worded`)."""
