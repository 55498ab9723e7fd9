"""A verifier that has only the page, over what the product made, and over changed copies of it."""

from __future__ import annotations

import ast
import base64
import json
import random  # noqa: TID251  # seeded
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.chain.checkpoint import Checkpoint
from node.chain.evidence.file import encode_evidence_file, verify_evidence_file
from node.chain.evidence.kinds import (
    EntryEvidence,
    Evidence,
    LeafEvidence,
    RootEvidence,
    RootStatement,
    SealEvidence,
    SizeEvidence,
)
from node.chain.verify import verify_proof_file
from node.ledger.genesis import GenesisError
from node.ledger.genesis_file import parse_genesis
from tests.chain.mutations import mutations
from tests.chain.network import genesis_text
from tests.chain.page import PAGE, blocks
from tests.chain.test_evidence import KINDS, TRUE, VOTERS, block, header, payload
from tests.chain.test_evidence import _wire as wire
from tests.chain.test_evidence_file import GENESIS as LIED_TO
from tests.chain.test_evidence_file import PREFIX
from tests.outsider import from_page
from tests.outsider.from_page.evidence import verify_evidence
from tests.outsider.from_page.form import RefusedError, array, pack, unpack
from tests.outsider.from_page.genesis import Network, read_network
from tests.outsider.from_page.proof import verify_proof
from tests.outsider.proofs import Collection

MUTATIONS_OF_ONE = 10


def is_valid(data: bytes, network: Network) -> bool:
    try:
        verify_proof(network, data)
    except RefusedError:
        return False
    return True


def test_it_imports_nothing_of_the_product() -> None:
    allowed = {*sys.stdlib_module_names, "cryptography"}
    files = sorted(Path(from_page.__file__).parent.glob("*.py"))
    assert len(files) >= 8
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name is not None
                known = name.partition(".")[0] in allowed
                assert known or name.startswith("tests.outsider.from_page."), (file, name)


def test_it_agrees_on_200_proofs_of_every_kind(collections: list[Collection]) -> None:
    proofs = [data for made in collections for data in made.proofs]
    assert len(proofs) == len(set(proofs)) == 200
    codes, sizes, shown, longest = set(), set(), 0, 0
    kinds: set[str] = set()
    for made in collections:
        network = read_network(made.text)
        assert network.id == made.genesis.network_id
        for data in made.proofs:
            verdict = verify_proof_file(data, made.genesis)
            assert verdict.valid, verdict.reason
            expected = json.loads(msgspec.json.encode(verdict))
            found = verify_proof(network, data)
            assert found == {name: expected[name] for name in found}
            assert len(found) == 8
            codes.add(found["code"])
            sizes.add(found["size"])
            shown += len(found["disclosed"])
            kinds.update(item["kind"] for item in found["disclosed"])
            longest = max(longest, *map(len, data.split(b"\n")))
    assert {None, 0} < codes
    assert len(codes) >= 20, "seals, what was applied, and refusals"
    assert len(sizes) >= 50
    assert shown >= 500
    assert kinds == {"invoice", "red_request"}
    assert 48_000 < longest < 64 * 1024 - 1


def test_2000_changed_proofs_are_refused(collections: list[Collection]) -> None:
    """Parts of other networks' proofs are spliced in; those of one network may make a true one."""
    refused = 0
    for number, made in enumerate(collections):
        network = read_network(made.text)
        others = [data for other in collections if other is not made for data in other.proofs[:3]]
        for data in made.proofs:
            for changed in mutations(data, others, MUTATIONS_OF_ONE, seed=refused + number):
                assert not is_valid(changed, network)
                assert not verify_proof_file(changed, made.genesis).valid
                refused += 1
    assert refused == 2_000


Change = Callable[[list[Any], random.Random], None]


def _set(place: int, value: Callable[[Any], Any]) -> Change:
    def change(rows: list[Any], rng: random.Random) -> None:
        row = rng.choice(rows)
        row[place] = value(row[place])

    return change


