"""Section 10: what is shown of an invoice's details."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Any

from tests.outsider.verifier.encoding import InvalidError, array, need, pack, sha256
from tests.outsider.verifier.ledger import committed, leaf_hash, path_root


def canonical_json(data: bytes) -> Any:
    def refuse(text: str) -> Any:
        raise InvalidError(f"{text} is no integer")

    try:
        value = json.loads(data.decode("utf-8"), parse_float=refuse, parse_constant=refuse)
        again = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        need(again.encode("utf-8") == data, "JSON is not canonical")
    except (ValueError, RecursionError) as error:
        raise InvalidError("not JSON") from error
    _bounded(value, 32)
    return value


def _bounded(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        need(depth > 0, "JSON is nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _bounded(item, depth - 1)
    elif isinstance(value, int):
        need(abs(value) <= 2**53, "an integer is too large")


def read_path(path: str) -> tuple[str, str | None, int | None]:
    """Field, name, place."""
    match = re.fullmatch(r"/([^/]*)(?:/([^/]*))?", path, re.DOTALL)
    need(match is not None and not re.search("~(?![01])", path), "path is malformed")
    assert match is not None
    field, token = (
        None if part is None else part.replace("~1", "/").replace("~0", "~")
        for part in match.groups()
    )
    assert field is not None
    if token is None:
        return field, None, None
    if re.fullmatch("[0-9]+", token):
        need(re.fullmatch("0|[1-9][0-9]{0,8}", token) is not None, "a place is malformed")
        return field, None, int(token)
    need(token != "-", "a place that does not exist")
    return field, token, None


def _check_places(shown: list[list[Any]]) -> None:
    before: tuple[int, str, str | None, int | None] | None = None
    for _, index, count, path, *_ in shown:
        need(count == shown[0][2], "items are counted differently")
        field, name, place = read_path(path)
        start = index - (place or 0)
        need(start >= 0, "a place is beyond its index")
        if before is not None:
            last, last_field, last_name, last_place = before
            if field != last_field:
                need(field > last_field and start > last, "items are out of order")
            elif place is not None and last_place is not None:
                need(place - last_place == index - last, "places do not fit their indexes")
            else:
                need(
                    name is not None and last_name is not None and name > last_name,
                    "items are shown twice, within each other or out of order",
                )
        before = (index, field, name, place)


def read_disclosures(rows: list[Any], operations: list[Any]) -> list[dict[str, Any]]:
    need(len(rows) <= 256 and len(pack(rows)) <= 262_144, "too much is disclosed")
    counts = range(1, 20_001)
    for row in rows:
        array(row, "disclosure", range(1_000), range(20_000), counts, str, bytes, 16, list)
        need(1 <= len(row[3]) <= 1_024 and len(row[6]) <= 16, "disclosure is out of range")
        array(row[6], "audit path", *[32] * len(row[6]))
    order = [(row[0], row[1]) for row in rows]
    need(order == sorted(set(order)), "disclosures are out of order")
    for _, group in groupby(rows, key=lambda row: row[0]):
        _check_places(list(group))
    return [_disclosed(row, operations) for row in rows]


def _disclosed(row: list[Any], operations: list[Any]) -> dict[str, Any]:
    place, index, count, path, value, salt, hashes = row
    need(place < len(operations), "a disclosure names an operation that is not there")
    kind, number, commitment = committed(operations[place])
    name = path.encode("utf-8")
    item = b"".join(
        (b"piaolian/details/item/v2\n", salt, len(name).to_bytes(4, "big"), name, value)
    )
    root = path_root(index, count, leaf_hash(item), hashes)
    made = sha256(b"piaolian/details/v2\n", count.to_bytes(4, "big"), root)
    need(made == commitment, "an item is not of the details")
    return {
        "operation": place,
        "kind": kind,
        "invoice": number,
        "path": path,
        "value": canonical_json(value),
    }
