"""Evidence with what excuses it, and genesis documents at the edge: both verifiers say the same."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from node.chain.checkpoint import Checkpoint
from node.chain.evidence.excuse import Excuse
from node.chain.evidence.file import encode_evidence_file, verify_evidence_file
from node.chain.evidence.kinds import (
    Evidence,
    LeafEvidence,
    LeafStatement,
    PrefixEvidence,
    PrefixStatement,
    RootStatement,
)
from node.chain.merkle import leaf_hash
from node.ledger.genesis import GenesisError
from node.ledger.genesis_file import parse_genesis
from tests.chain import test_excuse as astray
from tests.chain.mutations import mutations
from tests.chain.page import PAGE, blocks
from tests.outsider.from_page.evidence import verify_evidence
from tests.outsider.from_page.form import RefusedError
from tests.outsider.from_page.genesis import read_network

DOCUMENT = blocks(PAGE.read_text())["network"]
NETWORK = read_network(DOCUMENT.encode())


def convicts(data: bytes) -> bool:
    """What both verifiers say of a file of evidence."""
    verdict = verify_evidence_file(data, astray.TRUE.network.genesis)
    found, why = None, ""
    try:
        found = verify_evidence(NETWORK, data)
    except RefusedError as error:
        why = str(error)
    assert verdict.valid is (found is not None), (verdict.reason, why)
    if found is not None:
        assert found == {"voter": verdict.voter, "kind": verdict.kind, "id": verdict.id}
    return verdict.valid


def leaves(small: int, large: int) -> LeafEvidence:
    """The voter led astray signed two trees with different leaves at one index."""
    index = astray.TRUE.sizes[1] - 1
    pair = ((astray.FALSE, small), (astray.TRUE, large))
    said = [
        LeafStatement(
            leaf_hash(h.leaves[index]), h.inclusion(index, height), h.said(astray.ASTRAY, height)
        )
        for h, height in pair
    ]
    return LeafEvidence(astray.ASTRAY, index, *sorted(said))


@pytest.mark.parametrize(
    ("evidence", "excuse", "convicted"),
    [
        (astray.evidence(), None, True),
        (astray.evidence(), astray.excuse(), False),
        (astray.evidence(3, 5), astray.excuse(3, 5), False),
        (astray.evidence(4, 5), astray.excuse(3, 5), True),
        (astray.evidence(3, 4), astray.excuse(4, 5), True),
        (astray.evidence(), astray.excuse(4, 6), True),  # a path to another tree
        (astray.evidence(voter=1), astray.excuse(), True),  # of another voter
        (leaves(3, 5), None, True),
        (leaves(3, 5), astray.excuse(), False),
        (leaves(5, 5), astray.excuse(), True),
        (astray.evidence(), Excuse(astray.resumption(signers=(0, 1, 2)), ()), False),  # its own
        (astray.evidence(), Excuse(astray.resumption(voter=3), ()), True),
    ],
)
def test_excuses(evidence: Evidence, excuse: Excuse | None, convicted: bool) -> None:
    data = encode_evidence_file(evidence, astray.VOTERS, excuse).encode()
    assert convicts(data) is convicted
    for changed in mutations(data, [data], 60, seed=5):
        convicts(changed)  # as both say, whatever that is: without its excuse a pair convicts


def test_a_root_of_no_leaves() -> None:
    """A voter who signed one that is not the hash of nothing contradicts any tree."""
    empty, nothing = Checkpoint(astray.VOTERS.origin, 0, bytes(32)), hashlib.sha256(b"").digest()
    first = RootStatement(0, bytes(32), astray.TRUE.network.cosign(1, empty))
    for root, path, valid in (
        (nothing, (), True),
        (bytes(32), (), False),
        (nothing, (nothing,), False),
    ):
        second = PrefixStatement(root, path, astray.TRUE.said(1, 2))
        evidence = PrefixEvidence(1, first, second)
        assert convicts(encode_evidence_file(evidence, astray.VOTERS).encode()) is valid


# --- The genesis document ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "valid"),
    [
        *(("cancel_ms = 86400000", f"cancel_ms = {value}", valid) for value, valid in (
            ("0", True), ("9007199254740992", True), ("-1", False), ("9007199254740993", False),
            ("true", False), ("1.0", False), ('"1"', False),
        )),
        ("cancel_ms = 86400000\n", "", True),
        ("tax_rates = [1300]", "tax_rates = []", True),
        ('roles = ["issuer"]', "roles = []", True),
        ('roles = ["issuer"]', 'roles = ["payer", "issuer"]', True),
        ("2026-01-01T00:00:00Z", "2026-13-41", True),
        ('"2026-01-01T00:00:00Z"', "2026-01-01T00:00:00Z", False),  # a text, no time of TOML
        ("[network]", "\ufeff[network]", False),
        ("rules_version = 1", "rules_version = true", False),
        ("threshold = 1", "threshold = 0", False),
        *(("\\u4f5c", letter, True) for letter in (
            "\\u200d", "\\ufe0f", "\\U00020000", "\\U000323b0", "\\U0002fffe", "a b", "\\U000e0100",
        )),
        *(("\\u4f5c", letter, False) for letter in (
            "\\u0085", "\\u00ad", "\\u061c", "\\u115f", "\\u17b4", "\\u180e", "\\u200b", "\\u200e",
            "\\u2028", "\\u202e", "\\u2065", "\\u2069", "\\u206f", "\\u3164", "\\ufdd0", "\\ufeff",
            "\\uffa0", "\\ufff0", "\\ufffc", "\\uffff", "\\U000e0041", "\\U000e0fff", "\\U0001fffe",
            "\\u0378", "\\U00040000", "\\u3000", "e\\u0301",
        )),
    ],
)  # fmt: skip
def test_documents(old: str, new: str, valid: bool) -> None:
    changed = DOCUMENT.replace(old, new)
    assert changed != DOCUMENT
    try:
        genesis = parse_genesis(changed)
    except GenesisError:
        assert not valid
        with pytest.raises(RefusedError):
            read_network(changed.encode())
    else:
        assert valid
        assert read_network(changed.encode()).id == genesis.network_id


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="this interpreter knows more")
def test_a_name_in_a_later_script() -> None:
    test_documents("\\u4f5c", "\\U00011f02", valid=False)
