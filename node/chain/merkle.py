"""The append-only SHA-256 Merkle tree of RFC 6962, section 2.1. Owns hashes, paths, frontier.

Stores nothing: a `Frontier` is the O(log n) summary that appending needs, and paths are built
over a `SubtreeLookup` of complete subtrees (`tiles.TileSubtrees` is one). The verifiers follow
RFC 9162, sections 2.1.3.2 and 2.1.4.2, and accept no path with a hash too many or too few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
TREE_SIZE_MAX = 2**53
"""Sizes stay exact in every JSON reader; also bounds every loop over levels."""

SubtreeLookup = Callable[[int, int], bytes]
"""`lookup(level, number)`: hash of the complete subtree over leaves
[number · 2^level, (number + 1) · 2^level)."""

_sha256 = hashlib.sha256


class MalformedFrontierError(ValueError):
    """The bytes are not an encoded frontier."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return _sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each of `leaves`."""
    return [_sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return _sha256(b"\x01" + left + right).digest()


def parent_hashes(row: Sequence[bytes]) -> list[bytes]:
    """The hashes one level above `row`; an odd last node has no parent yet."""
    return [_sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]


class Growth(msgspec.Struct, frozen=True):
    """What appending leaves to a frontier made."""

    frontier: Frontier
    levels: list[tuple[int, list[bytes]]]
    """For each level from 0 up: number of the first new complete subtree, and the hashes of
    all the new ones. The last level listed has at least one."""


class Frontier(msgspec.Struct, frozen=True):
    """A tree's size and its maximal complete subtrees: enough to append and to tell the root."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    """One hash for each bit set in `size`, largest subtree first."""

    def append_hashes(self, hashes: Sequence[bytes]) -> Frontier:
        """The frontier after leaves with these hashes. About one hash a leaf."""
        return self.grow(hashes).frontier

    def grow(self, hashes: Sequence[bytes]) -> Growth:
        """Like `append_hashes`, and also returns every complete subtree that came to be."""
        peaks = list(self.peaks)
        small: list[bytes] = []  # new peaks, smallest first
        levels: list[tuple[int, list[bytes]]] = []
        number, row = self.size, list(hashes)
        while row:
            levels.append((number, row))
            if number & 1:
                row = [peaks.pop(), *row]
            if len(row) & 1:
                small.append(row[-1])
            number, row = number >> 1, parent_hashes(row)
        frontier = Frontier(self.size + len(hashes), (*peaks, *reversed(small)))
        return Growth(frontier, levels)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            root = node_hash(peak, root)
        return root

    def encode(self) -> bytes:
        """Size (8 bytes, big-endian) ‖ peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)


def decode_frontier(data: bytes) -> Frontier:
    """The frontier that `Frontier.encode` wrote.

    Raises:
        MalformedFrontierError: when the number of hashes does not follow from the size.
    """
    size = int.from_bytes(data[:8], "big")
    length = 8 + HASH_BYTES * size.bit_count()
    if len(data) != length or size > TREE_SIZE_MAX:
        raise MalformedFrontierError("frontier has a wrong length or size")
    bounds = range(8, length + 1, HASH_BYTES)
    return Frontier(size, tuple(data[a:b] for a, b in pairwise(bounds)))


def frontier_of(size: int, lookup: SubtreeLookup) -> Frontier:
    """The frontier of the tree of `size` leaves whose complete subtrees `lookup` knows."""
    return Frontier(size, tuple(lookup(*subtree) for subtree in complete_subtrees(0, size)))


def range_hash(first: int, end: int, lookup: SubtreeLookup) -> bytes:
    """The tree hash of leaves [first, end).

    `first` must be a multiple of a power of two at least as large as the range, as it is for
    every node of a tree.
    """
    hashes = [lookup(*subtree) for subtree in complete_subtrees(first, end)]
    result = hashes.pop()
    while hashes:
        result = node_hash(hashes.pop(), result)
    return result


def inclusion_path(index: int, size: int, lookup: SubtreeLookup) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, leaf's sibling first.

    Raises:
        ValueError: when there is no such leaf. Errors of `lookup` pass through.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    path = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(range_hash(middle, end, lookup))
            end = middle
        else:
            path.append(range_hash(first, middle, lookup))
            first = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, lookup: SubtreeLookup) -> list[bytes]:
    """The proof that the tree of `new` leaves extends the tree of `old` (RFC 6962, 2.1.2).

    Raises:
        ValueError: unless 0 ≤ old ≤ new. Errors of `lookup` pass through.
    """
    if not 0 <= old <= new:
        raise ValueError("a tree extends only a smaller one")
    if old in {0, new}:
        return []
    path = []
    first, end = 0, new
    while end != old:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(range_hash(middle, end, lookup))
            end = middle
        else:
            path.append(range_hash(first, middle, lookup))
            first = middle
    if first:  # from 0 it would be the old root, which the verifier has
        path.append(range_hash(first, end, lookup))
    path.reverse()
    return path


def verify_inclusion(
    index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether `path` shows the leaf hash `leaf` at `index` of the tree (RFC 9162, 2.1.3.2)."""
    return path_root(index, size, leaf, path) == root


def path_root(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root of the one tree that has the leaf hash `leaf` at `index`, by this audit path.

    None when the path has a hash too many or too few for the place.
    """
    if not 0 <= index < size <= TREE_SIZE_MAX or not _are_hashes((leaf, *path)):
        return None
    number, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            result = node_hash(sibling, result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        number, last = number >> 1, last >> 1
    return result if last == 0 else None


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` shows that the new tree extends the old one (RFC 9162, 2.1.4.2).

    Every hash of the path is bound to both roots or to the new one, so there is no stretch of
    leaves in which the trees may differ.
    """
    if not 0 <= old <= new <= TREE_SIZE_MAX or not _are_hashes((old_root, new_root, *path)):
        return False
    if old == new:
        return not path and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    hashes = [old_root, *path] if old.bit_count() == 1 else list(path)
    if not hashes:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old_result = new_result = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old_result = node_hash(sibling, old_result)
            new_result = node_hash(sibling, new_result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new_result = node_hash(new_result, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and old_result == old_root and new_result == new_root


def _are_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962: k < n ≤ 2k)."""
    return 1 << ((size - 1).bit_length() - 1)


def complete_subtrees(first: int, end: int) -> list[tuple[int, int]]:
    """(level, number) of the maximal complete subtrees of an aligned range, largest first."""
    subtrees = []
    while first < end:
        level = (end - first).bit_length() - 1
        subtrees.append((level, first >> level))
        first += 1 << level
    return subtrees
