"""A voter that was led astray is excused by its resumption; nobody else is, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from node.chain.certificate import Certificate, Cosignature, certify
from node.chain.checkpoint import Checkpoint
from node.chain.evidence.compare import Side, compare, find_excuse
from node.chain.evidence.excuse import (
    Excuse,
    ExcuseError,
    Resumption,
    check_excused,
    decode_excuse,
    decode_resumption,
    encode_excuse,
    encode_resumption,
    excuses,
    sign_resumption,
    verify_resumption,
)
from node.chain.evidence.file import encode_evidence_file, verify_evidence_file
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    Evidence,
    EvidenceError,
    LeafEvidence,
    LeafStatement,
    PrefixEvidence,
    PrefixStatement,
    RootEvidence,
    RootStatement,
)
from node.chain.merkle import (
    consistency_path,
    frontier_of,
    inclusion_path,
    leaf_hash,
    leaf_hashes,
)
from node.chain.tiles import TileBuilder, TileSubtrees
from tests.chain.network import Network, make_genesis, seed

ASTRAY, LIAR = 2, 0


class History:
    """One tree at every height, and what is signed of it."""

    def __init__(self, state: int, blocks: int = 6) -> None:
        self.network = Network()
        self.network.add_block()
        self.sizes = [len(self.network.leaves)]
        for _ in range(blocks):
            self.network.add_block(3, state=bytes((state,)) * 32)
            self.sizes.append(len(self.network.leaves))
        builder = TileBuilder()
        tiles = {(t.level, t.number): t.data for t in builder.append(leaf_hashes(self.leaves))}
        self.lookup = TileSubtrees(lambda level, number: tiles.get((level, number)))

    @property
    def leaves(self) -> list[bytes]:
        return self.network.leaves

    def checkpoint(self, height: int) -> Checkpoint:
        size = self.sizes[height - 1]
        return Checkpoint(self.network.voters.origin, size, frontier_of(size, self.lookup).root())

    def said(self, voter: int, height: int) -> RootStatement:
        told = self.checkpoint(height)
        return RootStatement(told.size, told.root, self.network.cosign(voter, told))

    def path(self, small: int, large: int) -> tuple[bytes, ...]:
        return tuple(consistency_path(self.sizes[small - 1], self.sizes[large - 1], self.lookup))

    def inclusion(self, index: int, height: int) -> tuple[bytes, ...]:
        return tuple(inclusion_path(index, self.sizes[height - 1], self.lookup))

    def tree(self, height: int) -> TileSubtrees:
        """Its tiles, as a verifier has them."""
        builder = TileBuilder()
        hashes = leaf_hashes(self.leaves[: self.sizes[height - 1]])
        tiles = {(t.level, t.number): t.data for t in builder.append(hashes)}
        return TileSubtrees(lambda level, number: tiles.get((level, number)))

    def certificate(self, height: int, *signers: int) -> Certificate:
        told = self.checkpoint(height)
        signed = {n: self.network.cosign(n, told) for n in signers}
        return certify(told, signed, self.network.voters)


FALSE, TRUE = History(1), History(2)
VOTERS = TRUE.network.voters


def resumption(
    height: int = 4, voter: int = ASTRAY, history: History = TRUE, signers: tuple[int, ...] = ()
) -> Resumption:
    """Above a certificate of all others."""
    others = signers or tuple(n for n in range(4) if n != voter)
    key = seed(f"{VOTERS.voters[voter].node}/cosign")
    return sign_resumption(VOTERS, voter, history.certificate(height, *others), key)


def evidence(small: int = 3, large: int = 5, voter: int = ASTRAY) -> PrefixEvidence:
    """The voter signed the false history to a height, and the true one at a larger one."""
    path = TRUE.path(small, large)
    root = TRUE.checkpoint(small).root
    under = TRUE.said(voter, large)
    return PrefixEvidence(voter, FALSE.said(voter, small), PrefixStatement(root, path, under))


def excuse(at: int = 4, large: int = 5, history: History = TRUE) -> Excuse:
    return Excuse(resumption(at, history=history), history.path(at, large))


def test_who_was_led_astray_and_resumed_is_excused() -> None:
    found = judge(evidence(), VOTERS)
    assert found.voter == "payer", "true evidence, as far as it goes"
    assert excuses(excuse(), evidence(), VOTERS)
    with pytest.raises(EvidenceError, match="payer was led astray and resumed"):
        check_excused(excuse(), evidence(), VOTERS)


@pytest.mark.parametrize(
    ("small", "at", "large", "excused"),
    [
        (3, 3, 5, True),  # above a certificate of the very height
        (3, 4, 6, True),
        (2, 4, 5, True),
        (4, 3, 5, False),  # it had signed more than it resumed above
        (3, 5, 5, False),  # what it signed is no later than the resumption
        (3, 6, 5, False),
    ],
)
def test_a_resumption_excuses_only_what_lies_on_both_sides_of_it(
    small: int, at: int, large: int, excused: bool
) -> None:
    path = TRUE.path(at, large) if at <= large else ()
    assert excuses(Excuse(resumption(at), path), evidence(small, large), VOTERS) is excused


def test_leaves_and_seals_are_excused_alike_and_one_size_never() -> None:
    index = TRUE.sizes[1] - 1
    statements = sorted(
        LeafStatement(
            leaf_hash(h.leaves[index]), h.inclusion(index, height), h.said(ASTRAY, height)
        )
        for h, height in ((FALSE, 3), (TRUE, 5))
    )
    leaves: Evidence = LeafEvidence(ASTRAY, index, *statements)
    assert judge(leaves, VOTERS).kind == "leaves"
    assert excuses(excuse(), leaves, VOTERS)
    roots = RootEvidence(ASTRAY, *sorted((FALSE.said(ASTRAY, 4), TRUE.said(ASTRAY, 4))))
    assert judge(roots, VOTERS).kind == "roots"
    assert not excuses(excuse(3), roots, VOTERS)


def test_a_liar_excuses_itself_by_no_certificate_of_another_history() -> None:
    """Nor by one that it signed, nor with another's resumption, nor by a path of its own."""
    of_false = excuse(history=FALSE)
    assert not excuses(of_false, evidence(), VOTERS)
    assert not excuses(Excuse(resumption(), FALSE.path(4, 5)), evidence(), VOTERS)
    assert not excuses(Excuse(resumption(), ()), evidence(), VOTERS)
    assert not excuses(excuse(), evidence(voter=LIAR), VOTERS)
    with pytest.raises(ExcuseError, match="signed the certificate itself"):
        verify_resumption(resumption(signers=(0, 1, ASTRAY)), VOTERS)


