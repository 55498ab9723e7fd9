"""Section 10 of node/chain/README.md: the commitment to sealed details, and what a proof discloses.

Given the operations of a transaction whose leaf is proven; knows nothing of proofs.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from tests.outsider.from_page.form import (
    RefusedError,
    array,
    binary,
    hashes,
    integer,
    need,
    pack,
    sha256,
    text,
    unpack,
)
from tests.outsider.from_page.tree import leaf_hash, root_of_path, tree_root

NUMBER = "[0-9]{20}"
COMMITTING = {
    10: ("invoice", 14, 1, 12),
    51: ("red_request", 6, 1, 4),
    57: ("red_invoice", 11, 3, 9),
}
"""By tag: the kind of details, length of the array, places of the number and of `details`."""


@dataclass(frozen=True)
class Disclosure:
    """One item: a value of the details of `number`, of the given kind."""

    operation: int
    kind: str
    number: str
    index: int
    count: int
    path: str
    value: Any
    """Read as JSON."""


def read_disclosures(value: object, operations: list[list[Any]]) -> list[dict[str, Any]]:
    """What is shown of the details of applied operations."""
    rows = array(value, "disclosures")
    need(len(rows) <= 256 and len(pack(rows)) <= 262_144, "too many or long disclosures")
    read = [_disclosure(each, operations) for each in rows]
    places = [(each.operation, each.index) for each in read]
    need(all(one < other for one, other in pairwise(places)), "disclosures are not in order")
    for _, group in groupby(read, lambda each: each.operation):
        _one_document(list(group))
    return [
        {
            "operation": each.operation,
            "kind": each.kind,
            "invoice": each.number,
            "path": each.path,
            "value": each.value,
        }
        for each in read
    ]


def _disclosure(value: object, operations: list[list[Any]]) -> Disclosure:
    operation, index, count, path, content, salt, audit = array(value, "a disclosure", 7)
    operation = integer(operation, 0, 999, "an operation's place")
    need(operation < len(operations), "a disclosure of no applied operation")
    count = integer(count, 1, 20_000, "a number of items")
    index = integer(index, 0, count - 1, "an item's index")
    path = text(path, "a path", r"[\s\S]{1,1024}")
    content = binary(content, "a value")
    leaf = item(path, content, binary(salt, "a salt", 16))
    root = root_of_path(leaf_hash(leaf), index, count, hashes(audit, 16))
    kind, number, details = committed(operations[operation])
    need(_commitment(count, root) == details, "a disclosure is not of these details")
    return Disclosure(operation, kind, number, index, count, path, canonical_json(content))


def committed(operation: list[Any]) -> tuple[str, str, bytes]:
    """The kind of details, the number that they are of, and the commitment."""
    tag = operation[0]
    if tag == 90:
        _, key, signature, inner = array(operation, "an operation by a bare key", 4)
        binary(key, "a bare key", 32)
        binary(signature, "a signature", 64)
        operation = array(unpack(binary(inner, "an operation")), "an operation")
        tag = operation[0] if operation else None
    if tag == 69:
        _, _, inner = array(operation, "an operation for a retired issuer", 3)
        operation = array(inner, "an operation")
        tag = operation[0] if operation else None
        need(tag in (51, 57), "another operation for a retired issuer")
    need(type(tag) is int and tag in COMMITTING, "an operation that commits to no details")
    kind, length, number, details = COMMITTING[tag]
    array(operation, "an operation", length)
    return (
        kind,
        text(operation[number], "a number", NUMBER),
        binary(operation[details], "a commitment", 32),
    )


def _one_document(shown: list[Disclosure]) -> None:
    need(len({each.count for each in shown}) == 1, "details of two lengths")
    rows = [(each.index, *_tokens(each.path)) for each in shown]
    for (index, _, inner), each in zip(rows, shown, strict=True):
        need(not isinstance(inner, int) or inner <= index, "an array begins before the details")
        need(
            inner is not None or each.value in ({}, []) or not isinstance(each.value, dict | list),
            "an item that would be cut",
        )
    for (i, field, inner), (j, other_field, other) in pairwise(rows):
        if field != other_field:
            need(field < other_field, "fields are not in order")
            need(not isinstance(other, int) or j - other > i, "an array holds another item")
        elif isinstance(inner, int) and isinstance(other, int):
            need(other - inner == j - i, "places do not fit to items")
        else:
            names = isinstance(inner, str) and isinstance(other, str) and inner < other
            need(names, "a path stands twice, within another or in another order")


def _tokens(path: str) -> tuple[str, str | int | None]:
    need(re.fullmatch(r"(/([^/~]|~[01])*){1,2}", path), "a path has another form")
    _, field, *rest = path.split("/")
    if not rest:
        return _unescape(field), None
    need(rest[0] != "-", "a path ends in -")
    if re.fullmatch("[0-9]+", rest[0]):
        need(re.fullmatch("0|[1-9][0-9]{0,8}", rest[0]), "a place in another spelling")
        return _unescape(field), int(rest[0])
    return _unescape(field), _unescape(rest[0])


def _unescape(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


# Canonical JSON


def canonical_json(value: bytes) -> Any:
    try:
        read = json.loads(value.decode(), parse_float=_refuse, parse_constant=_refuse)
        same = dump(read) == value  # of a name that stands twice, one is lost
    except (ValueError, RecursionError) as error:
        raise RefusedError("not JSON") from error
    need(same and _plain(read, 0), "JSON that is not canonical")
    return read


def _refuse(number: str) -> None:
    raise ValueError(number)


def _plain(value: object, depth: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth < 32 and all(_plain(each, depth + 1) for each in inner)
    return not isinstance(value, int) or abs(value) <= 2**53


def dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


# Items, and the commitment of whoever opens the details


def item(path: str, value: bytes, salt: bytes) -> bytes:
    raw = path.encode()
    return b"piaolian/details/item/v2\n" + salt + len(raw).to_bytes(4) + raw + value


def _commitment(count: int, root: bytes) -> bytes:
    return sha256(b"piaolian/details/v2\n" + count.to_bytes(4) + root)


def items(details: bytes, salt: bytes) -> list[tuple[str, bytes, bytes]]:
    """Path, the item's own salt and value of each item."""
    document = canonical_json(details)
    if not isinstance(document, dict):
        raise RefusedError("details are no object")
    cut: list[tuple[str, Any]] = []
    for name, value in document.items():
        field = "/" + _escape(name)
        if isinstance(value, dict) and value:
            cut += [(f"{field}/{_escape(inner)}", value[inner]) for inner in value]
        elif isinstance(value, list) and value:
            cut += [(f"{field}/{place}", inner) for place, inner in enumerate(value)]
        else:
            cut.append((field, value))
    return [(path, _salt(salt, path), dump(value)) for path, value in cut]


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _salt(salt: bytes, path: str) -> bytes:
    return hashlib.blake2b(
        path.encode(), digest_size=16, key=salt, person=b"piaolian item v2"
    ).digest()


def commitment(details: bytes, salt: bytes) -> bytes:
    cut = items(details, salt)
    root = tree_root([item(path, value, own) for path, own, value in cut]) if cut else bytes(32)
    return _commitment(len(cut), root)
