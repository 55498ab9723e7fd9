"""The tree cut into C2SP tiles (c2sp.org/tlog-tiles). Owns tile paths, content and growth.

A tile at level L, number N holds up to 256 consecutive hashes of complete subtrees of 256^L
leaves. A full tile never changes; a partial one only grows, so any prefix of a newer tile is the
older tile. Reading and writing tiles is somebody else's: here they are bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from node.chain.leaf import LEAF_BYTES_MAX
from node.chain.merkle import HASH_BYTES, Frontier, frontier_of, parent_hashes

TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_BYTES
_TILE_HEIGHT = 8
_LEVEL_MAX = 63
_PATH_CHARACTERS_MAX = 64

TileLookup = Callable[[int, int], bytes | None]
"""`lookup(level, number)`: the stored tile, partial or full, or None when there is none."""


class MissingTileError(LookupError):
    """A tile that the tree must have is absent or too narrow."""


class MalformedTilePathError(ValueError):
    """Not the path of a tile."""


class Tile(msgspec.Struct, frozen=True):
    """Content to store at (level, number), replacing what is there."""

    level: int
    number: int
    data: bytes
    """32 · width bytes, width 1..256."""


class TileAddress(msgspec.Struct, frozen=True):
    """What a tile path names."""

    level: int | None
    """None: a bundle of entries, which has the numbering of level 0."""
    number: int
    width: int
    """1..256; below 256 the path ends in `.p/<width>`."""

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`."""
        groups = [f"{self.number % 1000:03}"]
        rest = self.number // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def parse_tile_path(path: str) -> TileAddress:
    """The address that a path (without leading slash) names.

    Raises:
        MalformedTilePathError: when it is not exactly the path of a tile.
    """
    if len(path) > _PATH_CHARACTERS_MAX or not path.isascii():
        raise MalformedTilePathError("not a tile path")
    whole, partial, width = path.partition(".p/")
    prefix, _, rest = whole.partition("/")
    level, _, groups = rest.partition("/")
    digits = groups.replace("/x", "").removeprefix("x").replace("/", "")
    if not (digits.isdigit() and (level == "entries" or level.isdigit())):
        raise MalformedTilePathError("not a tile path")
    if partial and not width.isdigit():
        raise MalformedTilePathError("not a tile path")
    address = TileAddress(
        None if level == "entries" else int(level),
        int(digits),
        int(width) if partial else TILE_WIDTH,
    )
    in_range = (address.level or 0) <= _LEVEL_MAX and 1 <= address.width <= TILE_WIDTH
    # Writing the address again refuses every other spelling of it.
    if prefix != "tile" or not in_range or address.path != path:
        raise MalformedTilePathError("not a tile path")
    return address


def encode_entry_bundle(leaves: Iterable[bytes]) -> bytes:
    """Leaves as `/tile/entries/<N>` serves them: each after its length (2 bytes, big-endian).

    Raises:
        ValueError: when a leaf is longer than 65,535 bytes.
    """
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > LEAF_BYTES_MAX:
            raise ValueError("leaf does not fit a tile entry")
        parts += (len(leaf).to_bytes(2, "big"), leaf)
    return b"".join(parts)


class TileBuilder:
    """Grows the tree by whole blocks and tells which tiles changed.

    Attributes:
        frontier: The tree as it stands.
    """

    def __init__(self) -> None:
        self.frontier = Frontier()
        self._tails: list[bytes] = []
        """By level: the hashes of the newest, partial tile; empty when the newest is full."""

    @classmethod
    def resume(cls, size: int, lookup: TileLookup) -> TileBuilder:
        """The builder for a stored tree of `size` leaves; wider stored tiles are cut.

        Raises:
            MissingTileError: when the store lacks a tile of that tree.
        """
        builder = cls()
        builder.frontier = frontier_of(size, TileSubtrees(lookup))
        while size:
            number, width = divmod(size, TILE_WIDTH)
            level = len(builder._tails)
            data = _read_tile(lookup, level, number, width) if width else b""
            builder._tails.append(data[: width * HASH_BYTES])
            size = number
        return builder

    def append(self, hashes: Sequence[bytes]) -> list[Tile]:
        """Append leaves by their hashes.

        Returns:
            Every tile that is new or wider than before, lowest level first, each number once.
        """
        growth = self.frontier.grow(hashes)
        tiles: list[Tile] = []
        for level, (first, row) in enumerate(growth.levels[::_TILE_HEIGHT]):
            if level == len(self._tails):
                self._tails.append(b"")
            data = self._tails[level] + b"".join(row)
            number = first // TILE_WIDTH
            tiles += (
                Tile(level, number + at // TILE_BYTES, data[at : at + TILE_BYTES])
                for at in range(0, len(data), TILE_BYTES)
            )
            self._tails[level] = data[len(data) - len(data) % TILE_BYTES :]
        self.frontier = growth.frontier
        return tiles


class TileSubtrees:
    """A `merkle.SubtreeLookup` over tiles. Keeps what it read: make one for each proof."""

    def __init__(self, lookup: TileLookup) -> None:
        self._lookup = lookup
        self._tiles: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, number: int) -> bytes:
        """The hash of the complete subtree (level, number).

        Raises:
            MissingTileError: when a tile is absent or too narrow.
        """
        tile_level, height = divmod(level, _TILE_HEIGHT)
        tile, first = divmod(number << height, TILE_WIDTH)
        end = first + (1 << height)
        data = self._tiles.get((tile_level, tile), b"")
        if len(data) < end * HASH_BYTES:
            data = _read_tile(self._lookup, tile_level, tile, end)
            self._tiles[tile_level, tile] = data
        row = [data[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(first, end)]
        while len(row) > 1:
            row = parent_hashes(row)
        return row[0]


def _read_tile(lookup: TileLookup, level: int, number: int, width: int) -> bytes:
    data = lookup(level, number)
    if data is None or len(data) < width * HASH_BYTES:
        raise MissingTileError(f"tile {level}/{number} of width {width} is missing")
    return data