def test_a_resumption_is_certified_and_signed() -> None:
    true = resumption()
    replace = msgspec.structs.replace
    false = {
        "did not sign the resumption": replace(true, signature=bytes(64)),
        "no voter": replace(true, voter=9),
        "itself|did not sign": replace(true, voter=3),
        "needed": replace(
            true, note=Certificate(TRUE.checkpoint(4), resumption_lines(true)[:2]).encode()
        ),
        "not the note|note": replace(true, note="nothing"),
    }
    for reason, resumed in false.items():
        with pytest.raises(ExcuseError, match=reason):
            verify_resumption(resumed, VOTERS)
    # Its signature is bound to the head: another certified head is not what it said.
    moved = replace(true, note=resumption(5).note)
    with pytest.raises(ExcuseError, match="did not sign"):
        verify_resumption(moved, VOTERS)


def resumption_lines(resumed: Resumption) -> tuple[Cosignature, ...]:
    return verify_resumption(resumed, VOTERS).cosignatures


def test_both_travel_as_canonical_bytes() -> None:
    assert decode_resumption(encode_resumption(resumption())) == resumption()
    assert decode_excuse(encode_excuse(excuse())) == excuse()
    for data in (b"", b"\x93", encode_resumption(resumption()) + b"\x00", bytes(40_000)):
        with pytest.raises(ExcuseError):
            decode_resumption(data)
        with pytest.raises(ExcuseError):
            decode_excuse(data)


def test_an_evidence_file_carries_its_excuse_and_is_worth_as_much() -> None:
    genesis = make_genesis()
    plain = encode_evidence_file(evidence(), VOTERS)
    assert verify_evidence_file(plain.encode(), genesis).voter == "payer"
    carried = encode_evidence_file(evidence(), VOTERS, excuse())
    verdict = verify_evidence_file(carried.encode(), genesis)
    assert not verdict.valid
    assert "payer was led astray and resumed" in verdict.reason
    # Another's excuse takes nothing from it.
    foreign = encode_evidence_file(evidence(), VOTERS, excuse(history=FALSE))
    assert verify_evidence_file(foreign.encode(), genesis).valid
    for spoiled in (carried.replace("excuse\n", "excuse\nAAAA\n"), carried[:-5] + "\n"):
        assert not verify_evidence_file(spoiled.encode(), genesis).valid


def test_comparing_two_logs_finds_what_excuses_a_common_signer() -> None:
    """Both the liar and who was led astray cosigned both trees; one of them resumed."""
    signers = (LIAR, 1, ASTRAY)
    small = Side("false", FALSE.certificate(3, *signers), FALSE.tree(3))
    large = Side("true", TRUE.certificate(5, *signers), TRUE.tree(5))
    found = compare(small, large, VOTERS)
    assert {judge(item, VOTERS).voter for item in found.evidence} == {"bureau", "issuer", "payer"}
    told = [resumption(), resumption(voter=1, history=FALSE)]
    excused = [
        judge(item, VOTERS).voter
        for item in found.evidence
        if find_excuse(item, told, (small, large), VOTERS)
    ]
    assert excused == ["payer"]
