"""Tiles: C2SP paths, content and incremental growth."""

from __future__ import annotations

import contextlib
import random  # noqa: TID251  # seeded

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    parent_hashes,
    verify_consistency,
    verify_inclusion,
)
from node.chain.tiles import (
    MalformedTilePathError,
    MissingTileError,
    TileAddress,
    TileBuilder,
    TileSubtrees,
    encode_entry_bundle,
    parse_tile_path,
)

COUNT = 70_000
HASHES = [leaf_hash(number.to_bytes(4, "big")) for number in range(COUNT)]

Store = dict[tuple[int, int], bytes]


def append(builder: TileBuilder, store: Store, first: int, end: int) -> None:
    for tile in builder.append(HASHES[first:end]):
        before = store.get((tile.level, tile.number), b"")
        assert len(before) < len(tile.data) <= 8_192
        assert tile.data.startswith(before)
        store[tile.level, tile.number] = tile.data


def lookup(store: Store) -> TileSubtrees:
    return TileSubtrees(lambda level, number: store.get((level, number)))


@pytest.fixture(scope="module")
def store() -> Store:
    result: Store = {}
    append(TileBuilder(), result, 0, COUNT)
    return result


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (TileAddress(0, 1_234_067, 256), "tile/0/x001/x234/067"),  # the specification's example
        (TileAddress(0, 0, 256), "tile/0/000"),
        (TileAddress(0, 273, 112), "tile/0/273.p/112"),
        (TileAddress(2, 0, 1), "tile/2/000.p/1"),
        (TileAddress(63, 999, 255), "tile/63/999.p/255"),
        (TileAddress(1, 1_000, 256), "tile/1/x001/000"),
        (TileAddress(None, 5, 256), "tile/entries/005"),
        (TileAddress(None, 1_234_067, 7), "tile/entries/x001/x234/067.p/7"),
    ],
)
def test_tile_paths_follow_the_specification(address: TileAddress, path: str) -> None:
    assert address.path == path
    assert parse_tile_path(path) == address


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/x002",
        "tile/0/x001/x002",
        "tile/0/x001x/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1.p/2",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/../000",
        "tile/entries/5",
        "tile/data/005",
        "tile/٠/000",
        "tile/0/" + "x001/" * 40 + "000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(MalformedTilePathError):
        parse_tile_path(path)


@given(st.text("tile/0123456789xp.entries", max_size=40))
def test_any_text_is_a_tile_path_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(MalformedTilePathError):
        assert parse_tile_path(text).path == text


def test_70000_leaves_make_the_tiles_of_the_specification(store: Store) -> None:
    assert sum(level == 0 for level, _ in store) == 274
    assert len(store[0, 273]) == 112 * 32
    assert len(store[1, 0]) == 8_192
    assert len(store[1, 1]) == 17 * 32
    assert len(store[2, 0]) == 32
    assert all(len(data) == 8_192 for (level, n), data in store.items() if level == 0 and n < 273)
    assert len(store) == 274 + 2 + 1


def test_a_tile_holds_the_hashes_of_the_tiles_below(store: Store) -> None:
    for level, number in ((1, 0), (1, 1), (2, 0)):
        data = store[level, number]
        for i in range(len(data) // 32):
            below = store[level - 1, number * 256 + i]
            row = [below[j : j + 32] for j in range(0, 8_192, 32)]
            while len(row) > 1:
                row = parent_hashes(row)
            assert data[i * 32 : (i + 1) * 32] == row[0]


def test_256_leaves_make_one_full_tile_and_one_partial_above() -> None:
    tiles = TileBuilder().append(HASHES[:256])
    assert [(t.level, t.number, len(t.data)) for t in tiles] == [(0, 0, 8_192), (1, 0, 32)]


def test_growth_in_blocks_with_restarts_gives_the_same_tiles(store: Store) -> None:
    rng = random.Random(3)
    grown: Store = {}
    builder, size = TileBuilder(), 0
    while size < COUNT:
        end = min(COUNT, size + rng.choice((1, 2, 17, 255, 256, 257, 700, 5_000)))
        append(builder, grown, size, end)
        size = end
        if rng.random() < 0.3:
            resumed = TileBuilder.resume(size, lambda level, n: grown.get((level, n)))
            assert resumed.frontier == builder.frontier
            builder = resumed
    assert grown == store
    assert builder.frontier == Frontier().append_hashes(HASHES)


def test_only_changed_tiles_are_emitted() -> None:
    builder = TileBuilder()
    builder.append(HASHES[:1_000])
    tiles = builder.append(HASHES[1_000:1_001])
    assert [(t.level, t.number) for t in tiles] == [(0, 3)]
    tiles = builder.append(HASHES[1_001:1_025])
    assert [(t.level, t.number) for t in tiles] == [(0, 3), (0, 4), (1, 0)]
    assert builder.append([]) == []


def test_an_older_tree_resumes_from_wider_tiles(store: Store) -> None:
    for size in (0, 1, 255, 256, 257, 4_000, 65_535, 65_536, 65_537):
        builder = TileBuilder.resume(size, lambda level, n: store.get((level, n)))
        assert builder.frontier == Frontier().append_hashes(HASHES[:size])
        again = {(t.level, t.number): t.data for t in builder.append(HASHES[size:])}
        assert again.items() <= store.items()
        assert builder.frontier.size == COUNT


@pytest.mark.parametrize("gone", [(0, 273), (1, 1), (2, 0)])
def test_a_missing_or_short_tile_is_an_error(store: Store, gone: tuple[int, int]) -> None:
    missing = {key: data for key, data in store.items() if key != gone}
    with pytest.raises(MissingTileError):
        TileBuilder.resume(COUNT, lambda level, n: missing.get((level, n)))
    short = store | {gone: store[gone][:-32]}
    with pytest.raises(MissingTileError):
        TileBuilder.resume(COUNT, lambda level, n: short.get((level, n)))


def test_proofs_over_tiles_verify_for_any_tree_they_hold(store: Store) -> None:
    rng = random.Random(5)
    for _ in range(60):
        size = rng.randrange(2, COUNT)
        old = rng.randrange(1, size)
        index = rng.randrange(size)
        root = Frontier().append_hashes(HASHES[:size]).root()
        path = inclusion_path(index, size, lookup(store))
        assert verify_inclusion(index, size, HASHES[index], path, root)
        old_root = Frontier().append_hashes(HASHES[:old]).root()
        path = consistency_path(old, size, lookup(store))
        assert verify_consistency(old, size, old_root, root, path)


def test_an_empty_tree_has_no_tiles() -> None:
    builder = TileBuilder.resume(0, lambda level, number: None)
    assert builder.frontier.root() == EMPTY_ROOT


def test_entry_bundles_prefix_each_leaf_with_its_length() -> None:
    assert encode_entry_bundle([b"", b"ab", b"c" * 300]) == (
        b"\x00\x00" + b"\x00\x02ab" + b"\x01\x2c" + b"c" * 300
    )
    assert len(encode_entry_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(ValueError, match="does not fit"):
        encode_entry_bundle([bytes(65_536)])
