"""Section 6 of node/chain/README.md: trees of hashes, audit paths and consistency proofs.

Knows no leaf and no checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.outsider.from_page.form import MAX_SIZE, need, sha256

EMPTY_ROOT = sha256(b"")


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else EMPTY_ROOT
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return _node(tree_root(leaves[:half]), tree_root(leaves[half:]))


def root_of_path(hashed: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2."""
    need(0 <= index < size <= MAX_SIZE, "the index is not below the size")
    first, last = index, size - 1
    for sibling in path:
        need(last, "an audit path has a hash too many")
        if first & 1 or first == last:
            hashed = _node(sibling, hashed)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            hashed = _node(hashed, sibling)
        first, last = first >> 1, last >> 1
    need(not last, "an audit path has a hash too few")
    return hashed


def consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, path: list[bytes]
) -> bool:
    """RFC 9162 section 2.1.4.2, of trees of different sizes; any tree continues the empty one."""
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    if not first < second <= MAX_SIZE or not path:
        return False
    if first & (first - 1) == 0:
        path = [first_root, *path]
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = _node(new, sibling)
        place, last = place >> 1, last >> 1
    return not last and (old, new) == (first_root, second_root)
