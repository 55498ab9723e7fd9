"""The tree against the published vectors of RFC 6962 and a naive reading of its definitions."""

from __future__ import annotations

import contextlib
import hashlib
import random  # noqa: TID251  # seeded

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.merkle import (
    EMPTY_ROOT,
    Frontier,
    MalformedFrontierError,
    consistency_path,
    decode_frontier,
    frontier_of,
    inclusion_path,
    leaf_hash,
    leaf_hashes,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# Published with Certificate Transparency (test data of transparency-dev/merkle).
CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = [
    (
        0,
        8,
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (
        5,
        8,
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
]
CT_CONSISTENCY = [
    (
        2,
        8,
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (
        6,
        8,
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        2,
        5,
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
]
SIZE_MAX = 130
HASHES = leaf_hashes(number.to_bytes(2, "big") for number in range(SIZE_MAX))


def split_path(text: str) -> list[bytes]:
    data = bytes.fromhex(text)
    return [data[i : i + 32] for i in range(0, len(data), 32)]


# --- The definitions of RFC 6962, section 2.1, word for word and slowly ------------------------


def naive_root(hashes: list[bytes]) -> bytes:
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = naive_split(len(hashes))
    return node_hash(naive_root(hashes[:k]), naive_root(hashes[k:]))


def naive_split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def naive_inclusion(index: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    k = naive_split(len(hashes))
    if index < k:
        return [*naive_inclusion(index, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_inclusion(index - k, hashes[k:]), naive_root(hashes[:k])]


def naive_consistency(old: int, hashes: list[bytes], known: bool = True) -> list[bytes]:
    if old == len(hashes):
        return [] if known else [naive_root(hashes)]
    k = naive_split(len(hashes))
    if old <= k:
        return [*naive_consistency(old, hashes[:k], known), naive_root(hashes[k:])]
    return [*naive_consistency(old - k, hashes[k:], False), naive_root(hashes[:k])]


def lookup(level: int, number: int) -> bytes:
    end = (number + 1) << level
    assert end <= SIZE_MAX, "an incomplete subtree was asked for"
    return naive_root(HASHES[number << level : end])


ROOTS = [naive_root(HASHES[:size]) for size in range(SIZE_MAX + 1)]

# --- Vectors -----------------------------------------------------------------------------------


def test_published_roots_come_out() -> None:
    frontier = Frontier()
    for size, root in enumerate(CT_ROOTS):
        assert frontier.root().hex() == root
        assert Frontier().append_hashes(leaf_hashes(CT_LEAVES[:size])).root().hex() == root
        if size < len(CT_LEAVES):
            frontier = frontier.append_hashes([leaf_hash(CT_LEAVES[size])])


@pytest.mark.parametrize(("index", "size", "path"), CT_INCLUSION)
def test_published_inclusion_paths_come_out(index: int, size: int, path: str) -> None:
    hashes = leaf_hashes(CT_LEAVES)

    def find(level: int, number: int) -> bytes:
        return naive_root(hashes[number << level : (number + 1) << level])

    assert inclusion_path(index, size, find) == split_path(path)
    root = bytes.fromhex(CT_ROOTS[size])
    assert verify_inclusion(index, size, hashes[index], split_path(path), root)


@pytest.mark.parametrize(("old", "new", "path"), CT_CONSISTENCY)
def test_published_consistency_paths_come_out(old: int, new: int, path: str) -> None:
    hashes = leaf_hashes(CT_LEAVES)

    def find(level: int, number: int) -> bytes:
        return naive_root(hashes[number << level : (number + 1) << level])

    assert consistency_path(old, new, find) == split_path(path)
    roots = bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new])
    assert verify_consistency(old, new, *roots, split_path(path))


# --- All sizes against the definitions -----------------------------------------------------------


def test_frontier_has_the_root_of_every_size() -> None:
    frontier = Frontier()
    for size in range(SIZE_MAX + 1):
        assert frontier.root() == ROOTS[size]
        assert frontier.size == size
        assert frontier == frontier_of(size, lookup)
        assert decode_frontier(frontier.encode()) == frontier
        if size < SIZE_MAX:
            frontier = frontier.append_hashes([HASHES[size]])


@given(st.lists(st.integers(0, 40), max_size=8))
def test_appending_in_blocks_of_any_length_gives_one_tree(lengths: list[int]) -> None:
    frontier, size = Frontier(), 0
    for asked in lengths:
        length = min(asked, SIZE_MAX - size)
        growth = frontier.grow(HASHES[size : size + length])
        for level, (first, row) in enumerate(growth.levels):
            assert first == size >> level
            assert row == [lookup(level, first + i) for i in range(len(row))]
            assert first + len(row) == (size + length) >> level
        frontier, size = growth.frontier, size + length
        assert frontier.root() == ROOTS[size]


def test_inclusion_holds_for_every_leaf_of_every_size() -> None:
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            path = inclusion_path(index, size, lookup)
            assert path == naive_inclusion(index, HASHES[:size])
            assert verify_inclusion(index, size, HASHES[index], path, ROOTS[size])


def test_consistency_holds_between_all_sizes() -> None:
    for new in range(SIZE_MAX + 1):
        for old in range(new + 1):
            path = consistency_path(old, new, lookup)
            if old:
                assert path == naive_consistency(old, HASHES[:new])
            assert verify_consistency(old, new, ROOTS[old], ROOTS[new], path)


# --- A lying server ------------------------------------------------------------------------------


def test_inclusion_fails_for_another_index_size_leaf_or_path() -> None:
    rng = random.Random(7)
    for size in [*range(1, 40), 64, 65, 127, 128, 129]:
        for index in range(size):
            path = inclusion_path(index, size, lookup)
            leaf, root = HASHES[index], ROOTS[size]
            for other in range(size):
                if other != index:
                    assert not verify_inclusion(other, size, leaf, path, root)
                    assert not verify_inclusion(index, size, HASHES[other], path, root)
            assert not verify_inclusion(index, size, leaf, [*path, path[0] if path else leaf], root)
            assert not verify_inclusion(index, size, leaf, [leaf, *path], root)
            for at in range(len(path)):
                assert not verify_inclusion(index, size, leaf, path[:at] + path[at + 1 :], root)
                bad = list(path)
                bad[at] = rng.randbytes(32)
                assert not verify_inclusion(index, size, leaf, bad, root)


def test_a_path_may_not_climb_above_the_root_of_the_claimed_size() -> None:
    """A server that understates the size could else show any inner node's child as a leaf."""
    pair = node_hash(HASHES[0], HASHES[1])
    assert not verify_inclusion(0, 1, HASHES[1], [HASHES[0]], pair)
    taller = node_hash(HASHES[2], pair)
    assert not verify_inclusion(1, 2, HASHES[1], [HASHES[0], HASHES[2]], taller)
    path = [*consistency_path(3, 4, lookup), HASHES[9]]
    above = [node_hash(HASHES[9], ROOTS[size]) for size in (3, 4)]
    assert not verify_consistency(3, 4, above[0], above[1], path)


@pytest.mark.parametrize("index", [-1, 5, 2**60])
def test_inclusion_fails_outside_the_tree(index: int) -> None:
    path = inclusion_path(4, 5, lookup)
    assert not verify_inclusion(index, 5, HASHES[4], path, ROOTS[5])


def test_verifiers_refuse_hashes_of_another_length() -> None:
    path = inclusion_path(4, 5, lookup)
    assert not verify_inclusion(4, 5, HASHES[4], [path[0] + b"\0"], ROOTS[5])
    assert not verify_inclusion(4, 5, HASHES[4][:31], path, ROOTS[5])
    assert not verify_consistency(4, 5, ROOTS[4], ROOTS[5], [HASHES[4] + b"\0"])


def test_an_inner_node_is_no_leaf() -> None:
    """Without the prefixes, the two children of an inner node would be the data of a leaf."""
    inner = HASHES[0] + HASHES[1]
    assert leaf_hash(inner) != node_hash(HASHES[0], HASHES[1])
    path = inclusion_path(0, 4, lookup)[1:]
    assert not verify_inclusion(0, 2, leaf_hash(inner), path, ROOTS[4])


def test_consistency_fails_when_any_leaf_of_the_old_tree_was_changed() -> None:
    """The server changes one leaf anywhere in the middle and offers its best proof.

    immudb once skipped the middle of a linear stretch, so such a proof was accepted.
    """
    for new in (2, 3, 5, 8, 13, 21, 64):
        for old in range(1, new):
            for changed in range(old):
                forged = list(HASHES[:new])
                forged[changed] = leaf_hash(b"forged")
                root = naive_root(forged)
                path = naive_consistency(old, forged)
                assert not verify_consistency(old, new, ROOTS[old], root, path)
                honest = naive_consistency(old, HASHES[:new])
                assert not verify_consistency(old, new, ROOTS[old], root, honest)


def test_consistency_fails_for_a_mixture_of_true_and_forged_hashes() -> None:
    rng = random.Random(11)
    for _ in range(2_000):
        new = rng.randrange(2, SIZE_MAX)
        old = rng.randrange(1, new)
        forged = list(HASHES[:new])
        forged[rng.randrange(old)] = rng.randbytes(32)
        true, false = naive_consistency(old, HASHES[:new]), naive_consistency(old, forged)
        path = [rng.choice(pair) for pair in zip(true, false, strict=True)]
        assert not verify_consistency(old, new, ROOTS[old], naive_root(forged), path)


def test_consistency_fails_for_a_path_with_a_hash_too_many_or_too_few() -> None:
    for new in range(1, 34):
        for old in range(new + 1):
            path = consistency_path(old, new, lookup)
            roots = ROOTS[old], ROOTS[new]
            assert not verify_consistency(old, new, *roots, [*path, ROOTS[new]])
            assert not verify_consistency(old, new, *roots, [ROOTS[old], *path])
            for at in range(len(path)):
                assert not verify_consistency(old, new, *roots, path[:at] + path[at + 1 :])


def test_nothing_but_the_empty_root_belongs_to_the_empty_tree() -> None:
    assert verify_consistency(0, 3, EMPTY_ROOT, ROOTS[3], [])
    assert not verify_consistency(0, 3, ROOTS[1], ROOTS[3], [])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not verify_consistency(0, 0, ROOTS[1], ROOTS[1], [])


def test_a_shrinking_tree_is_not_consistent() -> None:
    assert not verify_consistency(5, 4, ROOTS[5], ROOTS[4], [])
    with pytest.raises(ValueError, match="smaller"):
        consistency_path(5, 4, lookup)
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_path(5, 5, lookup)


# --- The frontier's bytes ------------------------------------------------------------------------


@given(st.binary(max_size=140))
def test_any_bytes_are_a_frontier_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(MalformedFrontierError):
        assert decode_frontier(data).encode() == data


@settings(max_examples=50)
@given(st.integers(0, SIZE_MAX), st.integers(-9, 40))
def test_a_frontier_of_a_wrong_length_is_refused(size: int, extra: int) -> None:
    data = frontier_of(size, lookup).encode()
    wrong = data[:extra] if extra < 0 else data + bytes(extra + 1)
    with pytest.raises(MalformedFrontierError):
        decode_frontier(wrong)
