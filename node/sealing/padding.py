"""Sealed documents of few sizes: what everybody sees of a blob is its length.

Owns how much a JSON object is lengthened, and the field that does it. For documents whose length
would tell what is in them, as one of a dozen usual sentences; an invoice's details are not.
"""

from __future__ import annotations

import msgspec

PADDED_BYTES_MIN = 4_096
"""A cause or an appeal in words is of this size, whatever it says."""
PADDED_STEP_BYTES = 65_536
"""Up to it sizes double, beyond it they are multiples of it."""
FIELD = "padding"
_EMPTY_BYTES = len(f',"{FIELD}":""')

_encode = msgspec.json.Encoder(order="sorted").encode


def padded(document: bytes) -> bytes:
    """A canonical JSON object with a field more, of one of few lengths.

    Args:
        document: Neither empty nor with that field.
    """
    fields = msgspec.json.decode(document, type=dict[str, object])
    least = len(document) + _EMPTY_BYTES
    if least > PADDED_STEP_BYTES:
        size = -(-least // PADDED_STEP_BYTES) * PADDED_STEP_BYTES
    else:
        size = max(PADDED_BYTES_MIN, 1 << (least - 1).bit_length())
    return _encode(fields | {FIELD: " " * (size - least)})


def unpadded(document: bytes) -> bytes:
    """The object without that field, if it has one."""
    fields = msgspec.json.decode(document, type=dict[str, object])
    return _encode({name: value for name, value in fields.items() if name != FIELD})