CHANGES: dict[str, Change] = {
    "operation": _set(0, lambda n: n + 1),
    "index": _set(1, lambda n: n + 1),
    "index below": _set(1, lambda n: abs(n - 1)),
    "count": _set(2, lambda n: n + 1),
    "path": _set(3, lambda p: p + "0"),
    "path spelled": _set(3, lambda p: p.replace("/lines/", "/lines/0")),
    "path escaped": _set(3, lambda p: p.replace("a", "~0a") + "~"),
    "value": _set(4, lambda v: b"1"),
    "value spelled": _set(4, lambda v: b" " + v),
    "salt": _set(5, lambda s: s[::-1]),
    "hash left out": _set(6, lambda hashes: hashes[:-1]),
    "hash more": _set(6, lambda hashes: [*hashes, bytes(32)]),
    "twice": lambda rows, _: rows.append(rows[-1]),
    "reversed": lambda rows, _: rows.reverse(),
    "one field more": lambda rows, _: rows[0].append(0),
}


def rewritten(data: bytes, change: Change, rng: random.Random) -> bytes:
    """The proof with other disclosures, in its canonical form."""
    lines = data.split(b"\n")
    extra = [line[6:] for line in lines if line.startswith(b"extra ")]
    leaf, rows, handovers = array(unpack(b"".join(map(base64.b64decode, extra))), "extra", 3)
    assert isinstance(rows, list)
    change(rows, rng)
    packed = pack([leaf, rows, handovers])
    pieces = [packed[at : at + 48_000] for at in range(0, len(packed), 48_000)]
    again = [b"extra " + base64.b64encode(piece) for piece in pieces]
    return b"\n".join([lines[0], *again, *lines[1 + len(extra) :]])


@pytest.mark.parametrize("name", CHANGES)
def test_changed_disclosures_are_refused(name: str, collections: list[Collection]) -> None:
    rng = random.Random(name)
    made = collections[-1]
    network = read_network(made.text)
    assert rewritten(made.proofs[0], lambda rows, _: None, rng) == made.proofs[0]
    changed = {rewritten(data, CHANGES[name], rng) for data in made.proofs} - set(made.proofs)
    assert len(changed) >= 10
    for data in changed:
        assert not is_valid(data, network)
        assert not verify_proof_file(data, made.genesis).valid


def test_lines_of_strangers_are_ignored_by_both(collections: list[Collection]) -> None:
    line = "— witness.example.com ".encode() + base64.b64encode(bytes(76)) + b"\n"
    for made in collections:
        network = read_network(made.text)
        for data in made.proofs[:3]:
            witnessed = data + line
            assert verify_proof(network, witnessed) == verify_proof(network, data)
            assert verify_proof_file(witnessed, made.genesis) == verify_proof_file(
                data, made.genesis
            )


# --- Evidence and genesis ------------------------------------------------------------------------


def _no_leaves(voter: int) -> SizeEvidence:
    empty = Checkpoint(VOTERS.origin, 0, bytes(32))
    return SizeEvidence(1, RootStatement(0, bytes(32), TRUE.cosign(voter, empty)))


LIES: list[Evidence] = [
    *KINDS,
    PREFIX,
    *(header(term=0), header(index=2**62 + 1), header(kind=2), header(kind=0)),
    *(header(index=1), header(before=bytes(32))),
    *(payload(b"no block"), payload(block(term=3)), payload(block(wire(), b"\x90"), 1)),
    *(payload(block(wire(), wire(bad=True)), 1), payload(block(wire(network=bytes(32))))),
    payload(block(*[wire()] * 300, wire(bad=True)), 300),  # in two lines
    _no_leaves(1),
]


