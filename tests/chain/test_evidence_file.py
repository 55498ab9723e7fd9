"""The evidence file: what it proves, and that no changed file names anybody."""

from __future__ import annotations

import pytest

from node.chain.evidence.file import (
    EVIDENCE_FILE_BYTES_MAX,
    encode_evidence_file,
    is_evidence_file,
    parse_evidence_file,
    verify_evidence_file,
)
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    Evidence,
    EvidenceError,
    PrefixEvidence,
    PrefixStatement,
    RootEvidence,
    RootStatement,
)
from node.chain.merkle import consistency_path, frontier_of
from node.chain.tiles import TileSubtrees
from tests.chain.mutations import mutations
from tests.chain.network import Network, make_genesis
from tests.chain.test_evidence import FALSE, KINDS, LIAR, TRUE, VOTERS, under

GENESIS = TRUE.genesis


def prefix(small: RootStatement, large: Network, voter: int = LIAR) -> PrefixEvidence:
    """The statement beside the root that a larger tree had at its size."""
    lookup = TileSubtrees(lambda level, number: large.tiles.get((level, number)))
    root = frontier_of(small.size, lookup).root()
    path = consistency_path(small.size, len(large.leaves), lookup)
    return PrefixEvidence(voter, small, PrefixStatement(root, tuple(path), under(large, voter)))


def longer() -> Network:
    network = Network()
    network.add_block()
    network.add_block(9, state=b"x" * 32)
    return network


LONGER = longer()
PREFIX = prefix(under(TRUE), LONGER)
ALL: list[Evidence] = [*KINDS, PREFIX]
FILES = [encode_evidence_file(evidence, VOTERS).encode() for evidence in ALL]


def reason(data: bytes) -> str:
    """Why the file proves nothing; fails when it names somebody."""
    verdict = verify_evidence_file(data, GENESIS)
    assert not verdict.valid
    assert verdict.reason
    assert (verdict.kind, verdict.voter, verdict.sentence, verdict.id) == (None, None, None, None)
    return verdict.reason


@pytest.mark.parametrize("evidence", ALL, ids=lambda e: type(e).__name__)
def test_a_file_names_the_liar_with_the_genesis_alone(evidence: Evidence) -> None:
    text = encode_evidence_file(evidence, VOTERS)
    lines = text.split("\n")
    assert lines[:2] == ["piaolian/evidence@v1", f"network {VOTERS.network_id.hex()}"]
    assert len(lines) == 4
    assert is_evidence_file(text.encode())
    assert parse_evidence_file(text.encode(), VOTERS) == (evidence, None)
    finding = judge(evidence, VOTERS)
    verdict = verify_evidence_file(text.encode(), GENESIS)
    assert (verdict.valid, verdict.reason) == (True, "")
    assert (verdict.voter, verdict.kind) == ("issuer", finding.kind)
    assert verdict.sentence == finding.sentence
    assert verdict.id == finding.id.hex()


def strangers() -> list[bytes]:
    """True evidence of another network, whose voters have the same names and keys."""
    files = []
    for count in range(3, 7):
        forks = [Network(make_genesis(name="other")) for _ in range(2)]
        for number, fork in enumerate(forks):
            fork.add_block(count, state=bytes((number,)) * 32)
        roots = RootEvidence(LIAR, *sorted(map(under, forks)))
        judge(roots, forks[0].voters)
        files.append(encode_evidence_file(roots, forks[0].voters).encode())
    return files


def test_a_thousand_changed_files_name_nobody() -> None:
    foreign = strangers()
    reasons = set()
    for data, others in ((file, [f for f in FILES if f != file]) for file in FILES):
        # A splice of two true files may be true evidence of the same liar; those are no forgery.
        for changed in mutations(data, foreign, 250, seed=len(data)):
            reasons.add(reason(changed))
        for changed in mutations(data, others, 100, seed=1):
            verdict = verify_evidence_file(changed, GENESIS)
            assert verdict.voter in {None, "issuer"}
    assert len(reasons) >= 8


def test_files_of_another_network_and_beyond_the_limit_are_refused() -> None:
    other = Network(make_genesis(name="other"))
    for evidence in ALL:
        assert "another network" in reason(encode_evidence_file(evidence, other.voters).encode())
    assert "too large" in reason(FILES[0] + bytes(EVIDENCE_FILE_BYTES_MAX))
    assert "not an evidence file" in reason(b"")
    assert "not an evidence file" in reason(b"\xff\xfe" + FILES[0])


# --- Two roots for one size, one of them within a larger tree -------------------------------


def test_a_root_within_a_larger_tree_counts_as_much_as_a_cosigned_one() -> None:
    finding = judge(PREFIX, VOTERS)
    assert (finding.voter, finding.kind, finding.place) == ("issuer", "roots", (12,))
    assert finding.sentence == (
        "issuer cosigned a tree of size 14 that does not continue the one it cosigned"
        " for tree size 12"
    )


def test_what_shows_no_second_root_is_refused() -> None:
    early = Network()
    early.add_block()
    cases = [
        ("continues the smaller", prefix(under(early), TRUE)),
        ("continues the smaller", prefix(under(early), FALSE)),
        ("not larger", PrefixEvidence(LIAR, under(LONGER), PREFIX.second)),
        ("not larger", PrefixEvidence(LIAR, under(LONGER), prefix(under(early), TRUE).second)),
        ("not one that the larger", PrefixEvidence(LIAR, under(early), PREFIX.second)),
        (
            "not one that the larger",
            PrefixEvidence(
                LIAR, under(TRUE), PrefixStatement(bytes(32), PREFIX.second.path, under(LONGER))
            ),
        ),
        ("does not verify", PrefixEvidence(0, PREFIX.first, PREFIX.second)),
        ("does not verify", prefix(under(TRUE, voter=2), LONGER)),
        ("no voter", PrefixEvidence(4, PREFIX.first, PREFIX.second)),
    ]
    for expected, evidence in cases:
        with pytest.raises(EvidenceError, match=expected):
            judge(evidence, VOTERS)


def test_honest_heads_of_all_sizes_give_no_second_root() -> None:
    grown = Network()
    smaller = []
    for count in (0, 1, 5, 300, 3):
        grown.add_block(count)
        smaller.append(under(grown, voter=0))
    for statement in smaller[:-1]:
        with pytest.raises(EvidenceError, match="continues the smaller"):
            judge(prefix(statement, grown, voter=0), VOTERS)
