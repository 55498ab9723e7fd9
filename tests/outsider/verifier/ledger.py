"""Sections 4 to 6: transactions, leaves and the tree."""

from __future__ import annotations

import re
from typing import Any

from tests.outsider.verifier.encoding import array, need, sha256, signed, unpack
from tests.outsider.verifier.network import Network

TREE_MAX = 2**53


U53, U63 = range(2**53 + 1), range(2**63)
HEIGHT = range(1, 2**53 + 1)


def read_transaction(network: Network, body: bytes, signature: bytes) -> list[Any]:
    need(len(body) + 64 <= 60_000, "transaction is too large")
    fields = array(unpack(body), "transaction", 32, str, 32, U63, HEIGHT, list)
    need(fields[0] == network.id, "transaction is of another network")
    need(re.fullmatch("[0-9A-Z]{18}", fields[1]) is not None, "author is no id")
    operations = fields[5]
    need(1 <= len(operations) <= 1_000, "a transaction has 1 to 1,000 operations")
    for operation in operations:
        need(
            isinstance(operation, list) and bool(operation) and type(operation[0]) is int,
            "an operation begins with its tag",
        )
    message = b"piaolian/transaction/v1\n" + body
    need(signed(fields[2], message, signature), "signature of the author does not verify")
    return fields


def read_leaf(data: bytes) -> list[Any]:
    need(len(data) <= 65_535, "leaf is too large")
    leaf = unpack(data)
    if isinstance(leaf, list) and leaf[:1] == [1]:
        return array(leaf, "leaf", range(1, 2), range(65_536), HEIGHT, bytes, 64)
    numbers = (HEIGHT, U53, U63, range(2**32), U53, U53)
    entry = (range(1, 2**62 + 1), 32)
    return array(leaf, "leaf", range(2, 3), *numbers, 32, 32, range(1, 65_536), *entry)


COMMITTING = {
    10: ("invoice", 1, 12, 14),
    51: ("red_request", 1, 4, 6),
    57: ("red_invoice", 3, 9, 11),
}
"""By tag: the kind of the details, places of number and commitment, length of the array."""


def committed(operation: list[Any]) -> tuple[str, str, bytes]:
    """Kind and invoice of the details that an operation commits to, and the commitment."""
    if operation[0] == 90:
        inner: Any = unpack(array(operation, "operation", range(91), 32, 64, bytes)[3])
        need(isinstance(inner, list) and bool(inner), "an inner operation is no array")
        operation = inner
    if operation[0] == 69:
        operation = array(operation, "operation", range(70), str, list)[2]
        need(operation[:1] in ([51], [57]), "no red letter for a retired issuer")
    need(operation[0] in COMMITTING, "a disclosure names an operation without details")
    kind, number, details, length = COMMITTING[operation[0]]
    need(len(operation) == length, "operation has another shape")
    need(isinstance(operation[details], bytes), "operation commits to no details")
    return kind, operation[number], operation[details]


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00", leaf)


def path_root(index: int, size: int, hashed: bytes, path: list[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2, up to the comparison."""
    need(0 <= index < size <= TREE_MAX, "index is not below the size")
    fn, sn = index, size - 1
    for sibling in path:
        need(sn != 0, "audit path is too long")
        if fn & 1 or fn == sn:
            hashed = sha256(b"\x01", sibling, hashed)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            hashed = sha256(b"\x01", hashed, sibling)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "audit path is too short")
    return hashed


def continues(first: int, second: int, one: bytes, two: bytes, path: list[bytes]) -> bool:
    """RFC 9162, 2.1.4.2, and the trees of no leaves."""
    if first == 0:
        return not path and one == sha256()
    if not path or first >= second:
        return False
    nodes = [one, *path] if first & (first - 1) == 0 else path
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = nodes[0]
    for node in nodes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\x01", node, fr), sha256(b"\x01", node, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01", sr, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (fr, sr) == (one, two)
