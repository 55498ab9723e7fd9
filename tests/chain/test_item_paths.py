"""Paths of items: one spelling, and no two items where one document has one."""

from __future__ import annotations

import random  # noqa: TID251  # seeded

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.disclosure import ITEM_SALT_BYTES, Disclosure, commit, disclose, items_of
from node.chain.item_paths import ItemPath, ItemPathError, check_places, parse_path, reads_as_place
from node.chain.verify import verify_proof_file
from tests.chain.test_disclosure import canonical
from tests.chain.test_proof import SALT, disclosing

names = st.text(st.sampled_from("ab~/0-é"), max_size=3)
fields = st.one_of(
    st.integers(0, 9),
    st.lists(st.integers(0, 9), max_size=12),
    st.dictionaries(names.filter(lambda name: not reads_as_place(name)), st.none(), max_size=4),
)


@pytest.mark.parametrize(
    ("path", "parsed"),
    [
        ("/remarks", ItemPath("remarks")),
        ("/", ItemPath("")),
        ("/07", ItemPath("07")),
        ("/seller/name", ItemPath("seller", key="name")),
        ("/x~1y/z~0", ItemPath("x/y", key="z~")),
        ("/x/~01", ItemPath("x", key="~1")),
        ("/lines/0", ItemPath("lines", place=0)),
        ("/lines/120", ItemPath("lines", place=120)),
    ],
)
def test_a_path_has_one_meaning(path: str, parsed: ItemPath) -> None:
    assert parse_path(path) == parsed


@pytest.mark.parametrize(
    "path",
    [
        *("", "lines", "lines/0", "#/lines", "/a/b/c", "/lines/0/net", "/lines/0/"),
        *("/lines/00", "/lines/01", "/lines/-", "/lines/1000000000", "/x~", "/x~2", "/x/~"),
    ],
)
def test_other_spellings_are_refused(path: str) -> None:
    with pytest.raises(ItemPathError):
        parse_path(path)


@given(st.dictionaries(names, fields, max_size=5), st.randoms(use_true_random=False))
def test_any_items_of_a_document_can_be_shown_together(
    document: dict[str, object], rng: random.Random
) -> None:
    items = list(enumerate(path for path, _ in items_of(canonical(document))))
    check_places(items)
    check_places(item for item in items if rng.random() < 0.5)


@pytest.mark.parametrize(
    "items",
    [
        [(0, "/lines/0"), (1, "/lines/0")],
        [(0, "/lines/1"), (1, "/lines/0")],
        [(0, "/lines/0"), (1, "/lines/2")],
        [(0, "/lines/0"), (2, "/lines/1")],
        [(0, "/lines"), (1, "/lines/0")],
        [(0, "/lines/0"), (1, "/lines")],
        [(0, "/remarks"), (1, "/remarks")],
        [(0, "/remarks"), (1, "/lines/0")],
        [(0, "/seller/name"), (1, "/seller/bank")],
        [(0, "/seller/name"), (1, "/seller/name")],
        [(0, "/lines/0"), (1, "/lines/name")],
        [(0, "/lines/name"), (1, "/lines/0")],
        [(0, "/lines/1")],
        [(5, "/lines/6")],
        [(1, "/a"), (4, "/lines/3")],  # its array would begin where /a stands
        [(0, "/é"), (1, "/z")],
    ],
)
def test_items_that_no_document_has_together_are_refused(items: list[tuple[int, str]]) -> None:
    with pytest.raises(ItemPathError):
        check_places(items)


LYING = [
    [("/lines/0", b'{"net":900}'), ("/lines/0", b'{"net":100}')],
    [("/lines/1", b"1"), ("/lines/0", b"2")],
    [("/lines", b"[1]"), ("/lines/0", b"2")],
    [("/seller/name", b'"A"'), ("/seller/name", b'"B"')],
    [("/lines/00", b"1"), ("/lines/01", b"2")],
    [("/x~2", b"1"), ("/y", b"2")],
    [("/a/b/c", b"1"), ("/b", b"2")],
]


@pytest.mark.parametrize("items", LYING)
def test_two_values_of_one_place_are_refused_although_they_are_committed_to(
    items: list[tuple[str, bytes]],
) -> None:
    """Whoever issues commits to what they like: only the paths tell."""
    commitment = commit(items, SALT)
    shown = [disclose(items, SALT, index, 1) for index in range(2)]
    network, proof = disclosing(*shown, commitment=commitment)
    verdict = verify_proof_file(proof.encode(), network.genesis)
    assert (verdict.valid, verdict.disclosed) == (False, ())
    assert "item" in verdict.reason or "place" in verdict.reason


def test_two_counts_of_one_commitment_are_refused() -> None:
    """With one item the root is the leaf's hash, whatever the count: none is believed alone."""
    items = items_of(b'{"a":1,"b":2}')
    shown = [disclose(items, SALT, index, 1) for index in range(2)]
    shown[1] = msgspec.structs.replace(shown[1], count=3)
    network, proof = disclosing(*shown, commitment=commit(items, SALT))
    assert "differently" in verify_proof_file(proof.encode(), network.genesis).reason


def test_one_path_may_be_shown_of_two_operations() -> None:
    items = items_of(b'{"remarks":"r"}')
    shown = disclose(items, SALT, 0, 1)
    other = Disclosure(0, 0, 1, "/remarks", b'"s"', bytes(ITEM_SALT_BYTES), ())
    network, proof = disclosing(shown, other, commitment=commit(items, SALT))
    reason = verify_proof_file(proof.encode(), network.genesis).reason
    assert reason == "/remarks is not what the operation commits to", "of the first, which has none"
