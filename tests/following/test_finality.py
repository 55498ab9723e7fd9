"""Counting cosignatures: q make a height final, lies are noticed, nothing else counts."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest

from node.chain.certificate import Certificate, CertificateError, certify
from node.chain.checkpoint import Checkpoint, cosign, verify_cosignature
from node.chain.cosigned import Cosigned
from node.chain.evidence.watch import EvidenceWatch
from node.chain.voters import VoterSet
from node.following.finality import AHEAD_MAX, DivergedError, Finality
from tests.chain.network import make_genesis, seed

ROOT = hashlib.sha256(b"root").digest()
OTHER = hashlib.sha256(b"other").digest()


class Fixture:
    """Four voters; voter 0 is this node."""

    def __init__(self) -> None:
        self.voters = VoterSet.from_genesis(make_genesis(4))
        self.watch = EvidenceWatch(self.voters)
        self.finality = Finality(self.voters, 0, self.watch)

    def checkpoint(self, height: int, root: bytes = ROOT) -> Checkpoint:
        return Checkpoint(self.voters.origin, height * 2, root)

    def statement(self, number: int, height: int, root: bytes = ROOT) -> Cosigned:
        checkpoint = self.checkpoint(height, root)
        voter = self.voters.voters[number]
        blob = cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), 1_700_000_000)
        return Cosigned(height, checkpoint.size, root, blob)

    def certificate(self, height: int, root: bytes = ROOT) -> Certificate:
        blobs = {n: self.statement(n, height, root).cosignature for n in (1, 2, 3)}
        return certify(self.checkpoint(height, root), blobs, self.voters)

    def apply(self, height: int) -> Certificate | None:
        own = (0, self.statement(0, height))
        return self.finality.block_applied(height, self.checkpoint(height), own)


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_q_cosignatures_make_a_height_final(fixture: Fixture) -> None:
    assert fixture.apply(1) is None
    assert fixture.finality.receive(1, fixture.statement(1, 1)) is None

    certificate = fixture.finality.receive(2, fixture.statement(2, 1))

    assert certificate is not None
    certificate.verify(fixture.voters)
    assert fixture.finality.final_height == 1
    assert fixture.finality.unfinal == 0


def test_the_same_voter_counts_once(fixture: Fixture) -> None:
    fixture.apply(1)
    for _ in range(3):
        assert fixture.finality.receive(1, fixture.statement(1, 1)) is None


def test_statements_that_come_first_are_held_until_the_block_is_applied(fixture: Fixture) -> None:
    assert fixture.finality.receive(1, fixture.statement(1, 1)) is None
    assert fixture.finality.receive(2, fixture.statement(2, 1)) is None

    assert fixture.apply(1) is not None


def test_a_later_height_finalises_the_earlier_ones(fixture: Fixture) -> None:
    fixture.apply(1)
    fixture.apply(2)
    fixture.finality.receive(1, fixture.statement(1, 2))
    fixture.finality.receive(3, fixture.statement(3, 2))

    assert fixture.finality.final_height == 2
    assert fixture.finality.repeat(0) == []


def test_a_forged_statement_is_refused_and_does_not_count(fixture: Fixture) -> None:
    fixture.apply(1)
    forged = fixture.statement(2, 1)
    with pytest.raises(ValueError, match="does not verify"):
        fixture.finality.receive(1, forged)
    for height in (0, 2, AHEAD_MAX + 9):  # final, still to be applied, too far ahead to be held
        with pytest.raises(ValueError, match="does not verify"):
            fixture.finality.receive(1, Cosigned(height, 4, OTHER, forged.cosignature))

    assert fixture.apply(2) is None


def test_statements_far_ahead_are_not_held(fixture: Fixture) -> None:
    height = AHEAD_MAX + 1
    fixture.finality.receive(1, fixture.statement(1, height))

    assert not fixture.finality._held


def test_q_dissenters_stop_the_node_and_are_the_certificate(fixture: Fixture) -> None:
    """Fewer do not: a liar may have led one honest voter astray, and both dissent."""
    told: list[int] = []
    fixture.finality.comparison.on_dissent = told.append
    fixture.apply(1)
    for number in (1, 2):
        assert fixture.finality.receive(number, fixture.statement(number, 1, OTHER)) is None
    third = fixture.statement(1, 1, hashlib.sha256(b"third").digest())
    assert fixture.finality.receive(1, third) is None  # one voter counts once
    assert told == [1, 1, 1]
    with pytest.raises(DivergedError, match="issuer, payer, reimburser signed") as raised:
        fixture.finality.receive(3, fixture.statement(3, 1, OTHER))
    raised.value.certificate.verify(fixture.voters)
    assert raised.value.certificate.checkpoint.root == OTHER


def test_a_certificate_of_another_size_for_a_height_of_ours_is_dissent(fixture: Fixture) -> None:
    """Nobody signs a height, so it may be the height that is false: the tree will tell."""
    told: list[int] = []
    fixture.finality.comparison.on_dissent = told.append
    fixture.apply(1)
    assert not fixture.finality.receive_certificate(1, fixture.certificate(2, OTHER))
    assert told == [1]
    assert fixture.watch.pending.due_certificates() == []


def test_two_roots_of_one_voter_are_noticed_also_after_finality(fixture: Fixture) -> None:
    fixture.apply(1)
    fixture.finality.receive(1, fixture.statement(1, 1))
    fixture.finality.receive(2, fixture.statement(2, 1))
    seen: list[object] = []
    observe = fixture.watch.observe_cosignature

    def note(voter: int, checkpoint: Checkpoint, cosignature: bytes) -> object:
        evidence = observe(voter, checkpoint, cosignature)
        seen.append(evidence)
        return evidence

    fixture.watch.observe_cosignature = note  # type: ignore[method-assign,assignment]
    fixture.finality.receive(1, fixture.statement(1, 1, OTHER))

    assert [evidence is not None for evidence in seen] == [True]


def test_a_voter_that_lies_only_after_finality_is_named_too(fixture: Fixture) -> None:
    fixture.apply(1)
    fixture.finality.receive(1, fixture.statement(1, 1))
    fixture.finality.receive(2, fixture.statement(2, 1))
    seen: list[object] = []
    observe = fixture.watch.observe_cosignature

    def note(voter: int, checkpoint: Checkpoint, cosignature: bytes) -> object:
        seen.append(observe(voter, checkpoint, cosignature))
        return seen[-1]

    fixture.watch.observe_cosignature = note  # type: ignore[method-assign,assignment]
    fixture.finality.receive(3, fixture.statement(3, 1))
    assert seen == []
    fixture.finality.receive(3, fixture.statement(3, 1, OTHER))

    assert [evidence is not None for evidence in seen] == [False, True]


def test_a_certificate_from_a_peer_finalises(fixture: Fixture) -> None:
    certificate = fixture.certificate(3)
    assert not fixture.finality.receive_certificate(3, certificate)  # not applied yet
    fixture.apply(1)
    fixture.apply(2)

    assert fixture.apply(3) == certificate
    assert fixture.finality.final_height == 3


def test_a_certificate_of_another_root_stops_the_node(fixture: Fixture) -> None:
    certificate = fixture.certificate(1, OTHER)
    fixture.apply(1)

    with pytest.raises(DivergedError):
        fixture.finality.receive_certificate(1, certificate)


def test_a_certificate_with_too_few_voters_is_refused(fixture: Fixture) -> None:
    certificate = fixture.certificate(1)
    short = Certificate(certificate.checkpoint, certificate.cosignatures[:2])
    fixture.apply(1)

    with pytest.raises(CertificateError):
        fixture.finality.receive_certificate(1, short)
    assert fixture.finality.final_height == 0


@pytest.mark.parametrize("height", [1, 2, AHEAD_MAX + 9, 2**50])
def test_two_roots_for_one_size_are_compared_at_whatever_height_they_stand(
    fixture: Fixture, height: int
) -> None:
    """Behind, at, and beyond what this node waits for; also once a certificate came first."""
    seen: list[object] = []
    observe = fixture.watch.observe_cosignature

    def note(voter: int, checkpoint: Checkpoint, cosignature: bytes) -> object:
        seen.append(observe(voter, checkpoint, cosignature))
        return seen[-1]

    fixture.watch.observe_cosignature = note  # type: ignore[method-assign,assignment]
    fixture.apply(1)
    fixture.finality.receive_certificate(2, fixture.certificate(2))
    for root in (ROOT, OTHER):
        statement = fixture.statement(3, 2, root)
        told = Cosigned(height, statement.size, root, statement.cosignature)
        with suppress(DivergedError):
            fixture.finality.receive(3, told)
    fixture.apply(2)
    assert [evidence for evidence in seen if evidence is not None]


def test_many_roots_of_one_size_cost_one_check_each(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for voter in (1, 2, 3):
        fixture.finality.receive(voter, fixture.statement(voter, 1))
    fixture.apply(1)
    fixture.finality.receive(1, fixture.statement(1, 1))
    fixture.finality.receive(1, fixture.statement(1, 1, OTHER))
    checked: list[Checkpoint] = []

    def verify(checkpoint: Checkpoint, *rest: object) -> bool:
        checked.append(checkpoint)
        return verify_cosignature(checkpoint, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("node.following.comparing.verify_cosignature", verify)
    for number in range(20):
        root = hashlib.sha256(b"another %d" % number).digest()
        fixture.finality.receive(1, fixture.statement(1, 1, root))

    assert len(checked) == 20
