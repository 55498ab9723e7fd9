"""The public commitment to an invoice's sealed details, and proofs of single items under it.

Owns what an item is, how items are hashed, and the check of a disclosure. Pure; knows no
encryption (`node.sealing.format`) and no proof file.

Details are a canonical JSON object: UTF-8, no spaces, keys sorted by their code points. It is cut
two levels deep. Of each top-level field, in the order of the document: an object gives one item a
key, an array one item a position, anything else (an empty object or array too) is one item. So
one line, one allowance, one attachment or one field of a party can be shown alone. The path of
an item is a JSON pointer (RFC 6901): `/remarks`, `/seller/name`, `/lines/3` (`item_paths`).
Numbers are integers: programs do not agree on how to write any others.

    salt of an item  BLAKE2b-128(key: the details' 32-byte salt, personal: tag, path)
    leaf             tag ‖ salt (16) ‖ length of path (4, big-endian) ‖ path ‖ value
    root             RFC 6962 tree over the leaves, in the order above
    commitment       SHA-256(tag ‖ number of items (4, big-endian) ‖ root)

Each item has a salt of its own that tells nothing about the others: who is shown one item cannot
test guesses about the rest. What it does show is how many items there are, and where it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import msgspec

from node.chain.item_paths import escape, reads_as_place
from node.chain.merkle import leaf_hash, leaf_hashes, parent_hashes, path_root

SALT_BYTES = 32
ITEM_SALT_BYTES = 16
ITEMS_MAX = 20_000
PATH_CHARACTERS_MAX = 1_024
_COMMITMENT_TAG = b"piaolian/details/v2\n"
_ITEM_TAG = b"piaolian/details/item/v2\n"
_SALT_PERSON = b"piaolian item v2"
_AUDIT_HASHES_MAX = 16
"""More than 2^14 items do not fit `ITEMS_MAX`."""

INTEGER_MAX = 2**53
NESTING_MAX = 32
"""Arrays and objects of a value within each other: each reader can take it apart."""
_LONG_NUMBER = re.compile(rb"[:,\[]-?[0-9]{16}")
"""Where a number beyond `INTEGER_MAX` may stand; texts may look like one."""


def _no_fraction(text: str) -> NoReturn:
    raise ValueError(f"{text} is no integer")


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(float_hook=_no_fraction).decode
_MALFORMED = (msgspec.MsgspecError, RecursionError, OverflowError, ValueError)

Item = tuple[str, bytes]
"""Path and value, the value as canonical JSON."""


class DetailsError(ValueError):
    """The bytes are not the canonical JSON of details; the message says why."""


class Disclosure(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One item of the details that an operation commits to, with its place in the tree."""

    operation: Annotated[int, msgspec.Meta(ge=0, lt=1_000)]
    """Position, in the transaction, of the operation whose commitment it is."""
    index: Annotated[int, msgspec.Meta(ge=0, lt=ITEMS_MAX)]
    count: Annotated[int, msgspec.Meta(ge=1, le=ITEMS_MAX)]
    """Items in the details."""
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=PATH_CHARACTERS_MAX)]
    value: bytes
    """Canonical JSON."""
    salt: Annotated[bytes, msgspec.Meta(min_length=ITEM_SALT_BYTES, max_length=ITEM_SALT_BYTES)]
    hashes: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)], ...],
        msgspec.Meta(max_length=_AUDIT_HASHES_MAX),
    ]
    """Audit path, the leaf's sibling first."""


def items_of(details: bytes) -> list[Item]:
    """Cut details into items, in the order of the commitment.

    Raises:
        DetailsError: not the canonical JSON of an object, or too many items, or too long a name, or
            a value that no disclosure may show: whoever commits to it could not be shown to have.
    """
    try:
        document = _decode(details)
        if not isinstance(document, dict) or _encode(document) != details:
            raise DetailsError("details are not a JSON object in canonical form")
        items: list[Item] = []
        for name, value in document.items():
            path = "/" + escape(name)
            if isinstance(value, dict) and value:
                if any(map(reads_as_place, value)):
                    raise DetailsError(f"{path} has a key that reads as a place in an array")
                items += [(f"{path}/{escape(key)}", _encode(item)) for key, item in value.items()]
            elif isinstance(value, list) and value:
                items += [(f"{path}/{place}", _encode(item)) for place, item in enumerate(value)]
            else:
                items.append((path, _encode(value)))
        odd = [path for path, value in items if _may_be_odd(value) and _is_odd(value)]
    except DetailsError:
        raise
    except _MALFORMED as error:
        raise DetailsError(f"details are not canonical JSON: {error}") from error
    if odd:
        raise DetailsError(f"{odd[0][:64]} has a number or a nesting that not every program reads")
    if len(items) > ITEMS_MAX:
        raise DetailsError(f"details have more than {ITEMS_MAX} items")
    if any(len(path) > PATH_CHARACTERS_MAX for path, _ in items):
        raise DetailsError("details have too long a name")
    return items


