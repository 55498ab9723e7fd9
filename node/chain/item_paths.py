"""Paths of the items of details: JSON pointers in their one spelling, and where each can stand.

Owns the syntax (RFC 6901, one or two levels deep) and the check that paths and places agree. Knows
no hash and no proof. Whoever commits to details orders their items, so an outsider who is shown a
few of them must be able to tell from paths and places alone that they can be of one document:
otherwise a liar commits to two values of `/lines/0` and shows either.

Under a field, a name of digits only is a place in an array; keys of objects that read like one are
refused when details are cut (`disclosure.items_of`), so nothing has two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_BAD_ESCAPE = re.compile("~(?![01])")
_PLACE = re.compile("0|[1-9][0-9]{0,8}")
_DIGITS = re.compile("[0-9]+")
_AFTER_THE_LAST = "-"
"""RFC 6901: the element of an array that does not exist yet."""


class ItemPathError(ValueError):
    """A path is malformed, or cannot stand where it is said to; says which."""


class ItemPath(msgspec.Struct, frozen=True):
    """A path, taken apart."""

    field: str
    """Name of the top-level field."""
    key: str | None = None
    """Name within an object."""
    place: int | None = None
    """Place in an array."""


def escape(name: str) -> str:
    """A name as a token of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def reads_as_place(name: str) -> bool:
    """Whether the key of an object would read as a place in an array."""
    return name == _AFTER_THE_LAST or _DIGITS.fullmatch(name) is not None


def parse_path(path: str) -> ItemPath:
    """Take a path apart.

    Raises:
        ItemPathError: it is not the one spelling of a pointer to an item.
    """
    root, *tokens = path.split("/")
    if root or not 1 <= len(tokens) <= 2 or _BAD_ESCAPE.search(path):
        raise ItemPathError(f"{path!r} is no path of an item")
    field, *inner = (token.replace("~1", "/").replace("~0", "~") for token in tokens)
    if not inner:
        return ItemPath(field)
    name = inner[0]
    if not reads_as_place(name):
        return ItemPath(field, key=name)
    if not _PLACE.fullmatch(name):
        raise ItemPathError(f"{path!r} is no place in an array")
    return ItemPath(field, place=int(name))


def check_places(items: Iterable[tuple[int, str]]) -> None:
    """Check that one document can have all these items.

    Args:
        items: Index among all items of the document, and path; in ascending order of index.

    Raises:
        ItemPathError: a path is malformed, stands twice or within another, or not at its index.
    """
    before: tuple[int, ItemPath] | None = None
    for index, path in items:
        here = parse_path(path)
        if index - (here.place or 0) < 0:
            raise ItemPathError(f"{path} cannot be item {index}: it stands before its own array")
        if before is not None and not _follows(before, (index, here)):
            raise ItemPathError(f"{path} cannot be item {index}, after what is shown before it")
        before = (index, here)


def _follows(before: tuple[int, ItemPath], after: tuple[int, ItemPath]) -> bool:
    (first, a), (second, b) = before, after
    if a.field != b.field:
        # Of an array the items from place 0 on stand together, so its first is after `first`.
        return a.field < b.field and first < second - (b.place or 0)
    if a.place is not None and b.place is not None:
        return second - first == b.place - a.place > 0
    # Of one object. Anything else is one path twice, one within another, or array and object.
    return a.key is not None and b.key is not None and a.key < b.key
