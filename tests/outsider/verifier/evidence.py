"""Section 11: evidence against a voter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.outsider.verifier.encoding import (
    InvalidError,
    array,
    from_base64,
    need,
    pack,
    sha256,
    signed,
    unpack,
)
from tests.outsider.verifier.ledger import (
    TREE_MAX,
    U53,
    U63,
    continues,
    leaf_hash,
    path_root,
    read_leaf,
    read_transaction,
)
from tests.outsider.verifier.network import Network
from tests.outsider.verifier.note import checkpoint_body, cosigned

LINE_BYTES = 48_000


def verify_evidence(data: bytes, network: Network) -> dict[str, Any]:
    """The verdict on an evidence file; raises `InvalidError`."""
    need(len(data) <= 109_484, "file is too large")
    match = re.fullmatch(rb"piaolian/evidence@v1\nnetwork ([0-9a-f]{64})\n((?:[^\n]+\n)+)", data)
    if match is None:
        raise InvalidError("not an evidence file")
    need(match[1].decode() == network.id.hex(), "evidence is of another network")
    pieces = [from_base64(line) for line in match[2].decode("latin-1").splitlines()]
    need(all(len(piece) == LINE_BYTES for piece in pieces[:-1]), "a line is cut elsewhere")
    need(0 < len(pieces[-1]) <= LINE_BYTES, "the last line is empty or too long")
    raw = b"".join(pieces)
    need(len(raw) <= 81_920, "evidence is too large")
    evidence = unpack(raw)
    need(isinstance(evidence, list) and bool(evidence), "evidence has another shape")
    need(type(evidence[0]) is int and evidence[0] in _JUDGES, "evidence of an unknown kind")
    voter, kind, place = _JUDGES[evidence[0]](network, evidence)
    named = pack([network.id, voter, kind, place])
    identity = sha256(b"piaolian/evidence/v1\n", named)
    return {"voter": network.voters[voter].node, "kind": kind, "id": identity.hex()}


@dataclass(frozen=True)
class Header:
    term: int
    index: int
    kind: int
    leader: int
    before: bytes
    payload: bytes


def _entry(network: Network, statement: Any) -> Header:
    header, signature = array(statement, "statement", 108, 64)
    need(header.startswith(b"piaolian/raft-entry/v1\n"), "not the header of an entry")
    cuts = (23, 31, 39, 40, 44, 76)
    term, index, kind, leader = (
        int.from_bytes(header[start:end], "big") for start, end in pairwise(cuts[:5])
    )
    need(leader < len(network.voters), "the accused is no voter")
    message = b"piaolian/entry/v1\n" + network.id + header
    need(signed(network.voters[leader].identity_key, message, signature), "a false signature")
    return Header(term, index, kind, leader, header[44:76], header[76:])


def _pair(first: Any, second: Any) -> None:
    need(first < second, "statements are equal or out of order")


def _root_statement(network: Network, voter: int, statement: Any) -> tuple[int, bytes]:
    size, root, blob = array(statement, "statement", range(TREE_MAX + 1), 32, 76)
    need(voter < len(network.voters), "the accused is no voter")
    accused = network.voters[voter]
    key_id = network.key_id(f"{network.origin}/{accused.node}", 4, accused.cosign_key)
    body = checkpoint_body(network.origin, size, root)
    need(blob[:4] == key_id and cosigned(accused.cosign_key, body, blob), "a false cosignature")
    return size, root


def _path(value: Any, longest: int) -> list[bytes]:
    need(isinstance(value, list) and len(value) <= longest, "path is too long")
    return array(value, "path", *[32] * len(value))


def _entries(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, *statements = array(evidence, "evidence", range(2), list, list)
    one, two = (_entry(network, statement) for statement in statements)
    _pair(*statements)
    need(statements[0][0] != statements[1][0], "the entries are one")
    place = [one.term, one.index]
    need([two.term, two.index, two.leader] == [*place, one.leader], "entries of different places")
    return one.leader, "entries", place


def _roots(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, voter, one, two = array(evidence, "evidence", range(3), range(256), list, list)
    (size, root), (other_size, other) = (_root_statement(network, voter, s) for s in (one, two))
    _pair(one, two)
    need(size == other_size and root != other, "the roots are one, or of different sizes")
    return voter, "roots", [size]


def _leaves(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, voter, index, *statements = array(
        evidence, "evidence", range(4), range(256), range(TREE_MAX + 1), list, list
    )
    for statement in statements:
        hashed, path, under = array(statement, "statement", 32, list, list)
        size, root = _root_statement(network, voter, under)
        need(path_root(index, size, hashed, _path(path, 64)) == root, "a leaf is not in its tree")
    _pair(*statements)
    need(statements[0][0] != statements[1][0], "the leaves are one")
    return voter, "leaves", [index]


def _seals(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, voter, *statements = array(evidence, "evidence", range(5), range(256), list, list)
    seals = []
    for statement in statements:
        data, path, under = array(statement, "statement", bytes, list, list)
        need(len(data) <= 512, "seal is too large")
        seal = read_leaf(data)
        need(seal[0] == 2, "leaf is no seal")
        size, root = _root_statement(network, voter, under)
        found = path_root(seal[5] + seal[6], size, leaf_hash(data), _path(path, 64))
        need(found == root, "a seal is not in its tree")
        seals.append(seal)
    _pair(*statements)
    need(seals[0][1] == seals[1][1] and seals[0] != seals[1], "the seals do not contradict")
    return voter, "seals", [seals[0][1]]


def _prefix(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, voter, said, prefix = array(evidence, "evidence", range(6), range(256), list, list)
    size, root = _root_statement(network, voter, said)
    other, path, under = array(prefix, "statement", 32, list, list)
    large, top = _root_statement(network, voter, under)
    need(size < large and root != other, "the trees do not contradict")
    need(continues(size, large, other, top, _path(path, 128)), "a root that the tree never had")
    return voter, "roots", [size]


def _header(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    header = _entry(network, array(evidence, "evidence", range(7), list)[1])
    places = range(1, 2**62 + 1)
    breaks = (
        header.term not in places
        or header.index not in places
        or header.kind > 1
        or (header.kind == 0 and header.payload != sha256())
        or (header.index == 1) != (header.before == bytes(32))
    )
    need(breaks, "the entry breaks no rule")
    return header.leader, "header", [header.term, header.index]


def _payload(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, statement, payload, at = array(evidence, "evidence", range(8), list, bytes, range(16_385))
    header = _entry(network, statement)
    need(len(payload) <= 65_536 and sha256(payload) == header.payload, "another payload")
    need(header.kind == 1, "the entry is no block")
    wires: list[bytes] = []
    try:
        term, _, wires = array(unpack(payload), "block", U63, U53, list)
        array(wires, "wires", *[bytes] * len(wires))
        whole = term == header.term and len(wires) <= 16_384
    except InvalidError:
        whole = False
    need(whole or at == 0, "the fault is of the whole")
    need(
        not whole or (at < len(wires) and not _proposable(network, wires[at])), "no rule is broken"
    )
    return header.leader, "payload", [header.term, header.index]


def _proposable(network: Network, wire: bytes) -> bool:
    try:
        body, signature, blobs = array(unpack(wire), "wire", bytes, 64, list)
        array(blobs, "blobs", *[bytes] * len(blobs))
        need(len(blobs) <= 1_000 and sum(map(len, blobs)) <= 1_048_576, "too many blobs")
        read_transaction(network, body, signature)
    except InvalidError:
        return False
    return True


def _size(network: Network, evidence: Any) -> tuple[int, str, list[int]]:
    _, voter, statement = array(evidence, "evidence", range(9), range(256), list)
    size, _ = _root_statement(network, voter, statement)
    need(size == 0, "a tree may have this size")
    return voter, "size", [size]


_JUDGES = {
    1: _entries,
    2: _roots,
    3: _leaves,
    4: _seals,
    5: _prefix,
    6: _header,
    7: _payload,
    8: _size,
}