def commit(items: Sequence[Item], salt: bytes) -> bytes:
    """The commitment to items: 32 bytes. About 2 µs an item.

    Args:
        items: As `items_of` cuts them.
        salt: The details' salt, `SALT_BYTES`.
    """
    return _commitment(len(items), _root(_leaves(items, salt)))


def disclose(items: Sequence[Item], salt: bytes, index: int, operation: int) -> Disclosure:
    """Show the item at `index`, of the details that the operation at `operation` commits to."""
    row = _leaves(items, salt)
    path, value = items[index]
    place, hashes = index, []
    while len(row) > 1:
        sibling = place ^ 1
        if sibling < len(row):
            hashes.append(row[sibling])
        row, place = _parents(row), place >> 1
    item_salt = _salter(salt)(path.encode())
    return Disclosure(
        operation=operation,
        index=index,
        count=len(items),
        path=path,
        value=value,
        salt=item_salt,
        hashes=tuple(hashes),
    )


def disclosed_commitment(disclosure: Disclosure) -> bytes | None:
    """The commitment that `disclosure` is true of; None when it is true of none.

    Its value must be canonical JSON, so that it reads the same everywhere, and no field that would
    have been cut: who committed to that could show other items of the same field beside.
    """
    try:
        value = _decode(disclosure.value)
        if _encode(value) != disclosure.value or not _reads_alike(value, NESTING_MAX):
            return None
        if value and isinstance(value, dict | list) and disclosure.path.count("/") == 1:
            return None
        leaf = leaf_hash(_leaf(disclosure.path.encode(), disclosure.value, disclosure.salt))
    except _MALFORMED:
        return None
    root = path_root(disclosure.index, disclosure.count, leaf, disclosure.hashes)
    return None if root is None else _commitment(disclosure.count, root)


def read_value(disclosure: Disclosure) -> Any:  # noqa: ANN401 (any JSON value)
    """The disclosed value, decoded."""
    return _decode(disclosure.value)


def _may_be_odd(value: bytes) -> bool:
    """Whether a value is worth a closer look; cheap, since next to none is."""
    if value.count(b"[") + value.count(b"{") > NESTING_MAX:
        return True
    return len(value) > 15 and _LONG_NUMBER.search(b":" + value) is not None


def _is_odd(value: bytes) -> bool:
    return not _reads_alike(_decode(value), NESTING_MAX)


def _reads_alike(value: object, depth: int) -> bool:
    """Whether every program reads this value as the same one."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_reads_alike(item, depth - 1) for item in inner)
    return not isinstance(value, int) or -INTEGER_MAX <= value <= INTEGER_MAX


def _commitment(count: int, root: bytes) -> bytes:
    return hashlib.sha256(_COMMITMENT_TAG + count.to_bytes(4, "big") + root).digest()


def _salter(salt: bytes) -> Callable[[bytes], bytes]:
    """The salt of an item from its path; the key is hashed in once."""
    keyed = hashlib.blake2b(digest_size=ITEM_SALT_BYTES, key=salt, person=_SALT_PERSON)

    def item_salt(path: bytes) -> bytes:
        state = keyed.copy()
        state.update(path)
        return state.digest()

    return item_salt


def _leaf(path: bytes, value: bytes, salt: bytes) -> bytes:
    return b"".join((_ITEM_TAG, salt, len(path).to_bytes(4, "big"), path, value))


def _leaves(items: Sequence[Item], salt: bytes) -> list[bytes]:
    item_salt = _salter(salt)
    named = [(path.encode(), value) for path, value in items]
    return leaf_hashes([_leaf(path, value, item_salt(path)) for path, value in named])


def _root(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = _parents(row)
    return row[0] if row else bytes(32)


def _parents(row: list[bytes]) -> list[bytes]:
    """One level up; an odd last node goes up as it is, which yields the tree of RFC 6962."""
    parents = parent_hashes(row)
    return [*parents, row[-1]] if len(row) & 1 else parents
