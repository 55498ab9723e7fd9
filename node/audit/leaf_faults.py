"""What is wrong with stored leaves and certificates, told as exactly as the files allow.

Owns the search for a fallen bit: a change of one bit after which the bytes are true again. Finds no
fault itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from node.audit.faults import AuditError, fail, fallen_bit, first_difference
from node.audit.folder import LEDGER
from node.chain.certificate import Certificate, CertificateError, parse_certificate
from node.chain.leaf import decode_leaf
from node.chain.merkle import HASH_BYTES, Frontier, leaf_hash
from node.chain.tiles import TILE_WIDTH
from node.chain.voters import VoterSet
from node.ledger.codes import Code
from node.storage.ledger_rows import read_tile

_FRAMING_BYTES_MAX = 1_024
"""A list of leaves whose framing fell apart is searched for the bit only if it is this short."""


class LeafFaults:
    """Faults of one ledger."""

    def __init__(self, ledger: sqlite3.Connection, voters: VoterSet) -> None:
        self._ledger = ledger
        self._voters = voters

    def stored_hash(self, index: int) -> bytes:
        """The hash of a leaf as the tiles hold it; empty when they do not."""
        number, place = divmod(index, TILE_WIDTH)
        tile = read_tile(self._ledger, 0, number) or b""
        return tile[place * HASH_BYTES : (place + 1) * HASH_BYTES]

    def note_fault(
        self, reason: str, frontier: Frontier | None, note: bytes, place: dict[str, str | int]
    ) -> AuditError:
        """Of a stored certificate; `frontier` is that of its tree, where it is known."""

        def is_true(changed: bytes) -> bool:
            try:
                certificate: Certificate = parse_certificate(changed.decode())
                tree = certificate.checkpoint
                if frontier is not None and tree.root != frontier.root():
                    return False
                certificate.verify(self._voters)
            except (CertificateError, UnicodeDecodeError):
                return False
            return True

        offset, bit = fallen_bit(note, is_true) or (None, None)
        return fail(
            reason, LEDGER, table="certificates", **place, column="note", offset=offset, bit=bit
        )

    def leaf_fault(self, height: int, index: int, data: bytes, reason: str) -> AuditError:
        """Of one leaf."""
        stored = self.stored_hash(index)
        offset, bit = fallen_bit(data, lambda changed: leaf_hash(changed) == stored) or (None, None)
        return _of_leaves(f"leaf {index}: {reason}", height, offset=offset, bit=bit, leaf=index)

    def framing_fault(
        self, height: int, first_index: int, encoded: bytes, reason: str
    ) -> AuditError:
        """Of the list of a block's leaves."""

        def is_true(changed: bytes) -> bool:
            try:
                leaves = msgspec.msgpack.decode(changed, type=list[bytes])
            except (msgspec.MsgspecError, RecursionError):
                return False
            if not leaves or len(leaves) > len(encoded):
                return False
            return all(
                leaf_hash(leaf) == self.stored_hash(first_index + position)
                for position, leaf in enumerate(leaves)
            )

        short = len(encoded) <= _FRAMING_BYTES_MAX
        offset, bit = (fallen_bit(encoded, is_true) if short else None) or (None, None)
        text = f"the list of leaves cannot be read: {reason}"
        return _of_leaves(text, height, offset=offset, bit=bit)

    def other_leaf(
        self,
        height: int,
        first_index: int,
        data: Sequence[bytes],
        made: Sequence[bytes],
        skipped: Sequence[tuple[bytes, Code]],
    ) -> AuditError:
        """Of the first leaf that is another when it is done again."""
        position = next(
            (n for n, (a, b) in enumerate(zip(data, made, strict=False)) if a != b),
            min(len(data), len(made)) - 1,
        )
        index = first_index + position
        if skipped:
            _, code = skipped[0]
            reason = f"done again it leaves no leaf: {code.name}"
            return self.leaf_fault(height, index, data[position], reason)
        stored, true = decode_leaf(data[position]), decode_leaf(made[position])
        names = [
            name
            for name in stored.__struct_fields__
            if getattr(stored, name) != getattr(true, name, None)
        ]
        offset, bit = first_difference(data[position], made[position])
        text = f"leaf {index}: done again, it has another {' and '.join(names) or 'encoding'}"
        return _of_leaves(text, height, offset=offset, bit=bit, leaf=index)


def _of_leaves(
    text: str, height: int, *, offset: int | None, bit: int | None, leaf: int | None = None
) -> AuditError:
    return fail(
        text,
        LEDGER,
        table="blocks",
        row=f"height={height}",
        column="leaves",
        height=height,
        leaf=leaf,
        offset=offset,
        bit=bit,
    )
