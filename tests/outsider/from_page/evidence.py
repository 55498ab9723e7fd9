"""Section 11 of node/chain/README.md: whether a file of evidence convicts a voter, and of what.

Judges with the genesis document alone. Payloads of entries are judged in `payload`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.outsider.from_page.form import (
    MAX_SIZE,
    array,
    binary,
    chunks,
    hashes,
    integer,
    need,
    pack,
    sha256,
    signed,
    text,
    unpack,
)
from tests.outsider.from_page.genesis import Network
from tests.outsider.from_page.note import checkpoint_body, cosigned, stored
from tests.outsider.from_page.payload import breaks_a_rule
from tests.outsider.from_page.proof import Seal, read_seal
from tests.outsider.from_page.tree import consistent, leaf_hash, root_of_path

ENTRY_TAG = b"piaolian/raft-entry/v1\n"


Offence = tuple[int, str, tuple[int, ...]]
"""Voter, kind and place."""


@dataclass(frozen=True)
class Header:
    term: int
    index: int
    kind: int
    leader: int
    before: bytes
    payload: bytes


def verify_evidence(network: Network, data: bytes) -> dict[str, Any]:
    """Whom a file convicts, and of what."""
    need(len(data) <= 131_504 and data.isascii() and data.endswith(b"\n"), "not a file of evidence")
    magic, *lines = data.decode()[:-1].split("\n")
    need(magic == "piaolian/evidence@v1", "not a file of evidence")
    need(lines[:1] == [f"network {network.id.hex()}"], "evidence of another network")
    end = lines.index("excuse") if "excuse" in lines else len(lines)
    raw = chunks(lines[1:end])
    need(len(raw) <= 81_920, "evidence is too long")
    number, *parts = array(unpack(raw), "evidence") or [None]
    number = integer(number, 1, 8, "a kind of evidence")
    judge = _of_entries if number in (1, 6, 7) else _of_checkpoints
    voter, kind, place = judge(network, number, parts)
    if end < len(lines):
        excused = _excused(network, voter, number, parts, chunks(lines[end + 1 :]))
        need(not excused, "the voter was led astray, and said so")
    identity = sha256(b"piaolian/evidence/v1\n" + pack([network.id, voter, kind, list(place)]))
    return {"voter": network.voters[voter].node, "kind": kind, "id": identity.hex()}


def _of_entries(network: Network, number: int, parts: list[object]) -> Offence:
    if number == 1:
        first, second = array(parts, "evidence", 2)
        one, other = _header(network, first), _header(network, second)
        _ordered(first, second)
        need(first[0] != second[0], "one entry twice")  # type: ignore[index]
        same = (one.term, one.index, one.leader) == (other.term, other.index, other.leader)
        need(same, "entries of two places or leaders")
        return one.leader, "entries", (one.term, one.index)
    if number == 6:
        header = _header(network, *array(parts, "evidence", 1))
        need(_breaks_a_rule(header), "an entry that breaks no rule")
        return header.leader, "header", (header.term, header.index)
    statement, payload, at = array(parts, "evidence", 3)
    header = _header(network, statement)
    payload = binary(payload, "a payload")
    at = integer(at, 0, 16_384, "a place")
    need(
        len(payload) <= 65_536 and header.kind == 1 and sha256(payload) == header.payload,
        "not this entry's payload",
    )
    need(breaks_a_rule(network, header.term, payload, at), "a payload that breaks no rule")
    return header.leader, "payload", (header.term, header.index)


def _header(network: Network, statement: object) -> Header:
    raw, signature = array(statement, "an entry statement", 2)
    raw = binary(raw, "a header", 108)
    need(raw.startswith(ENTRY_TAG), "not a header")
    fields = raw[len(ENTRY_TAG) :]
    header = Header(
        int.from_bytes(fields[:8]),
        int.from_bytes(fields[8:16]),
        fields[16],
        int.from_bytes(fields[17:21]),
        fields[21:53],
        fields[53:],
    )
    need(header.leader < len(network.voters), "an entry of no voter")
    key = network.voters[header.leader].identity
    message = b"piaolian/entry/v1\n" + network.id + raw
    need(
        signed(key, message, binary(signature, "a signature", 64)),
        "a leader's signature does not verify",
    )
    return header


def _breaks_a_rule(header: Header) -> bool:
    return (
        not (1 <= header.term <= 2**62 and 1 <= header.index <= 2**62)
        or header.kind > 1
        or (header.kind == 0 and header.payload != sha256(b""))
        or (header.index == 1) != (header.before == bytes(32))
    )


def _of_checkpoints(network: Network, number: int, parts: list[object]) -> Offence:
    need(parts, "evidence against nobody")
    voter = integer(parts[0], 0, len(network.voters) - 1, "a voter")
    if number == 8:
        _, statement = array(parts, "evidence", 2)
        size, _ = _root(network, voter, statement)
        need(size == 0, "a tree of a size that a tree has")
        return voter, "size", (0,)
    if number == 3:
        _, index, first, second = array(parts, "evidence", 4)
        index = integer(index, 0, MAX_SIZE, "an index")
        need(
            _leaf(network, voter, index, first) != _leaf(network, voter, index, second),
            "one leaf twice",
        )
        _ordered(first, second)
        return voter, "leaves", (index,)
    _, first, second = array(parts, "evidence", 3)
    if number == 5:
        return voter, "roots", (_not_continued(network, voter, first, second),)
    if number == 2:
        (one_size, one), (size, root) = _root(network, voter, first), _root(network, voter, second)
        need(one_size == size and one != root, "not two roots of one size")
        _ordered(first, second)
        return voter, "roots", (size,)
    one_seal, other_seal = _seal(network, voter, first), _seal(network, voter, second)
    need(
        one_seal[0] != other_seal[0] and one_seal[1].height == other_seal[1].height,
        "not two seals of one height",
    )
    _ordered(first, second)
    return voter, "seals", (one_seal[1].height,)


def _not_continued(network: Network, voter: int, first: object, second: object) -> int:
    size, root = _root(network, voter, first)
    prefix, path, tree = array(second, "a prefix statement", 3)
    prefix = binary(prefix, "a root", 32)
    second_size, second_root = _root(network, voter, tree)
    shown = consistent(size, prefix, second_size, second_root, hashes(path, 128))
    need(shown and prefix != root, "a tree that continues the other, or no proof of it")
    return size


def _root(network: Network, voter: int, statement: object) -> tuple[int, bytes]:
    size, root, cosignature = array(statement, "a root statement", 3)
    size = integer(size, 0, MAX_SIZE, "a size")
    root = binary(root, "a root", 32)
    body = checkpoint_body(network.origin, size, root)
    raw = binary(cosignature, "a cosignature", 76)
    need(cosigned(network.voters[voter].cosign, body, raw), "a cosignature does not verify")
    return size, root


def _leaf(network: Network, voter: int, index: int, statement: object) -> bytes:
    hash_, path, tree = array(statement, "a leaf statement", 3)
    hash_ = binary(hash_, "a leaf's hash", 32)
    size, root = _root(network, voter, tree)
    need(root_of_path(hash_, index, size, hashes(path, 64)) == root, "not a leaf of this tree")
    return hash_


def _seal(network: Network, voter: int, statement: object) -> tuple[bytes, Seal]:
    raw, path, tree = array(statement, "a seal statement", 3)
    raw = binary(raw, "a seal")
    need(len(raw) <= 512, "a seal is too long")
    seal = read_seal(raw)
    _leaf(network, voter, seal.index, [leaf_hash(raw), path, tree])
    return raw, seal


def _ordered(first: object, second: object) -> None:
    need(first < second, "the first statement is not the smaller one")  # type: ignore[operator]


# What excuses


def _excused(network: Network, voter: int, number: int, parts: list[Any], raw: bytes) -> bool:
    """Whether the pair lies on both sides of the resumption, which must stand in any case."""
    need(len(raw) <= 16_512, "an excuse is too long")
    resumption, path = array(unpack(raw), "an excuse", 2)
    resumed, note, signature = array(resumption, "a resumption", 3)
    resumed = integer(resumed, 0, len(network.voters) - 1, "a voter")
    certificate, cosigners = stored(network, text(note, "a certificate"))
    need(resumed not in cosigners, "a resumption above a certificate of one's own")
    base = certificate.size, certificate.root
    message = b"piaolian/resumption/v1\n" + network.id + pack([resumed, *base])
    key = network.voters[resumed].cosign.public
    true = signed(key, message, binary(signature, "a signature", 64))
    need(true, "a resumption's signature does not verify")
    way = hashes(path, 128)
    if number not in (3, 4, 5) or voter != resumed:
        return False
    first, second = parts[-2:]
    trees = [first if number == 5 else first[2], second[2]]
    (small, _, _), (large, root, _) = sorted(trees, key=lambda tree: tree[0])
    return small <= base[0] < large and consistent(*base, large, root, way)
