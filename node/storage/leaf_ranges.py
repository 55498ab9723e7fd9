"""Reading a range of leaves for a peer. Owns how much goes into one, and which proof goes with it.

Runs in the thread of a reading connection, as one job that sees one committed state. Only what is
certified is given away; a peer cannot use anything else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from node.chain.certificate import parse_certificate
from node.chain.leaf import TransactionLeaf, decode_leaf
from node.chain.leaf_range import RANGE_BYTES, RANGE_CERTIFICATES_MAX, RANGE_LEAVES_MAX, LeafRange
from node.chain.merkle import consistency_path
from node.chain.tiles import TileSubtrees
from node.ledger.codes import Code
from node.ledger.execution.execute import named_blobs
from node.ledger.transaction import TransactionBody
from node.storage.ledger_rows import read_blob, read_tile

_LEAF_OVERHEAD_BYTES = 8
_BLOCKS = (
    "SELECT b.first_index, b.leaves, c.note FROM blocks b"
    " LEFT JOIN certificates c ON c.height = b.height"
    " WHERE b.height >= (SELECT max(height) FROM blocks WHERE first_index <= ?)"
    " AND b.height <= (SELECT max(height) FROM certificates) ORDER BY b.height"
)


def read_range(connection: sqlite3.Connection, first: int) -> LeafRange | None:
    """Certified leaves from tree index `first` on; None when there is none."""
    leaf_range = _Range(connection, first)
    for leaf, note in _leaves(connection, first):
        if not leaf_range.add(leaf, note):
            break
    if not leaf_range.leaves:
        return None
    end = first + len(leaf_range.leaves)
    if leaf_range.covered < end:
        (note,) = connection.execute(
            "SELECT note FROM certificates WHERE height >="
            " (SELECT max(height) FROM blocks WHERE first_index < ?) ORDER BY height LIMIT 1",
            (end,),
        ).fetchone()
        leaf_range.certify(note)
    lookup = TileSubtrees(lambda level, number: read_tile(connection, level, number))
    path = tuple(consistency_path(end, leaf_range.covered, lookup))
    return LeafRange(
        first=first,
        leaves=tuple(leaf_range.leaves),
        blobs=tuple(leaf_range.blobs),
        certificates=tuple(leaf_range.certificates),
        path=path,
    )


def _leaves(connection: sqlite3.Connection, first: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Leaf by leaf; with a seal the certificate of its tree, if there is one."""
    for first_index, encoded, note in connection.execute(_BLOCKS, (first,)):
        leaves = msgspec.msgpack.decode(encoded, type=list[bytes])
        for at in range(max(0, first - first_index), len(leaves)):
            yield leaves[at], note if at == len(leaves) - 1 else None


class _Range:
    """A range that grows leaf by leaf."""

    def __init__(self, connection: sqlite3.Connection, first: int) -> None:
        self._connection = connection
        self._first = first
        self._size = 0
        self._named: set[bytes] = set()
        self.leaves: list[bytes] = []
        self.blobs: list[bytes] = []
        self.certificates: list[str] = []
        self.covered = 0
        """Size of the tree of the last certificate."""

    def add(self, leaf: bytes, note: bytes | None) -> bool:
        """Add a leaf, its blobs and the certificate of its tree; False when they do not fit."""
        blobs = self._blobs_of(leaf)
        size = len(leaf) + _LEAF_OVERHEAD_BYTES + sum(map(len, blobs)) + len(note or b"")
        fits = (
            self._size + size <= RANGE_BYTES
            and len(self.leaves) < RANGE_LEAVES_MAX
            and len(self.certificates) + 1 < RANGE_CERTIFICATES_MAX
        )
        if self.leaves and not fits:
            return False
        self._size += size
        self.leaves.append(leaf)
        self.blobs += blobs
        if note is not None:
            self.certify(note)
        return True

    def certify(self, note: bytes) -> None:
        """Add a certificate."""
        text = note.decode()
        self.certificates.append(text)
        self.covered = parse_certificate(text).checkpoint.size

    def _blobs_of(self, data: bytes) -> list[bytes]:
        leaf = decode_leaf(data)
        if not isinstance(leaf, TransactionLeaf) or leaf.code != Code.OK:
            return []
        blobs = []
        for blob_hash in named_blobs(msgspec.msgpack.decode(leaf.body, type=TransactionBody)):
            body = read_blob(self._connection, leaf.height, blob_hash)
            if body is not None and blob_hash not in self._named:
                self._named.add(blob_hash)
                blobs.append(body)
        return blobs
