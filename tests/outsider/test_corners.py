"""What random changes never reach: true signatures over what the page forbids, or just allows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from typing_extensions import override

from node.chain.checkpoint import Checkpoint, cosign, sign_origin
from node.chain.disclosure import Item
from node.chain.leaf import encode_leaf
from node.chain.verify import verify_proof_file
from node.ledger import signing
from tests.chain.network import Network, make_genesis, seed
from tests.chain.page import PAGE, blocks
from tests.outsider.corners import (
    ITEMS,
    NUMBER,
    Forgery,
    by_key,
    issue,
    red_invoice,
    request,
    shown,
)
from tests.outsider.curve import BASE, ORDER, TORSION, add, encode, multiply
from tests.outsider.from_page.form import RefusedError, pack, signed
from tests.outsider.from_page.genesis import read_network
from tests.outsider.from_page.proof import verify_proof

GENESIS = make_genesis()
NETWORK = read_network(blocks(PAGE.read_text())["network"].encode())


def both(forgery: Forgery) -> bool:
    """What both verifiers say of it."""
    data = forgery.proof()
    verdict = verify_proof_file(data, GENESIS)
    found, why = None, ""
    try:
        found = verify_proof(NETWORK, data)
    except RefusedError as error:
        why = str(error)
    assert verdict.valid is (found is not None), (verdict.reason, why)
    if found is not None:
        assert [i["value"] for i in found["disclosed"]] == [i.value for i in verdict.disclosed]
    return verdict.valid


# --- Ed25519 -------------------------------------------------------------------------------------

SECRET, NONCE = 123_456_789, 987_654_321


@pytest.mark.parametrize(
    ("key", "commitment", "unreduced", "valid"),
    [
        (multiply(SECRET, BASE), multiply(NONCE, BASE), False, True),
        (multiply(SECRET, BASE), multiply(NONCE, BASE), True, False),
        (multiply(SECRET, BASE), add(multiply(NONCE, BASE), TORSION[1]), False, False),
        (multiply(SECRET, BASE), TORSION[0], False, False),
        *((point, multiply(NONCE, BASE), False, False) for point in TORSION),
    ],
)
def test_signatures_at_the_edge(
    key: tuple[int, int], commitment: tuple[int, int], unreduced: bool, valid: bool
) -> None:
    """Of a point of small order nobody has the secret; its multiple by 8 is nothing."""
    secret = 0 if key in TORSION else SECRET
    nonce = 0 if commitment in TORSION else NONCE
    public, start = encode(key), encode(commitment)
    for message in map(bytes, range(24)):
        digest = hashlib.sha512(start + public + message).digest()
        scalar = (nonce + int.from_bytes(digest, "little") * secret) % ORDER + unreduced * ORDER
        signature = start + scalar.to_bytes(32, "little")
        assert signing.verify(public, message, signature) is valid
        assert signed(public, message, signature) is valid


# --- Leaves --------------------------------------------------------------------------------------


NO_OPERATIONS: list[Any] = [[], None, [[]], [["23"]], [23], [[True]], [[23, "1" * 20]] * 1_001]


@pytest.mark.parametrize(
    ("forgery", "valid"),
    [
        (Forgery(), True),
        *((Forgery(leaf={"code": code}), code in {0, 20, 65_535}) for code in
          (0, 1, 19, 20, 65_535, 65_536, -1)),
        (Forgery(leaf={"code": False}), False),
        *((Forgery(leaf={"height": height}), height in {1, 2**53}) for height in
          (0, 1, 2**53, 2**53 + 1)),
        *((Forgery(leaf={"kind": kind}), kind == 1 and kind is not True) for kind in
          (0, 1, 2, 3, True)),
        (Forgery(leaf={"more": None}), False),
        (Forgery(leaf={"signature": bytes(64)}), False),
        (Forgery(body={"network": bytes(32)}), False),
        (Forgery(body={"author": "91310000ma1fl0000n"}), False),
        (Forgery(body={"author": "9" * 18 + "\n"}), False),
        (Forgery(body={"author": "Z" * 18}), True),  # whether it exists, the voters have judged
        (Forgery(body={"nonce": 2**63 - 1, "until": 2**53}), True),
        *((Forgery(body=body), False) for body in
          ({"nonce": 2**63}, {"nonce": -1}, {"nonce": True}, {"until": 0}, {"until": 2**53 + 1})),
        *((Forgery(body={"operations": operations}), False) for operations in NO_OPERATIONS),
        (Forgery([[23, "1" * 20]] * 1_000), True),
        (Forgery([[23, "1" * 20]] * 2, body={"more": None}), False),
        (Forgery(raw_leaf=b"\x95\x01\xcc\x00\x01\xc4\x00\xc4\x00"), False),
        (Forgery(raw_leaf=b"\x91" * 60_000 + b"\xc0"), False),
        (Forgery(raw_leaf=b"\xca\x00\x00\x00\x00"), False),
        (Forgery(raw_leaf=b"\x91\xdb\xff\xff\xff\xff"), False),
        (Forgery(raw_leaf=b"\xdd\xff\xff\xff\xff"), False),
    ],
)  # fmt: skip
def test_leaves_that_voters_signed(forgery: Forgery, valid: bool) -> None:
    assert both(forgery) is valid


def test_seals_that_voters_signed() -> None:
    assert both(Forgery(index=2))
    assert not both(Forgery(index=2, rows=shown(ITEMS, 0).rows))
    for place, value in ((5, 1), (8, bytes(32)), (1, 0), (2, 2**53 + 1), (4, 2**32), (9, 0),
                         (10, 0), (10, 2**62 + 1), (3, 2**63), (7, bytes(31))):  # fmt: skip
        network = Network()
        network.height = 1
        row = _seal_fields(network)
        assert both(Forgery(raw_leaf=pack(row), network=Network()))
        row[place] = value
        assert not both(Forgery(raw_leaf=pack(row), network=Network()))


def _seal_fields(network: Network) -> list[Any]:
    seal = network.make_seal(0, bytes(32))
    assert encode_leaf(seal)
    names = seal.__struct_fields__
    return [2, *(getattr(seal, name) for name in names)]


# --- Disclosures ---------------------------------------------------------------------------------


def one(path: str, value: bytes = b"1") -> list[Item]:
    return [(path, value)]


@pytest.mark.parametrize(
    ("forgery", "valid"),
    [
        (shown(ITEMS, 0, 1, 2, 3), True),
        *((shown(ITEMS, 2, wrap=wrap), True) for wrap in (
            request, red_invoice,
            lambda d: by_key(request(d)),
            lambda d: [69, "9" * 18, red_invoice(d)],
            lambda d: by_key([69, "9" * 18, request(d)]),
        )),
        *((shown(ITEMS, 2, wrap=wrap), False) for wrap in (
            lambda d: by_key(by_key(request(d))),
            lambda d: [69, "9" * 18, issue(d)],
            lambda d: [20, NUMBER, "9" * 18, 1],
            lambda d: issue(None),
            lambda d: issue(d, number="1" * 19),
            lambda d: issue(d)[:-1],
            lambda d: [*issue(d), None],
            lambda d: [90, bytes(32), bytes(64), pack(request(d)) + b"\xc0"],
        )),
        *((shown(one("/x", value), 0), True) for value in (
            b"{}", b"[]", b"null", b'""', b"-9007199254740992", '"é\x7f\u2028"'.encode(), b"true",
        )),
        (shown(one("/x/0", b"[" * 32 + b"]" * 32), 0), True),
        *((shown(one("/x/0", value), 0), False) for value in (
            b"[" * 33 + b"]" * 33, b"9007199254740993", b"-0", b"1.0", b"1e1", b" 1", b"NaN", b"",
            b"[1, 2]", b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'"\\u00e9"', b'"\\/"', b'"\\u001F"',
            b'"\\ud800"', b'"\xff"', b"[" * 60_000, b"1" * 5_000, b"\xef\xbb\xbf1",
        )),
        *((shown(one(path), 0), True) for path in (
            "/", "//", "/x/", "/~0~1/~1~0", "/5", "/-", "/x/0", "/x/١", "/x/1e", "/" + "x" * 1_023,
            "/\n/\n",
        )),
        *((shown(one(path), 0), False) for path in (
            "x", "/x/-", "/x/00", "/x/1", "/x/1000000000", "/~", "/~2", "/x/y/z", "/" + "x" * 1_024,
        )),
        *((shown(one("/x", value), 0), False) for value in (b"[1]", b'{"a":1}', b"[[]]")),
        (shown([("/a", b"1"), ("/a", b"1")], 0, 1), False),
        (shown([("/b", b"1"), ("/a", b"1")], 0, 1), False),
        (shown([("/a", b"1"), ("/a/b", b"1")], 0, 1), False),
        (shown([("/a/0", b"1"), ("/a/b", b"1")], 0, 1), False),
        (shown([("/a/0", b"1"), ("/b", b"1"), ("/a/2", b"1")], 0, 2), True),
        (shown([("/a/0", b"1"), ("/a/2", b"1")], 0, 1), False),
        (shown([("/a/b", b"1"), ("/a/b", b"1")], 0, 1), False),
        (shown([("/a/~0", b"1"), ("/a/~1", b"1")], 0, 1), False),  # "~" is after "/"
        (shown([("/a/~1", b"1"), ("/a/~0", b"1")], 0, 1), True),
        (shown([("/a/\uffff", b"1"), ("/a/\U00010000", b"1")], 0, 1), True),  # by code points
        (shown([("/a", b"1"), ("/b/1", b"1")], 0, 1), False),
        (shown([("/a", b"1"), ("/b/0", b"1"), ("/b/1", b"1")], 0, 2), True),
    ],
)  # fmt: skip
def test_details_that_a_liar_committed_to(forgery: Forgery, valid: bool) -> None:
    assert both(forgery) is valid


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 1), (0, -1), (0, False), (1, 4), (2, 5), (2, 0), (2, 20_001), (5, bytes(15)),
     (6, [bytes(32)] * 17), (6, [bytes(31)]), (6, None), (3, b"/lines/0"), (4, '{"net":1}')],
)  # fmt: skip
def test_rows_of_another_form(place: int, value: object) -> None:
    forgery = shown(ITEMS, 0)
    forgery.rows[0][place] = value
    assert not both(forgery)


def test_a_refused_transaction_shows_no_details() -> None:
    forgery = shown(ITEMS, 0)
    forgery.leaf["code"] = 30
    assert not both(forgery)
    assert both(Forgery([issue(None)], leaf={"code": 30}))


# --- Notes ---------------------------------------------------------------------------------------


def note(lines: Callable[[list[str], Checkpoint], list[str]], text: str = "") -> Forgery:
    """A true checkpoint, or another text that the voters signed, with these signature lines."""
    forgery, copy = Forgery(), Forgery()
    copy.proof()
    told = copy.network.checkpoint
    said = told if not text else _Said(told.origin, told.size, told.root, text)
    made = [f"— {told.origin} {_b64(sign_origin(said, seed('payer/origin')))}"]
    for voter in copy.network.voters.voters:
        raw = cosign(said, voter.cosigner, seed(f"{voter.node}/cosign"), 1)
        made.append(f"— {voter.cosigner} {_b64(raw)}")
    forgery.note = "\n".join([said.body, *lines(made, told), ""])
    return forgery


class _Said(Checkpoint, frozen=True):
    """A checkpoint whose text is another."""

    text: str

    @property
    @override
    def body(self) -> str:
        return self.text.format(o=self.origin, s=self.size, r=_b64(self.root))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _resigned(line: str, old: bytes, new: bytes) -> str:
    head, _, blob = line.rpartition(" ")
    return f"{head} {_b64(base64.b64decode(blob).replace(old, new, 1))}"


STRANGER = "— witness.example.com " + _b64(bytes(5))


@pytest.mark.parametrize(
    ("lines", "valid"),
    [
        (lambda a, _: a[:4], True),
        (lambda a, _: [a[0], *a[2:]], True),
        (lambda a, _: a, False),  # one cosignature too many
        (lambda a, _: a[:3], False),
        (lambda a, _: a[1:4], False),
        (lambda a, _: [a[0], *a[:4]], False),
        (lambda a, _: [a[1], a[0], *a[2:4]], False),
        (lambda a, _: [a[0], a[2], a[1], a[3]], False),
        (lambda a, _: [*a[:3], a[2]], False),
        (lambda a, _: [STRANGER, *a[:2], STRANGER, *a[2:4], STRANGER], True),
        (lambda a, _: [*a[:4], *[STRANGER] * 28], True),
        (lambda a, _: [*a[:4], *[STRANGER] * 29], False),
        (lambda a, _: [*a[:4], STRANGER[:-8] + _b64(bytes(4))], False),
        (lambda a, _: [*a[:4], "— a+b AAAAAAA="], False),
        (lambda a, _: [*a[:4], "— a\u2003b AAAAAAA="], False),
        (lambda a, _: [*a[:4], "—  AAAAAAA="], False),
        (lambda a, _: [*a[:4], "- a AAAAAAA="], False),
        (lambda a, _: [*a[:4], "— a AAAAAAA= "], False),
        (lambda a, _: [*a[:4], "— 名\x7f AAAAAAA="], True),
        (lambda a, _: [*a[:4], "— a\x01 AAAAAAA="], False),
        (lambda a, _: [*a[:4], a[4].rpartition(" ")[0] + " AAAAAAA="], True),  # another key id
        (lambda a, _: [*a[:4], a[4][:-8] + "AAAAAAA="], False),
        (lambda a, _: [*a[:4], ""], False),
        (lambda a, _: [*a[:4], "— a " + _b64(bytes(5 * 48_000))], False),
    ],
)  # fmt: skip
def test_lines_under_a_checkpoint(
    lines: Callable[[list[str], Checkpoint], list[str]], valid: bool
) -> None:
    assert both(note(lines)) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("{o}\n{s}\n{r}\n", True),
        ("{o}\n{s}\n{r}\nmore\n", False),
        ("{o}\n0{s}\n{r}\n", False),
        ("{o}\n+{s}\n{r}\n", False),
        ("{o}\n٣\n{r}\n", False),
        ("{o}\n{s}\n{r}\r\n", False),
        ("{o} \n{s}\n{r}\n", False),
        ("{o}\n{s}\n{r}", False),
        ("\n{o}\n{s}\n{r}\n", False),
    ],
)
def test_texts_that_voters_signed(text: str, valid: bool) -> None:
    assert both(note(lambda lines, _: lines[:4], text)) is valid
