"""Sealed blobs against the hashes that applied operations name. Owns that comparison.

A blob may have been erased: the leaf holds only its hash. One that is there is what it was.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Set

from node.audit.faults import fail, fallen_bit, first_difference
from node.audit.folder import LEDGER


def check_blobs(ledger: sqlite3.Connection, height: int, named: Set[bytes]) -> int:
    """Check the stored blobs of a block that names some; how many there are.

    Raises:
        AuditError: one is not what its hash says, or no applied operation of the block names it.
    """
    held = 0
    for blob_hash, body in ledger.execute(
        "SELECT hash, body FROM blobs WHERE height = ? ORDER BY hash", (height,)
    ):
        held += 1
        true = hashlib.sha256(body).digest()
        if true == blob_hash and true in named:
            continue
        place = {"table": "blobs", "row": f"height={height} hash={bytes(blob_hash).hex()}"}
        if true == blob_hash:
            raise fail(
                "a sealed blob that no applied operation names", LEDGER, **place, height=height
            )
        if blob_hash in named:
            reason, column = "a sealed blob is not what its hash says", "body"
            offset, bit = fallen_bit(body, _hashes_to(blob_hash)) or (None, None)
        else:
            reason, column = "a sealed blob under another hash", "hash"
            offset, bit = first_difference(bytes(blob_hash), true)
        raise fail(reason, LEDGER, **place, column=column, height=height, offset=offset, bit=bit)
    return held


def _hashes_to(blob_hash: bytes) -> Callable[[bytes], bool]:
    return lambda body: hashlib.sha256(body).digest() == blob_hash
