"""The commitment to details, and what one disclosed item proves."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.disclosure import (
    ITEM_SALT_BYTES,
    DetailsError,
    Disclosure,
    commit,
    disclose,
    disclosed_commitment,
    items_of,
    read_value,
)
from node.chain.item_paths import reads_as_place

SALT = bytes(range(32))

texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(texts, values, max_size=6).filter(
    lambda document: (
        not any(
            reads_as_place(key)
            for value in document.values()
            if isinstance(value, dict)
            for key in value
        )
    )
)


def canonical(document: Any) -> bytes:
    """As `node.domains.invoices.details.totals.canonical_details` writes it."""
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def test_items_are_two_levels_deep_in_the_order_of_the_document() -> None:
    document = {
        "seller": {"name": "甲", "bank": "B"},
        "lines": [{"net": n, "rate": 600} for n in range(12)],
        "remarks": "R",
        "extensions": {"ubl/2.1": {"a": [1]}, "x~y": None},
        "allowances": [],
    }
    items = items_of(canonical(document))
    assert [path for path, _ in items] == [
        "/allowances",
        "/extensions/ubl~12.1",
        "/extensions/x~0y",
        *(f"/lines/{n}" for n in range(12)),
        "/remarks",
        "/seller/bank",
        "/seller/name",
    ]
    assert dict(items)["/lines/11"] == b'{"net":11,"rate":600}'
    assert dict(items)["/seller/name"] == '"甲"'.encode()


@given(documents)
def test_the_canonical_json_of_every_document_is_accepted(document: dict[str, Any]) -> None:
    details = canonical(document)
    assert len(commit(items_of(details), SALT)) == 32


@pytest.mark.parametrize(
    "details",
    [
        b"",
        b"1",
        b"[]",
        b'{"a":1} ',
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a":"\\u0041"}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":1.5}',
        b'{"a":{"0":1}}',
        b'{"a":{"007":1}}',
        b'{"a":{"-":1}}',
        b"[" * 100_000,
        b'{"a":"\xff"}',
    ],
)
def test_another_spelling_is_refused(details: bytes) -> None:
    with pytest.raises(DetailsError):
        items_of(details)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fits", "value"),
    [
        (True, 2**53),
        (True, -(2**53)),
        (False, 2**53 + 1),
        (False, -(2**53) - 1),
        (False, {"net": [1, 2**60]}),
        (False, [{"net": 2**53 + 1}]),
        (False, [0, 10**30]),
        (True, {"note": ":99999999999999999999,-99999999999999999999"}),
        (True, [_nested(32)]),
        (False, [_nested(33)]),
        (True, {"wide": [[] for _ in range(100)]}),
    ],
)
def test_what_can_be_committed_to_can_be_shown(fits: bool, value: object) -> None:
    """Who opened the rest could not prove it to anybody, and would have taken it for good."""
    details = canonical({"x": value})
    if not fits:
        with pytest.raises(DetailsError):
            items_of(details)
        return
    items = items_of(details)
    shown = [disclose(items, SALT, index, 0) for index in range(len(items))]
    assert {disclosed_commitment(one) for one in shown} == {commit(items, SALT)}


@pytest.mark.parametrize("count", range(1, 36))
def test_every_item_is_proved_against_the_commitment(count: int) -> None:
    items = items_of(canonical({"lines": [f"line {n}" for n in range(count)]}))
    commitment = commit(items, SALT)
    for index in range(count):
        shown = disclose(items, SALT, index, 3)
        assert disclosed_commitment(shown) == commitment
        assert (shown.operation, shown.path) == (3, f"/lines/{index}")
        assert read_value(shown) == f"line {index}"
        wrong = msgspec.structs.replace(shown, value=b'"another"')
        assert disclosed_commitment(wrong) != commitment


DETAILS = canonical({"lines": [{"net": 1}, {"net": 2}], "remarks": "R", "seller": {"name": "N"}})
SHOWN = disclose(items_of(DETAILS), SALT, 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 0},
        {"index": 3},
        {"count": 3},
        {"count": 5},
        {"count": 20_000},
        {"path": "/lines/0"},
        {"path": "/lines/01"},
        {"salt": bytes(ITEM_SALT_BYTES)},
        {"hashes": ()},
        {"hashes": (*SHOWN.hashes, bytes(32))},
        {"hashes": SHOWN.hashes[::-1]},
        {"value": b'{"net": 2}'},
        {"value": b'{"net":3}'},
        {"value": b"nothing"},
        {"value": b"1.5"},
        {"value": b"9007199254740993"},
        {"value": b"[" * 33 + b"]" * 33},
        {"value": b"[" * 100_000},
        {"path": "\ud800"},
    ],
)
def test_a_changed_disclosure_is_true_of_another_commitment_or_none(
    change: dict[str, Any],
) -> None:
    commitment = commit(items_of(DETAILS), SALT)
    assert disclosed_commitment(SHOWN) == commitment
    assert disclosed_commitment(msgspec.structs.replace(SHOWN, **change)) != commitment


@pytest.mark.parametrize("value", [b'["line 0"]', b'{"name":"N"}'])
def test_a_field_that_would_have_been_cut_is_no_item(value: bytes) -> None:
    """Who commits to it beside `/lines/0` shows either as what stands there."""
    items = [("/lines", value)]
    assert disclosed_commitment(disclose(items, SALT, 0, 0)) is None
    whole = [("/lines", value[:1] + value[-1:])]
    assert disclosed_commitment(disclose(whole, SALT, 0, 0)) == commit(whole, SALT)


def test_a_disclosure_tells_nothing_that_opens_another_item() -> None:
    """Each item has its own salt, none of which is the details'."""
    items = items_of(DETAILS)
    salts = {disclose(items, SALT, index, 0).salt for index in range(len(items))}
    assert len(salts) == len(items)
    encoded = msgspec.msgpack.encode(SHOWN)
    assert SALT not in encoded
    assert not any(salt in encoded for salt in salts - {SHOWN.salt})


def test_the_format_is_the_one_that_is_documented() -> None:
    """Made again here from the description alone."""

    def item(path: bytes, value: bytes) -> bytes:
        salt = hashlib.blake2b(path, digest_size=16, key=SALT, person=b"piaolian item v2").digest()
        leaf = b"piaolian/details/item/v2\n" + salt + len(path).to_bytes(4, "big") + path + value
        return hashlib.sha256(b"\0" + leaf).digest()

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\1" + left + right).digest()

    one, two = item(b"/lines/0", b'{"net":1}'), item(b"/lines/1", b'{"net":2}')
    three, four = item(b"/remarks", b'"R"'), item(b"/seller/name", b'"N"')
    root = node(node(one, two), node(three, four))
    expected = hashlib.sha256(b"piaolian/details/v2\n" + (4).to_bytes(4, "big") + root).digest()
    assert commit(items_of(DETAILS), SALT) == expected


def test_a_disclosure_survives_its_encoding() -> None:
    data = msgspec.msgpack.encode(SHOWN)
    assert msgspec.msgpack.decode(data, type=Disclosure) == SHOWN