@pytest.mark.parametrize("evidence", LIES, ids=lambda item: type(item).__name__)
def test_it_agrees_on_evidence(evidence: Evidence) -> None:
    network = read_network(genesis_text(LIED_TO).encode())
    data = encode_evidence_file(evidence, VOTERS).encode()
    verdict = verify_evidence_file(data, LIED_TO)
    assert verdict.valid
    assert verify_evidence(network, data) == {
        "voter": verdict.voter,
        "kind": verdict.kind,
        "id": verdict.id,
    }
    if isinstance(evidence, EntryEvidence | RootEvidence | LeafEvidence | SealEvidence):
        turned: Evidence = msgspec.structs.replace(
            evidence, first=evidence.second, second=evidence.first
        )
        with pytest.raises(RefusedError):
            verify_evidence(network, encode_evidence_file(turned, VOTERS).encode())
    others = [
        encode_evidence_file(other, VOTERS).encode() for other in LIES if other is not evidence
    ]
    for changed in mutations(data, others, 30, seed=3):
        assert not verify_evidence_file(changed, LIED_TO).valid
        with pytest.raises(RefusedError):
            verify_evidence(network, changed)


@pytest.mark.parametrize(
    "evidence",
    [
        *(header(), header(index=1, before=bytes(32)), header(term=2**62, index=2**62)),
        *(payload(block(wire())), payload(block(wire(), wire(bad=True)))),
        *(payload(block(wire()), 1), payload(b"no block", 1), payload(block())),
        _no_leaves(2),
    ],
    ids=lambda item: type(item).__name__,
)
def test_both_blame_nobody_for_what_is_honest(evidence: Evidence) -> None:
    network = read_network(genesis_text(LIED_TO).encode())
    data = encode_evidence_file(evidence, VOTERS).encode()
    assert not verify_evidence_file(data, LIED_TO).valid
    with pytest.raises(RefusedError):
        verify_evidence(network, data)


def test_no_line_of_evidence_is_longer_than_other_tools_read() -> None:
    data = encode_evidence_file(LIES[-2], VOTERS).encode()
    lines = data.split(b"\n")
    assert len(lines) == 5
    assert max(map(len, lines)) < 64 * 1024 - 1
    joined = b"\n".join([*lines[:2], lines[2] + lines[3], b""])
    elsewhere = b"\n".join([*lines[:2], lines[2][:-4], lines[2][-4:] + lines[3], b""])
    for changed in (joined, elsewhere):
        assert not verify_evidence_file(changed, LIED_TO).valid
        with pytest.raises(RefusedError):
            verify_evidence(read_network(genesis_text(LIED_TO).encode()), changed)


GENESIS = blocks(PAGE.read_text())["network"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "demo"', 'name = "demo\\n"'),
        ('name = "demo"', 'name = "Demo"'),
        ('node = "payer"', 'node = "payer\\n"'),
        ('node = "payer"', 'node = "issuer\\n"'),
        ("6c6779", "6c6779\\n"),
        ('created = "2026', 'created = "Q2026'),
        ('"\\u4f5c', '" \\u4f5c'),
        ('"\\u4f5c', '"e\\u0301\\u4f5c'),
        ('"\\u4f5c', '"\\u0000\\u4f5c'),
        ('name = "demo"', ""),
        ("rules_version = 1", "rules_version = 2"),
        ("[network]", "[network]\nmore = 1"),
        ("[terms]", "[terms]\nmore = 1"),
        ("threshold = 1", "threshold = 2"),
        ("[1300]", "[1300, 1300]"),
        ("[1300]", "[10001]"),
        ('["issuer"]', '["issuer", "issuer"]'),
        ('["issuer"]', '["seller"]'),
        ("91310000MA1FL0000N", "91310000MA1FL0000P"),
        ("5b9b530182", "5B9B530182"),
        ("5b9b530182a6355adfc5e3108d559e031364dd5045d0e8f192ca5c493dbdaceb", "00" * 31),
        ('node = "payer"', 'node = "issuer"'),
    ],
)
def test_both_refuse_a_genesis(old: str, new: str) -> None:
    read_network(GENESIS.encode())
    changed = GENESIS.replace(old, new)
    assert changed != GENESIS
    with pytest.raises(RefusedError):
        read_network(changed.encode())
    with pytest.raises(GenesisError):
        parse_genesis(changed)
