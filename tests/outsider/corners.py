"""Proofs as a majority of liars could sign them: whatever is wrong with one, every hash is right.

Owns how they are made. So what refuses them is the rule in question, and no signature or path.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from node.chain.checkpoint import sign_origin
from node.chain.disclosure import Item, commit, disclose
from node.chain.leaf import encode_leaf
from node.ledger import signing
from node.ledger.transaction import signed_bytes
from tests.chain.network import AUTHOR, Network, make_leaf, seed
from tests.outsider.from_page.form import pack

SALT = bytes(range(32))
NUMBER = "26310000000000000001"
ITEMS: list[Item] = [
    ("/lines/0", b'{"net":1}'),
    ("/lines/1", b'{"net":2}'),
    ("/remarks", b'"paid"'),
    ("/seller/name", b'"x"'),
]


def issue(details: bytes | None, **changed: Any) -> list[Any]:
    """The operation that issues an invoice, as an array."""
    fields: dict[str, Any] = {
        "number": NUMBER,
        "special": False,
        "buyer": AUTHOR,
        "currency": "CNY",
        "date": "2026-11-18",
        "groups": [[1300, 100, 13, 1]],
        "net": 100,
        "tax": 13,
        "gross": 113,
        "order": bytes(32),
        "replaces": None,
    }
    return [10, *(fields | changed).values(), details, []]


def request(details: bytes | None) -> list[Any]:
    """The operation that asks for a red letter."""
    return [51, NUMBER, 100, 2, details, []]


def red_invoice(details: bytes | None) -> list[Any]:
    """The operation that issues a red invoice."""
    return [
        57,
        NUMBER,
        0,
        NUMBER[:-1] + "2",
        [[1300, 100, 13, 1]],
        100,
        13,
        113,
        bytes(32),
        details,
        [],
    ]


def by_key(operation: list[Any]) -> list[Any]:
    """An operation of a bare key."""
    return [90, bytes(32), bytes(64), pack(operation)]


@dataclass
class Forgery:
    """One proof, of which a test changes a part before anything is signed."""

    operations: list[Any] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    leaf: dict[str, Any] = field(default_factory=dict)
    raw_leaf: bytes | None = None
    rows: list[Any] = field(default_factory=list)
    index: int | None = None
    note: str | None = None
    network: Network = field(default_factory=Network)

    def _leaf(self) -> bytes:
        key = seed("author/signing")
        fields: dict[str, Any] = {
            "network": self.network.voters.network_id,
            "author": AUTHOR,
            "key": signing.public_key(key),
            "nonce": 1,
            "until": 1_000,
            "operations": self.operations or [[23, "1" * 20]],
        }
        body = pack([*(fields | self.body).values()])
        fields = {"kind": 1, "code": 0, "height": 1, "body": body}
        fields["signature"] = signing.sign(key, signed_bytes(body))
        return pack([*(fields | self.leaf).values()])

    def proof(self) -> bytes:
        """The file."""
        network = self.network
        network.height = 1
        leaf = self.raw_leaf or self._leaf()
        seal = network.make_seal(2, bytes(32))
        refused = make_leaf(network.voters.network_id, 2, 1, 30)
        network.append([leaf, encode_leaf(refused), encode_leaf(seal)])
        index = 0 if self.index is None else self.index
        certificate = network.certify(0, 2, 3)
        origin = sign_origin(certificate.checkpoint, seed("payer/origin"))
        note = certificate.published(origin).encode()
        extra = pack([network.leaves[index], self.rows, []])
        lines = ["c2sp.org/tlog-proof@v1"]
        pieces = [extra[at : at + 48_000] for at in range(0, len(extra), 48_000)]
        lines += [f"extra {base64.b64encode(piece).decode()}" for piece in pieces]
        lines.append(f"index {index}")
        lines += [base64.b64encode(each).decode() for each in network.path(index)]
        return ("\n".join(lines) + f"\n\n{note if self.note is None else self.note}").encode()


def shown(items: list[Item], *places: int, wrap: Any = issue) -> Forgery:
    """Some items of details that a liar committed to."""
    rows = [disclose(items, SALT, place, 0) for place in places]
    fields = [
        [r.operation, r.index, r.count, r.path, r.value, r.salt, list(r.hashes)] for r in rows
    ]
    return Forgery([wrap(commit(items, SALT))], rows=fields)
