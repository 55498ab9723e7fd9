"""Digest of the whole state, kept up row by row: LtHash over BLAKE3 (ARCHITECTURE, Formats).

A state is a set of rows; its accumulator is the sum of one element a row, in 1,024 lanes of 16
bits. Adding and removing need no order and no other row, so every block can state the digest, and
a snapshot of any size is checked against it. Lewi, Kim, Maykov, Weis: "Securing Update
Propagation with Homomorphic Hashing", 2019.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.ledger.codes import Table
from node.ledger.state import RowChange

LANES = 1_024
ACCUMULATOR_BYTES = 2 * LANES
_TAG = b"piaolian/state/v1\n"
_LANE = np.dtype("<u2")
_CHUNK = 60
"""Rows summed at once: their elements joined stay below 128 KiB, from where on the allocator maps
new pages for each sum, and in the processor's cache."""


class StateDigestError(RuntimeError):
    """A change contradicts the state that the digest stands for: the node must stop."""


_TABLE_PREFIX = {
    table: b"".join((_TAG, (2).to_bytes(4, "big"), int(table).to_bytes(2, "big")))
    for table in Table
}


def element(table: Table, key: bytes, value: bytes) -> bytes:
    """The 2,048 bytes that stand for one row.

    BLAKE3-XOF(tag ‖ len table ‖ table ‖ len key ‖ key ‖ len value ‖ value): lengths in 4 bytes,
    the table's number in 2, all big-endian.
    """
    return blake3(
        b"".join(
            (
                _TABLE_PREFIX[table],
                len(key).to_bytes(4, "big"),
                key,
                len(value).to_bytes(4, "big"),
                value,
            )
        )
    ).digest(length=ACCUMULATOR_BYTES)


class StateDigest(msgspec.Struct, frozen=True):
    """The digest of a state; the default is that of the empty one."""

    accumulator: bytes = bytes(ACCUMULATOR_BYTES)
    rows: int = 0

    def apply(self, changes: Sequence[RowChange]) -> StateDigest:
        """The digest after `changes`, whose order does not matter.

        Raises:
            StateDigestError: when a change removes a row that was not there.
        """
        rows = self.rows
        total = np.frombuffer(self.accumulator, _LANE).copy()
        for start in range(0, len(changes), _CHUNK):
            part = changes[start : start + _CHUNK]
            absent = [change for change in part if change.old is None and change.new is None]
            if absent:
                raise StateDigestError(f"absent row: {absent[0].table!r} {absent[0].key.hex()}")
            added = [element(c.table, c.key, c.new) for c in part if c.new is not None]
            removed = [element(c.table, c.key, c.old) for c in part if c.old is not None]
            total += _sum(added) - _sum(removed)
            rows += len(added) - len(removed)
        if rows < 0:
            raise StateDigestError("more rows removed than there are")
        return StateDigest(total.tobytes(), rows)

    def value(self) -> bytes:
        """What a seal states: SHA-256(accumulator ‖ row count in 8 bytes, big-endian)."""
        return hashlib.sha256(self.accumulator + self.rows.to_bytes(8, "big")).digest()


def _sum(elements: list[bytes]) -> NDArray[np.uint16]:
    lanes = np.frombuffer(b"".join(elements), _LANE).reshape(len(elements), LANES)
    total: NDArray[np.uint16] = lanes.sum(axis=0, dtype=np.uint16)
    return total
